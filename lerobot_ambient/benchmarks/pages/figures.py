# SPDX-License-Identifier: Apache-2.0
"""The figures that all experiments have: success against another metric, and the sweeps."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.benchmarks.engine.crossed import Estimate, Trainings, estimate
from lerobot_ambient.benchmarks.engine.outcome import SweepPoint
from lerobot_ambient.figures.families import colour, front_value, label, marker
from lerobot_ambient.figures.style import styled, subplots, write_png_and_svg
from lerobot_ambient.integration.commands.results import SUCCESS, Interval, Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

_PARAMETERS = {
    "alpha": "α, the target's share",
    "sigma_min": r"$\sigma_{\min}$ of the source",
    "sigma_max": r"$\sigma_{\max}$ of the source",
}
"""Swept parameters in words."""
_PERCENT_TOP = 104.0
"""Where an axis of percents ends, so that a marker at 100 and its ring are whole."""


@styled
def draw_comparison(conditions: Mapping[str, Trainings], measure: Measure, path: Path) -> Path:
    """Success against a metric, a labelled point with its 95 % intervals per condition, and fronts as thin lines.

    Args:
        conditions: all trainings by condition; one without a success has no place.
        measure: on the horizontal axis, logarithmic.
        path: without suffix; a PNG and an SVG are written.

    Returns:
        The PNG's path.
    """
    figure, axes = subplots(1, 1, figsize=(6.6, 3.8))
    axis = axes.flat[0]
    shown = {name: value for name, one in conditions.items() if (value := measure.of(one.pooled)) is not None}
    for family in dict.fromkeys(name.partition(":")[0] for name in shown if front_value(name) is not None):
        _front(
            axis, family, {name: value for name, value in shown.items() if name.startswith(f"{family}:")}, conditions
        )
    for name, value in shown.items():
        if front_value(name) is None:
            _point(axis, name, list(shown), value, conditions[name], measure)
    axis.set_xscale("log")
    _plain_log_ticks(axis, list(shown.values()))
    axis.set_xlabel(f"{measure.label} ({measure.unit}), log scale")
    axis.set_ylabel("success (%)")
    if shown:
        figure.legend(loc="outside right upper", handletextpad=0.4)
    axis.set_ylim(top=min(101.5, axis.get_ylim()[1]))
    return write_png_and_svg(figure, path)


@styled
def draw_sweeps(sweeps: Sequence[SweepPoint], measures: Sequence[Measure], path: Path) -> Path:
    """Success and metrics over each swept parameter; a ring marks the chosen value."""
    names = list(dict.fromkeys(point.sweep.name for point in sweeps))
    rows = 1 + len(measures)
    size = (1.2 + 2.4 * len(names), 0.6 + 1.8 * rows)
    figure, axes = subplots(rows, len(names), figsize=size, sharex="col", sharey="row")
    for column, name in enumerate(names):
        points = [point for point in sweeps if point.sweep.name == name]
        condition = points[0].condition.name
        chosen = [point.chosen for point in points]
        values = [point.value for point in points]
        rates = [(point.rollouts.rate, point.rollouts.wilson95) for point in points]
        draw_curve(axes[0][column], values, rates, condition, 100.0, chosen)
        for axis, measure in zip(axes[1:, column], measures, strict=True):
            merits = [with_interval(measure, Trainings.of_one(point.rollouts)) for point in points]
            draw_curve(axis, values, merits, condition, 100.0 if measure.unit == "%" else 1.0, chosen)
        lowest = axes[-1][column]
        axes[0][column].set_title(label(condition), color=colour(condition))
        lowest.set_xlabel(_PARAMETERS[points[0].sweep.parameter])
        lowest.set_xscale(_least_crowded(values))
        lowest.set_xticks(values, [f"{value:g}" for value in values])
        lowest.minorticks_off()
    axes[0][0].set_ylabel("success (%)")
    axes[0][0].set_ylim(top=_PERCENT_TOP)
    for axis, measure in zip(axes[1:, 0], measures, strict=True):
        axis.set_ylabel("\n".join(textwrap.wrap(f"{measure.label} ({measure.unit})", 24)))
        axis.set_ylim(bottom=0, top=_PERCENT_TOP if measure.unit == "%" else None)
    return write_png_and_svg(figure, path)


def _least_crowded(values: Sequence[float]) -> str:
    """The scale of an axis on which the nearest two of some values in [0, 1) are furthest apart."""
    places = {"linear": np.asarray(values)}
    if min(values) > 0.0:
        places["log"] = np.log(values)
        places["logit"] = places["log"] - np.log1p(-places["linear"])
    return min(places, key=lambda scale: _crowding(places[scale]))


def _crowding(places: ArrayLike) -> float:
    """How close the nearest two of some places are, as the range over their distance."""
    ordered = np.sort(np.asarray(places, dtype=np.float64))
    return float(np.ptp(ordered) / np.diff(ordered).min()) if len(ordered) > 1 else 0.0


@styled
def draw_shares(conditions: Mapping[str, Trainings], measures: Sequence[Measure], path: Path) -> Path:
    """Several shares of every condition with their intervals: a row a condition, a panel a share."""
    names = list(conditions)
    size = (1.6 + 2.0 * len(measures), 0.8 + 0.3 * len(names))
    figure, axes = subplots(1, len(measures), figsize=size, sharey="row")
    for axis, measure in zip(axes.flat, measures, strict=True):
        for row, name in enumerate(names):
            found = estimate(measure, conditions[name])
            if found is None:
                continue
            value, (low, high) = found.value, within(found)
            axis.errorbar(
                [100 * value],
                [row],
                xerr=[[100 * (value - low)], [100 * (high - value)]],
                color=colour(name),
                marker=marker(name, names),
                markerfacecolor="white" if ":" in name else colour(name),
                markersize=9 if name == "omni" else 6.5,
                linestyle="none",
                capsize=2.5,
            )
        axis.set_xlim(-5, 105)
        axis.set_xlabel("\n".join(textwrap.wrap(f"{measure.label} (%)", 26)))
    axes[0][0].set_yticks(range(len(names)), [label(name) for name in names])
    axes[0][0].invert_yaxis()
    return write_png_and_svg(figure, path)


@styled
def draw_scaling(
    lines: Mapping[str, Sequence[tuple[int, Trainings]]],
    floor: Trainings | None,
    path: Path,
    of: str = "source demonstrations",
) -> Path:
    """Success over a size, with intervals over trainings and layouts.

    Args:
        lines: by condition, the sizes and the trainings there.
        floor: a condition that does not depend on the size, as a band.
        path: without suffix; a PNG and an SVG are written.
        of: what the sizes count.
    """
    figure, axes = subplots(1, 1, figsize=(6.6, 3.8))
    axis = axes.flat[0]
    if floor is not None:
        found = estimate(SUCCESS, floor)
        assert found is not None
        axis.axhspan(100 * found.low, 100 * found.high, color=colour("target_only"), alpha=0.12, linewidth=0)
        axis.axhline(100 * found.value, color=colour("target_only"), linewidth=1.0, label=label("target_only"))
    sizes = sorted({size for points in lines.values() for size, _ in points})
    for index, (name, points) in enumerate(lines.items()):
        # A little apart, so that intervals do not hide each other.
        values = [size * 1.03 ** (index - (len(lines) - 1) / 2) for size, _ in points]
        draw_curve(
            axis, values, [with_interval(SUCCESS, one) for _, one in points], name, 100.0, conditions=list(lines)
        )
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()
    axis.set_xlabel(of)
    axis.set_ylabel("success (%)")
    figure.legend(loc="outside right upper", handletextpad=0.4)
    return write_png_and_svg(figure, path)


def within(found: Estimate) -> Interval:
    """An interval to draw: a figure without one, of a single rollout, has an empty one."""
    return (found.low, found.high) if math.isfinite(found.high) else (found.value, found.value)


def with_interval(measure: Measure, trainings: Trainings) -> tuple[float | None, Interval | None]:
    """A figure and its interval as `draw_curve` takes them."""
    found = estimate(measure, trainings)
    return (None, None) if found is None else (found.value, within(found))


def draw_curve(
    axis: Axes,
    values: Sequence[float],
    points: Sequence[tuple[float | None, Interval | None]],
    condition: str,
    scale: float,
    chosen: Sequence[bool] = (),
    *,
    conditions: Sequence[str] = (),
) -> None:
    """A line through figures with their intervals.

    Args:
        axis: to draw on.
        values: abscissae.
        points: each a figure and its interval; None leaves a gap.
        condition: gives the colour, the marker and the name in a legend.
        scale: of the ordinate.
        chosen: which of them get a ring.
        conditions: all conditions of the axis, to distinguish variants.
    """
    middle = [math.nan if value is None else scale * value for value, _ in points]
    ends = [interval or (math.nan, math.nan) for _, interval in points]
    errors = [
        [m - scale * low for m, (low, _) in zip(middle, ends, strict=True)],
        [scale * high - m for m, (_, high) in zip(middle, ends, strict=True)],
    ]
    axis.errorbar(
        values,
        middle,
        errors,
        color=colour(condition),
        marker=marker(condition, conditions) if conditions else "o",
        markersize=5 if conditions else 4,
        linewidth=1.2,
        capsize=2.5,
        label=label(condition),
    )
    for value, height, ring in zip(values, middle, chosen, strict=False):
        if ring:
            axis.plot(value, height, marker="o", markersize=10, fillstyle="none", color="black")


def _front(axis: Axes, family: str, found: Mapping[str, float], conditions: Mapping[str, Trainings]) -> None:
    """The swept values of a family in their order, each with its value beside it."""
    points = sorted((value, name) for name in found if (value := front_value(name)) is not None)
    across, up = [found[name] for _, name in points], [100 * conditions[name].pooled.rate for _, name in points]
    axis.plot(across, up, color=colour(family), marker=".", markersize=4, linewidth=0.9, alpha=0.7, zorder=2)
    for (value, _), x, y in zip(points, across, up, strict=True):
        axis.annotate(
            f"{value:g}", (x, y), xytext=(2, 3), textcoords="offset points", fontsize=5.5, color=colour(family)
        )


def _plain_log_ticks(axis: Axes, values: Sequence[float]) -> None:
    """Steps of 1, 2, 3, 4, 5, 7 written as plain numbers; of 1, 2, 5 where those are too many."""
    if not values:
        return
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(values) / 1.3, max(values) * 1.3
    steps = (1, 2, 3, 4, 5, 7) if high / low < 30 else (1, 2, 5)
    ticks = [step * 10.0**power for power in range(-3, 7) for step in steps]
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _point(axis: Axes, name: str, names: Sequence[str], x: float, trainings: Trainings, measure: Measure) -> None:
    success, metric = estimate(SUCCESS, trainings), estimate(measure, trainings)
    assert success is not None
    assert metric is not None
    rate, low, high = success.value, success.low, success.high
    x_low, x_high = within(metric)
    variant = ":" in name
    axis.errorbar(
        [x],
        [100 * rate],
        yerr=[[100 * (rate - low)], [100 * (high - rate)]],
        xerr=[[max(0.0, x - x_low)], [max(0.0, x_high - x)]],
        color=colour(name),
        marker=marker(name, names),
        markerfacecolor="white" if variant else colour(name),
        markersize=11 if name in ("ambient", "omni") else 6.5,
        linestyle="none",
        linewidth=0.8 if variant else 1.2,
        capsize=2.5,
        label=label(name),
        zorder=4 if name in ("ambient", "omni") else 3,
    )
