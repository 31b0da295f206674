# SPDX-License-Identifier: Apache-2.0
"""What the maze environment and its demonstrations must agree on: units, starts and goals.

Symbols: positions are in cells, time in seconds. A path is an array (n, 2) of positions at 1 / fps intervals.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze
from lerobot_ambient.core.arrays import Floats

FPS = 10
SPACING = 0.1
"""Distance between neighbouring demonstrated positions, in cells: 1 cell/s at 10 fps."""
MAX_STEP = 1.5 * SPACING
GOAL_RADIUS = 0.2
MIN_SEPARATION = 2.5
CLEARANCE = 0.1
"""Starts, goals and planned paths keep this far from walls (maximum norm), so that resampling cannot touch one."""
EPISODE_LENGTH = 180
TASK = "Go to the goal without touching a wall."


def draw_start_goal(rng: np.random.Generator, maze: Maze) -> tuple[Floats, Floats]:
    """Draw a start and a goal: uniform over pairs in the free space that keep `CLEARANCE` from the walls and are at
    least `MIN_SEPARATION` cells apart. Returns two arrays of shape (2,).

    Raises:
        ValueError: if the maze is too small for such a pair.
    """
    room = maze.thickened(CLEARANCE)
    widest = math.sqrt(2.0) * (maze.cells - room.wall)
    if widest <= MIN_SEPARATION:
        raise ValueError(
            f"maze of {maze.cells} x {maze.cells} cells: starts and goals must be {MIN_SEPARATION} cells apart, but "
            f"the farthest points are {widest:.2f} apart; use at least 3 cells"
        )
    while True:
        pair = rng.uniform(0.0, maze.cells, size=(2, 2))
        apart = np.linalg.norm(pair[0] - pair[1]) >= MIN_SEPARATION
        if apart and room.points_free(pair).all():
            return pair[0], pair[1]


def resample(path: ArrayLike, spacing: float = SPACING) -> Floats:
    """Points at equal arc length along a polyline (n, 2), both ends included.

    The arc length between neighbours is the one nearest to `spacing` that divides the whole length evenly.
    """
    points = np.asarray(path, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    steps = max(1, round(along[-1] / spacing))
    stations = np.linspace(0.0, along[-1], steps + 1)
    return np.stack([np.interp(stations, along, points[:, axis]) for axis in range(2)], axis=1)
