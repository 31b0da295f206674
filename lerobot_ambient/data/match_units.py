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


def convert_gripper(target: Range, source: Range, *, is_same_name: bool) -> Conversion:
    """A gripper's conversion: 0 to 1 against 0 to 100, else the source's range onto the target's.

    Args:
        target, source: recorded ranges.
        is_same_name: grippers of one name keep their unit unless their ranges differ by more than a factor of 20.
    """
    if _is_fraction(source) and _is_percentage(target):
        return Conversion(100.0, why="0..1 there, 0..100 here: check")
    if _is_percentage(source) and _is_fraction(target):
        return Conversion(0.01, why="0..100 there, 0..1 here: check")
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
    common = min(target[1], source[1]) - max(target[0], source[0])
    return common < 0.25 * (max(target[1], source[1]) - min(target[0], source[0]))


def rounded(value: float) -> float:
    """4 significant digits: more would pretend that a range is a calibration."""
    return float(f"{value:.4g}")


def text_of(values: Range) -> str:
    """A range in a comment, 3 significant digits."""
    return f"{values[0]:.3g}..{values[1]:.3g}"


def _largest(ranges: Sequence[Range]) -> float:
    return float(np.abs(np.asarray(ranges, dtype=np.float64)).max()) if ranges else 0.0


def _is_fraction(values: Range) -> bool:
    return values[0] >= -0.05 and 0.2 < values[1] <= 1.05


def _is_percentage(values: Range) -> bool:
    return values[0] >= -10.0 and 1.5 < values[1] <= 110.0
