# SPDX-License-Identifier: Apache-2.0
"""A dataset's actions and states as end-effector poses or steps: what `end_effector` declares, done to its numbers.

    joints in the dataset's unit  ->  positions (rad)  ->  T of the tip        (forward kinematics)
    numbers of a pose or a step   ->  T, or T_state and a step                 (its form, kind and scales)
    T                             ->  base · T · tool                          (the target's axes)
    T, or the step to it          ->  the numbers that are learned             (poses.py)

All frames at once, at about a microsecond each, when a mixture is opened; nothing is cached. What follows (statistics,
windows, resampling in time) sees the new numbers only.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION, OBS_STATE
from numpy.typing import NDArray

from lerobot_ambient.data.declared.end_effector import EndEffectorConfig, PoseConfig
from lerobot_ambient.data.files.dimension_names import read_names
from lerobot_ambient.data.kinematics.chain import Chain, parse_chain, read_chain
from lerobot_ambient.data.kinematics.joints import beyond_limits, chain_columns, joint_positions, looks_otherwise
from lerobot_ambient.data.kinematics.poses import (
    GRIPPER,
    POSE,
    STEP,
    Poses,
    encode,
    frame_of,
    in_other_frames,
    step_between,
    take_step,
)
from lerobot_ambient.data.kinematics.rotations import to_matrices, to_vectors
from lerobot_ambient.data.reading.open_dataset import OpenedDataset

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]


def names_of(kind: str, *, gripper: bool) -> list[str]:
    """The dimensions of an action that is learned as `kind`, or of a state where it is absolute."""
    return [*(POSE if kind == "absolute" else STEP), *([GRIPPER] if gripper else [])]


def chain_of(config: EndEffectorConfig, what: str) -> Chain | None:
    """The chain that a dataset's joints are of; None where it has no joints.

    Raises:
        ValueError: a URDF that cannot be used, or one that is not the checkpoint's.
    """
    if config.urdf is None and config.chain is None:
        return None
    assert config.tip is not None
    try:
        if config.chain is None:
            assert config.urdf is not None
            return read_chain(config.urdf, config.tip)
        chain = parse_chain(config.chain, config.tip, "end_effector.chain")
        if config.urdf is not None and Path(config.urdf).is_file():
            _require_same(chain, read_chain(config.urdf, config.tip), config.urdf)
        return chain
    except ValueError as error:
        error.add_note(f"declared as end_effector of {what}")
        raise


def _require_same(kept: Chain, read: Chain, path: str) -> None:
    """Refuse a URDF whose arm is not that of the checkpoint.

    Raises:
        ValueError: both chains.
    """
    if kept.to_urdf() != read.to_urdf():
        raise ValueError(
            f"the arm in {path} is not the one that the checkpoint was trained with, from '{kept.root}' over "
            f"{kept.names} to '{kept.tip}': lengths, limits or joints ({read.names}) differ. Give that URDF, or none "
            "(urdf: null), and the checkpoint's own is used."
        )


def in_end_effector_space(source: OpenedDataset, learn: str) -> OpenedDataset:
    """A dataset that declares `end_effector`, its actions as poses or steps of the tip and its states as poses.

    Args:
        source: as opened.
        learn: what the target's policy learns: absolute, delta_base or delta_tool.

    Returns:
        The dataset with the new features and numbers, which `computed` names; the states stay as they are where they
        hold no pose.

    Raises:
        ValueError: joints, dimensions or links that are not there, or steps that need a pose which the states lack.
    """
    config = source.config.end_effector
    assert config is not None
    try:
        return _InSpace(source, config).made(learn)
    except ValueError as error:
        raise ValueError(f"'{source.name}': {error}") from error


def actions_left_out(source: OpenedDataset) -> list[str]:
    """The dimensions of its action that its `end_effector` makes nothing of."""
    config = source.config.end_effector
    assert config is not None
    if config.action is not None:
        used = {*config.action.position, *config.action.rotation, config.action.gripper}
    else:
        chain = chain_of(config, f"'{source.name}'")
        assert chain is not None
        used = {*(config.joints.get(joint, f"{joint}.pos") for joint in chain.names), config.gripper}
    return [name for name in read_names(source.features[ACTION]).names if name not in used]


@dataclass(frozen=True, eq=False)
class _Side:
    """A feature's poses in the target's axes, or its steps in the dataset's, and its gripper (N,), where it has one."""

    poses: Poses | None
    steps: Array | None
    gripper: Array | None


