# SPDX-License-Identifier: Apache-2.0
"""Held-out errors over the noise level: co-training and the confirmed window beside the target alone, which is 1.

The axis of sigma is true, and intervals are those of single levels, by which windows are read.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.annotate.heldout.error_map import ErrorMap
from lerobot_ambient.annotate.heldout.errors import ACCELERATION, POSITION
from lerobot_ambient.annotate.heldout.evidence import HeldOutEvidence, window_words
from lerobot_ambient.annotate.heldout.figures import INK, title_over, verdict_words
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.windows import Window, admits
from lerobot_ambient.figures.style import LIMIT, SOURCE, TARGET, WIDTH, WINDOW, new_figure, sigma_axis, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves_figure(evidence: HeldOutEvidence) -> Figure:
    """The errors of position and of acceleration over sigma, side by side."""
    from matplotlib.patches import Patch

    def draw() -> Figure:
        figure = new_figure(3.4, 1.6 * WIDTH)
        left, right = figure.subplots(1, 2)
        curve_on(left, evidence, POSITION)
        curve_on(right, evidence, ACCELERATION)
        left.set_title("position: where the motion goes", loc="left", fontsize=8.5)
        right.set_title("acceleration: how it feels", loc="left", fontsize=8.5)
        left.set_ylabel("held-out error, target alone = 1")
        title_over(figure, verdict_words(evidence, 104))
        handles = right.get_legend_handles_labels()[0]
        if not evidence.verdict.window.is_nothing:
            words = window_words(evidence.verdict.window, "σ")
            handles.append(Patch(color=INK, label=f"window: {words}"))
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
        return figure

    return styled(draw)()


def curve_on(axis: Axes, evidence: HeldOutEvidence, column: int = POSITION) -> None:
    """Draw the error over sigma: of the source at every level, and in its window, with the target alone as 1.

    Args:
        axis: to draw on.
        evidence: of the source.
        column: POSITION or ACCELERATION, with the tolerance.
    """
    read, confirmed, window = evidence.read, evidence.confirmed, evidence.verdict.window
    cuts = [0.0, *_bounds_of(window), 1.0]
    for (low, high), middle in zip(pairwise(cuts), _middles(window), strict=True):
        if bool(admits(middle, window.sigma_min, window.sigma_max)):
            axis.axvspan(low, high, ymax=0.03, color=INK, linewidth=0)
    axis.axhline(1.0, color=TARGET, linewidth=1.6, label="target alone")
    others = "at every level (co-training)" if confirmed is not read else "at every level, its window"
    _band_on(axis, read, column, SOURCE, f"source {others}")
    if confirmed is not None and confirmed is not read:
        several = "sources in their windows" if evidence.adds is not None else "source in its window (ambient)"
        _band_on(axis, confirmed, column, WINDOW, several)
    if column == ACCELERATION:
        tolerated = 1.0 + read.rule.tolerance
        axis.axhline(tolerated, color=LIMIT, linestyle="--", linewidth=1.1, label=f"tolerated: {tolerated:g}")
    axis.set_yscale("log")
    _ratio_ticks(axis)
    sigma_axis(axis)


def against_best(evidence: HeldOutEvidence, column: int = POSITION) -> Floats | None:
    """(L,) log ratio of an error in the window to the best of the others, at each level.

    The others are the target alone and the source at every level. None where no window was confirmed.
    """
    if evidence.confirmed is None or evidence.confirmed is evidence.read:
        return None
    others = np.minimum(evidence.read.ratio.log[:, column], 0.0)
    value: Floats = evidence.confirmed.ratio.log[:, column] - others
    return value


def _band_on(axis: Axes, read: ErrorMap, column: int, colour: str, label: str) -> None:
    low, high = (np.exp(end[:, column]) for end in read.ratio.interval(read.rule.confidence))
    axis.fill_between(read.sigmas, low, high, color=colour, alpha=0.13, linewidth=0)
    for end in (low, high):
        axis.plot(read.sigmas, end, color=colour, linewidth=0.6, alpha=0.7)
    axis.plot(read.sigmas, np.exp(read.ratio.log[:, column]), color=colour, marker="o", markersize=2.8, label=label)


def _ratio_ticks(axis: Axes) -> None:
    """Ticks that read as ratios; those within the limits that drawing has set."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = axis.get_ylim()
    low, high = min(low, 0.9), max(high, 1.1)
    known = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100])
    inside = known[(known >= low) & (known <= high)]
    if high / low > 10.0:
        inside = inside[~np.isin(inside, [0.3, 0.7, 0.8, 0.9, 1.1, 1.2, 1.5, 3])]
    elif high / low > 2.0:
        inside = inside[~np.isin(inside, [0.8, 0.9, 1.1, 1.2])]
    axis.set_ylim(low, high)
    axis.yaxis.set_major_locator(FixedLocator(inside.tolist()))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _bounds_of(window: Window) -> list[float]:
    """The levels inside (0, 1) at which a window begins or ends."""
    if window.is_everything:
        return []
    return [bound for bound in (window.sigma_max, window.sigma_min) if 0.0 < bound < 1.0]


def _middles(window: Window) -> list[float]:
    """A level within each part that the bounds cut [0, 1] into."""
    cuts = [0.0, *_bounds_of(window), 1.0]
    return [(low + high) / 2 for low, high in pairwise(cuts)]
