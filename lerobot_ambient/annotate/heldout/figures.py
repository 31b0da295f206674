# SPDX-License-Identifier: Apache-2.0
"""The held-out map as a picture: green where a source lowers the error, red where it raises it, grey where unshown.

Symbols
    l    log ratio of held-out errors (`errors`); a cell says 100 (exp(l) - 1), the change of the error in percent

A cell is coloured, the stronger the more it changes, where its interval leaves out zero for all levels at once; it is
pale where only that of its own level does, which is chance in one of twenty cells where nothing changes. The sign of
its number says the same as its colour, for those who see no difference between green and red. Levels stand side by side
at one width, so that their numbers have room.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from lerobot_ambient.annotate.heldout.error_map import ErrorMap
from lerobot_ambient.annotate.heldout.errors import ACCELERATION, POSITION, ErrorRatio
from lerobot_ambient.annotate.heldout.evidence import HeldOutEvidence, window_words
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.windows import Window, admits
from lerobot_ambient.figures.style import (
    FAINT,
    GREEN,
    SIGMA,
    WIDTH,
    figure_name,
    legend_above,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOWERED, RAISED, UNSHOWN = GREEN, "#CC3311", "#E9EBEE"
INK = "#1B1F24"
_FULL = float(np.log(2.0))
"""|l| from which a colour is not stronger: an error that is halved or doubled."""
_HINT, _PALEST = 0.17, 0.36
"""Strength of the colour of a hint, and of the least change that is shown."""
_GAP, _BAR = 0.45, 0.32
"""Heights beside a row's 1: between groups of rows, and of the bar that is the window."""
_MOST_NUMBERED, _MOST_ROWS = 20, 16
_LEAST_CHANGE = 1e-9
"""|l| below which nothing changed: a dimension that never moves has rounding for an error."""
DECIDING = ("position (all bands)", "acceleration")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a map, the lowest first.

    Args:
        names: (R,).
        log: (R, L) l.
        hint: (R, L) -1 where the interval of a level is below zero, 1 where it is above, else 0.
        shown: (R, L) the same of intervals that hold for all levels of a row at once.
    """

    names: tuple[str, ...]
    log: Floats
    hint: Floats
    shown: Floats

    @classmethod
    def of(cls, ratio: ErrorRatio, confidence: float, columns: Sequence[int], names: Sequence[str]) -> Rows:
        """Some columns of a ratio."""
        log = ratio.log[:, columns].T
        signs = []
        for level in (confidence, confidence ** (1.0 / len(ratio.sigmas))):
            low, high = (end[:, columns].T for end in ratio.interval(level))
            side = np.where(high < 0.0, -1.0, np.where(low > 0.0, 1.0, 0.0))
            signs.append(np.where(np.abs(log) > _LEAST_CHANGE, side, 0.0))
        return cls(tuple(names), log, *signs)


def dimension_rows(evidence: HeldOutEvidence) -> Rows:
    """The error of position of each action dimension by its name, the first on top; of many those that changed most."""
    axes, energies = evidence.errors.bands.axes, evidence.errors.energies[evidence.design]
    made = [
        Rows.of(
            evidence.errors.ratio(evidence.design, dims=np.array([dim])),
            evidence.read.rule.confidence,
            [POSITION],
            [figure_name(axes.dimension(dim))],
        )
        for dim in range(energies.shape[-1])
    ]
    order = np.argsort([-np.abs(one.log).mean() for one in made], kind="stable")[:_MOST_ROWS]
    some = [made[dim] for dim in sorted(order.tolist(), reverse=True)]
    parts = (np.concatenate([getattr(one, part) for one in some]) for part in ("log", "hint", "shown"))
    return Rows(tuple(one.names[0] for one in some), *parts)


def heat_map_on(axis: Axes, read: ErrorMap, window: Window | None = None) -> None:
    """Draw a map on an axis: bands of frequency from slow to fast, and set apart what windows are read from.

    Args:
        axis: to draw on.
        read: the map.
        window: to draw below it, where there is one.
    """
    names = [figure_name(name) for name in read.bands]
    if len(names) > 1:
        names[0], names[-1] = f"slow: {names[0]}", f"fast: {names[-1]}"
    ratio, confidence = read.ratio, read.rule.confidence
    parts = [
        Rows.of(ratio, confidence, [POSITION, ACCELERATION], DECIDING),
        Rows.of(ratio, confidence, list(range(len(names))), names),
    ]
    _rows_on(axis, read, parts, window)
    for label in axis.get_yticklabels()[:2]:
        label.set_fontweight("bold")


def dimensions_on(axis: Axes, evidence: HeldOutEvidence) -> None:
    """Draw the error of position of each action dimension by name, as `heat_map_on` draws bands."""
    _rows_on(axis, evidence.read, [dimension_rows(evidence)], evidence.verdict.window)


def _rows_on(axis: Axes, read: ErrorMap, parts: Sequence[Rows], window: Window | None) -> None:
    """Draw groups of rows, the lowest first, and the window below them."""
    sigmas = read.sigmas
    levels, numbered = len(sigmas), len(sigmas) <= _MOST_NUMBERED
    ticks: list[float] = []
    names: list[str] = []
    start = 0.0
    for rows in parts:
        count = len(rows.names)
        extent = (-0.5, levels - 0.5, start + count - 0.5, start - 0.5)
        axis.imshow(_colours(rows), extent=extent, aspect="auto", interpolation="nearest")
        axis.hlines(start + np.arange(count + 1) - 0.5, -0.5, levels - 0.5, color="white", linewidth=1.2)
        axis.vlines(np.arange(levels + 1) - 0.5, start - 0.5, start + count - 0.5, color="white", linewidth=1.2)
        if numbered:
            _numbers_on(axis, rows, start)
        ticks += [start + row for row in range(count)]
        names += rows.names
        start += count + _GAP
    axis.set_xlim(-0.5, levels - 0.5)
    bottom = -0.5
    if window is not None:
        bottom = _window_on(axis, sigmas, window, start - _GAP - 0.5)
    axis.set_ylim(bottom, start - _GAP - 0.5)
    shown = np.unique(np.linspace(0, levels - 1, min(levels, _MOST_NUMBERED)).round().astype(int))
    axis.set_xticks(shown, [f"{sigmas[level]:.2f}".replace("0.", ".") for level in shown])
    axis.set_yticks(ticks, names)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_xlabel(f"{SIGMA} (0: none, 1: only noise); numbers: change of the held-out error in %", fontsize=8.5)
    _key_above(axis, window)


def _colours(rows: Rows) -> Floats:
    """(R, L, 3) the colours of the cells, in [0, 1]."""
    from matplotlib.colors import to_rgb

    strength = _PALEST + (1.0 - _PALEST) * np.minimum(np.abs(rows.log) / _FULL, 1.0)
    strength = np.where(rows.shown == 0.0, _HINT, strength)[..., None]
    full = np.where(rows.hint[..., None] < 0.0, np.array(to_rgb(LOWERED)), np.array(to_rgb(RAISED)))
    value: Floats = np.where(rows.hint[..., None] == 0.0, np.array(to_rgb(UNSHOWN)), 1.0 - strength * (1.0 - full))
    return value


def _numbers_on(axis: Axes, rows: Rows, start: float) -> None:
    for (row, level), value in np.ndenumerate(rows.log):
        shown = bool(rows.shown[row, level])
        strong = shown and abs(value) > 0.75 * _FULL
        hint = rows.hint[row, level] != 0
        colour = "white" if strong else "black" if shown else "#4A5159" if hint else "#8A919A"
        axis.text(level, start + row, change_words(float(value)), ha="center", va="center", fontsize=6.2, color=colour)


def change_words(log: float) -> str:
    """A log ratio of errors in a cell: "-23", "+8", "0" in percent, and "x12" from ten times on."""
    ratio = float(np.exp(log))
    percent = round(100.0 * (ratio - 1.0))
    if ratio >= 10.0:
        return f"×{ratio:.0f}"
    return "0" if percent == 0 else f"{percent:+d}".replace("-", "−")


def _window_on(axis: Axes, sigmas: Floats, window: Window, top: float) -> float:
    """The levels that it admits as a bar below the rows, lines where it begins or ends; returns the bar's lower end."""
    admitted = admits(sigmas, window.sigma_min, window.sigma_max)
    bottom = -0.5 - _GAP - _BAR
    for level, teaches in enumerate(admitted):
        axis.barh(bottom + _BAR / 2, 1.0, _BAR, left=level - 0.5, color=INK if teaches else FAINT, linewidth=0)
    for edge in np.flatnonzero(np.diff(admitted)) + 0.5:
        axis.vlines(edge, bottom, top, color=INK, linewidth=1.8)
    return bottom


