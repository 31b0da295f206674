# SPDX-License-Identifier: Apache-2.0
"""Pictures of the arm by plain array arithmetic, without a graphics library: from the side, and below it from above."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.arm7.scene import BOXES
from lerobot_ambient.core.arrays import Floats

_BACKGROUND, _OBSTACLE, _SURFACE = (245, 245, 245), (196, 200, 207), (226, 222, 212)
ARM, GOAL, TRAIL = (214, 69, 65), (120, 188, 130), (150, 160, 175)
WIDTH = 0.045
"""Half of a drawn link's thickness, in m."""
X, _SIDE_Z, _TOP_Y = (-0.6, 1.0), (-0.05, 1.2), (-0.95, 0.95)
"""What each view shows, in m."""

Picture = NDArray[np.uint8]


class _View:
    """An orthographic view on one half of the picture: x to the right, and y or z up."""

    def __init__(self, axis: int, up: tuple[float, float], rows: int, columns: int) -> None:
        self._axis = axis
        # One scale for both directions, and what is to be seen in the middle.
        self.pixel = max((X[1] - X[0]) / columns, (up[1] - up[0]) / rows)
        across = sum(X) / 2 + self.pixel * (np.arange(columns) + 0.5 - columns / 2)
        upward = sum(up) / 2 - self.pixel * (np.arange(rows) + 0.5 - rows / 2)
        self._x, self._up = np.meshgrid(across, upward)
        self.empty: Picture = np.empty((rows, columns, 3), np.uint8)
        self.empty[:] = _BACKGROUND
        # The lowest first, as the eye from above sees them.
        for name, (centre, half) in sorted(BOXES.items(), key=lambda box: box[1][0][2] + box[1][1][2]):
            inside = (np.abs(self._x - centre[0]) <= half[0]) & (np.abs(self._up - centre[axis]) <= half[axis])
            self.empty[inside] = _SURFACE if name == "table" else _OBSTACLE

    def line(self, image: Picture, points: Floats, half: float, colour: tuple[int, int, int]) -> None:
        """Draw the polyline (n, 3), `half` m to either side."""
        flat = points[:, [0, self._axis]]
        half = max(half, 0.5 * self.pixel)
        for start, end in pairwise(flat):
            along = end - start
            squared = max(float(along @ along), 1e-12)
            dx, dy = self._x - start[0], self._up - start[1]
            share = np.clip((dx * along[0] + dy * along[1]) / squared, 0.0, 1.0)
            image[np.hypot(dx - share * along[0], dy - share * along[1]) <= half] = colour


class ArmPainter:
    """Paints both views at a fixed size.

    Args:
        size: height and width in pixels, at least 16.
    """

    def __init__(self, size: int) -> None:
        if size < 16:
            raise ValueError(f"ArmPainter: size is {size} pixels, must be at least 16")
        rows = size // 2
        self._views = _View(2, _SIDE_Z, rows, size), _View(1, _TOP_Y, size - rows, size)

    def paint(self, arm: Floats, goal: Floats, tool: Floats) -> Picture:
        """A picture, uint8 (size, size, 3).

        Args:
            arm: places of base, joints and tool, (m, 3), in m.
            goal: those at the goal, (m, 3).
            tool: the tool's path so far, (n, 3).
        """
        halves = []
        for view in self._views:
            image = view.empty.copy()
            view.line(image, goal, 0.5 * WIDTH, GOAL)
            view.line(image, tool, 0.0, TRAIL)
            view.line(image, arm, WIDTH, ARM)
            halves.append(image)
        return np.concatenate(halves)
