# SPDX-License-Identifier: Apache-2.0
"""Pictures of planar pushing by plain array arithmetic, fast enough to film rollouts."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.pushing.task import HALF, TABLE
from lerobot_ambient.core.arrays import Floats

FLOOR, GOAL, BLOCK, _PUSHER, TRAIL = (245, 245, 245), (178, 223, 183), (84, 110, 150), (214, 69, 65), (205, 205, 205)

Picture = NDArray[np.uint8]


class PushingPainter:
    """Paints the table at a fixed size.

    Args:
        size: height and width in pixels, at least 16.
        pusher_radius: cm.
    """

    def __init__(self, size: int, pusher_radius: float) -> None:
        if size < 16:
            raise ValueError(f"PushingPainter: size is {size} pixels, must be at least 16")
        self._radius = pusher_radius
        span = 2.0 * (TABLE + pusher_radius)
        self._pixel = span / size
        centres = (np.arange(size) + 0.5) * self._pixel - span / 2.0
        self._x, self._y = np.meshgrid(centres, centres[::-1])
        self._empty: Picture = np.empty((size, size, 3), np.uint8)
        self._empty[:] = FLOOR
        self._empty[self._in_square(np.zeros(3))] = GOAL

    def paint(self, pusher: Floats, pose: Floats, trail: Floats) -> Picture:
        """A picture, uint8 (size, size, 3), x to the right and y up.

        Args:
            pusher: position (2,).
            pose: of the block, (3,).
            trail: the pusher's path so far, (n, 2).
        """
        image = self._empty.copy()
        image[self._in_square(pose)] = BLOCK
        # The goal's outline stays visible under the block.
        outline = np.maximum(np.abs(self._x), np.abs(self._y))
        image[np.abs(outline - HALF) <= 0.75 * self._pixel] = tuple(value - 70 for value in GOAL)
        for start, end in pairwise(trail):
            steps = max(1, math.ceil(float(np.linalg.norm(end - start)) / self._pixel))
            path = start + np.linspace(0.0, 1.0, steps + 1)[:, None] * (end - start)
            image[self._pixels(path)] = TRAIL
        image[np.hypot(self._x - pusher[0], self._y - pusher[1]) <= self._radius] = _PUSHER
        return image

    def _in_square(self, pose: Floats) -> NDArray[np.bool_]:
        c, s = math.cos(pose[2]), math.sin(pose[2])
        dx, dy = self._x - pose[0], self._y - pose[1]
        inside: NDArray[np.bool_] = np.maximum(np.abs(c * dx + s * dy), np.abs(c * dy - s * dx)) <= HALF
        return inside

    def _pixels(self, points: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of points (n, 2), those outside left out."""
        columns = np.floor((points[:, 0] - self._x[0, 0]) / self._pixel + 0.5).astype(np.int64)
        rows = np.floor((self._y[0, 0] - points[:, 1]) / self._pixel + 0.5).astype(np.int64)
        size = len(self._x)
        seen = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
        return rows[seen], columns[seen]
