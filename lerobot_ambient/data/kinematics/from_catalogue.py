# SPDX-License-Identifier: Apache-2.0
"""What a catalogue entry says of a source's end effector: `end_effector` that need not be written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lerobot_ambient.data.catalogue.entry import Entry, FeatureSchema
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig, PoseConfig

_POSITION = ["x", "y", "z"]
_ROTATIONS = {
    "rpy": ("euler_xyz", ["roll", "pitch", "yaw"]),
    "rotation_vector": ("rotation_vector", ["rx", "ry", "rz"]),
    "quaternion_xyzw": ("quaternion_xyzw", ["qx", "qy", "qz", "qw"]),
}
"""Rotations of the catalogue that are known beyond doubt, and what entries call their numbers; others are declared."""
_KINDS = {
    ("ee_absolute", "base"): "absolute",
    ("ee_delta", "base"): "delta_base",
    ("ee_delta", "tool"): "delta_tool",
    ("ee_delta", "base_and_tool"): "delta_mixed",
}
_METRES = {"m": 1.0, "mm": 0.001}
_RADIANS = {"rad": 1.0, "deg": math.radians(1.0)}


def from_entry(one: Entry) -> EndEffectorConfig:
    """Where the poses of an entry's dataset are.

    A gripper whose ends the entry knows becomes 0 (closed) to 1 (open); others stay as recorded.

    Raises:
        ValueError: two arms, joints, or something of the pose that the entry does not know; with what it says.
    """
    if one.arms != 1:
        raise ValueError(f"it has {one.arms} arms, and end-effector space has one.")
    if one.action is None:
        raise ValueError("it does not know what the actions are.")
    action = _pose("action", one.action)
    is_pose = one.state is not None and one.state.kind == "ee_absolute"
    state = _pose("observation.state", one.state) if is_pose and one.state else None
    if action.kind == "difference" and (state is None or state.form != action.form):
        written = "not a pose" if state is None else f"a pose of rotation {state.form}"
        raise ValueError(
            f"its actions are differences of the numbers of poses of rotation {action.form}, and its "
            f"observation.state is {written}."
        )
    return EndEffectorConfig(action=action, state=state)


def _pose(key: str, feature: FeatureSchema) -> PoseConfig:
    kind = _KINDS.get((feature.kind, str(feature.frame)))
    if kind is None:
        axes = "" if feature.frame is None else f" in the axes of {feature.frame}"
        raise ValueError(f"its {key} is of kind {feature.kind}{axes}.")
    if feature.rotation not in _ROTATIONS:
        raise ValueError(f"the rotation of its {key} is {feature.rotation}.")
    form, rotation = _ROTATIONS[feature.rotation]
    grippers = [name for name in feature.names if name in feature.gripper or "gripper" in name]
    numbers = [name for name in feature.names if name not in grippers and name not in feature.padding]
    if sorted(numbers) != sorted([*_POSITION, *rotation]) or len(grippers) > 1:
        zeros = f", of which {list(feature.padding)} are always 0" if feature.padding else ""
        raise ValueError(
            f"its {key} has {list(feature.names)}{zeros}, and a pose with rotation {feature.rotation} has "
            f"{[*_POSITION, *rotation]} and at most one gripper."
        )
    ends = feature.gripper.get(grippers[0]) if grippers else None
    has_angles = len(rotation) == 3
    return PoseConfig(
        position=list(_POSITION),
        rotation=list(rotation),
        form=form,
        kind=feature.step if feature.step == "difference" else kind,
        gripper=grippers[0] if grippers else None,
        gripper_ends=None if ends is None else [ends["closed"], ends["open"]],
        position_scale=_unit(key, feature, "position", _METRES) * _gain(key, feature.gain, _POSITION),
        rotation_scale=_unit(key, feature, "rotation", _RADIANS) * _gain(key, feature.gain, rotation)
        if has_angles
        else 1.0,
    )


def _unit(key: str, feature: FeatureSchema, what: str, known: Mapping[str, float]) -> float:
    """Metres or radians of a 1."""
    unit = feature.units.get(what, "a unit that is not known")
    if unit not in known:
        raise ValueError(f"the {what} of its {key} is in {unit}, not {' or '.join(known)}.")
    return known[unit]


def _gain(key: str, gain: float | Mapping[str, float] | None, names: Sequence[str]) -> float:
    """How far a 1 goes along all of these dimensions."""
    if gain is None or not isinstance(gain, Mapping):
        return 1.0 if gain is None else gain
    values = {gain.get(name, 1.0) for name in names}
    if len(values) != 1:
        raise ValueError(f"its {key} has other gains along {list(names)}: {dict(gain)}.")
    return values.pop()
