# SPDX-License-Identifier: Apache-2.0
"""The report of `annotate --report=FOLDER`: one page that needs nothing else, and its figures as PNG files beside it.

`source` holds what is known of a source and says it in words, the modules named `..._figures` draw, `page` fills the
template `report.html.j2`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.annotate.locality.by_moments import LocalityEvidence
from lerobot_ambient.annotate.report.classifier_figures import (
    draw_calibration,
    draw_classifier,
    draw_distance,
    draw_reliability,
)
from lerobot_ambient.annotate.report.episode_figures import draw_episodes
from lerobot_ambient.annotate.report.heldout_figures import draw_held_out
from lerobot_ambient.annotate.report.locality_figures import draw_crops, draw_locality
from lerobot_ambient.annotate.report.mixing_figures import draw_mode_mix, draw_soft
from lerobot_ambient.annotate.report.page import Page, Section, plan_rows, render
from lerobot_ambient.annotate.report.source import SourceReport
from lerobot_ambient.annotate.report.spectra_figures import draw_deciding_spectrum, draw_ratios, draw_spectra
from lerobot_ambient.annotate.report.trajectory_figures import draw_noised, draw_trajectories
from lerobot_ambient.annotate.report.window_figures import draw_histogram, draw_over_time, draw_overview
from lerobot_ambient.core.heat_map import shares_figure
from lerobot_ambient.core.plan import Plan
from lerobot_ambient.data.declared.groups import MANY
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.figures.style import WIDTH, Picture, figure_name, png_of, styled

if TYPE_CHECKING:
    from lerobot_ambient.annotate.mixing.soft_shares import SoftShares

__all__ = ["ReportFiles", "SourceReport", "write_report"]

_PAGE = "report.html"


@dataclass(frozen=True)
class ReportFiles:
    """What was written.

    Args:
        page: the HTML page.
        figures: its figures, in the order of the page.
    """

    page: Path
    figures: tuple[Path, ...]


def write_report(
    folder: Path,
    reports: Sequence[SourceReport],
    plan: Plan,
    yaml: str,
    *,
    target: str,
    command: str,
    notes: Sequence[str] = (),
    soft: SoftShares | None = None,
) -> ReportFiles:
    """Write the page and its figures; older ones of the same names are replaced.

    Every file appears whole or not at all, the page last. Equal input gives equal bytes.

    Args:
        folder: to write into, made when needed.
        reports: one per source, in the plan's order.
        plan: with the windows that were found.
        yaml: the lines to paste into a configuration.
        target: name of the trusted dataset.
        command: that was typed.
        notes: about the run as a whole.
        soft: the mixing that the evidence of all sources suggests instead of windows, if it was asked for.

    Raises:
        ValueError: no source, or sources other than the plan's.
    """
    names = [target, *(report.finding.source for report in reports)]
    for group in plan.groups:
        if group.source >= len(names) or group.name != names[group.source]:
            raise ValueError(
                f"dataset {group.source} of the plan is '{group.name}', but the report is about {names}; give one "
                "report per source, in the plan's order, and the target's name."
            )
    if len(names) == 1:
        raise ValueError("there is no source to report on; annotate at least one.")
    rows = plan_rows(plan, names)
    # By share where there are many: what is drawn most comes first, and the others are told without figures.
    order = list(range(len(reports)))
    if len(reports) > MANY:
        order.sort(key=lambda index: -rows[1 + index].share)
        notes = [*notes, _folded(len(reports))]
    shown = sorted(order[:MANY])
    overview = draw_overview([reports[index] for index in order[:MANY]])
    heat_map = _draw_heat_map(plan, names, shown)
    soft_share = None if soft is None else draw_soft(soft)
    sections, told = [], set[str]()
    for index in order:
        report = reports[index]
        prefix = f"{1 + index}_{_slug(report.finding.source)}"
        sections.append(_drawn(report, prefix, told) if index in shown else Section(report, (), folded=True))
    rows = [rows[0], *(rows[1 + index] for index in order)]
    page = Page(
        rows=rows,
        schedule=plan.schedule,
        sections=tuple(sections),
        folded=len(reports) > MANY,
        overview=overview,
        heat_map=heat_map,
        soft_share=soft_share,
        yaml=yaml,
        soft_yaml=None if soft is None else soft.yaml(),
        command=command,
        notes=tuple(notes),
    )
    pictures = [
        overview,
        *(picture for section in sections for picture in (*section.held_out, *section.pictures)),
        heat_map,
    ]
    pictures += [] if soft_share is None else [soft_share]
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        replace_file(folder / picture.name, picture.png)
    replace_file(folder / _PAGE, render(page).encode())
    return ReportFiles(folder / _PAGE, tuple(folder / picture.name for picture in pictures))


def _folded(sources: int) -> str:
    return (
        f"Of {sources} sources the {MANY} with the largest shares of the draws have figures. The others stand in the "
        "tables, and below them in words; a configuration with fewer sources draws theirs, from the same trained work."
    )


@styled
def _draw_heat_map(plan: Plan, names: Sequence[str], shown: Sequence[int]) -> Picture:
    """The plan, as `inspect --png` draws it; datasets after its last are drawn as never trained on.

    Args:
        plan: of the mixture.
        names: of its datasets, the target first.
        shown: sources that have a row, counted from 0; the others share one.
    """
    shares, law = plan.shares_by_source().numpy(), plan.by_source().sum(1).numpy()
    lost = len(names) - len(law)
    shares, law = np.pad(shares, ((0, lost), (0, 0))), np.pad(law, (0, lost))
    rows = [0, *(1 + index for index in shown)]
    rest = np.setdiff1d(np.arange(len(names)), rows)
    labels = [figure_name(names[row]) for row in rows]
    if len(rest):
        shares = np.concatenate([shares[rows], shares[rest].sum(0, keepdims=True)])
        law = np.append(law[rows], law[rest].sum())
        labels.append(f"{len(rest)} more sources")
    figure = shares_figure(shares, law, plan.schedule, labels, width=1.25 * WIDTH, intervals=4)
    for axis in figure.axes:
        axis.grid(visible=False)
    figure.axes[0].set_title("")
    return Picture(
        "plan.png",
        png_of(figure),
        "Share of each dataset at each noise level",
        "From low noise on the left to high noise on the right. In every column the shares add up to 100 %."
        + ("" if plan.schedule.law is None else " The policy draws every column equally often."),
        "The numbers are those of the table above, level by level.",
    )


def _drawn(report: SourceReport, prefix: str, told: set[str]) -> Section:
    """The report with its figures, whose files begin with `prefix`; a map of a group is drawn once, and then `told`."""
    group = None if report.held_out is None else report.held_out.group
    held_out = [] if report.held_out is None or group in told else draw_held_out(report.held_out)
    told |= set() if group is None else {group}
    pictures, of_held_out = (
        tuple(replace(picture, name=f"{prefix}_{picture.name}") for picture in drawn if picture is not None)
        for drawn in (_pictures(report), held_out)
    )
    return Section(report, pictures, of_held_out)


def _pictures(report: SourceReport) -> list[Picture | None]:
    drawn: list[Picture | None] = []
    if report.trajectories is not None:
        drawn.append(draw_trajectories(report.trajectories))
        drawn.append(draw_noised(report.trajectories, report.sigma_min, report.sigma_max))
    if report.odd is not None:
        seen = report.classifier
        scores = (None, None) if seen is None else (seen.episodes, seen.target_episodes)
        drawn.append(draw_episodes(report.odd, *scores))
    if report.classifier is not None:
        drawn += [draw_classifier(report.classifier, report.finding), draw_distance(report.classifier)]
        drawn += [draw_calibration(report.classifier), draw_reliability(report.classifier)]
    if report.spectral is not None:
        drawn += [draw_spectra(report.spectral), draw_deciding_spectrum(report.spectral), draw_ratios(report.spectral)]
    if report.locality is not None:
        local = report.locality
        drawn.append(draw_locality(local) if isinstance(local, LocalityEvidence) else draw_crops(local))
    drawn += [draw_histogram(report), draw_over_time(report)]
    for number, mix in enumerate(report.mode_mixes, start=1):
        picture = draw_mode_mix(mix)
        drawn.append(None if picture is None else replace(picture, name=f"mode_mix_{number}.png"))
    return drawn


def _slug(name: str) -> str:
    """The name as part of a file's name, safe on every system."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40] or "source"
