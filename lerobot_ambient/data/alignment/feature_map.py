# SPDX-License-Identifier: Apache-2.0
"""How the numbers of one feature of a source become the target's: by name, with a unit, or not at all.

value[j] = scale[j] * source[take[j]] + offset[j]      for dimensions the source has
value[j] = offset[j]                                   for dimensions it lacks (filled or masked)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION
from numpy.typing import NDArray

from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.files.dimension_names import Names, read_names

ABSENT = -1


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """The map of one numeric feature with D target dimensions and D_s source dimensions.

    Args:
        names: (D,) the target's dimension names.
        take: (D,) int64 source dimension, or ABSENT.
        scale, offset: (D,) float64; where absent, scale is 0 and offset the constant.
        masked: (D,) bool, absent dimensions that carry no loss.
        interpolation: per dimension, declared for resampling in time, or None.
        width: D_s.
        remark: what its user has to check, where dimensions were taken by their place; else None.
    """

    names: tuple[str, ...]
    take: NDArray[np.int64]
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    masked: NDArray[np.bool_]
    interpolation: tuple[str | None, ...]
    width: int
    remark: str | None = None

    @property
    def is_identity(self) -> bool:
        return (
            self.width == len(self.take)
            and bool((self.take == np.arange(self.width)).all())
            and bool((self.scale == 1.0).all() and (self.offset == 0.0).all())
        )

    @property
    def left_out(self) -> list[int]:
        """Source dimensions that nothing takes."""
        return sorted(set(range(self.width)) - set(self.take.tolist()))

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., D_s) to (..., D). Arithmetic in float64; an untouched number keeps its bits."""
        if self.is_identity:
            return values
        taken = values[..., np.maximum(self.take, 0)]
        if (self.scale == 1.0).all() and (self.offset == 0.0).all():
            return taken
        return (taken.astype(np.float64) * self.scale + self.offset).astype(np.float32)

    def invert(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(..., D) to (..., D_s): the source's own numbers, NaN for dimensions that nothing takes."""
        result = np.full((*values.shape[:-1], self.width), np.nan)
        for j, source in enumerate(self.take):
            if source != ABSENT:
                result[..., source] = (values[..., j].astype(np.float64) - self.offset[j]) / self.scale[j]
        return result.astype(np.float32)


def resolve(
    key: str, target: Mapping[str, Any], source: Mapping[str, Any], declared: Mapping[str, DimensionConfig]
) -> tuple[FeatureMap, list[str]]:
    """The map between two feature specs of the same key.

    Args:
        key: the target's key.
        target, source: LeRobot feature specs.
        declared: per target dimension, what the user wrote.

    Returns:
        The map, and what keeps it from being complete: one line a problem, naming both sides and the fix.
    """
    here, there = read_names(target), read_names(source)
    names, others = here.names, there.names
    problems = []
    unknown = [name for name in declared if name not in names]
    if unknown:
        problems.append(f"{key}: dimensions names {unknown}, the target's are {list(names)}")
    # Numbers identify a dimension only between features of one size, and names that cannot be read none at all.
    anonymous = here.are_numbers or there.are_numbers
    is_same = _written(target) == _written(source)
    unread = None if is_same else _unread(key, here, there, declared)
    by_name = {name: i for i, name in enumerate(others)}
    by_place = anonymous and unread is None and len(names) == len(others)
    by_default = dict(zip(names, others, strict=True)) if by_place else {}

    take = np.full(len(names), ABSENT, dtype=np.int64)
    scale, offset = np.zeros(len(names)), np.zeros(len(names))
    masked = np.zeros(len(names), dtype=bool)
    missing = []
    for j, name in enumerate(names):
        rule = declared.get(name, DimensionConfig())
        if rule.mask and key != ACTION:
            problems.append(f"{key}: '{name}' cannot be masked, an observation carries no loss; write fill instead")
        if rule.is_absent:
            offset[j], masked[j] = rule.fill or 0.0, rule.mask
            continue
        wanted = rule.take if rule.take is not None else by_default.get(name, name)
        if wanted not in by_name or (anonymous and not by_default and rule.take is None):
            missing.append(name if rule.take is None else f"{name} (take: {rule.take})")
            continue
        take[j], scale[j], offset[j] = by_name[wanted], rule.scale, rule.offset
    if missing and unread is not None:
        problems.append(unread)
    elif missing:
        example = missing[0].split(" (")[0]
        problems.append(
            f"{key}: the source has no dimension for {missing}.\n      target: {list(names)}\n"
            f"      source: {list(others)}\n"
            f"      declare each, e.g. dimensions: {{{key}: {{{example}: {{take: {others[0]}}}}}}}, with {{fill: 0.0}}"
            f"{' or {mask: true}' if key == ACTION else ''} for what the source lacks"
        )
    interpolation = tuple(declared[name].interpolation if name in declared else None for name in names)
    feature = FeatureMap(names, take, scale, offset, masked, interpolation, len(others))
    taken = [name for name in names if name not in declared or not (declared[name].is_absent or declared[name].take)]
    return replace(feature, remark=_remark(here, there, is_same) if by_place and taken else None), problems


def _written(spec: Mapping[str, Any]) -> str:
    """Shape and names, to be compared: what one recorder wrote twice has one order, whether it can be read or not."""
    return json.dumps([spec["shape"], spec.get("names")], default=str)


def _unread(key: str, here: Names, there: Names, declared: Mapping[str, DimensionConfig]) -> str | None:
    """Why dimensions are not matched where a side's names cannot be read, and what to write; None where both can."""
    if here.problem is not None:
        example = list(there.names) if not there.are_numbers and len(there.names) == len(here.names) else "..."
        line = json.dumps({key: example}).replace('"..."', "[...]")
        return (
            f"{key}: the target's names of dimensions cannot be read ({here.problem}), so the source's cannot be "
            f"matched.\n      source: {list(there.names)}\n"
            f"      name the target's {len(here.names)} in their order, --policy.target_dimension_names='{line}'"
        )
    if there.problem is None:
        return None
    places = ", ".join(f'{name}: {{take: "{i}"}}' for i, name in enumerate(here.names) if i < len(there.names))
    return (
        f"{key}: the source's names of dimensions cannot be read ({there.problem}), so they are not matched.\n"
        f"      target: {list(here.names)}\n"
        f"      say which of its {len(there.names)} numbers is which; if they stand in the target's order,\n"
        f"      dimensions: {{{key}: {{{places}}}}}"
    )


def _remark(here: Names, there: Names, is_same: bool) -> str:
    """How dimensions came to be taken by their place."""
    if is_same and here.problem is not None:
        return f"the names of its dimensions cannot be read ({here.problem}); they are called by their numbers"
    if here.are_numbers and there.are_numbers:
        return "dimensions are matched by position: neither the target nor the source names them"
    side, names = ("target", there.names) if here.are_numbers else ("source", here.names)
    return f"dimensions are matched by position: the {side} does not name them; taken as {list(names)}"


def nearest_dimensions(feature: FeatureMap, values: NDArray[np.float32], sample: int = 100_000) -> NDArray[np.bool_]:
    """(D,) which dimensions are switches, to be resampled by the nearest frame instead of linearly.

    As declared; else grippers by name, and dimensions with at most two values among the first `sample` frames.

    Args:
        feature: the map.
        values: (N, D) aligned numbers.
    """
    result = np.zeros(len(feature.names), dtype=bool)
    for j, (name, declared) in enumerate(zip(feature.names, feature.interpolation, strict=True)):
        if declared is not None:
            result[j] = declared == "nearest"
        else:
            result[j] = "gripper" in name.lower() or len(np.unique(values[:sample, j])) <= 2
    return result
