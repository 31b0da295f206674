# SPDX-License-Identifier: Apache-2.0
"""The figures of a judgement: ranking, errors by noise level and over the chunk, spectrum, and chunks themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    LIMIT,
    ORANGE,
    PURPLE,
    SIGMA,
    SKY,
    VERMILION,
    WIDTH,
    Picture,
    figure_name,
    new_figure,
    png_of,
    styled,
    subplots,
)
from lerobot_ambient.integration.judging.estimates import Estimate, estimates
from lerobot_ambient.integration.judging.judgement import (
    Judgement,
    Measured,
    error_over_steps,
    jerk_ratio,
    seam_ratio,
    spectrum_ratio,
)
from lerobot_ambient.integration.judging.measure import LEVELS, Denoising, Predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
_SHOWN = 6
"""Joints whose chunks are drawn."""
_WIDE = 1.5 * WIDTH


def pictures(judgement: Judgement) -> list[Picture]:
    """Those that there are numbers for, in the order of the page."""
    drawn = [
        _ranking(judgement),
        _levels(judgement),
        _steps(judgement),
        _spectrum(judgement),
        _joints(judgement),
        _chunks(judgement),
    ]
    return [picture for picture in drawn if picture is not None]


def _looks(judgement: Judgement) -> dict[str, tuple[str, str]]:
    """A colour, and beyond the palette another line, for each checkpoint, the best first."""
    lines = [(colour, style) for style in ("-", "--", ":", "-.") for colour in _COLOURS]
    names = [place.name for place in judgement.places]
    return dict(zip(names, cycle(lines), strict=False))


def _legend(axis: Axes) -> None:
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2, handlelength=1.6)


@styled
def _ranking(judgement: Judgement) -> Picture | None:
    places = judgement.places
    if len(places) < 2:
        return None
    looks = _looks(judgement)
    figure = new_figure(0.9 + 0.32 * len(places), _WIDE)
    axis = figure.subplots()
    for row, place in enumerate(places):
        behind = place.behind or Estimate(0.0, 0.0, 0.0)
        value, low, high = (100 * part for part in (behind.value, behind.low, behind.high))
        if math.isfinite(low) and math.isfinite(high):
            axis.plot([low, high], [row, row], color=looks[place.name][0], lw=2)
        axis.plot(value, row, "o", color=looks[place.name][0], ms=6)
    axis.axvline(0.0, color=LIMIT, lw=0.8)
    axis.set_yticks(range(len(places)), [figure_name(place.name) for place in places])
    axis.set_ylim(len(places) - 0.5, -0.5)
    axis.set_xlabel("score above the best (%)")
    return Picture(
        "ranking.png",
        png_of(figure),
        "How far each checkpoint is behind the best",
        "Differences are paired: the same episodes, frames and noise. Bars are 95 % intervals whose unit is the "
        "episode; one that reaches 0 does not distinguish the checkpoint from the best.",
        "The numbers are those of the table.",
    )


@styled
def _levels(judgement: Judgement) -> Picture | None:
    if not judgement.by_denoising:
        return None
    first = judgement.measured[0].denoising
    assert isinstance(first, Denoising)
    names, looks = first.bands.names, _looks(judgement)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = subplots(rows, columns, figsize=(_WIDE, 0.5 + 1.75 * rows), sharex=True)
    panels: list[Axes] = list(axes.flat)
    found = {place.name: _by_level(judgement.of(place.name)) for place in judgement.places}
    for band, (panel, name) in enumerate(zip(panels, names, strict=False)):
        for checkpoint, (value, low, high) in found.items():
            colour, style = looks[checkpoint]
            panel.plot(LEVELS, value[:, band], style, color=colour, label=figure_name(checkpoint))
            if np.isfinite(high).all():
                panel.fill_between(LEVELS, low[:, band], high[:, band], color=colour, alpha=0.15, lw=0)
        panel.set_yscale("log")
        _plain(panel.yaxis)
        panel.set_title(name)
        panel.set_xlim(0.0, 1.0)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in axes[-1]:
        panel.set_xlabel(SIGMA)
    for row in axes:
        row[0].set_ylabel("error (rms)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    unit = "target's standard deviation" if judgement.measured[0].is_in_target_units else "normalised action"
    return Picture(
        "levels.png",
        png_of(figure),
        "Denoising error by noise level and frequency",
        f"Held-out chunks are noised to σ and denoised, given their observations; in units of the {unit}. One panel "
        "a band of frequencies of the error along the chunk: what a policy gets wrong in the slow bands is where it "
        "goes, in the fast ones how smoothly.",
        "At every noise level the root mean square error of each checkpoint in each frequency band.",
    )


def _by_level(one: Measured) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    assert one.energies is not None and isinstance(one.denoising, Denoising)
    kept = one.denoising.chunks > 0
    sums = [one.energies[kept], one.denoising.chunks[kept].astype(np.float64)]
    found = estimates(sums, lambda e, n: 0.5 * np.log(e / n[:, None, None] + 1e-12))
    value, low, high = (np.exp(part) for part in found)
    return value, low, high


@styled
def _steps(judgement: Judgement) -> Picture | None:
    figure = new_figure()
    axis, looks, drawn = figure.subplots(), _looks(judgement), 0
    for place in judgement.places:
        one = judgement.of(place.name)
        found = error_over_steps(one)
        if found is None:
            continue
        drawn += 1
        (value, low, high), (colour, style) = found, looks[place.name]
        at = np.arange(len(value))
        axis.plot(at, value, style, color=colour, label=figure_name(place.name))
        if np.isfinite(high).all():
            axis.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
        axis.axvline(one.executed - 1, color=FAINT, lw=0.8, ls="--", zorder=0)
    if not drawn:
        return None
    axis.set_ylim(0.0)
    axis.set_xlabel("steps after the observation")
    axis.set_ylabel("action error (target's std)")
    _legend(axis)
    return Picture(
        "error_over_chunk.png",
        png_of(figure),
        "Action error over the chunk",
        "Root mean square difference between predicted and recorded action. Dashed: the last step that is executed. "
        "Where several motions are right, a policy that takes another one is counted as wrong here.",
        "Error against steps after the observation, with 95 % intervals.",
    )


@styled
def _spectrum(judgement: Judgement) -> Picture | None:
    figure = new_figure()
    axis, looks, drawn = figure.subplots(), _looks(judgement), 0
    for place in judgement.places:
        one = judgement.of(place.name)
        found = spectrum_ratio(one)
        if found is None or one.motion is None:
            continue
        drawn += 1
        (value, low, high), (colour, style) = found, looks[place.name]
        rate = judgement.measured[0].episodes.axes.fps or 1.0
        # The middle of each band: coefficient k of H has k / (2 H) cycles a step.
        at = np.array([rate * (low + high - 1) / (4 * one.steps) for low, high in one.motion.bands.edges])
        axis.plot(at, value, style, color=colour, marker="o", ms=3, label=figure_name(place.name))
        if np.isfinite(high).all():
            axis.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)
    if not drawn:
        return None
    axis.axhline(1.0, color=LIMIT, lw=0.8)
    axis.set_yscale("log")
    _plain(axis.yaxis, "x")
    axis.set_xlabel("frequency (Hz)")
    axis.set_ylabel("amplitude, predicted / recorded")
    _legend(axis)
    return Picture(
        "spectrum.png",
        png_of(figure),
        "Spectrum of predicted chunks",
        "How strong each frequency is in predicted chunks, over how strong it is in the recorded ones. Above 1 at "
        "high frequencies: the policy trembles. Below 1: it is smoother than the demonstrations.",
        "Ratio of amplitudes by frequency band.",
    )


@styled
def _joints(judgement: Judgement) -> Picture | None:
    """Jerk and seams beside the recording's own."""
    rows = [place.name for place in judgement.places if judgement.of(place.name).motion is not None]
    if not rows:
        return None
    looks = _looks(judgement)
    figure, axes = subplots(1, 2, figsize=(_WIDE, 1.2 + 0.32 * len(rows)), sharey=True)
    for axis, title, of in zip(axes[0], ("jerk", "jump between chunks"), (jerk_ratio, seam_ratio), strict=True):
        for row, name in enumerate(rows):
            found = of(judgement.of(name))
            if found is None:
                continue
            if math.isfinite(found.high):
                axis.plot([found.low, found.high], [row, row], color=looks[name][0], lw=2)
            axis.plot(found.value, row, "o", color=looks[name][0], ms=6)
        axis.axvline(1.0, color=LIMIT, lw=0.8)
        axis.set_xscale("log")
        axis.set_xlabel("over the recording's own")
        axis.set_title(title)
    axes[0][0].set_yticks(range(len(rows)), [figure_name(name) for name in rows])
    axes[0][0].set_ylim(len(rows) - 0.5, -0.5)
    for axis in axes[0]:
        low, high = axis.get_xlim()
        axis.set_xlim(min(low, 0.8), max(high, 1.25))
        _plain(axis.xaxis, "x")
    return Picture(
        "jerk_and_seams.png",
        png_of(figure),
        "Jerk, and how chunks join",
        "Left: root mean square third difference of predicted chunks over that of the recording. Right: the jump from "
        "the last executed action of a chunk to the first of the next one, over the recorded step at the same place. "
        "1 is what was demonstrated.",
        "Two ratios of each checkpoint with 95 % intervals.",
    )


