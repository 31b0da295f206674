# SPDX-License-Identifier: Apache-2.0
"""The report's figures of the motion itself: the target over the source, joint by joint, clean and under noise.

Symbols
    x_0      (H, A) a chunk as the policy is trained on it, normalised
    x_sigma  sqrt(1 - sigma^2) x_0 + sigma eps, what the denoiser sees at a noise level
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes, ChunkSet
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.figures.style import (
    SOURCE,
    TARGET,
    WIDTH,
    Picture,
    figure_name,
    new_figure,
    png_of,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks, Path

_EPISODES = 3
"""Drawn of each dataset."""
_MOST_DIMENSIONS, _MOST_POINTS = 16, 1500
_MOST_NOISED, _SEARCHED = 7, 4000
"""Dimensions drawn under noise, and chunks of the source among which the nearest are looked for."""
_HIGH, _HALF = 0.9, 0.5


@dataclass(frozen=True, eq=False)
class Trajectories:
    """A few episodes of both datasets.

    Args:
        names: of the target and the source.
        target, source: their episodes.
        axes: names of the action dimensions, and the rate.
        chunks: of the target and the source, (K, H, A) each; pair k is a target episode's chunk that moves most and
            the source's nearest. None where they are not known.
    """

    names: tuple[str, str]
    target: tuple[Path, ...]
    source: tuple[Path, ...]
    axes: ActionAxes
    chunks: tuple[Floats, Floats] | None = None

    @classmethod
    def of(cls, target: Chunks, source: Chunks) -> Trajectories:
        """The first, middle and last episode of each, and as many pairs of chunks."""
        names, paths = (target.name, source.name), (target.paths(_EPISODES), source.paths(_EPISODES))
        return cls(names, tuple(paths[0]), tuple(paths[1]), target.axes, paired_chunks(target, source, _EPISODES))


def paired_chunks(target: ChunkSet, source: ChunkSet, count: int) -> tuple[Floats, Floats]:
    """Chunks of both that show the same motion, as far as there is one.

    Args:
        target, source: whose chunks they are, of one shape.
        count: of the target's episodes, spread over those there are.

    Returns:
        Of each of these episodes the chunk in which most happens, and the chunk of the source that is nearest to it
        among some thousands; (K, H, A) each, K <= count, NaN in dimensions that a dataset lacks.
    """
    episodes = np.unique(target.episode)
    chosen = episodes[np.unique(np.linspace(0, len(episodes) - 1, min(count, len(episodes))).round().astype(int))]
    both = target.counts & source.counts
    kept = []
    for episode in chosen:
        x_0, is_pad = target.gather(torch.from_numpy(np.flatnonzero(target.episode == episode)))
        moved = torch.where(is_pad.any(1), -1.0, x_0[..., both].var(1, correction=0).sum(-1))
        kept.append(x_0[int(moved.argmax())])
    wanted = torch.stack(kept)
    places = np.unique(np.linspace(0, len(source) - 1, min(_SEARCHED, len(source))).round().astype(np.int64))
    found, is_pad = source.gather(torch.from_numpy(places))
    gaps = (wanted[:, None, :, both] - found[None][..., both]).square().sum((-2, -1))
    whole = ~is_pad.any(1)
    nearest = found[torch.where(whole | ~whole.any(), gaps, torch.inf).argmin(1)]
    return tuple(  # type: ignore[return-value]
        torch.where(one.counts, chunks, torch.nan).double().numpy()
        for one, chunks in ((target, wanted), (source, nearest))
    )


@styled
def draw_trajectories(trajectories: Trajectories) -> Picture:
    """A panel per action dimension, the target's episodes solid over the source's dashed ones."""
    dims = trajectories.target[0].action.shape[1]
    chosen = most_moved(trajectories, _MOST_DIMENSIONS)
    shown = len(chosen)
    columns = min(2, shown)
    rows = -(-shown // columns)
    figure = new_figure(0.9 + 1.15 * rows, 1.25 * WIDTH)
    panels = figure.subplots(rows, columns, sharex=True, squeeze=False).flat
    for place, axis in enumerate(panels):
        if place >= shown:
            axis.set_visible(False)
            continue
        dim = chosen[place]
        for paths, colour, line, width in (
            (trajectories.source, SOURCE, (0, (4, 1.5)), 0.9),
            (trajectories.target, TARGET, "-", 1.3),
        ):
            for path in paths:
                step = -(-len(path.seconds) // _MOST_POINTS)
                part = slice(None, None, step)
                axis.plot(path.seconds[part], path.action[part, dim], color=colour, linestyle=line, linewidth=width)
        axis.set_title(figure_name(trajectories.axes.dimension(dim)), loc="left", fontsize=8.5, pad=2.0)
        axis.tick_params(labelsize=7.5)
        if place + columns >= shown:
            axis.set_xlabel("time (s)" if trajectories.axes.fps is not None else "steps")
            axis.tick_params(labelbottom=True)
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, linestyle=line, label=figure_name(name))
        for colour, line, name in zip((TARGET, SOURCE), ("-", (0, (4, 1.5))), trajectories.names, strict=True)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    figure.supylabel("action (the target's units)", fontsize=8.5)
    absent = np.isnan(trajectories.source[0].action).all(0)
    lacking = [trajectories.axes.dimension(int(dim)) for dim in np.flatnonzero(absent)]
    more = f" The {dims - shown} that move least are not shown." if dims > shown else ""
    more += f" The source has no {', '.join(lacking)}." if lacking else ""
    numbers = [", ".join(str(path.episode) for path in paths) for paths in (trajectories.target, trajectories.source)]
    return Picture(
        "trajectories.png",
        png_of(figure),
        "Motion of target and source",
        f"Actions over time in the target's units, by dimension: episodes {numbers[0]} of the target (solid) over "
        f"{numbers[1]} of the source (dashed).{more}",
        f"{len(trajectories.target)} episodes of the target and {len(trajectories.source)} of the source in {shown} "
        "panels.",
    )


def most_moved(trajectories: Trajectories, most: int) -> list[int]:
    """In their order, the dimensions in which the target changes in most frames, constants last.

    How far cannot be compared: units differ (degrees, metres, the share that a hand is open).
    """
    action = np.concatenate([path.action for path in trajectories.target])
    span = np.ptp(action, axis=0)
    moves = np.abs(np.diff(action, axis=0)) > 1e-3 * np.where(span > 0.0, span, 1.0)
    order = np.argsort(-moves.mean(0), kind="stable")
    return sorted(order[:most].tolist())


def noise_levels(sigma_min: float, sigma_max: float = 0.0) -> list[tuple[float, str]]:
    """At which levels chunks are drawn, and what each is called: no noise, the window's bounds, and 0.9.

    Where a window has no bound inside (0, 1), the level halfway.
    """
    bounds = [
        (level, f"{symbol} = {level:.2f}: window {does}")
        for level, symbol, does in (
            (sigma_max, r"$σ_{\mathrm{max}}$", "ends"),
            (sigma_min, r"$σ_{\mathrm{min}}$", "begins"),
        )
        if 0.0 < level < 1.0
    ]
    levels = [(0.0, "σ = 0: no noise"), *(bounds or [(_HALF, f"σ = {_HALF:g}: halfway")])]
    high = [] if any(abs(level - _HIGH) < 0.03 for level, _ in levels) else [(_HIGH, f"σ = {_HIGH:g}: mostly noise")]
    return sorted([*levels, *high])


@styled
def noised_figure(trajectories: Trajectories, levels: Sequence[tuple[float, str]]) -> Figure:
    """Chunks of both at noise levels, a column each, a row a dimension; only of trajectories whose chunks are known."""
    from matplotlib.lines import Line2D

    assert trajectories.chunks is not None
    target, source = trajectories.chunks
    dims = most_moved(trajectories, _MOST_NOISED)
    fps = trajectories.axes.fps
    times = np.arange(target.shape[1]) / (fps or 1.0)
    noise = np.random.default_rng(0).standard_normal((2, *target.shape))
    figure = new_figure(1.1 + 1.05 * len(dims), 1.45 * WIDTH)
    panels = figure.subplots(len(dims), len(levels), sharex=True, squeeze=False)
    for column, (sigma, called) in enumerate(levels):
        panels[0, column].set_title(called, fontsize=9)
        keep = np.sqrt(1.0 - sigma**2)
        # The source first, so that the target lies over it.
        for x_0, eps, colour, line in (
            (source, noise[1], SOURCE, (0, (4, 1.5))),
            (target, noise[0], TARGET, "-"),
        ):
            x_sigma = keep * x_0 + sigma * eps
            for row, dim in enumerate(dims):
                panels[row, column].plot(times, x_sigma[..., dim].T, color=colour, linestyle=line, linewidth=1.1)
        panels[-1, column].set_xlabel("time (s)" if fps is not None else "steps")
    for row, dim in enumerate(dims):
        panels[row, 0].set_ylabel(figure_name(trajectories.axes.dimension(dim)), fontsize=8)
    for axis in panels.flat:
        axis.tick_params(labelsize=7)
    figure.legend(
        handles=[
            Line2D([], [], color=colour, linestyle=line, label=figure_name(name))
            for colour, line, name in zip((TARGET, SOURCE), ("-", (0, (4, 1.5))), trajectories.names, strict=True)
        ],
        loc="outside upper left",
        ncols=2,
        title="Can the source be told from the target?",
        alignment="left",
    )
    return figure


@styled
def draw_noised(trajectories: Trajectories, sigma_min: float, sigma_max: float = 0.0) -> Picture | None:
    """Chunks of both at the levels of `noise_levels`, a row a dimension; None where no chunks are known."""
    if trajectories.chunks is None:
        return None
    target, _ = trajectories.chunks
    shown, levels = len(most_moved(trajectories, _MOST_NOISED)), noise_levels(sigma_min, sigma_max)
    left = target.shape[2] - shown
    return Picture(
        "noised.png",
        png_of(noised_figure(trajectories, levels)),
        "What the denoiser sees",
        f"Action chunks, normalised, of {len(target)} target episodes (solid) and the most similar ones of the source "
        "(dashed), with the noise of training. Where the two can still be told from each other, the source teaches "
        f"its own ways; a window leaves these levels out.{f' {left} dimensions are not shown.' if left else ''}",
        f"{len(target)} pairs of chunks in {shown} dimensions at sigma "
        f"{', '.join(f'{sigma:.2f}' for sigma, _ in levels)}.",
    )
