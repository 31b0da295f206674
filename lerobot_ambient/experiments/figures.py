# SPDX-License-Identifier: Apache-2.0
"""The maze experiment's figures. An arm has one colour and one name in all of them."""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerobot_ambient.envs.maze_geometry import DEFAULT_MAZE_SEED, Maze
from lerobot_ambient.experiments.maze_run import SweepPoint
from lerobot_ambient.experiments.results import Rollouts
from lerobot_ambient.experiments.trajectories import Trajectory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "target_only": "#0072B2",
    "source_only": "#D55E00",
    "cotrain": "#E69F00",
    "ambient": "#009E73",
    "exclusive": "#CC79A7",
    "soft": "#56B4E9",
    "ambient:unet": "#7F7F00",
    "ambient:spectral": "#0072B2",
    "ambient:classifier-dataset": "#D55E00",
    "ambient:classifier-bucket": "#E69F00",
    "ambient:classifier-datapoint": "#CC79A7",
}
"""Okabe and Ito's palette, told apart by most colour-blind readers; estimated windows, which have a figure of their
own, take it once more."""
NAMES = {
    "target_only": "target only",
    "source_only": "source only",
    "cotrain": "co-training",
    "ambient": "ambient",
    "exclusive": "exclusive bands",
    "soft": "soft ambient",
    "ambient:unet": "ambient, U-Net",
    "ambient:spectral": "window by spectra",
    "ambient:classifier-dataset": "by classifier, data set",
    "ambient:classifier-bucket": "by classifier, buckets",
    "ambient:classifier-datapoint": "by classifier, data points",
}
MARKERS = {"target_only": "o", "source_only": "s", "cotrain": "D", "ambient": "*", "exclusive": "P", "soft": "^"}
FAILED, WALL = "#9A9A9A", "#33373D"
ACCELERATION = "mean squared acceleration (cells²/s⁴)"
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "axes.axisbelow": True,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    # Without it the SVG's ids differ from run to run.
    "svg.hashsalt": "lerobot_ambient",
}


