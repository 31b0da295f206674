# SPDX-License-Identifier: Apache-2.0
"""The page: what the template shows, as plain text and numbers. The template escapes everything."""

from __future__ import annotations

import base64
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata, resources
from typing import Any

import numpy as np

from lerobot_ambient.annotate.heldout.evidence import HeldOutEvidence, window_words
from lerobot_ambient.annotate.report.heldout_figures import GREEN_AND_RED
from lerobot_ambient.annotate.report.source import ROUGH, SourceReport, verdict, warnings
from lerobot_ambient.annotate.results.trust import CHUNKS_ALONE, CONDITIONAL
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Plan
from lerobot_ambient.figures.style import Picture

_PACKAGES = ("lerobot_policy_ambient_diffusion", "lerobot", "torch", "numpy", "scipy", "scikit-learn", "matplotlib")
_TEMPLATE = "report.html.j2"
PARTLY = "Of sources with held-out evidence below, what they answer to was compared, too."


@dataclass(frozen=True, eq=False)
class Section:
    """A source and its figures; `held_out`: those of the held-out method; `folded`: told in words alone."""

    report: SourceReport
    pictures: tuple[Picture, ...]
    held_out: tuple[Picture, ...] = ()
    folded: bool = False


@dataclass(frozen=True)
class PlanRow:
    """What a dataset has of the plan.

    Args:
        name: of the dataset.
        samples: that are ever drawn.
        share: of all draws, in [0, 1].
        levels: at which some sample teaches, as runs (lowest, highest) of the schedule's levels.
        taught: how many timesteps, or cells, they are, of how many.
        mean_sigma: of its draws, None if it is never drawn.
    """

    name: str
    samples: int
    share: float
    levels: tuple[tuple[float, float], ...]
    taught: tuple[int, int]
    mean_sigma: float | None


@dataclass(frozen=True, eq=False)
class Page:
    """The content of a page; see `report.write_report`. `rows`: the target's first, then in the order of `sections`;
    `schedule`: of the plan; `folded`: whether there are so many sources that they open one by one."""

    rows: Sequence[PlanRow]
    schedule: NoiseSchedule
    sections: tuple[Section, ...]
    overview: Picture
    heat_map: Picture
    soft_share: Picture | None
    yaml: str
    soft_yaml: str | None
    command: str
    notes: tuple[str, ...]
    folded: bool = False


