# SPDX-License-Identifier: Apache-2.0
"""LeRobot's kinematics for the arm of a checkpoint: forward as in training, inverse back to the pose, robots' units."""

import numpy as np
import pytest

from lerobot_ambient.data.declared.end_effector import EndEffectorConfig, FrameConfig, PoseConfig
from lerobot_ambient.data.kinematics.chain import parse_chain
from lerobot_ambient.data.kinematics.joints import joint_values
from lerobot_ambient.data.kinematics.poses import Poses, frame_of
from lerobot_ambient.data.kinematics.rotations import angles_between
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

MOTORS = [joint.name for joint in JOINTS]
CHAIN = parse_chain(urdf(), TIP, "the virtual arm")


@pytest.fixture
def arm(placo):
    """The function that makes ArmKinematics of the virtual arm: arm(motors=MOTORS, **options)."""
    from lerobot_ambient.integration.deployment.arm_kinematics import ArmKinematics

    def make(motors=MOTORS, **options):
        return ArmKinematics(EndEffectorConfig(**{"chain": urdf(), "tip": TIP, **options}), motors)

    return make


def positions(n, share=0.95):
    low, high = CHAIN.limits
    return np.random.default_rng(0).uniform(low * share, high * share, (n, 5))


@pytest.mark.parametrize("unit", ["degrees", "radians", "normalized"])
def test_forward_is_the_trainings(arm, unit):
    base, tool = FrameConfig([0.0, 0.0, 90.0], [0.1, 0.2, 0.3]), FrameConfig([90.0, 0.0, 0.0])
    kinematics, at = arm(unit=unit, base=base, tool=tool), positions(50)
    joints = np.concatenate([joint_values(CHAIN, at, unit), np.full((50, 1), 70.0)], axis=1)
    wanted = frame_of(base).then(CHAIN.forward(at)).then(frame_of(tool)).matrices()
    found = np.array([kinematics.forward_kinematics(row) for row in joints])
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_inverse_comes_back_to_the_pose_through_the_robots_order_and_units(arm):
    order = ["gripper", *MOTORS[4::-1]]
    joints = {f"joint_{i}": f"{name}.pos" for i, name in enumerate(MOTORS[:5])}
    renamed = urdf()
    for i, name in enumerate(MOTORS[:5]):
        renamed = renamed.replace(f'joint name="{name}"', f'joint name="joint_{i}"')
    base = FrameConfig([0.0, 0.0, 90.0], [0.1, 0.0, 0.0])
    kinematics = arm(order, chain=renamed, joints=joints, unit="radians", base=base)
    rng = np.random.default_rng(1)
    for at in positions(20, share=0.8):
        pose = frame_of(base).then(CHAIN.forward(at[None])).matrices()[0]
        start = np.concatenate([[33.0], (at + rng.uniform(-0.1, 0.1, 5))[::-1]])
        found = kinematics.inverse_kinematics(start, pose)
        assert found[0] == 33.0
        back = frame_of(base).then(CHAIN.forward(found[:0:-1][None]))
        assert np.abs(back.position - pose[:3, 3]).max() < 1e-4
        assert angles_between(back.rotation, pose[None, :3, :3]).max() < 1e-3


def test_a_joint_that_turns_endlessly_is_turned(arm):
    endless = urdf().replace('name="wrist_roll" type="revolute"', 'name="wrist_roll" type="continuous"')
    joints = np.array([10.0, -20.0, 30.0, 40.0, 500.0, 0.0])
    wanted = CHAIN.forward(np.radians(joints[None, :5])).matrices()[0]
    kinematics = arm(chain=endless)
    np.testing.assert_allclose(kinematics.forward_kinematics(joints), wanted, atol=1e-9)
    np.testing.assert_allclose(kinematics.inverse_kinematics(joints + 3.0, wanted)[:5], joints[:5], atol=0.01)


def test_a_pose_out_of_reach_is_told_and_the_arm_goes_as_near_as_it_can(arm, caplog):
    kinematics = arm()
    far = Poses(np.eye(3)[None], np.array([[0.9, 0.0, 0.1]])).matrices()[0]
    for _ in range(3):
        joints = kinematics.inverse_kinematics(np.zeros(6), far)
    reached = kinematics.forward_kinematics(joints)[0, 3]
    assert 0.35 < reached < 0.5 and np.isfinite(joints).all()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and "the tip to [0.9, 0.0, 0.1] m" in told[0] and "(2 such poses so far)" in told[1]


def test_joints_that_the_robot_lacks_are_named(arm):
    with pytest.raises(ValueError, match=r"the robot has no dimension \['wrist_roll.pos'\]"):
        arm([name for name in MOTORS if name != "wrist_roll"])
    with pytest.raises(ValueError, match="without an arm's URDF"):
        arm(chain=None, tip=None, action=PoseConfig(["x", "y", "z"], ["roll", "pitch", "yaw"]))


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    from lerobot_ambient.integration.deployment import arm_kinematics

    monkeypatch.setattr(arm_kinematics.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'lerobot_policy_ambient_diffusion\[kinematics\]'"):
        arm_kinematics.ArmKinematics(EndEffectorConfig(chain=urdf(), tip=TIP), MOTORS)
