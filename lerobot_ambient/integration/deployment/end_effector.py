# SPDX-License-Identifier: Apache-2.0
"""A policy in end-effector space at a rollout: LeRobot's kinematic processor steps between it and the robot's joints.

    observation   joints            -> LeRobot's forward kinematics -> ee.x .. ee.wz -> the columns the policy learned
    action        what it learned   -> a step is taken from the present pose -> ee.x .. ee.wz -> LeRobot's bounds
                                    -> LeRobot's inverse kinematics -> joints
    teleoperator  joints            -> LeRobot's forward kinematics -> what the policy learned, for what is recorded

LeRobot's steps speak of a pose as position and rotation vector, ee.wx, ee.wy, ee.wz, and know the gripper as `gripper`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lerobot.configs import FeatureType, PipelineFeatureType, PolicyFeature
from lerobot.processor import (
    ObservationProcessorStep,
    RobotActionProcessorStep,
    RobotProcessorPipeline,
    TransitionKey,
    observation_to_transition,
    robot_action_observation_to_transition,
    transition_to_observation,
    transition_to_robot_action,
)
from lerobot.robots import make_robot_from_config
from lerobot.robots.so_follower.robot_kinematic_processor import (
    EEBoundsAndSafety,
    ForwardKinematicsJointsToEEAction,
    ForwardKinematicsJointsToEEObservation,
    InverseKinematicsEEToJoints,
)
from lerobot.utils.constants import ACTION, OBS_STATE
from numpy.typing import NDArray

from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
from lerobot_ambient.data.kinematics.end_effector import names_of
from lerobot_ambient.data.kinematics.poses import GRIPPER, POSE, STEP, Poses, decode, encode, step_between, take_step
from lerobot_ambient.data.kinematics.rotations import from_vectors, to_vectors
from lerobot_ambient.integration.deployment.arm_kinematics import ArmKinematics
from lerobot_ambient.policy.options.mixture_options import MixtureOptions

logger = logging.getLogger(__name__)

_VECTOR = tuple(f"ee.{name}" for name in ("x", "y", "z", "wx", "wy", "wz"))
"""LeRobot's names of a pose: position and rotation vector."""
_MOTOR = "gripper"
"""LeRobot's name of the gripper's motor, which its kinematic steps ask for."""

Features = dict[PipelineFeatureType, dict[str, PolicyFeature]]


@dataclass
class PoseAsColumns(ObservationProcessorStep):
    """LeRobot's pose, position and rotation vector, as the policy observes it."""

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        made = dict(observation)
        pose = _from_vector([made.pop(name) for name in _VECTOR])
        return made | dict(zip(POSE, encode(pose)[0].tolist(), strict=True))

    def transform_features(self, features: Features) -> Features:
        return _renamed(features, PipelineFeatureType.OBSERVATION, _VECTOR, POSE, FeatureType.STATE)


@dataclass
class LearnedToPose(RobotActionProcessorStep):
    """What the policy learned, a pose or a step from the present one, as LeRobot's pose.

    Args:
        kinematics: of the arm; a step begins where it says that the joints are.
        learn: absolute, delta_base or delta_tool.
    """

    kinematics: ArmKinematics
    learn: str

    def action(self, action: dict[str, Any]) -> dict[str, Any]:
        made = dict(action)
        values = np.array([[float(made.pop(name)) for name in _learned_names(self.learn)]])
        if self.learn == "absolute":
            goal = decode(values)
        else:
            goal = take_step(_present(self.kinematics, self.transition), values, self.learn)
        return made | dict(zip(_VECTOR, _to_vector(goal), strict=True))

    def transform_features(self, features: Features) -> Features:
        return _renamed(features, PipelineFeatureType.ACTION, _learned_names(self.learn), _VECTOR, FeatureType.ACTION)


@dataclass
class PoseToLearned(RobotActionProcessorStep):
    """Inverse of `LearnedToPose`: of a teleoperator's action, so that it is recorded as the policy's are."""

    kinematics: ArmKinematics
    learn: str

    def action(self, action: dict[str, Any]) -> dict[str, Any]:
        made = dict(action)
        goal = _from_vector([made.pop(name) for name in _VECTOR])
        if self.learn == "absolute":
            values = encode(goal)
        else:
            values = step_between(_present(self.kinematics, self.transition), goal, self.learn)
        return made | dict(zip(_learned_names(self.learn), values[0].tolist(), strict=True))

    def transform_features(self, features: Features) -> Features:
        return _renamed(features, PipelineFeatureType.ACTION, _VECTOR, _learned_names(self.learn), FeatureType.ACTION)