def render(page: Page) -> str:
    """The page as HTML, without any resource of its own."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = resources.files("lerobot_ambient.annotate.report").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    reports = [section.report for section in page.sections]
    pairs, sigmas = list(zip(reports, page.rows[1:], strict=True)), page.schedule.sigmas.numpy()
    return environment.from_string(template).render(
        compared=compared(reports),
        target=page.rows[0],
        rows=page.rows,
        schedule=page.schedule,
        summary=[_summary_row(report, row) for report, row in pairs],
        overview=figure_entry(page.overview),
        heat_map=figure_entry(page.heat_map),
        soft_share=None if page.soft_share is None else figure_entry(page.soft_share),
        yaml=page.yaml.rstrip("\n"),
        soft_yaml=page.soft_yaml,
        warnings=[(row.name, found) for report, row in pairs if (found := warnings(report, row.share, sigmas))],
        notes=_collected_notes(reports, page.notes),
        sections=[_section(number, section) for number, section in enumerate(page.sections, start=1)],
        methods={report.finding.method for report in reports},
        taus=sorted({report.finding.tau for report in reports if report.finding.tau is not None}),
        has_spectra=any(report.finding.bury_range is not None for report in reports),
        has_locality=any(report.locality is not None for report in reports),
        command=page.command,
        versions=installed_versions(),
        folded=page.folded,
    )


def _summary_row(report: SourceReport, row: PlanRow) -> dict[str, Any]:
    """The row of a source in the summary."""
    finding = report.finding
    low, high = finding.known
    spread = np.quantile(finding.sigma_min, [0.1, 0.9])
    return {
        "source": finding.source,
        "method": finding.method,
        "granularity": {"datapoint": "data point"}.get(finding.granularity, finding.granularity),
        "sigma_min": f"{report.sigma_min:.3f}",
        "estimate": f"{finding.estimate:.3f}",
        "interval": None if finding.interval is None else "{:.3f} to {:.3f}".format(*finding.interval),
        "interval_is": "estimate to safe end" if finding.method == "heldout" else "95 % interval",
        "bury_range": None if finding.bury_range is None else "{:.3f} to {:.3f}".format(*finding.bury_range),
        "gaussian": None if finding.gaussian is None else f"{finding.gaussian:.3f}",
        "recommended": finding.is_recommended,
        "open": high - low > ROUGH,
        "spread": f"80 % of samples: {spread[0]:.3f} to {spread[1]:.3f}" if report.varies else "",
        "sigma_max": f"{report.sigma_max:.3f}" if finding.sigma_max.max() > 0.0 else "none",
        "samples": len(finding.sigma_min),
        "episodes": report.episodes,
        "share": row.share,
        "verdict": verdict(report),
    }


def plan_rows(plan: Plan, names: Sequence[str]) -> list[PlanRow]:
    """What each dataset has of the plan, those without any group last or in between too."""
    joint, schedule = plan.by_source().numpy(), plan.schedule
    sigmas, lower, upper = (level.numpy() for level in (schedule.sigmas, schedule.lower, schedule.upper))
    joint = np.pad(joint, ((0, len(names) - len(joint)), (0, 0)))
    rows = []
    for index, (name, law) in enumerate(zip(names, joint, strict=True)):
        share, taught = float(law.sum()), law > 0
        edges = np.flatnonzero(np.diff(np.concatenate([[False], taught, [False]])))
        rows.append(
            PlanRow(
                name=name,
                samples=sum(group.count for group in plan.groups if group.source == index),
                share=share,
                levels=tuple(
                    (float(lower[start]), float(upper[stop - 1]))
                    for start, stop in zip(edges[::2], edges[1::2], strict=True)
                ),
                taught=(int(taught.sum()), len(sigmas)),
                mean_sigma=float(law @ sigmas) / share if share > 0.0 else None,
            )
        )
    return rows


def _collected_notes(reports: list[SourceReport], general: tuple[str, ...]) -> dict[str, list[str]]:
    """Notes by whom they concern, each once however many sources share it."""
    about: dict[str, list[str]] = {}
    for report in reports:
        for note in dict.fromkeys(report.finding.notes):
            about.setdefault(note, []).append(report.finding.source)
    found = {"This run": list(general)} if general else {}
    for note, names in about.items():
        whom = "All sources" if len(names) == len(reports) > 1 else ", ".join(names)
        found.setdefault(whom, []).append(note)
    return found


def installed_versions() -> list[tuple[str, str]]:
    """(package, version) of what is installed of what a page is made with, and Python's."""
    installed = {}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            # An optional one, which was not needed.
            continue
    return [("python", platform.python_version()), *installed.items()]


def _section(number: int, section: Section) -> dict[str, Any]:
    report = section.report
    return {
        "id": f"source-{number}",
        "source": report.finding.source,
        "verdict": verdict(report),
        "folded": section.folded,
        "odd": None if report.odd is None else report.odd.lines(),
        "odd_rule": None if report.odd is None else report.odd.rule,
        "held_out": None if report.held_out is None else _held_out(report.held_out, section.held_out),
        "figures": [figure_entry(picture) for picture in section.pictures],
        "one_window": None if report.varies else f"{report.sigma_min:.3f}",
    }


def compared(reports: Sequence[SourceReport]) -> str:
    """What was compared, and what that does not see: said once on top."""
    told = list(
        dict.fromkeys(report.finding.compared if report.held_out is None else CONDITIONAL for report in reports)
    )
    return told[0] if len(told) == 1 else f"{CHUNKS_ALONE} {PARTLY}"


def _held_out(evidence: HeldOutEvidence, pictures: Sequence[Picture]) -> dict[str, Any]:
    return {
        "word": evidence.verdict.word,
        "headline": evidence.headline("σ"),
        "everywhere": str(evidence.verdict.everywhere),
        "reasons": evidence.verdict.reasons,
        "windows": (window_words(evidence.safe, "σ"), window_words(evidence.estimate, "σ")),
        "episodes": len(evidence.errors.episode),
        "folds": int(evidence.errors.fold.max()) + 1,
        "denoiser": evidence.denoiser,
        "share": evidence.share,
        "steps": evidence.steps,
        "explained": GREEN_AND_RED,
        "figures": [figure_entry(picture) for picture in pictures],
    }


def figure_entry(picture: Picture) -> dict[str, Any]:
    """What a page's template shows of a figure."""
    # A PNG's header holds its size; with it a browser lays the page out before the picture is decoded.
    width, height = (int.from_bytes(picture.png[at : at + 4], "big") for at in (16, 20))
    return {
        "name": picture.name,
        "title": picture.title,
        "caption": picture.caption,
        "alt": picture.alt,
        "width": width,
        "height": height,
        "data": base64.b64encode(picture.png).decode("ascii"),
    }
