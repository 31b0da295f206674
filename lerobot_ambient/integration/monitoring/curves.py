# SPDX-License-Identifier: Apache-2.0
"""The figure of a metrics file: losses in training, held-out losses by noise level and source, exposure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lerobot_ambient.figures.style import (
    FAINT,
    GREEN,
    LIMIT,
    ORANGE,
    PURPLE,
    SKY,
    TARGET,
    VERMILION,
    figure_name,
    legend_above,
    styled,
    subplots,
    write_figure,
)
from lerobot_ambient.integration.monitoring.bands import BANDS, EVAL_LOSS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SOURCES = (VERMILION, ORANGE, PURPLE, SKY, GREEN)
Curve = tuple[list[int], list[float]]


@styled
def draw_metrics(lines: Sequence[Mapping[str, Any]], path: Path) -> Path | None:
    """Write the figure of a run; None, and no file, where there is no point to draw.

    Args:
        lines: of a metrics file.
        path: of the figure.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    curves = {key: curve for key in _keys(lines) if len((curve := _curve(lines, key))[0])}
    names = [key.removeprefix("exposure/") for key in curves if key.startswith("exposure/")]
    panels = [
        panel
        for panel, wanted in (
            (_training, any(key in curves for key in ("loss", EVAL_LOSS))),
            (_bands, any(f"{EVAL_LOSS}/{band}" in curves for band in BANDS)),
            (_sources, any(f"{EVAL_LOSS}/{name}" in curves for name in names)),
            (_exposure, len(names) > 1),
            (_success, "pc_success" in curves),
        )
        if wanted
    ]
    if not panels:
        return None
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = subplots(rows, columns, figsize=(4.6 * columns, 3.4 * rows))
    flat = axes.flatten().tolist()
    for panel, axis in zip(panels, flat, strict=False):
        panel(axis, curves, names)
        axis.set_xlabel("optimiser steps")
    for axis in flat[len(panels) :]:
        axis.set_visible(False)
    return write_figure(figure, path)


def _training(axis: Axes, curves: Mapping[str, Curve], names: Sequence[str]) -> None:
    """Every dataset's loss at its own levels, and the held-out loss."""
    shown = [name for name in names if f"loss/{name}" in curves]
    for name in shown:
        axis.plot(*curves[f"loss/{name}"], color=_colour(name, names), label=figure_name(name))
    if not shown and "loss" in curves:
        axis.plot(*curves["loss"], color=FAINT, label="training")
    if EVAL_LOSS in curves:
        axis.plot(*curves[EVAL_LOSS], color=LIMIT, linestyle="--", marker=".", label="target, held out, all levels")
    _logarithmic(axis)
    axis.set_ylabel("training loss, each at its levels")
    legend_above(axis)


def _bands(axis: Axes, curves: Mapping[str, Curve], names: Sequence[str]) -> None:
    """The target's held-out loss by noise level; a ring where it was lowest."""
    from matplotlib import colormaps

    for number, band in enumerate(BANDS):
        key = f"{EVAL_LOSS}/{band}"
        if key not in curves:
            continue
        steps, losses = curves[key]
        colour = colormaps["viridis"](0.92 * number / (len(BANDS) - 1))
        axis.plot(steps, losses, color=colour, marker=".", markersize=3, label=_levels(band))
        best = min(range(len(losses)), key=losses.__getitem__)
        axis.plot(steps[best], losses[best], marker="o", markersize=7, markerfacecolor="none", color=colour)
    _logarithmic(axis)
    axis.set_ylabel("held-out loss of the target (ring: lowest)")
    legend_above(axis, columns=3)


def _sources(axis: Axes, curves: Mapping[str, Curve], names: Sequence[str]) -> None:
    """The held-out loss of the datasets that hold out episodes, over all levels."""
    if EVAL_LOSS in curves:
        axis.plot(*curves[EVAL_LOSS], color=TARGET, marker=".", label=figure_name(names[0]))
    for name in names[1:]:
        if (key := f"{EVAL_LOSS}/{name}") in curves:
            axis.plot(*curves[key], color=_colour(name, names), marker=".", label=figure_name(name))
    _logarithmic(axis)
    axis.set_ylabel("held-out loss, all levels")
    legend_above(axis)


def _exposure(axis: Axes, curves: Mapping[str, Curve], names: Sequence[str]) -> None:
    for name in names:
        axis.plot(*curves[f"exposure/{name}"], color=_colour(name, names), label=figure_name(name))
    axis.set_ylabel("exposure: passes over the data")
    _logarithmic(axis)
    legend_above(axis)


def _success(axis: Axes, curves: Mapping[str, Curve], names: Sequence[str]) -> None:
    axis.plot(*curves["pc_success"], color=GREEN, marker=".")
    axis.set_ylim(-2.0, 102.0)
    axis.set_ylabel("rollouts that succeed, %")


def _colour(name: str, names: Sequence[str]) -> str:
    number = names.index(name)
    return TARGET if number == 0 else _SOURCES[(number - 1) % len(_SOURCES)]


def _levels(band: str) -> str:
    low, high = band.removeprefix("sigma_").split("_")
    return f"σ {float(low):g} to {float(high):g}"


def _logarithmic(axis: Axes) -> None:
    if all((np.asarray(line.get_ydata()) > 0).all() for line in axis.get_lines()):
        from matplotlib.ticker import FuncFormatter, LogLocator

        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def _keys(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for line in lines for key in line))


def _curve(lines: Sequence[Mapping[str, Any]], key: str) -> Curve:
    """(steps, values) of what is a number."""
    points = [(line["step"], line[key]) for line in lines if isinstance(line.get(key), int | float)]
    return [step for step, _ in points], [float(value) for _, value in points]
