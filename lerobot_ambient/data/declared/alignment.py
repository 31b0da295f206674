# SPDX-License-Identifier: Apache-2.0
"""How a user declares that a source differs from the target: dimensions, cameras.

dimensions:
  action:
    elbow_flex.pos: {take: right.joint_3.pos, scale: 57.29578}   # radians there, degrees here
    gripper.pos: {take: right_hand.joint_1.pos, scale: 100.0, interpolation: nearest}
    wrist_roll.pos: {mask: true}                                 # the source has none: no loss
cameras:
  observation.images.front: {fit: crop}                          # another aspect ratio
  observation.images.wrist: {fill: 0.0}                          # the source has none: black
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

INTERPOLATIONS = ("linear", "nearest")
FITS = ("stretch", "pad", "crop")

Gain = float | dict[str, float] | None
"""How far a step of 1 moves the state: one number for all dimensions, or one for each."""


@dataclass
class DimensionConfig:
    """Where one dimension of the target's action or observation comes from: value = scale * source + offset.

    Args:
        take: name of the source's dimension, or its number ("0", "1", ...) where the source has no names; the
            target's own name when None.
        scale, offset: convert the source's unit, sign and zero to the target's.
        fill: the source lacks this dimension; this constant, in the target's unit, stands for it.
        mask: the source lacks this action dimension; it carries no loss.
        interpolation: between frames of a source at another frame rate: linear, or nearest for switches.
            When None: nearest for grippers and for dimensions with at most two values, else linear.
    """

    take: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    fill: float | None = None
    mask: bool = False
    interpolation: str | None = None

    def __post_init__(self) -> None:
        ways = [
            name
            for name, given in (("take", self.take), ("fill", self.fill), ("mask", self.mask or None))
            if given is not None
        ]
        if len(ways) > 1:
            raise ValueError(f"a dimension gives {' and '.join(ways)}; keep one: it is either taken, filled or masked.")
        if not (math.isfinite(self.scale) and self.scale != 0.0 and math.isfinite(self.offset)):
            raise ValueError(
                f"a dimension's scale and offset must be finite, its scale not 0; got {self.scale} and "
                f"{self.offset}. Use fill for a constant."
            )
        if self.fill is not None and not math.isfinite(self.fill):
            raise ValueError(f"a dimension's fill must be finite, got {self.fill}.")
        if self.interpolation is not None and self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}; got '{self.interpolation}'.")

    @property
    def is_absent(self) -> bool:
        """Whether the source lacks the dimension."""
        return self.mask or self.fill is not None


@dataclass
class CameraConfig:
    """How a source's camera becomes the target's.

    Args:
        fit: how an image of another aspect ratio is brought to the target's: stretch, pad (with black), or crop
            (about the centre). Images of the same ratio are resized without being asked for.
        fill: the source lacks this camera; a grey image of this brightness in [0, 1] stands for it.
    """

    fit: str | None = None
    fill: float | None = None

    def __post_init__(self) -> None:
        if self.fit is not None and self.fit not in FITS:
            raise ValueError(f"a camera's fit must be one of {', '.join(FITS)}; got '{self.fit}'.")
        if self.fill is not None and not 0.0 <= self.fill <= 1.0:
            raise ValueError(f"a camera's fill is a brightness in [0, 1], got {self.fill}.")
        if self.fit is not None and self.fill is not None:
            raise ValueError("a camera gives fit and fill; keep one: an absent camera has nothing to fit.")


def check_gain(gain: Gain, what: str) -> None:
    """Refuse a declared gain that is no number to multiply by.

    Raises:
        ValueError: naming `what`.
    """
    values = list(gain.values()) if isinstance(gain, Mapping) else [] if gain is None else [gain]
    if any(not math.isfinite(value) or value == 0.0 for value in values):
        raise ValueError(f"{what} must be finite and not 0, got {gain}: a step of 1 moves the state by it.")
