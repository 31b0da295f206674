# SPDX-License-Identifier: Apache-2.0
"""The report's figure of the motion itself: episodes of the target over the source's, joint by joint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes
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
    from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks, Path

_EPISODES = 3
"""Drawn of each dataset."""
_MOST_DIMENSIONS, _MOST_POINTS = 16, 1500


@dataclass(frozen=True, eq=False)
class Trajectories:
    """A few episodes of both datasets.

    Args:
        names: of the target and the source.
        target, source: their episodes.
        axes: names of the action dimensions, and the rate.
    """

    names: tuple[str, str]
    target: tuple[Path, ...]
    source: tuple[Path, ...]
    axes: ActionAxes

    @classmethod
    def of(cls, target: Chunks, source: Chunks) -> Trajectories:
        """The first, middle and last episode of each."""
        names = (target.name, source.name)
        return cls(names, tuple(target.paths(_EPISODES)), tuple(source.paths(_EPISODES)), target.axes)


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
