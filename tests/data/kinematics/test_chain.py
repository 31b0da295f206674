# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics against MuJoCo, on an arm with every kind of joint, and what is said of a URDF that is none."""

import numpy as np
import pytest

from lerobot_ambient.data.kinematics.chain import Chain, parse_chain, read_chain
from lerobot_ambient.data.kinematics.joints import beyond_limits, chain_columns, joint_positions, joint_values
from lerobot_ambient.data.kinematics.rotations import angles_between
from lerobot_ambient.testing.virtual_arm.geometry import TIP, links, urdf

JOINTS = [
    # name, kind, origin's xyz, its rpy, axis
    ("turn", "continuous", "0.1 -0.2 0.3", "0.1 0.2 -0.3", "0 0 2"),
    ("mount", "fixed", "0 0 0.1", "1.5708 0 0.4", None),
    ("lift", "revolute", "0.02 0 0.1", "0 -0.7 0", "0 1 0"),
    ("slide", "prismatic", "0 0.1 0", "0.3 0 0", "1 1 0"),
    ("wrist", "revolute", "0 0 0.2", "-1.2 0.5 2.0", "0.3 -0.4 0.8"),
    ("tool", "fixed", "0.05 0 0", "0 0 0.6", None),
]


def awkward(joints=JOINTS, *, extra="", more=""):
    inertial = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
    text = f'<robot name="awkward"><mujoco><compiler fusestatic="false"/></mujoco>{extra}<link name="root"/>'
    parent = "root"
    for name, kind, xyz, rpy, axis in joints:
        text += (
            f'<link name="{name}_link">{inertial}</link><joint name="{name}" type="{kind}"><parent link="{parent}"/>'
        )
        text += f'<child link="{name}_link"/><origin xyz="{xyz}" rpy="{rpy}"/>'
        text += "" if axis is None else f'<axis xyz="{axis}"/>'
        text += '<limit lower="-1" upper="0.5" effort="1" velocity="1"/>' if kind in ("revolute", "prismatic") else ""
        text += f"{more}</joint>"
        parent = f"{name}_link"
    return text + "</robot>"


def arm() -> Chain:
    return parse_chain(urdf(), TIP, "the virtual arm")


def test_poses_are_mujocos_on_ten_thousand_configurations():
    mujoco = pytest.importorskip("mujoco", reason="FORWARD KINEMATICS IS NOT COMPARED WITH MUJOCO'S: no mujoco")
    chain, model = parse_chain(awkward(), "tool_link", "x"), mujoco.MjModel.from_xml_string(awkward())
    data, body = mujoco.MjData(model), mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "tool_link")
    positions = np.random.default_rng(0).uniform(-1.0, 1.0, (10_000, len(chain.names)))
    poses = chain.forward(positions)
    rotation, position = np.empty((10_000, 3, 3)), np.empty((10_000, 3))
    for i, at in enumerate(positions):
        data.qpos[:] = at
        mujoco.mj_kinematics(model, data)
        rotation[i], position[i] = data.xmat[body].reshape(3, 3), data.xpos[body]
    assert np.abs(poses.position - position).max() < 1e-9
    assert angles_between(poses.rotation, rotation).max() < 1e-8


def test_the_virtual_arms_urdf_is_its_drawing():
    chain = arm()
    positions = np.random.default_rng(0).uniform(*chain.limits, (20, 5)) * [0, 1, 1, 1, 1]
    drawn = [links(dict(zip(chain.names, np.degrees(row), strict=True)))[-1] for row in positions]
    np.testing.assert_allclose(chain.forward(positions).position[:, [0, 2]], drawn, atol=1e-12)


def test_blocks_change_nothing(monkeypatch):
    chain = arm()
    positions = np.random.default_rng(0).uniform(-1, 1, (100, 5))
    whole = chain.forward(positions)
    monkeypatch.setattr("lerobot_ambient.data.kinematics.chain._BLOCK", 7)
    np.testing.assert_array_equal(chain.forward(positions).position, whole.position)


