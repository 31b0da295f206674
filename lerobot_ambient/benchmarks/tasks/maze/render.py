# SPDX-License-Identifier: Apache-2.0
"""Pictures of the maze by plain array arithmetic, fast enough to film rollouts and to observe them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze
from lerobot_ambient.benchmarks.tasks.maze.task import GOAL_RADIUS
from lerobot_ambient.core.arrays import Floats

FLOOR, WALL = (245, 245, 245), (40, 44, 52)
TRAIL, GOAL, _START, ROBOT = (97, 150, 220), (80, 180, 90), (170, 170, 170), (214, 69, 65)
_ROBOT_RADIUS = 0.08
OBSERVATION_SIZE = 40
"""Height and width in pixels of what a policy observes. A ResNet makes one place of 32 pixels, and LeRobot's encoder
only says at which place things are: below 33 pixels that is always the same, and a policy with one is blind."""


class MazePainter:
    """Paints one maze at a fixed size.

    Args:
        maze: the maze.
        size: height and width in pixels, at least 16.
    """

    def __init__(self, maze: Maze, size: int) -> None:
        if size < 16:
            raise ValueError(f"MazePainter: size is {size} pixels, must be at least 16")
        margin = maze.wall / 2.0
        span = maze.cells + 2.0 * margin
        self._pixel = span / size
        centres = (np.arange(size) + 0.5) * self._pixel - margin
        self._x, self._y = centres, centres[::-1]
        grid = np.stack(np.meshgrid(self._x, self._y), axis=-1)
        self._empty: NDArray[np.uint8] = np.where(
            maze.points_free(grid)[..., None], np.array(FLOOR, np.uint8), np.array(WALL, np.uint8)
        )
        # An episode's pictures differ by one stretch of its trail, so what was painted is kept.
        self._canvas = self._empty
        self._painted: Floats = np.empty((0, 2))
        self._goal: tuple[Floats, float] = (np.empty(2), 0.0)

    def paint(self, trail: Floats, goal: Floats, goal_radius: float) -> NDArray[np.uint8]:
        """A picture, uint8 (size, size, 3), x to the right and y up.

        Args:
            trail: positions so far, shape (n, 2); none draws no robot.
            goal: shape (2,), drawn as a disc of `goal_radius` cells.
        """
        image = self._with_trail(trail, goal, goal_radius).copy()
        if len(trail):
            self._disc(image, trail[0], 0.06, _START)
            self._disc(image, trail[-1], _ROBOT_RADIUS, ROBOT)
        return image

    def _with_trail(self, trail: Floats, goal: Floats, goal_radius: float) -> NDArray[np.uint8]:
        """The maze, the goal and the trail, not to be written to."""
        before = len(self._painted)
        goes_on = np.array_equal(self._goal[0], goal) and self._goal[1] == goal_radius
        if not (before and goes_on and np.array_equal(self._painted, trail[:before])):
            self._canvas, before = self._empty.copy(), 1
            self._disc(self._canvas, goal, goal_radius, GOAL)
            self._goal = np.array(goal), goal_radius
        for start, end in pairwise(trail[before - 1 :]):
            steps = max(1, int(np.ceil(np.linalg.norm(end - start) / self._pixel)))
            for share in np.linspace(0.0, 1.0, steps + 1):
                self._disc(self._canvas, start + share * (end - start), 0.75 * self._pixel, TRAIL)
        self._painted = np.array(trail)
        return self._canvas

    def observe(self, position: ArrayLike, goal: ArrayLike | None) -> NDArray[np.uint8]:
        """What a policy sees: the maze, the goal and the robot, without the path so far. Returns uint8 (size, size, 3).

        A function of the two points rounded to float32, as datasets and `agent_pos` hold them, so that a
        demonstration and an episode of the environment show the same pixels at the same place.

        Args:
            position: of the robot, shape (2,).
            goal: shape (2,); None leaves it out.
        """
        image = self._empty.copy()
        # A disc of three quarters of a pixel covers a pixel's centre wherever it lies.
        for centre, radius, colour in ((goal, GOAL_RADIUS, GOAL), (position, _ROBOT_RADIUS, ROBOT)):
            if centre is not None:
                point = np.asarray(centre, dtype=np.float32).astype(np.float64)
                self._disc(image, point, max(radius, 0.75 * self._pixel), colour)
        return image

    def _disc(self, image: NDArray[np.uint8], centre: Floats, radius: float, colour: tuple[int, int, int]) -> None:
        across = np.flatnonzero(np.abs(self._x - centre[0]) <= radius)
        down = np.flatnonzero(np.abs(self._y - centre[1]) <= radius)
        if not len(across) or not len(down):
            return
        columns, rows = (slice(found[0], found[-1] + 1) for found in (across, down))
        near = (self._x[None, columns] - centre[0]) ** 2 + (self._y[rows, None] - centre[1]) ** 2 <= radius**2
        image[rows, columns][near] = colour
