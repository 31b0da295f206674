# SPDX-License-Identifier: Apache-2.0
"""What a catalogue entry says of a source's end effector: `end_effector` that need not be written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lerobot_ambient.data.catalogue.entry import Entry, FeatureSchema
from lerobot_ambient.data.declared.end_effector import FORMS, EndEffectorConfig, PoseConfig

_FORMS = {"rpy": "euler_xyz", "rotation_vector": "rotation_vector", "quaternion_xyzw": "quaternion_xyzw"}
"""Rotations of the catalogue that are known beyond doubt; the others have to be declared."""
_KINDS = {("ee_absolute", "base"): "absolute", ("ee_delta", "base"): "delta_base", ("ee_delta", "tool"): "delta_tool"}
_METRES = {"m": 1.0, "mm": 0.001}
_RADIANS = {"rad": 1.0, "deg": math.radians(1.0)}


def from_entry(one: Entry) -> EndEffectorConfig:
    """Where the poses of an entry's dataset are.

    Raises:
        ValueError: two arms, joints, or something of the pose that the entry does not know; with what it says.
    """
    if one.arms != 1:
        raise ValueError(f"it has {one.arms} arms, and end-effector space has one.")
    if one.action is None:
        raise ValueError("it does not know what the actions are.")
    state = one.state
    is_pose = state is not None and state.kind == "ee_absolute"
    return EndEffectorConfig(
        action=_pose("action", one.action), state=_pose("observation.state", state) if is_pose and state else None
    )


def _pose(key: str, feature: FeatureSchema) -> PoseConfig:
    kind = _KINDS.get((feature.kind, str(feature.frame)))
    if kind is None:
        raise ValueError(f"its {key} is of kind {feature.kind} in the axes of {feature.frame}.")
    form = _FORMS.get(feature.rotation)
    if form is None:
        raise ValueError(f"the rotation of its {key} is {feature.rotation}.")
    grippers = [name for name in feature.names if name in feature.gripper or "gripper" in name]
    numbers = [name for name in feature.names if name not in grippers and name not in feature.padding]
    if len(numbers) != 3 + FORMS[form] or len(grippers) > 1:
        raise ValueError(f"its {key} has {list(feature.names)}, which is no position, rotation ({form}) and gripper.")
    return PoseConfig(
        position=numbers[:3],
        rotation=numbers[3:],
        form=form,
        kind=kind,
        gripper=grippers[0] if grippers else None,
        position_scale=_METRES[feature.units.get("position", "m")] * _gain(key, feature.gain, numbers[:3]),
        rotation_scale=1.0
        if FORMS[form] != 3
        else _RADIANS[feature.units.get("rotation", "rad")] * _gain(key, feature.gain, numbers[3:]),
    )


def _gain(key: str, gain: float | Mapping[str, float] | None, names: Sequence[str]) -> float:
    """How far a 1 goes along all of these dimensions."""
    if gain is None or not isinstance(gain, Mapping):
        return 1.0 if gain is None else gain
    values = {gain.get(name, 1.0) for name in names}
    if len(values) != 1:
        raise ValueError(f"its {key} has other gains along {list(names)}: {dict(gain)}.")
    return values.pop()
