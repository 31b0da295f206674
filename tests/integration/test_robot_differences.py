# SPDX-License-Identifier: Apache-2.0
"""A policy's joints and cameras against a robot's, as LeRobot's robots declare them."""

import pytest
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.integration.rollout import differences
from lerobot_ambient.policy.configuration_ambient_diffusion import AmbientDiffusionConfig

JOINTS = ["pan.pos", "lift.pos", "gripper.pos"]


def policy(*, names=JOINTS, size=3, cameras=("top",), resize=None):
    config = AmbientDiffusionConfig(device="cpu", resize_shape=resize)
    config.feature_names = None if names is None else {"action": list(names), "observation.state": list(names)}
    config.input_features = {"observation.state": PolicyFeature(FeatureType.STATE, (size,))}
    for camera in cameras:
        config.input_features[f"observation.images.{camera}"] = PolicyFeature(FeatureType.VISUAL, (3, 48, 64))
    config.output_features = {"action": PolicyFeature(FeatureType.ACTION, (size,))}
    return config


def compare(config, *, joints=JOINTS, cameras=None, rename_map=None):
    motors = dict.fromkeys(joints, float)
    sizes = {"top": (48, 64, 3)} if cameras is None else cameras
    return differences(config, motors, {**motors, **sizes}, rename_map or {})


def test_the_robot_of_the_training_is_welcome():
    assert compare(policy()) == []
    assert compare(policy(), cameras={"top": (48, 64, 3), "wrist": (480, 640, 3)}) == []


def test_what_is_no_position_or_speed_is_not_compared():
    motors = {**dict.fromkeys(JOINTS, float), "pan.current": float}
    assert differences(policy(cameras=()), motors, motors, {}) == []


@pytest.mark.parametrize("joints", [[*JOINTS[:2], "hand.pos"], JOINTS[:2], [*JOINTS, "extra.pos"]])
def test_other_joints_are_told_with_both_sides(joints):
    action, state = compare(policy(), joints=joints)
    for line, key in ((action, "action"), (state, "observation.state")):
        assert line.startswith(f"  {key}: the policy has {JOINTS}") and str(joints) in line


def test_another_order_is_told_as_such():
    assert all("The order differs" in line for line in compare(policy(), joints=JOINTS[::-1]))


@pytest.mark.parametrize("names", [None, ["0", "1", "2"]])
def test_without_names_the_numbers_are_compared(names):
    assert compare(policy(names=names), joints=["a.pos", "b.pos", "c.pos"]) == []
    assert "3 dimensions without names, the robot 2" in compare(policy(names=names), joints=["a.pos", "b.pos"])[0]


def test_a_camera_must_be_there_or_be_renamed():
    (line,) = compare(policy(), cameras={"front": (48, 64, 3)})
    assert "needs 'observation.images.top', the robot has ['observation.images.front']" in line
    renamed = {"observation.images.front": "observation.images.top"}
    assert compare(policy(), cameras={"front": (48, 64, 3)}, rename_map=renamed) == []


def test_another_size_matters_only_where_the_policy_does_not_resize():
    (line,) = compare(policy(), cameras={"top": (480, 640, 3)})
    assert "(48, 64), the robot gives (480, 640)" in line
    assert compare(policy(resize=(32, 32)), cameras={"top": (480, 640, 3)}) == []
