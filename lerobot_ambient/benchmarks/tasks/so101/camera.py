# SPDX-License-Identifier: Apache-2.0
"""What a camera above the table would see of a recorded episode: the box, the cube and the arm, in a few colours."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import PIL.Image
import PIL.ImageDraw
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.so101.recordings import BOX, CLOSED, OPEN
from lerobot_ambient.testing.virtual_arm.geometry import links
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

_SPAN, _BEHIND = 0.48, 0.12
"""Metres that the picture is wide and high, and how far behind the base it begins."""
_CUBE, _HALF_BOX, _ARM = 0.016, 0.045, 0.012
_HELD = (CLOSED + OPEN) / 2
_TABLE, _WOOD, _RED, _DARK, _STEEL = (236, 232, 224), (176, 137, 94), (205, 56, 40), (52, 56, 64), (120, 128, 138)
_FINER = 3
"""Drawn so many times larger and then made smaller, for soft edges."""


def pictures(state: NDArray[np.float32], cube: tuple[float, float], size: int) -> Iterator[bytes]:
    """A PNG of `size` by `size` pixels for each frame of an episode.

    Args:
        state: (T, 6) as `record` gives it.
        cube: pan and r of where it lies at first.
        size: in pixels.
    """
    names = [joint.name for joint in JOINTS]
    lies, held = _place(*cube), False
    for row in state:
        tip = links(dict(zip(names, row.tolist(), strict=True)))[5]
        at = _place(float(row[0]), float(tip[0]))
        closed = float(row[5]) < _HELD
        # It is carried from the moment the jaws close about it, and lies where they open.
        held = closed and (held or bool(np.hypot(*(at - lies)) < 0.02))
        lies = at if held else lies
        yield _picture(float(row[0]), float(tip[0]), float(row[5]), lies, size)


def _place(pan: float, r: float) -> NDArray[np.float64]:
    """Left and forward of the base, in metres."""
    turn = np.radians(pan)
    return np.array([r * np.sin(turn), r * np.cos(turn)])


def _picture(pan: float, r: float, gripper: float, cube: NDArray[np.float64], size: int) -> bytes:
    pixels = size * _FINER
    scale = pixels / _SPAN
    image = PIL.Image.new("RGB", (pixels, pixels), _TABLE)
    draw = PIL.ImageDraw.Draw(image)

    def at(place: NDArray[np.float64]) -> tuple[float, float]:
        return pixels / 2 - scale * float(place[0]), pixels - scale * (float(place[1]) + _BEHIND)

    def square(place: NDArray[np.float64], half: float, **look: object) -> None:
        x, y = at(place)
        draw.rectangle((x - scale * half, y - scale * half, x + scale * half, y + scale * half), **look)  # type: ignore[arg-type]

    square(_place(*BOX), _HALF_BOX, fill=_WOOD, outline=_DARK, width=max(1, round(scale * 0.006)))
    square(cube, _CUBE, fill=_RED)
    wide = max(1, round(scale * 2 * _ARM))
    draw.line([at(_place(pan, 0.0)), at(_place(pan, r - 0.03))], fill=_DARK, width=wide)
    square(_place(pan, 0.0), 0.03, fill=_DARK)
    for side in (-1.0, 1.0):
        jaw = pan + side * (3.0 + gripper / 8)
        draw.line([at(_place(pan, r - 0.03)), at(_place(jaw, r + 0.005))], fill=_STEEL, width=max(1, wide // 2))
    packed = io.BytesIO()
    image.resize((size, size), PIL.Image.Resampling.BOX).save(packed, "PNG")
    return packed.getvalue()