def _styled[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` under `STYLE`, whatever the caller's own settings are."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context, rcParamsDefault

        settings = {key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")}
        with rc_context({**settings, **STYLE}):
            return draw(*args, **kwargs)

    return styled


@_styled
def draw_trajectories(
    demonstrations: Mapping[str, Sequence[Trajectory]],
    paths: Mapping[str, Sequence[Trajectory]],
    arms: Mapping[str, Rollouts],
    path: Path,
) -> Path:
    """Small multiples of the maze: the demonstrations, then the recorded roll-outs of every arm.

    Args:
        demonstrations: by "target" and "source".
        paths: recorded roll-outs by arm.
        arms: all roll-outs by arm, for the numbers in the titles.
        path: without suffix; a PNG and an SVG are written.

    Returns:
        The PNG's path.
    """
    panels = [(f"{kind}\n(demonstrations)", "#444444", list(some)) for kind, some in demonstrations.items()]
    for name, some in paths.items():
        rate, smoothness = arms[name].rate, arms[name].mean_squared_acceleration
        numbers = f"{100 * rate:.1f} %" + ("" if smoothness is None else f", MSA {smoothness:.2f}")
        panels.append((f"{NAMES[name]}\n{numbers}", COLOURS[name], list(some)))
    columns = len(panels) if len(panels) <= 5 else math.ceil(len(panels) / 2)
    rows = math.ceil(len(panels) / columns)
    maze = Maze.from_seed(DEFAULT_MAZE_SEED)
    figure, axes = _subplots(rows, columns, figsize=(2.15 * columns, 2.45 * rows))
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, colour, trajectories) in zip(axes.flat, panels, strict=False):
        _draw_maze(axis, maze)
        for one in sorted(trajectories, key=lambda one: one.success):
            ink = colour if one.success else FAILED
            axis.plot(*one.points.T, color=ink, linewidth=0.9, alpha=0.85 if one.success else 0.7)
            axis.plot(*one.points[0], marker="o", markersize=2.2, color=ink)
            if not one.success:
                axis.plot(*one.points[-1], marker="x", markersize=4, color="#B00020", markeredgewidth=1.1)
        axis.set_title(title, color=colour)
    return _save(figure, path)


@_styled
def draw_comparison(arms: Mapping[str, Rollouts], path: Path) -> Path:
    """Success against smoothness, a labelled point with its 95 % intervals per arm."""
    figure, axes = _subplots(1, 1, figsize=(5.2, 3.6))
    axis = axes.flat[0]
    shown = {name: one for name, one in arms.items() if one.mean_squared_acceleration is not None}
    for name, one in shown.items():
        _point(axis, name, one.mean_squared_acceleration or 0.0, one, horizontal=True)
    axis.set_xscale("log")
    _plain_log_ticks(axis, [one.mean_squared_acceleration or 0.0 for one in shown.values()])
    axis.set_xlabel(ACCELERATION + ", log scale")
    axis.set_ylabel("success (%)")
    if shown:
        axis.legend(frameon=False, loc="best", handletextpad=0.4)
    axis.set_ylim(top=min(101.5, axis.get_ylim()[1]))
    return _save(figure, path)


@_styled
def draw_sweeps(sweeps: Sequence[SweepPoint], path: Path) -> Path:
    """Success and smoothness over each swept parameter; a ring marks the chosen value."""
    parameters = list(dict.fromkeys(point.parameter for point in sweeps))
    figure, axes = _subplots(2, len(parameters), figsize=(3.0 * len(parameters), 4.2), sharex="col", sharey="row")
    for column, parameter in enumerate(parameters):
        points = [point for point in sweeps if point.parameter == parameter]
        name = points[0].arm.name
        colour = COLOURS[name]
        upper, lower = axes[0][column], axes[1][column]
        values = [point.value for point in points]
        for axis, middle, intervals in (
            (upper, [100 * p.rollouts.rate for p in points], [_percent(p.rollouts.wilson95) for p in points]),
            (
                lower,
                [_or_nan(p.rollouts.mean_squared_acceleration) for p in points],
                [p.rollouts.acceleration95 or (math.nan, math.nan) for p in points],
            ),
        ):
            errors = [
                [m - low for m, (low, _) in zip(middle, intervals, strict=True)],
                [high - m for m, (_, high) in zip(middle, intervals, strict=True)],
            ]
            axis.errorbar(values, middle, errors, color=colour, marker="o", markersize=4, linewidth=1.2, capsize=2.5)
            for value, height, point in zip(values, middle, points, strict=True):
                if point.chosen:
                    axis.plot(value, height, marker="o", markersize=10, fillstyle="none", color="black")
        upper.set_title(NAMES[name], color=colour)
        lower.set_xlabel({"alpha": "α, the target's share", "sigma_min": r"$\sigma_{\min}$ of the source"}[parameter])
        lower.set_xscale("log")
        lower.set_xticks(values, [f"{value:g}" for value in values])
        lower.minorticks_off()
    axes[0][0].set_ylabel("success (%)")
    axes[0][0].set_ylim(top=101)
    axes[1][0].set_ylabel(ACCELERATION.replace(" (", "\n("))
    axes[1][0].set_ylim(bottom=0)
    return _save(figure, path)


def _subplots(rows: int, columns: int, **options: Any) -> tuple[Figure, Any]:
    """A figure on its own canvas: no window, no global state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shared = {key: options.pop(key) for key in ("sharex", "sharey") if key in options}
    figure = Figure(layout="constrained", **options)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def _save(figure: Figure, path: Path) -> Path:
    from PIL import Image

    # No date, so that the same numbers give the same file.
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    # A palette of 256 colours is enough for lines, and a third of the size: these files are committed.
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png")
    picture = Image.open(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(path.with_suffix(".png"), optimize=True)
    return path.with_suffix(".png")


def _draw_maze(axis: Axes, maze: Maze) -> None:
    from matplotlib.patches import Rectangle

    for low_x, low_y, high_x, high_y in maze.wall_rectangles:
        axis.add_patch(Rectangle((low_x, low_y), high_x - low_x, high_y - low_y, color=WALL, linewidth=0))
    margin = maze.wall / 2 + 0.02
    axis.set(xlim=(-margin, maze.cells + margin), ylim=(-margin, maze.cells + margin), aspect="equal")
    axis.set_axis_off()


def _point(axis: Axes, name: str, x: float, rollouts: Rollouts, *, horizontal: bool) -> None:
    low, high = _percent(rollouts.wilson95)
    rate = 100 * rollouts.rate
    x_low, x_high = rollouts.acceleration95 or (x, x)
    axis.errorbar(
        [x],
        [rate],
        yerr=[[rate - low], [high - rate]],
        xerr=[[max(0.0, x - x_low)], [max(0.0, x_high - x)]] if horizontal else None,
        color=COLOURS[name],
        marker=MARKERS.get(name, "X"),
        markersize=11 if name == "ambient" else 6.5,
        linestyle="none",
        linewidth=1.2,
        capsize=2.5,
        label=NAMES[name],
        zorder=4 if name == "ambient" else 3,
    )


def _plain_log_ticks(axis: Axes, values: Sequence[float]) -> None:
    """Steps of 1, 2, 3, 4, 5, 7 written as plain numbers."""
    if not values:
        return
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(values) / 1.3, max(values) * 1.3
    ticks = [step * 10.0**power for power in range(-3, 5) for step in (1, 2, 3, 4, 5, 7)]
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _percent(interval: tuple[float, float]) -> tuple[float, float]:
    return 100 * interval[0], 100 * interval[1]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
