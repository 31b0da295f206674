# SPDX-License-Identifier: Apache-2.0
"""The figure of a sweep: success against every option that was searched, one panel an option."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.distributions import FloatDistribution, IntDistribution

from lerobot_ambient.figures.families import COLOURS, NAMES
from lerobot_ambient.figures.style import LIMIT, styled, subplots, write_figure
from lerobot_ambient.sweep.evaluation import ROLLOUTS
from lerobot_ambient.sweep.report import SlotResult, SweepReport
from lerobot_ambient.sweep.space import MIXING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3


@styled
def draw_sweep(report: SweepReport, path: Path) -> Path | None:
    """Write a PNG: success in % with its 95 % interval against each searched option, noise levels first.

    Trials that were ended early are hollow, the best one is ringed, and where the mixing is searched too its colour is
    that of the other figures. None, and no file, where no trial was evaluated.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    shown = [one for one in report.slots if one.evaluations]
    if not shown:
        return None
    searched = report.space.distributions
    paths = sorted(searched, key=lambda name: ("sigma" not in name, name == MIXING))
    columns = min(COLUMNS, len(paths))
    rows = -(-len(paths) // columns)
    figure, axes = subplots(rows, columns, figsize=(max(4.5, 3.4 * columns), 3.0 * rows + 0.5), sharey=True)
    panels: list[Axes] = list(axes.flat)
    for panel, name in zip(panels, paths, strict=False):
        _draw_panel(panel, report, [one for one in shown if name in one.params], name)
    for panel in panels[len(paths) :]:
        panel.set_visible(False)
    for row in axes:
        row[0].set_ylabel(shown[0].final.axis)
    if report.base.judge == ROLLOUTS:
        panels[0].set_ylim(-4, 104)
    handles = _legend(report, shown)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    best = report.best
    episodes, kind = (
        shown[0].final.episodes,
        "of {} rollouts" if report.base.judge == ROLLOUTS else "on {} held-out episodes",
    )
    found = f"best: trial {best.slot}" if best is not None else "no winner"
    figure.suptitle(f"{len(shown)} trials {kind.format(episodes)}, 95 % intervals; {found}", fontsize=9)
    return write_figure(figure, path)


def _draw_panel(axis: Axes, report: SweepReport, slots: Sequence[SlotResult], name: str) -> None:
    distribution = report.space.distributions[name]
    values = [one.params[name] for one in slots]
    if not isinstance(distribution, FloatDistribution | IntDistribution):
        choices = [str(choice) for choice in getattr(distribution, "choices", ())]
        axis.set_xticks(range(len(choices)), choices, rotation=15 if len(choices) > 3 else 0)
        axis.set_xlim(-0.6, len(choices) - 0.4)
        # Trials of one choice stand beside each other.
        counts = dict.fromkeys(choices, 0)
        places = []
        for value in map(str, values):
            counts[value] += 1
            places.append(choices.index(value) + 0.06 * ((counts[value] % 9) - 4))
        values = places
    elif distribution.log:
        axis.set_xscale("log")
    best = report.best
    for one, value in zip(slots, values, strict=True):
        (rate, low, high), colour = one.final.drawn, _colour(one)
        # Rounding may put an end of the interval a hair beyond the rate itself.
        reach = [[max(0.0, rate - low)], [max(0.0, high - rate)]]
        face = colour if one.is_complete else "white"
        axis.errorbar(
            value, rate, reach, fmt="o", ms=5, mfc=face, mec=colour, ecolor=colour, elinewidth=0.8, alpha=0.85
        )
        if best is not None and one.slot == best.slot:
            axis.plot(value, rate, "o", ms=12, mfc="none", mec="black", mew=1.2)
    axis.set_xlabel(name)


def _colour(one: SlotResult) -> str:
    return COLOURS.get(str(one.params.get(MIXING)), LIMIT)


def _legend(report: SweepReport, shown: Sequence[SlotResult]) -> list[Any]:
    from matplotlib.lines import Line2D

    def dot(label: str, **style: Any) -> Line2D:
        return Line2D([], [], ls="", **{"marker": "o", "color": LIMIT, "label": label, **style})

    mixings = sorted({str(one.params[MIXING]) for one in shown if MIXING in one.params})
    handles = [dot(NAMES.get(name, name), color=COLOURS.get(name, LIMIT)) for name in mixings]
    if any(not one.is_complete for one in shown):
        handles.append(dot("ended early or not done", mfc="white"))
    if report.best is not None:
        handles.append(dot("best", ms=11, mfc="none", mec="black", mew=1.2))
    return handles
