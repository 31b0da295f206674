# SPDX-License-Identifier: Apache-2.0
"""The maze experiment as a moving picture: demonstrations and rollouts growing in time, a panel each."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.benchmarks.engine.trajectories import Trajectory
from lerobot_ambient.benchmarks.tasks.maze.geometry import DEFAULT_MAZE_SEED, Maze
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.figures.families import colour, label
from lerobot_ambient.figures.style import SOURCE, TARGET, styled, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

FAILED, FAILED_END, WALL = "#9A9A9A", "#B00020", "#33373D"
_SHOWN = 12
"""Paths of a panel; with more they hide each other."""
_MOST_FRAMES, _MILLISECONDS, _HOLD = 48, 80, 3000
_PLAYS = 3
"""After which it rests on the last frame, in which every path is whole."""
_PARTS = (1.0, 0.8, 0.6, 0.4, 0.2)
_DPI = 96


@styled
def draw_animation(
    demonstrations: Mapping[str, Sequence[Trajectory]], paths: Mapping[str, Sequence[Trajectory]], path: Path
) -> Path:
    """Draw the paths growing with time, a step of the environment as long in every panel.

    Args:
        demonstrations: by "target" and "source".
        paths: recorded rollouts by condition; of each panel the first twelve are shown.
        path: without suffix; a GIF is written.

    Returns:
        Its path.
    """
    from PIL.Image import Dither

    shades = {"target": TARGET, "source": SOURCE}
    panels = [(f"{kind}:\ndemonstrations", shades[kind], some[:_SHOWN]) for kind, some in demonstrations.items()]
    panels += [(f"{label(name)}:\nrollouts", colour(name), some[:_SHOWN]) for name, some in paths.items()]
    scene = _Scene(panels)
    steps = max(len(one.points) for _, _, some in panels for one in some)
    stride = math.ceil(steps / _MOST_FRAMES)
    frames = [scene.at(step) for step in range(1, steps, stride)] + [scene.at(steps)]
    palette = _palette([shade for _, shade, _ in panels])
    first, *others = (frame.quantize(palette=palette, dither=Dither.NONE) for frame in frames)
    content = io.BytesIO()
    durations = [_MILLISECONDS] * len(others) + [_HOLD]
    first.save(content, "gif", save_all=True, append_images=others, duration=durations, loop=_PLAYS - 1, optimize=True)
    path = path.with_name(f"{path.name}.gif")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content.getvalue())
    return path


def _palette(shades: Sequence[str]) -> Image:
    """Every colour that is drawn and its mixtures with white, the same in all frames: they are edges of thin lines."""
    from PIL import Image, ImageColor

    inks = np.array([ImageColor.getrgb(ink) for ink in dict.fromkeys([*shades, FAILED, FAILED_END, WALL])])
    mixed = [255 + part * (inks - 255) for part in _PARTS]
    colours = np.concatenate([np.full((1, 3), 255), *mixed]).round().astype(np.uint8)
    holder = Image.new("P", (1, 1))
    holder.putpalette(colours.tobytes())
    return holder


def draw_maze(axis: Axes, maze: Maze) -> None:
    """The walls of a maze, without axes."""
    from matplotlib.patches import Rectangle

    for low_x, low_y, high_x, high_y in maze.wall_rectangles:
        axis.add_patch(Rectangle((low_x, low_y), high_x - low_x, high_y - low_y, color=WALL, linewidth=0))
    margin = maze.wall / 2 + 0.02
    axis.set(xlim=(-margin, maze.cells + margin), ylim=(-margin, maze.cells + margin), aspect="equal")
    axis.set_axis_off()


class _Scene:
    """The panels with the maze, and the paths up to a step on top."""

    def __init__(self, panels: Sequence[tuple[str, str, Sequence[Trajectory]]]) -> None:
        self._figure: Figure
        self._figure, axes = subplots(1, len(panels), figsize=(1.9 * len(panels), 2.35))
        maze = Maze.from_seed(DEFAULT_MAZE_SEED)
        self._lines = []
        for axis, (title, shade, some) in zip(axes.flat, panels, strict=True):
            draw_maze(axis, maze)
            axis.set_title(title, color=shade, fontweight="bold")
            for one in sorted(some, key=lambda one: one.success):
                ink = shade if one.success else FAILED
                (line,) = axis.plot([], [], color=ink, linewidth=1.2, alpha=0.9 if one.success else 0.7)
                (head,) = axis.plot([], [], marker="o", markersize=3, color=ink)
                (cross,) = axis.plot([], [], marker="x", markersize=5, color=FAILED_END, markeredgewidth=1.3)
                self._lines.append((one, line, head, cross))

    def at(self, step: int) -> Image:
        """The picture after `step` steps."""
        from PIL import Image

        for one, line, head, cross in self._lines:
            points = one.points[:step]
            line.set_data(*points.T)
            ended = step >= len(one.points)
            # What moves has a head; what has failed ends in a cross.
            head.set_data(*(np.empty((2, 0)) if ended else points[-1:].T))
            cross.set_data(*(points[-1:].T if ended and not one.success else np.empty((2, 0))))
        content = io.BytesIO()
        self._figure.savefig(content, format="png", dpi=_DPI)
        return Image.open(content).convert("RGB")