def robot_processors(space: EndEffectorConfig, motors: Sequence[str]) -> dict[str, RobotProcessorPipeline]:
    """The three pipelines that LeRobot's rollout has between a policy and a robot.

    Args:
        space: `target_end_effector` of the checkpoint.
        motors: names of the robot's joints, without .pos, in its order.

    Raises:
        ValueError: joints that the robot lacks.
        ImportError: the extra `kinematics` is not installed.
    """
    names = list(motors)
    arm = ArmKinematics(space, names)
    bounds = space.bounds
    reached: list[Any] = [LearnedToPose(arm, space.learned)]
    if bounds is not None:
        box = {"min": np.array(bounds[0]), "max": np.array(bounds[1])}
        # Jumps are left to the robot's own max_relative_target: LeRobot compares a pose with the last one that was
        # sent, which after a reset between two episodes lies far from where the arm is.
        reached.append(EEBoundsAndSafety(end_effector_bounds=box, max_ee_step_m=np.inf))
        logger.info("the tip is kept within %s and %s m (policy.target_end_effector.bounds)", *bounds)
    reached.append(InverseKinematicsEEToJoints(arm, names, orientation_weight=space.orientation_weight))
    of_action = {"to_transition": robot_action_observation_to_transition, "to_output": transition_to_robot_action}
    return {
        "teleop_action_processor": RobotProcessorPipeline(
            steps=[ForwardKinematicsJointsToEEAction(arm, names), PoseToLearned(arm, space.learned)], **of_action
        ),
        "robot_action_processor": RobotProcessorPipeline(steps=reached, **of_action),
        "robot_observation_processor": RobotProcessorPipeline(
            steps=[ForwardKinematicsJointsToEEObservation(arm, names), PoseAsColumns()],
            to_transition=observation_to_transition,
            to_output=transition_to_observation,
        ),
    }


def speak_end_effector(context: Any) -> None:
    """Let a built rollout context send actions under the policy's names, and observe by them.

    LeRobot 0.6.1 takes both from the robot, whatever its pipelines make of them: `ordered_action_keys` and
    `hw_features`. The inference engine holds the same list and the same dictionary as the context.
    """
    features = context.data.dataset_features
    context.data.ordered_action_keys[:] = features[ACTION]["names"]
    observed = {key: value for key, value in features.items() if key != ACTION and key.startswith("observation")}
    context.data.hw_features.clear()
    context.data.hw_features.update(observed)


def motors_of(features: Mapping[str, Any]) -> list[str]:
    """A robot's joints by its `action_features` or `observation_features`, without .pos."""
    return [key.removesuffix(".pos") for key in features if key.endswith(".pos")]


def processors_for(cfg: Any) -> dict[str, RobotProcessorPipeline]:
    """The pipelines for a LeRobot RolloutConfig, whose robot is made but not connected."""
    robot = make_robot_from_config(cfg.robot)
    return robot_processors(cfg.policy.target_end_effector, motors_of(robot.action_features))


def differences(policy: MixtureOptions, actions: Mapping[str, Any], observations: Mapping[str, Any]) -> list[str]:
    """Say what of an arm a robot lacks that a policy in end-effector space needs.

    Args:
        policy: of a checkpoint, with `target_end_effector`.
        actions, observations: LeRobot's `action_features` and `observation_features` of the robot.
    """
    space = policy.target_end_effector
    assert space is not None
    motors = motors_of(actions)
    others = [key for key in actions if not key.endswith(".pos")]
    learned = (policy.feature_names or {}).get(ACTION) or []
    found = []
    if (seen := motors_of(observations)) != motors:
        found.append(
            f"  the robot is commanded as {motors} and observed as {seen}; LeRobot's kinematic steps need one order."
        )
    if others:
        found.append(f"  the robot is also commanded by {others}, which a policy in end-effector space does not give.")
    if _MOTOR not in motors:
        found.append(
            f"  LeRobot's kinematic steps need a motor called '{_MOTOR}', the robot has {motors}; such a robot cannot "
            "act in end-effector space."
        )
    elif learned and GRIPPER not in learned:
        found.append(
            f"  the robot has the motor '{_MOTOR}', and the policy learned no {GRIPPER} ({learned}); train with "
            "target_end_effector.gripper."
        )
    if learned and learned != names_of(space.learned, gripper=GRIPPER in learned):
        found.append(
            f"  {ACTION}: the policy has {learned}, and target_end_effector.learn says {space.learned}, "
            f"{names_of(space.learned, gripper=True)}."
        )
    observed = (policy.feature_names or {}).get(OBS_STATE)
    if observed is not None and observed[: len(POSE)] != [*POSE]:
        found.append(f"  {OBS_STATE}: the policy has {observed}, the robot's pipeline gives {[*POSE, GRIPPER]}.")
    try:
        ArmKinematics(space, motors)
    except ValueError as error:
        found.append(f"  {error}")
    return found


def _learned_names(learn: str) -> tuple[str, ...]:
    return POSE if learn == "absolute" else STEP


def _present(kinematics: ArmKinematics, transition: Mapping[Any, Any]) -> Poses:
    """The pose where the joints are now."""
    observed = transition.get(TransitionKey.OBSERVATION)
    assert observed is not None, "LeRobot gives the observation with each action"
    joints = np.array([float(observed[f"{motor}.pos"]) for motor in kinematics.motors])
    return Poses.of_matrices(kinematics.forward_kinematics(joints)[None])


def _from_vector(values: Sequence[float]) -> Poses:
    numbers = np.array([[float(value) for value in values]])
    return Poses(from_vectors(numbers[:, 3:]), numbers[:, :3])


def _to_vector(pose: Poses) -> list[float]:
    vector: NDArray[np.float64] = np.concatenate([pose.position[0], to_vectors(pose.rotation)[0]])
    return vector.tolist()


def _renamed(
    features: Features, side: PipelineFeatureType, old: Sequence[str], new: Sequence[str], kind: FeatureType
) -> Features:
    """The features with some called otherwise, at the front, where the policy has them."""
    others = {key: value for key, value in features[side].items() if key not in old}
    return features | {side: {name: PolicyFeature(type=kind, shape=(1,)) for name in new} | others}