def _key_above(axis: Axes, window: Window | None) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    pale = [tuple(1.0 - _HINT * (1.0 - np.array(to_rgb(colour)))) for colour in (LOWERED, RAISED)]
    handles = [
        Patch(color=LOWERED, label="helps: error lower with the source"),
        Patch(color=RAISED, label="hurts: error higher with the source"),
        Patch(color=pale[0], label="hint that it helps"),
        Patch(color=pale[1], label="hint that it hurts"),
        Patch(color=UNSHOWN, label="no change shown"),
    ]
    if window is not None:
        levels = window_words(window, "σ")
        # The figure ends where a longer one would.
        teaches = "no window" if window.is_nothing else f"window: {levels}" if len(levels) < 12 else "its window"
        handles.append(Patch(color=FAINT if window.is_nothing else INK, label=teaches))
    legend_above(axis, 3, handles)


def map_figure(evidence: HeldOutEvidence) -> Figure:
    """The map with its window on a figure of its own, the verdict on top."""

    def draw() -> Figure:
        figure = new_figure(_map_height(evidence.read), 1.45 * WIDTH)
        heat_map_on(figure.subplots(), evidence.read, evidence.verdict.window)
        title_over(figure, verdict_words(evidence, 86))
        return figure

    return styled(draw)()


