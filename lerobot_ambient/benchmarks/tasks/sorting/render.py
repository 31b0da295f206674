# SPDX-License-Identifier: Apache-2.0
"""Pictures of the sorting table by plain array arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lerobot_ambient.benchmarks.tasks.sorting.task import BIN_CENTRES, BIN_HALF, CLOSED
from lerobot_ambient.core.arrays import Floats, Ints

TABLE, HAND = (245, 245, 245), (40, 44, 52)
_BLOCKS = ((214, 69, 65), (66, 116, 196))
_BINS = ((246, 205, 202), (203, 219, 243))
"""A bin has the pale colour of the blocks that belong there."""
_EMPTY_TRAIL = (190, 190, 190)
_BLOCK_HALF, _HAND_RADIUS = 0.05, 0.075

Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Scene:
    """What there is to see.

    Args:
        blocks: (n, 2) positions.
        colours: (n,) 0 red, 1 blue.
        hand: (3,) position and closure.
        trail: (x, y, held block or None) after every step so far.
    """

    blocks: Floats
    colours: Ints
    hand: Floats
    trail: Sequence[tuple[float, float, int | None]]


class SortingPainter:
    """Paints the table at a fixed size.

    Args:
        size: height and width in pixels, at least 16.
    """

    def __init__(self, size: int) -> None:
        if size < 16:
            raise ValueError(f"SortingPainter: size is {size} pixels, must be at least 16")
        self._pixel = 2.0 / size
        centres = (np.arange(size) + 0.5) * self._pixel - 1.0
        self._x, self._y = centres, centres[::-1]
        self._empty: Picture = np.empty((size, size, 3), np.uint8)
        self._empty[:] = TABLE
        for centre, colour in zip(BIN_CENTRES, _BINS, strict=True):
            self._rectangle(self._empty, centre, BIN_HALF, colour)

    def paint(self, scene: Scene) -> Picture:
        """A picture, uint8 (size, size, 3), x to the right and y up. The trail has the carried block's colour."""
        image = self._empty.copy()
        self._draw_trail(image, scene)
        for block, colour in zip(scene.blocks, scene.colours, strict=True):
            self._rectangle(image, block, _BLOCK_HALF, _BLOCKS[colour])
        self._ring(image, scene.hand[:2], _HAND_RADIUS if scene.hand[2] < CLOSED else 0.8 * _HAND_RADIUS)
        return image

    def _draw_trail(self, image: Picture, scene: Scene) -> None:
        size = len(image)
        points = np.array([place[:2] for place in scene.trail])
        held = np.array([-1 if place[2] is None else scene.colours[place[2]] for place in scene.trail])
        palette = np.array([*_BINS, _EMPTY_TRAIL], np.uint8)
        # As many stations on every segment as the longest has pixels.
        longest = np.abs(np.diff(points, axis=0)).max(initial=0.0) / self._pixel
        shares = np.linspace(0.0, 1.0, int(longest) + 2)[:, None]
        stations = points[:-1, None] + shares * (points[1:, None] - points[:-1, None])
        columns, rows = ((stations * (1, -1) + 1.0) / self._pixel).astype(int).clip(0, size - 2).reshape(-1, 2).T
        colours = palette[np.repeat(held[1:], len(shares))]
        for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
            image[rows + down, columns + across] = colours

    def _rectangle(self, image: Picture, centre: Floats, half: ArrayLike, colour: Colour) -> None:
        across, down = np.broadcast_to(half, 2)
        columns = np.abs(self._x - centre[0]) <= across
        rows = np.abs(self._y - centre[1]) <= down
        image[np.ix_(rows, columns)] = colour

    def _ring(self, image: Picture, centre: Floats, radius: float) -> None:
        distance = np.hypot(self._x[None] - centre[0], self._y[:, None] - centre[1])
        image[np.abs(distance - radius) <= max(self._pixel, 0.015)] = HAND