def test_a_chain_that_was_written_is_read_as_itself():
    chain = parse_chain(awkward(), "tool_link", "x")
    again = parse_chain(chain.to_urdf(), "tool_link", "y")
    assert again.to_urdf() == chain.to_urdf() and again.names == ["turn", "lift", "slide", "wrist"]
    np.testing.assert_array_equal(again.limits, chain.limits)
    ended = parse_chain(chain.to_urdf(endless=False), "tool_link", "z")
    assert [joint.kind for joint in ended.moving] == ["revolute", "revolute", "prismatic", "revolute"]


@pytest.mark.parametrize("unit", ["degrees", "radians", "normalized"])
def test_units_go_there_and_back(unit):
    chain = arm()
    values = np.random.default_rng(0).uniform(-90, 90, (10, 5))
    np.testing.assert_allclose(joint_values(chain, joint_positions(chain, values, unit), unit), values)


def test_normalized_reaches_from_limit_to_limit():
    chain = arm()
    ends = joint_positions(chain, np.array([[-100.0] * 5, [100.0] * 5]), "normalized")
    np.testing.assert_allclose(ends, chain.limits)
    endless = parse_chain(awkward(), "tool_link", "x")
    with pytest.raises(ValueError, match=r"\['turn'\] have no limits"):
        joint_positions(endless, np.zeros((1, 4)), "normalized")


def test_joints_in_another_unit_stick_out_of_their_limits():
    chain = arm()
    degrees = np.random.default_rng(0).uniform(-80, 80, (100, 5))
    assert beyond_limits(chain, joint_positions(chain, degrees, "degrees")) is None
    said = beyond_limits(chain, joint_positions(chain, degrees, "radians"))
    assert "shoulder_pan runs over" in said and "the URDF's limits are -1.97..1.97" in said


@pytest.mark.parametrize(
    ("joints", "names", "message"),
    [
        ({}, ["a", "b"], r"no dimension \['shoulder_pan.pos', .*joints: \{shoulder_pan: a"),
        ({"shoulder_pan": "a", "elbow": "b"}, ["a", "b"], r"no joint \['elbow'\] moves 'gripper_tip', and nothing is"),
        ({"shoulder_pan": "a"}, ["a"], r"nothing is said of \['shoulder_lift', 'elbow_flex', 'wrist_flex', 'wrist_"),
    ],
)
def test_joints_that_do_not_fit_are_refused_with_both_sides(joints, names, message):
    with pytest.raises(ValueError, match=message):
        chain_columns(arm(), joints, names, "action")


@pytest.mark.parametrize(
    ("text", "tip", "message"),
    [
        ("not xml", "tool_link", "is no URDF: syntax error"),
        ("<sdf/>", "tool_link", r"its element is <sdf> with 0 links. A xacro has to be expanded"),
        (awkward(), "hand", r"no link 'hand' for the tip; its links are \['root', 'turn_link'"),
        (awkward(), "root", "no joint moves the link 'root'"),
        (awkward(more='<mimic joint="turn"/>'), "tool_link", "joint 'tool' mimics another"),
        (awkward([("a", "floating", "0 0 0", "0 0 0", None)]), "a_link", "joint 'a' is floating; only revolute"),
        (awkward([("a", "revolute", "0 0", "0 0 0", "0 0 1")]), "a_link", "origin of 'a' is '0 0', not three numbers"),
        (awkward([("a", "revolute", "0 0 0", "0 0 0", "0 0 0")]), "a_link", "the axis of joint 'a' is 0 0 0"),
    ],
)
def test_a_urdf_that_cannot_be_used_is_refused(text, tip, message):
    with pytest.raises(ValueError, match=message):
        parse_chain(text, tip, "arm.urdf")


def test_a_urdf_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"the URDF .*arm.urdf cannot be read: .*No such file"):
        read_chain(tmp_path / "arm.urdf", TIP)
