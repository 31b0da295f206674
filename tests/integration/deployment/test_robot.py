# SPDX-License-Identifier: Apache-2.0
"""A policy's joints and cameras against a robot's, as LeRobot's robots declare them."""

import json

import pytest
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.integration.deployment.robot import differences
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig

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
    action, state, *_ = compare(policy(), joints=joints)
    for line, key in ((action, "action"), (state, "observation.state")):
        assert line.startswith(f"  {key}: the policy has {JOINTS}") and str(joints) in line


def test_another_order_is_told_as_such():
    assert all("The order differs" in line for line in compare(policy(), joints=JOINTS[::-1]))


@pytest.mark.parametrize("names", [None, ["0", "1", "2"]])
def test_without_names_the_numbers_are_compared(names):
    assert compare(policy(names=names), joints=["a.pos", "b.pos", "c.pos"]) == []
    assert (
        "3 dimensions without names, the robot ['a.pos', 'b.pos']"
        in compare(policy(names=names), joints=["a.pos", "b.pos"])[0]
    )


def test_without_names_a_warning_says_what_to_check_and_write(caplog):
    assert compare(policy(names=["0", "1", "2"])) == []
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "only their number was compared" in told and f"Check that they are {JOINTS}, in this order" in told
    names = {"action": JOINTS, "observation.state": JOINTS}
    assert told.endswith(f"--policy.target_dimension_names='{json.dumps(names)}'")


def test_names_declared_for_the_rollout_are_those_compared(caplog):
    config = policy(names=None)
    config.target_dimension_names = {"action": JOINTS, "observation.state": JOINTS}
    assert compare(config) == [] and caplog.text == ""
    assert all("The order differs" in line for line in compare(config, joints=JOINTS[::-1]))
    config.target_dimension_names = {"action": JOINTS[:2]}
    assert "2 names for the policy's 3 dimensions" in compare(config)[0]


def test_other_names_of_the_same_joints_come_with_the_line_that_says_so():
    old = ["main_shoulder_pan", "main_shoulder_lift", "main_gripper"]
    new = ["shoulder_pan.pos", "shoulder_lift.pos", "gripper.pos"]
    *both, way = compare(policy(names=old), joints=new)
    assert all("Use the robot that the target was recorded with." in line for line in both) and len(both) == 2
    names = {"action": new, "observation.state": new}
    assert f"--policy.target_dimension_names='{json.dumps(names)}'" in way
    # Names alone do not make those recordings the robot's.
    assert "count from another zero: convert the dataset" in way
    assert "another zero" not in compare(policy(names=["waist", "shoulder", "gripper"]), joints=new)[-1]
    config = policy(names=old)
    config.target_dimension_names = names
    assert compare(config, joints=new) == []


def test_no_line_is_offered_where_the_order_differs_too():
    old = ["main_gripper", "main_shoulder_pan", "main_shoulder_lift"]
    for line in compare(policy(names=old), joints=["shoulder_pan.pos", "shoulder_lift.pos", "gripper.pos"]):
        assert "target_dimension_names" not in line and "Use the robot that the target was recorded with." in line


def test_a_camera_must_be_there_or_be_renamed():
    (line,) = compare(policy(), cameras={"front": (48, 64, 3)})
    assert "needs 'observation.images.top', the robot has ['observation.images.front']" in line
    renamed = {"observation.images.front": "observation.images.top"}
    assert compare(policy(), cameras={"front": (48, 64, 3)}, rename_map=renamed) == []


def test_another_size_matters_only_where_the_policy_does_not_resize():
    (line,) = compare(policy(), cameras={"top": (480, 640, 3)})
    assert "(48, 64), the robot gives (480, 640)" in line
    assert compare(policy(resize=(32, 32)), cameras={"top": (480, 640, 3)}) == []
