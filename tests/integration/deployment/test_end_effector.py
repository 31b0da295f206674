# SPDX-License-Identifier: Apache-2.0
"""A policy's poses and steps through LeRobot's kinematic steps to the joints of a robot, and back."""

import numpy as np
import pytest
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.data.declared.end_effector import EndEffectorConfig, FrameConfig
from lerobot_ambient.data.kinematics.end_effector import names_of
from lerobot_ambient.data.kinematics.poses import GRIPPER, POSE
from lerobot_ambient.integration.deployment.robot import differences, state_differences
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

MOTORS = [f"{joint.name}.pos" for joint in JOINTS]
START = dict(zip(MOTORS, [10.0, -30.0, 40.0, 20.0, 5.0, 30.0], strict=True))
GOAL = dict(zip(MOTORS, [14.0, -27.0, 36.0, 24.0, -3.0, 80.0], strict=True))


def space(**options):
    return EndEffectorConfig(**{"chain": urdf(), "tip": TIP, **options})


def policy(learn="absolute", **options):
    config = AmbientDiffusionConfig(device="cpu", target_end_effector=space(learn=learn, **options))
    names = {"action": names_of(learn, gripper=True), "observation.state": [*POSE, GRIPPER]}
    config.feature_names = names
    config.input_features = {"observation.state": PolicyFeature(FeatureType.STATE, (10,))}
    config.output_features = {"action": PolicyFeature(FeatureType.ACTION, (len(names["action"]),))}
    return config


@pytest.fixture
def pipelines(placo):
    from lerobot_ambient.integration.deployment.end_effector import robot_processors

    return lambda **options: robot_processors(space(**options), [name.removesuffix(".pos") for name in MOTORS])


@pytest.mark.parametrize("learn", ["absolute", "delta_base", "delta_tool"])
def test_what_a_teleoperator_does_comes_back_as_the_joints_that_it_did(pipelines, learn):
    made = pipelines(learn=learn, base=FrameConfig([0.0, 0.0, 90.0]), tool=FrameConfig([0.0, 90.0, 0.0]))
    picture = np.zeros((4, 4, 3))
    learned = made["teleop_action_processor"]((dict(GOAL), {**START, "table": picture}))
    assert sorted(learned) == sorted(names_of(learn, gripper=True))
    joints = made["robot_action_processor"]((learned, {**START, "table": picture}))
    assert joints == pytest.approx(GOAL, abs=0.01)


def test_the_policy_observes_its_pose_and_the_cameras(pipelines):
    seen = pipelines()["robot_observation_processor"]({**START, "table": "a picture"})
    assert set(seen) == {*POSE, GRIPPER, "table"} and seen["table"] == "a picture" and seen[GRIPPER] == 30.0
    assert np.hypot(seen["ee.r11"], np.hypot(seen["ee.r21"], seen["ee.r31"])) == pytest.approx(1.0)


def test_a_pose_outside_of_the_bounds_is_brought_into_them(pipelines):
    made = pipelines(bounds=[[-0.5, -0.5, 0.1], [0.5, 0.5, 0.5]])
    goal = made["teleop_action_processor"]((dict(START), dict(START))) | {"ee.z": 0.02}
    joints = made["robot_action_processor"]((goal, dict(START)))
    assert made["robot_observation_processor"](joints)["ee.z"] == pytest.approx(0.1, abs=2e-3)


def test_the_robot_of_the_training_is_welcome_and_another_is_refused_with_both_sides(placo):
    motors = dict.fromkeys(MOTORS, float)
    assert differences(policy(), motors, motors, {}) == []
    (line,) = differences(policy(), others := dict.fromkeys([*MOTORS[:4], MOTORS[5]], float), others, {})
    assert "no dimension ['wrist_roll.pos'] for the joints of 'gripper_tip'" in line
    hand = dict.fromkeys([*MOTORS[:5], "hand.pos"], float)
    (line,) = differences(policy(), hand, hand, {})
    assert "need a motor called 'gripper', the robot has ['shoulder_pan'" in line
    (line,) = differences(policy(), motors, dict(reversed(motors.items())), {})
    assert "kinematic steps need one order" in line
    (line,) = differences(policy(), {**motors, "x.vel": float}, motors, {})
    assert "also commanded by ['x.vel']" in line
    wrong = policy()
    wrong.target_end_effector = space(learn="delta_tool")
    (line,) = differences(wrong, motors, motors, {})
    assert "target_end_effector.learn says delta_tool" in line


def test_cameras_are_compared_as_ever(placo):
    config, motors = policy(), dict.fromkeys(MOTORS, float)
    config.input_features["observation.images.top"] = PolicyFeature(FeatureType.VISUAL, (3, 48, 64))
    (line,) = differences(config, motors, motors, {})
    assert "needs 'observation.images.top'" in line


def test_the_asynchronous_server_is_refused():
    (line,) = state_differences(policy(), MOTORS)
    assert "Use lerobot-rollout" in line
