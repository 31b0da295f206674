# SPDX-License-Identifier: Apache-2.0
"""LeRobot's kinematics (placo) for a policy in end-effector space, in the robot's units and the policy's axes.

    forward_kinematics    the robot's joints  ->  base · T(q) · tool
    inverse_kinematics    a pose in the policy's axes, from the present joints  ->  the joints that reach it

LeRobot's `RobotKinematics` takes degrees in the order of its own joints, and one step of its solver a call. Here the
robot's numbers and their order are translated, and steps are taken until the pose is reached.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lerobot.model import RobotKinematics
from numpy.typing import NDArray

from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
from lerobot_ambient.data.kinematics.end_effector import chain_of
from lerobot_ambient.data.kinematics.joints import chain_columns, joint_positions, joint_values
from lerobot_ambient.data.kinematics.poses import Poses, frame_of
from lerobot_ambient.data.kinematics.rotations import angles_between

logger = logging.getLogger(__name__)

Array = NDArray[np.float64]

NEAR = (1e-5, 1e-4)
"""Metres and radians within which a pose is reached."""
_STEPS = 60
_HALVINGS = 10
_AWAY = 0.5
"""Rad."""
_STILL = 1e-7
"""Rad; the solver is at its end where no joint moves by more in a step."""
FAR = 0.01
"""Metres; a pose that is missed by more is told of."""


class ArmKinematics(RobotKinematics):
    """Forward and inverse kinematics of one arm, for LeRobot's kinematic processor steps.

    Args:
        config: of the checkpoint.
        motors: names of the robot's joints, without .pos, in the order in which it gives and takes them.

    Raises:
        ValueError: a joint that the robot lacks, or no chain.
        ImportError: the extra `kinematics` is not installed.
    """

    def __init__(self, config: EndEffectorConfig, motors: Sequence[str]) -> None:
        require_solver()
        chain = chain_of(config, "the policy")
        if chain is None:
            raise ValueError(
                "the policy learned an end effector's poses without an arm's URDF (target_end_effector.urdf), so no "
                "joints follow from them. Give the robot's, --policy.target_end_effector.urdf=<file> "
                "--policy.target_end_effector.tip=<link>."
            )
        self.chain, self.unit, self.orientation_weight = chain, config.unit, config.orientation_weight
        self.motors = list(motors)
        self._places = chain_columns(chain, config.joints, [f"{motor}.pos" for motor in motors], "the robot")
        base, tool = frame_of(config.base), frame_of(config.tool)
        self._base, self._tool = base, tool
        self._base_back, self._tool_back = base.inverse(), tool.inverse()
        self._missed = 0
        with tempfile.TemporaryDirectory() as folder:
            # placo reads files only, and looks for the meshes of what it reads; the chain has none.
            file = Path(folder) / "chain.urdf"
            file.write_text(chain.to_urdf(endless=False), encoding="utf-8")
            super().__init__(str(file), chain.tip, chain.names)

    def forward_kinematics(self, joint_pos_deg: Array) -> Array:
        """(4, 4) the pose in the policy's axes.

        Args:
            joint_pos_deg: (M,) the robot's joints, all of them, in its own units, whatever LeRobot's name says.
        """
        pose = self._pose(self.positions(joint_pos_deg))
        return self._base.then(pose).then(self._tool).matrices()[0]

    def inverse_kinematics(
        self,
        current_joint_pos: Array,
        desired_ee_pose: Array,
        position_weight: float = 1.0,
        orientation_weight: float = 0.01,
    ) -> Array:
        """(M,) the robot's joints that bring the tip to a pose, or as near as they can; others stay.

        Args:
            current_joint_pos: (M,) where the search begins, in the robot's units.
            desired_ee_pose: (4, 4) in the policy's axes.
            position_weight, orientation_weight: of the error in metres and in radians, both squared.
        """
        goal = self._base_back.then(Poses.of_matrices(desired_ee_pose[None])).then(self._tool_back)
        weights = position_weight, orientation_weight
        found, (metres, _) = self.solve(self.positions(current_joint_pos), goal, weights)
        if metres > FAR:
            self._tell_missed(goal, metres)
        joints = np.array(current_joint_pos, dtype=np.float64)
        joints[self._places] = joint_values(self.chain, found[None], self.unit)[0]
        return joints

    def solve(
        self, start: Array, goal: Poses, weights: tuple[float, float], *, restarts: int = 0
    ) -> tuple[Array, tuple[float, float]]:
        """(J,) rad from a start (J,), by steps of LeRobot's solver until the pose is reached or nothing moves any more.

        Args:
            start: where the search begins.
            goal: one pose, in the arm's own axes.
            weights: of position and orientation.
            restarts: how often it may begin again, up to `_AWAY` off the start in each joint, where it ends short of
                the pose: in one of some thousand it does, beside a limit where an elbow is stretched. A control loop
                does without, for the other end may lie on another branch of the arm.

        Returns:
            The joints, and the position (m) and angle (rad) by which they miss the goal.
        """
        found = self._descend(start, goal, weights)
        low, high = self.chain.limits
        for attempt in range(restarts):
            if _is_near(found[1]):
                break
            away = np.random.default_rng(np.random.SeedSequence([attempt, 2])).uniform(-_AWAY, _AWAY, len(start))
            again = self._descend(np.clip(start + away, low, high), goal, weights)
            if _cost(again[1], weights) < _cost(found[1], weights):
                found = again
        return found

    def _descend(self, start: Array, goal: Poses, weights: tuple[float, float]) -> tuple[Array, tuple[float, float]]:
        at, left = start, self._distance(start, goal)
        wanted = goal.matrices()[0]
        for _ in range(_STEPS):
            if _is_near(left):
                break
            step = np.radians(super().inverse_kinematics(np.degrees(at), wanted, *weights)) - at
            # Undamped, the solver's steps swing to and fro where a pose is out of reach: what brings the tip no nearer
            # is halved until it does.
            shares = 0.5 ** np.arange(_HALVINGS)
            tried = ((at + share * step, self._distance(at + share * step, goal)) for share in shares)
            nearer = next((one for one in tried if _cost(one[1], weights) < _cost(left, weights)), None)
            if nearer is None or np.abs(nearer[0] - at).max() < _STILL:
                break
            at, left = nearer
        return at, left

    def _distance(self, positions: Array, goal: Poses) -> tuple[float, float]:
        pose = self._pose(positions)
        metres = float(np.linalg.norm(pose.position - goal.position))
        return metres, float(angles_between(pose.rotation, goal.rotation)[0])

    def _pose(self, positions: Array) -> Poses:
        return Poses.of_matrices(super().forward_kinematics(np.degrees(positions))[None])

    def positions(self, joints: Array) -> Array:
        """(J,) rad of the robot's (M,) joints."""
        return joint_positions(self.chain, np.asarray(joints, dtype=np.float64)[None, self._places], self.unit)[0]

    def _tell_missed(self, goal: Poses, metres: float) -> None:
        """Of a pose out of reach: the first one, and then ever fewer, for a control loop asks many times a second."""
        self._missed += 1
        if self._missed & (self._missed - 1) == 0:
            logger.warning(
                "The policy sent the tip to %s m (in the arm's own axes), %.3f m from where the joints can bring it; "
                "they go as near as they can (%d such poses so far). A policy far from its data does so, and a wrong "
                "URDF, unit or base.",
                *([round(float(x), 3) for x in goal.position[0]], metres, self._missed),
            )


def _is_near(left: tuple[float, float]) -> bool:
    return left[0] <= NEAR[0] and left[1] <= NEAR[1]


def _cost(left: tuple[float, float], weights: tuple[float, float]) -> float:
    """What the solver makes small: the error's squares, weighted."""
    return weights[0] * left[0] ** 2 + weights[1] * left[1] ** 2


def require_solver() -> None:
    """Say what to install where LeRobot's solver is not.

    Raises:
        ImportError: placo is not installed.
    """
    if importlib.util.find_spec("placo") is None:
        raise ImportError(
            "a policy in end-effector space moves joints through LeRobot's inverse kinematics, which needs placo: "
            "pip install 'lerobot_policy_ambient_diffusion[kinematics]'."
        )