def _plain(axis: Axis, unit: str = "") -> None:
    """Numbers as they are read, on a logarithmic axis of about one decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{unit}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(LogLocator(subs=tuple(range(1, 10))))


@styled
def _chunks(judgement: Judgement) -> Picture | None:
    """Predicted chunks of the best checkpoint along a recorded episode."""
    one = judgement.of(judgement.places[0].name)
    if not isinstance(one.predictions, Predictions):
        return None
    counts = np.bincount(one.predictions.episode, minlength=len(one.episodes.numbers))
    place = int(counts.argmax())
    mine = np.flatnonzero(one.predictions.episode == place)
    start, stop = one.episodes.spans[place].tolist()
    recorded, rate = one.episodes.actions[start:stop], one.episodes.axes.fps or 1.0
    dims = _liveliest(recorded / one.episodes.scale, _SHOWN)
    columns = min(2, len(dims))
    rows = -(-len(dims) // columns)
    figure, axes = subplots(rows, columns, figsize=(_WIDE, 0.5 + 1.6 * rows), sharex=True)
    panels: list[Axes] = list(axes.flat)
    for panel, dim in zip(panels, dims, strict=False):
        panel.plot(np.arange(len(recorded)) / rate, recorded[:, dim], color=LIMIT, lw=2.2, alpha=0.55, label="recorded")
        for index in mine.tolist():
            frame, chunk = int(one.predictions.frame[index]), one.predictions.chunks[index][: one.steps, dim]
            at = (frame + np.arange(len(chunk))) / rate
            done = one.executed
            if done < len(chunk):
                rest = "rest of the chunk" if index == mine[0] else None
                panel.plot(at[done - 1 :], chunk[done - 1 :], color=SKY, lw=0.8, label=rest)
            panel.plot(at[:done], chunk[:done], color=BLUE, label="executed" if index == mine[0] else None)
        panel.set_title(figure_name(one.episodes.axes.dimension(dim)))
    for panel in panels[len(dims) :]:
        panel.set_visible(False)
    for panel in axes[-1]:
        panel.set_xlabel("seconds")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return Picture(
        "chunks.png",
        png_of(figure),
        f"Chunks of {one.name} along episode {one.episodes.numbers[place]}",
        "Each chunk is predicted from the recorded observation at its beginning, so errors do not add up as they "
        "would in a rollout. In the target's units.",
        "Recorded actions over time, with predicted chunks laid over them.",
    )


def _liveliest(scaled: np.ndarray, most: int) -> Sequence[int]:
    """The dimensions that move most, in their order."""
    return sorted(np.argsort(-np.ptp(scaled, axis=0), kind="stable")[:most].tolist())