def title_over(figure: Figure, words: str) -> None:
    figure.suptitle(words, x=0.01, ha="left", fontsize=9, fontweight="bold")


def _map_height(read: ErrorMap) -> float:
    return 1.75 + 0.27 * (len(read.bands) + 2)


def dimensions_figure(evidence: HeldOutEvidence) -> Figure:
    """The error of each action dimension."""

    def draw() -> Figure:
        rows = min(evidence.errors.energies[evidence.design].shape[-1], _MOST_ROWS)
        figure = new_figure(1.7 + 0.27 * rows, 1.45 * WIDTH)
        dimensions_on(figure.subplots(), evidence)
        title_over(figure, f"Error of position with {figure_name(evidence.source)}, by action dimension")
        return figure

    return styled(draw)()


def adds_figure(evidence: HeldOutEvidence) -> Figure:
    """The map of what the source adds to the others, of which there must be one."""
    adds = evidence.adds
    assert adds is not None, "there is no other source"

    def draw() -> Figure:
        figure = new_figure(_map_height(adds), 1.45 * WIDTH)
        heat_map_on(figure.subplots(), adds)
        title_over(figure, f"What {figure_name(evidence.source)} adds to the other sources")
        return figure

    return styled(draw)()


def title_on(axis: Axes, evidence: HeldOutEvidence) -> None:
    """The verdict above a map's key."""
    axis.set_title(verdict_words(evidence, 66), loc="left", pad=34, fontweight="bold")


def verdict_words(evidence: HeldOutEvidence, width: int) -> str:
    """The verdict in lines of so many letters for a figure's title: what is said, then by how much."""
    said, error, much = evidence.headline("σ").rpartition(": held-out")
    lines = [*textwrap.wrap(said, width), *textwrap.wrap(f"{error[2:]}{much}", width)]
    return "\n".join(lines).replace("$", r"\$")


def plot(evidence: HeldOutEvidence, ax: Axes | None) -> Figure:
    """`HeldOutEvidence.plot`."""
    if ax is None:
        return map_figure(evidence)
    heat_map_on(ax, evidence.read, evidence.verdict.window)
    title_on(ax, evidence)
    return cast("Figure", ax.figure)