class _InSpace:
    """One dataset on its way."""

    def __init__(self, source: OpenedDataset, config: EndEffectorConfig) -> None:
        self.source, self.config = source, config
        self.chain = chain_of(config, f"'{source.name}'")
        self.base, self.tool = frame_of(config.base), frame_of(config.tool)

    def made(self, learn: str) -> OpenedDataset:
        config, source = self.config, self.source
        if config.action is None and self.chain is None:
            raise ValueError("end_effector gives neither a urdf nor an action that holds poses.")
        action, state = self._side(ACTION, config.action), self._state()
        columns = {ACTION: self._learned(action, state, learn)}
        kinds = {ACTION: learn}
        if state is not None:
            assert state.poses is not None
            columns[OBS_STATE], kinds[OBS_STATE] = _with_gripper(encode(state.poses), state.gripper), "absolute"
        sides = {ACTION: action, OBS_STATE: state}
        features = {
            key: _feature(names_of(kind, gripper=side.gripper is not None))
            for key, kind in kinds.items()
            if (side := sides[key]) is not None
        }
        _tell(source.name, config, columns[ACTION], learn, has_state=state is not None)
        return replace(
            source,
            features=source.features | features,
            columns=source.columns | columns,
            computed=kinds,
        )

    def _state(self) -> _Side | None:
        """The state's poses; None where it holds none."""
        if OBS_STATE not in self.source.columns or (self.config.state is None and self.chain is None):
            return None
        return self._side(OBS_STATE, self.config.state)

    def _side(self, key: str, pose: PoseConfig | None) -> _Side:
        if key not in self.source.columns:
            raise ValueError(f"it has no '{key}'; map one with rename: {{<its key>: {key}}}.")
        values = self.source.columns[key]
        names = list(read_names(self.source.features[key]).names)
        if pose is None:
            return self._of_joints(key, values, names)
        numbers = self._numbers(key, pose)
        gripper = None if pose.gripper is None else _taken(values, names, [pose.gripper], key)[:, 0]
        if gripper is not None and pose.gripper_ends is not None:
            closed, opened = pose.gripper_ends
            gripper = (gripper - closed) / (opened - closed)
        if pose.kind == "difference":
            assert self.config.state is not None
            numbers = numbers + self._numbers(OBS_STATE, self.config.state)
        position, rotation = numbers[:, :3], numbers[:, 3:]
        try:
            matrices = to_matrices(rotation, pose.form)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
        if pose.kind in ("absolute", "difference"):
            return _Side(self._in_targets_axes(Poses(matrices, position)), None, gripper)
        return _Side(None, np.concatenate([position, to_vectors(matrices)], axis=-1), gripper)

    def _numbers(self, key: str, pose: PoseConfig) -> Array:
        """(N, 3 + K) position in metres, and rotation in its form, in radians where it has angles."""
        if key not in self.source.columns:
            raise ValueError(f"it has no '{key}'; map one with rename: {{<its key>: {key}}}.")
        names = list(read_names(self.source.features[key]).names)
        numbers = _taken(self.source.columns[key], names, [*pose.position, *pose.rotation], key)
        numbers[:, :3] *= pose.position_scale
        numbers[:, 3:] *= pose.rotation_scale
        return numbers

    def _of_joints(self, key: str, values: NDArray[Any], names: Sequence[str]) -> _Side:
        assert self.chain is not None
        config, name = self.config, self.config.gripper
        places = chain_columns(self.chain, config.joints, names, key)
        recorded = values[:, places].astype(np.float64)
        positions = joint_positions(self.chain, recorded, config.unit)
        doubts = beyond_limits(self.chain, positions), looks_otherwise(self.chain, recorded, config.unit)
        for said in filter(None, doubts):
            logger.warning(
                "'%s': %s: %s. If the joints are not in %s, write unit: degrees, radians or normalized in its "
                "end_effector.",
                *(self.source.name, key, said, config.unit),
            )
        if name is not None and name not in names:
            raise ValueError(
                f"{key} has no dimension '{name}' for the gripper; it has {list(names)}. Write end_effector: "
                "{gripper: <one of them>}, or gripper: null where there is none."
            )
        gripper = None if name is None else values[:, list(names).index(name)].astype(np.float64)
        return _Side(self._in_targets_axes(self.chain.forward(positions)), None, gripper)

    def _in_targets_axes(self, poses: Poses) -> Poses:
        return self.base.then(poses).then(self.tool)

    def _learned(self, action: _Side, state: _Side | None, learn: str) -> NDArray[np.float32]:
        """(N, D) what the policy learns of the actions."""
        now = None if state is None else state.poses
        if action.steps is not None:
            assert self.config.action is not None
            kind = self.config.action.kind
            # The steps themselves, where they are what is learned: the state need not be known.
            if kind == learn and not self.tool.position.any():
                steps = in_other_frames(action.steps, kind, self.base, self.tool)
                return _with_gripper(steps, action.gripper)
            if now is None:
                raise ValueError(
                    f"its actions are steps ({kind}), and {_needs(kind, learn, self.tool)}, which needs the pose of "
                    f"each frame: say where {OBS_STATE} holds it, end_effector: {{state: {{position: [...], rotation: "
                    f"[...]}}}}, or let the policy learn {kind}, policy.target_end_effector.learn."
                )
            # Steps are the dataset's own, and so is the pose that they start from.
            own = self.base.inverse().then(now).then(self.tool.inverse())
            goal = self._in_targets_axes(take_step(own, action.steps, kind))
        else:
            assert action.poses is not None
            goal = action.poses
        if learn == "absolute":
            return _with_gripper(encode(goal), action.gripper)
        if now is None:
            raise ValueError(
                f"the policy learns steps ({learn}), and its actions are poses, which become steps with the pose of "
                f"each frame: say where {OBS_STATE} holds it, end_effector: {{state: {{position: [...], rotation: "
                "[...]}}."
            )
        return _with_gripper(step_between(now, goal, learn), action.gripper)


