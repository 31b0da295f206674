# SPDX-License-Identifier: Apache-2.0
"""Pictures of a Meta-World episode by plain array arithmetic: from above, and below it from the side."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.arrays import Floats

Picture = NDArray[np.uint8]
_BACKGROUND, _TABLE = (245, 245, 245), (226, 222, 212)
HAND, OBJECT, GOAL, TRAIL = (214, 69, 65), (70, 110, 190), (120, 188, 130), (150, 160, 175)
_ACROSS, _TOP, _SIDE = (-0.5, 0.5), (0.35, 1.0), (-0.05, 0.5)
"""What the views show, in m: x to the right; y up in the one, z in the other."""
_HAND_RADIUS, _OBJECT_RADIUS, _GOAL_RADIUS = 0.022, 0.026, 0.04


class _View:
    """An orthographic view on one half of the picture."""

    def __init__(self, axis: int, up: tuple[float, float], rows: int, columns: int) -> None:
        self._axis = axis
        self.pixel = max((_ACROSS[1] - _ACROSS[0]) / columns, (up[1] - up[0]) / rows)
        across = sum(_ACROSS) / 2 + self.pixel * (np.arange(columns) + 0.5 - columns / 2)
        upward = sum(up) / 2 - self.pixel * (np.arange(rows) + 0.5 - rows / 2)
        self._x, self._up = np.meshgrid(across, upward)
        self.empty: Picture = np.empty((rows, columns, 3), np.uint8)
        self.empty[:] = _BACKGROUND
        if axis == 2:
            self.empty[self._up < 0.0] = _TABLE

    def disc(self, image: Picture, place: Floats, radius: float, colour: tuple[int, int, int]) -> None:
        """Draw a disc about a place (3,)."""
        away = np.hypot(self._x - place[0], self._up - place[self._axis])
        image[away <= max(radius, self.pixel)] = colour

    def line(self, image: Picture, points: Floats, colour: tuple[int, int, int]) -> None:
        """Draw the polyline (n, 3)."""
        for start, end in pairwise(points):
            steps = max(2, int(np.linalg.norm(end - start) / self.pixel) + 1)
            for share in np.linspace(0.0, 1.0, steps):
                place = start + share * (end - start)
                row = np.argmin(np.abs(self._up[:, 0] - place[self._axis]))
                column = np.argmin(np.abs(self._x[0] - place[0]))
                image[row, column] = colour


class HandPainter:
    """Paints both views at a fixed size.

    Args:
        size: height and width in pixels, at least 16.
    """

    def __init__(self, size: int) -> None:
        if size < 16:
            raise ValueError(f"HandPainter: size is {size} pixels, must be at least 16")
        rows = size // 2
        self._views = _View(1, _TOP, rows, size), _View(2, _SIDE, size - rows, size)

    def paint(self, trail: Floats, thing: Floats, goal: Floats, opening: float) -> Picture:
        """A picture, uint8 (size, size, 3).

        Args:
            trail: the hand's path so far, (n, 3), in m.
            thing: the object's place, (3,).
            goal: where it must go, (3,).
            opening: of the gripper, in [0, 1]; a closed hand is drawn smaller.
        """
        halves = []
        for view in self._views:
            image = view.empty.copy()
            view.disc(image, goal, _GOAL_RADIUS, GOAL)
            view.line(image, trail, TRAIL)
            view.disc(image, thing, _OBJECT_RADIUS, OBJECT)
            view.disc(image, trail[-1], _HAND_RADIUS * (0.5 + 0.5 * opening), HAND)
            halves.append(image)
        return np.concatenate(halves)
