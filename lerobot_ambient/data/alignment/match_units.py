# SPDX-License-Identifier: Apache-2.0
"""Which unit a source's joints and grippers are most likely in, by the ranges that were recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]
"""Smallest and largest recorded value."""

DEGREES_A_RADIAN = 57.29578
RADIANS_A_DEGREE = 0.01745329

_MOST_RADIANS = 2.0 * math.pi + 0.1
_LEAST_DEGREES, _MOST_DEGREES = 7.0, 400.0
_UNIT = 1.05
_FOREIGN = 20.0
"""Grippers of one name whose ranges differ by more than this factor do not share a unit."""
_JITTER = 0.1
"""How far a noisy gripper of 0 to 1 may be beyond its ends."""
_FITS = 0.5
"""A unit explains two ranges that have at least this part of what they span together in common."""


@dataclass(frozen=True)
class Conversion:
    """value = scale * source + offset, and why; the identity has no reason."""

    scale: float = 1.0
    offset: float = 0.0
    why: str = ""


def convert_angles(target: Sequence[Range], source: Sequence[Range]) -> Conversion:
    """One conversion for all matched joints of a robot: degrees and radians are a habit of the whole robot.

    Args:
        target, source: ranges of the matched joints of each side.
    """
    here, there = _largest(target), _largest(source)
    sizes = f"up to {there:.3g} there, {here:.3g} here"
    check = "(or normalised to 1?), check the sign" if min(here, there) <= _UNIT else "check the sign"
    if not all(0 < size <= _MOST_DEGREES for size in (here, there)):
        return Conversion()
    if here > _LEAST_DEGREES and there <= _MOST_RADIANS:
        return Conversion(DEGREES_A_RADIAN, why=f"{sizes}: radians to degrees, {check}")
    if there > _LEAST_DEGREES and here <= _MOST_RADIANS:
        return Conversion(RADIANS_A_DEGREE, why=f"{sizes}: degrees to radians, {check}")
    return Conversion()


def convert_gripper(target: Range, source: Range, *, is_same_name: bool, angles: Conversion) -> Conversion:
    """A gripper's conversion: a unit's factor where one explains the ranges, else the source's range onto the target's.

    Args:
        target, source: usual ranges (1 % to 99 %): one jerk past the end would shift a map of extremes.
        is_same_name: grippers of one name keep their unit unless their ranges differ by more than a factor of 20.
        angles: the conversion of the same arm's joints; drivers that give every motor in radians do so for the gripper.
    """
    turned, fits = angles.scale, _overlap(target, source, angles.scale)
    seen = f"{text_of(source)} there, {text_of(target)} here"
    for scale, of, onto in ((100.0, source, target), (0.01, target, source)):
        if _is_fraction(of) and _is_percentage(onto):
            if not angles.why or _overlap(target, source, scale) >= fits:
                return Conversion(scale, why=f"{seen}: 0..1 and 0..100, check")
            return Conversion(turned, why=f"{seen}: in the joints' unit (scale {scale:g} if 0..1 and 0..100), check")
    if angles.why and fits >= _FITS:
        return Conversion(turned, why=f"{seen}: in the joints' unit, check")
    here, there = target[1] - target[0], source[1] - source[0]
    if here <= 0 or there <= 0:
        return Conversion()
    alike = _FOREIGN if is_same_name else 1.25
    if 1 / alike <= here / there <= alike and (is_same_name or abs(source[0] - target[0]) <= 0.25 * here):
        return Conversion()
    scale = here / there
    why = f"{text_of(source)} there onto {text_of(target)} here: check which end is open"
    return Conversion(rounded(scale), rounded(target[0] - rounded(scale) * source[0]), why)


def is_elsewhere(target: Range, source: Range) -> bool:
    """Whether two ranges in one unit hardly overlap: less than a quarter of what they span together."""
    return _overlap(target, source, 1.0) < 0.25


def rounded(value: float) -> float:
    """4 significant digits: more would pretend that a range is a calibration."""
    return float(f"{value:.4g}")


def text_of(values: Range) -> str:
    """A range in a comment, 3 significant digits."""
    return f"{values[0]:.3g}..{values[1]:.3g}"


def _largest(ranges: Sequence[Range]) -> float:
    return float(np.abs(np.asarray(ranges, dtype=np.float64)).max()) if ranges else 0.0


def _overlap(target: Range, source: Range, scale: float) -> float:
    """What the target's range and the scaled source's have in common, as a part of what they span together.

    Below 0 where they lie apart.
    """
    low, high = scale * source[0], scale * source[1]
    spanned = max(target[1], high) - min(target[0], low)
    return (min(target[1], high) - max(target[0], low)) / spanned if spanned > 0 else 1.0


def _is_fraction(values: Range) -> bool:
    return values[0] >= -_JITTER and 0.2 < values[1] <= 1.0 + _JITTER


def _is_percentage(values: Range) -> bool:
    return values[0] >= -10.0 and 1.5 < values[1] <= 110.0