def _needs(kind: str, learn: str, tool: Poses) -> str:
    return f"the policy learns {learn}" if kind != learn else f"its tool is moved by {tool.position[0].tolist()} m"


def _taken(values: NDArray[Any], names: Sequence[str], wanted: Sequence[str], key: str) -> Array:
    """(N, K) the dimensions of these names, float64."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"end_effector names {missing}, and {key} has {list(names)}.")
    return values[:, [names.index(name) for name in wanted]].astype(np.float64)


def _with_gripper(values: Array, gripper: Array | None) -> NDArray[np.float32]:
    joined = values if gripper is None else np.concatenate([values, gripper[:, None]], axis=-1)
    return joined.astype(np.float32)


def _feature(names: Sequence[str]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": (len(names),), "names": list(names)}


def _tell(name: str, config: EndEffectorConfig, action: NDArray[np.float32], learn: str, *, has_state: bool) -> None:
    file = config.urdf or "the checkpoint's chain"
    how = "as recorded" if config.action is not None else f"of '{config.tip}' in {file}"
    low, high = action[:, :3].min(0), action[:, :3].max(0)
    ranges = ", ".join(f"{axis} {a:.3g}..{b:.3g}" for axis, a, b in zip("xyz", low, high, strict=True))
    logger.info(
        "'%s': its actions are end-effector %s (%s), %s m; its states %s",
        *(name, "poses" if learn == "absolute" else f"steps, {learn}", how, ranges),
        "are poses" if has_state else "hold no pose and stay as they are",
    )
