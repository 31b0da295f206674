# SPDX-License-Identifier: Apache-2.0
"""Whether an aligned source's numbers are in another unit than the target's: degrees beside radians, mm beside metres.

Dimensions of one name are merged as they are, so a unit that differs passes every other check and is learnt. Ranges
tell it, though not beyond doubt: a source may be wilder, or hardly move. So it is said, and nothing is converted.

    too large    a dimension reaches more than `FAR` times half the target's range from its middle. A single glitch
                 does so too; normalised, either swamps what the network sees.
    too small    most of the moving dimensions of one kind (joints, grippers, ...) span less than 1 / `FAR` of the
                 target's. One joint that hardly moves is no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.alignment.feature_map import ABSENT
from lerobot_ambient.data.alignment.match_names import Dimension
from lerobot_ambient.data.alignment.match_units import DEGREES_A_RADIAN, RADIANS_A_DEGREE, Range, text_of
from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.files.policy_numbers import READ_BY_POLICY

FAR = 20.0
"""Ranges that differ by less are called wild or lazy motion."""

_KNOWN = {
    "degrees to radians": RADIANS_A_DEGREE,
    "radians to degrees": DEGREES_A_RADIAN,
    "percent to fractions": 0.01,
    "fractions to percent": 100.0,
    "millimetres to metres": 0.001,
    "metres to millimetres": 1000.0,
}
_KINDS = {
    "degrees to radians": ("joint", "rate"),
    "radians to degrees": ("joint", "rate"),
    "percent to fractions": ("gripper",),
    "fractions to percent": ("gripper",),
}
"""Other units are of poses."""
_NEAR = 4.0
"""Ranges that a conversion lays onto each other differ by less than this factor."""
_SHOWN = 4


def foreign_units(target: AlignedSource, source: AlignedSource) -> list[str]:
    """A line for each feature of which dimensions seem to be in another unit, with the line to write.

    Args:
        target: as opened.
        source: aligned. One that is normalised by its own statistics has its own unit by declaration.
    """
    if source.config.normalization == "own":
        return []
    lines = []
    for key in READ_BY_POLICY:
        if key not in source.maps or key not in target.columns:
            continue
        names = source.maps[key].names
        here, there = (_ranges(side.columns[key]) for side in (target, source))
        found = _foreign(names, here, there, source.maps[key].take != ABSENT)
        if found:
            lines.append(_line(source, key, [(names[j], _range(there, j), _range(here, j)) for j in found]))
    return lines


def _ranges(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2, D) smallest and largest of (N, D)."""
    return np.stack([values.min(0), values.max(0)]).astype(np.float64)


def _range(ranges: NDArray[np.float64], j: int) -> Range:
    return float(ranges[0, j]), float(ranges[1, j])


def _foreign(
    names: Sequence[str], here: NDArray[np.float64], there: NDArray[np.float64], taken: NDArray[np.bool_]
) -> list[int]:
    """The dimensions that are too large or too small.

    Args:
        names: (D,) of the dimensions.
        here, there: (2, D) ranges of the target and the source.
        taken: (D,) whether the source has the dimension.
    """
    mine, other = here[1] - here[0], there[1] - there[0]
    # What is constant in the target is given a range of its own, and is told of elsewhere.
    moves = taken & (mine > 0.0)
    middle = here.mean(0)
    reach = np.maximum(there[1] - middle, middle - there[0])
    foreign = moves & (reach > FAR * mine / 2)
    kinds = np.array([Dimension.parse(name).kind for name in names])
    for kind in set(kinds.tolist()):
        both = moves & (other > 0.0) & (kinds == kind)
        if both.any() and np.median(other[both] / mine[both]) < 1.0 / FAR:
            foreign |= both & (other < mine / FAR)
    return np.flatnonzero(foreign).tolist()


def _line(source: AlignedSource, key: str, found: Sequence[tuple[str, Range, Range]]) -> str:
    shown = [f"{name} runs over {text_of(there)}, the target's over {text_of(here)}" for name, there, here in found]
    more = f"; {len(found) - _SHOWN} dimensions more" if len(found) > _SHOWN else ""
    declared = source.config.dimensions.get(key, {})
    rules, units = [], []
    for name, there, here in found:
        unit = _missing_unit(name, there, here)
        if unit is None:
            continue
        units.append(unit)
        rule = declared.get(name, DimensionConfig())
        take = "" if rule.take is None else f"take: {rule.take}, "
        rules.append(f"{name}: {{{take}scale: {_KNOWN[unit] * rule.scale:.7g}}}")
    fix = "declare scale and offset of these dimensions"
    if rules:
        fix = f"{' and '.join(dict.fromkeys(units))} perhaps, write dimensions: {{{key}: {{{', '.join(rules)}}}}}"
    return (
        f"'{source.name}': {key}: {'; '.join(shown[:_SHOWN])}{more}. The policy learns these numbers as they are. If "
        f"they are in another unit, {fix}; if a recording is at fault, leave its episode out."
    )


def _missing_unit(name: str, there: Range, here: Range) -> str | None:
    """The conversion that would lay one range onto the other; None where no common one does."""
    spans = [high - low for low, high in (here, there)]
    if min(spans) <= 0.0:
        return None
    kind = Dimension.parse(name).kind
    for unit, scale in _KNOWN.items():
        if kind in _KINDS.get(unit, ("pose",)) and abs(math.log(spans[0] / spans[1] / scale)) < math.log(_NEAR):
            return unit
    return None
