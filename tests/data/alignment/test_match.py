# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_ambient.data.alignment.match_keys import match_cameras
from lerobot_ambient.data.alignment.match_names import Dimension, match_dimensions, similarity, words_of
from lerobot_ambient.data.alignment.match_units import Conversion, convert_angles, convert_gripper, is_elsewhere


def test_similarity_tells_joints_apart():
    same = similarity(words_of("wrist_rot"), words_of("wristRoll"))
    other = similarity(words_of("shoulder_pan"), words_of("shoulder_lift"))
    assert other < 0.6 < same
    assert similarity(["joint", "1"], ["joint", "2"]) == 0.5
    assert Dimension.parse("l_shoulder_pan_joint") == Dimension(
        "l_shoulder_pan_joint", "left", "joint", ("shoulder", "pan")
    )


def test_matches_never_share_a_source_dimension():
    found = match_dimensions(["left_gripper", "right_gripper", "gripper"], ["gripper", "hand_1", "left_hand"])
    assert len({match.take for match in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("name", "side", "kind", "words"),
    [
        ("right_hand.joint_3.pos", "right", "gripper", ("hand", "3")),
        ("leftElbow", "left", "joint", ("elbow",)),
        ("ee.x", None, "pose", ("ee", "x")),
        ("wrist_roll", None, "joint", ("wrist", "roll")),
        ("roll", None, "pose", ("roll",)),
        ("x.vel", None, "rate", ("x", "vel")),
        ("l", None, "joint", ("l",)),
        ("pos", None, "joint", ("pos",)),
    ],
)
def test_what_a_name_says(name, side, kind, words):
    assert Dimension.parse(name) == Dimension(name, side, kind, words)


def test_hands_map_onto_hands_by_order():
    found = match_dimensions(["hand_a", "hand_b"], ["finger_1", "finger_2", "finger_3"])
    assert [found[name].take for name in ("hand_a", "hand_b")] == ["finger_1", "finger_2"]


def test_a_settled_dimension_is_not_matched_and_its_source_not_offered():
    found = match_dimensions(["a", "b", "c"], ["a", "b"], settled={"b": "a", "c": None})
    assert {name: match.take for name, match in found.items()} == {"a": "b"}


def test_cameras_pair_by_view_before_order():
    pairs = match_cameras(["observation.images.top", "observation.images.wrist"], ["cam_wrist", "cam_1"])
    assert {key: other for key, (other, _) in pairs.items()} == {
        "observation.images.wrist": "cam_wrist",
        "observation.images.top": "cam_1",
    }
    assert pairs["observation.images.top"][1] == "by order: check the view"


@pytest.mark.parametrize(
    ("target", "source", "scale"),
    [
        ((-90, 90), (-3.1, 3.1), 57.29578),
        ((-90, 90), (-6.38, 3.1), 57.29578),
        ((-90, 90), (-6.5, 3.1), 1.0),
        ((-7.0, 7.0), (-3.1, 3.1), 1.0),
        ((-3.1, 3.1), (-90, 90), 0.01745329),
        ((-90, 90), (0, 0), 1.0),
        ((0, 512), (0, 1), 1.0),
    ],
)
def test_angles_are_converted_where_one_side_can_only_be_degrees(target, source, scale):
    assert convert_angles([target], [source]).scale == scale


def test_a_range_of_one_may_be_normalised():
    assert "normalised to 1?" in convert_angles([(-90, 90)], [(-1, 1)]).why
    assert "normalised to 1?" not in convert_angles([(-90, 90)], [(-2, 1)]).why
    assert convert_angles([], []) == Conversion()


@pytest.mark.parametrize(
    ("target", "source", "same", "scale", "offset"),
    [
        ((2, 98), (0, 1), False, 100.0, 0.0),
        ((0, 1), (1, 99), True, 0.01, 0.0),
        ((0, 40), (5, 250), False, 0.1633, -0.8165),
        ((0, 100), (0, 0.08), True, 1250.0, 0.0),
        ((0, 100), (0, 60), True, 1.0, 0.0),
        ((0, 100), (3, 97), False, 1.0, 0.0),
        ((0, 100), (5, 5), False, 1.0, 0.0),
    ],
)
def test_grippers_are_converted_by_their_ranges(target, source, same, scale, offset):
    conversion = convert_gripper(target, source, is_same_name=same, angles=Conversion())
    assert (conversion.scale, conversion.offset) == (scale, offset)


@pytest.mark.parametrize(
    ("target", "source", "scale"),
    [
        # Jittery radians: extremes onto extremes would be 41.
        ((1.0, 34.4), (-0.12, 0.72), 57.29578),
        # 0 to 1 on an arm in radians, jittery too: the factor that fits better.
        ((1.0, 34.4), (-0.05, 0.38), 100.0),
        ((-10, 100), (-0.17, 1.75), 57.29578),
        # Neither unit explains metres.
        ((0, 100), (0, 0.08), 1250.0),
    ],
)
def test_a_gripper_shares_the_unit_of_its_arm_where_that_fits_best(target, source, scale):
    angles = convert_angles([(-90, 90)], [(-1.5, 1.5)])
    conversion = convert_gripper(target, source, is_same_name=False, angles=angles)
    assert conversion.scale == scale
    assert "check" in conversion.why
    back = convert_gripper(source, target, is_same_name=False, angles=convert_angles([(-1.5, 1.5)], [(-90, 90)]))
    assert back.scale == pytest.approx(1 / scale, rel=1e-3)


@given(low=st.floats(-1e3, 1e3), span=st.floats(3.0, 1e3), here=st.floats(150.0, 1e3))
def test_a_gripper_range_is_mapped_onto_the_targets(low, span, here):
    conversion = convert_gripper((-here, here), (low, low + span), is_same_name=False, angles=Conversion())
    if conversion != Conversion():
        ends = np.array([low, low + span]) * conversion.scale + conversion.offset
        # Scale and offset have 4 significant digits.
        tolerance = 1e-3 * (here + conversion.scale * (abs(low) + span))
        assert np.abs(ends - [-here, here]).max() <= tolerance


def test_ranges_are_elsewhere_below_a_quarter_of_overlap():
    # 4 of 16 is a quarter.
    assert not is_elsewhere((0, 10), (6, 16))
    assert is_elsewhere((0, 10), (6.1, 16))
    assert is_elsewhere((0, 10), (20, 30))


SO101 = [
    f"{name}.pos" for name in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
]

ARMS = {
    "SO-100 before the calibration": "main_shoulder_pan main_shoulder_lift main_elbow_flex main_wrist_flex "
    "main_wrist_roll main_gripper",
    "ALOHA": "waist shoulder elbow wrist_angle wrist_rotate gripper / forearm_roll",
    "UR": "shoulder_pan_joint shoulder_lift_joint elbow_joint wrist_1_joint wrist_3_joint gripper / wrist_2_joint",
    "Unitree G1": "kLeftShoulderYaw kLeftShoulderPitch kLeftElbow kLeftWristPitch kLeftWristRoll kLeftGripper / "
    "kLeftShoulderRoll kLeftWristyaw",
    "pitches": "base_yaw shoulder_pitch elbow_pitch wrist_pitch wrist_rotation jaw",
    "LeRobot's Piper": "joint_1.pos joint_2.pos joint_3.pos joint_4.pos joint_5.pos gripper.pos / joint_6.pos",
    "Franka": "panda_joint1 panda_joint2 panda_joint3 panda_joint4 panda_joint5 panda_finger_joint1 / panda_joint6",
    "xArm": "joint1 joint2 joint3 joint4 joint5 gripper / joint6",
    "motors, the last of them the gripper": "motor_1 motor_2 motor_3 motor_4 motor_5 motor_6",
    "a gripper without a side": "left_joint_1 left_joint_2 left_joint_3 left_joint_4 left_joint_5 gripper_width",
}


@pytest.mark.parametrize("arm", ARMS.values(), ids=ARMS)
@pytest.mark.parametrize("shuffled", [False, True])
def test_arms_are_laid_onto_an_so101_by_their_joints(arm, shuffled):
    """The names before the slash are the partners of SO-101's dimensions; those after it are left over."""
    partners, _, rest = arm.partition(" / ")
    # Numbered joints have no place but their order.
    names = [*rest.split(), *partners.split()] if shuffled and "1" not in arm else [*partners.split(), *rest.split()]
    found = match_dimensions(SO101, names)
    assert [found[name].take for name in SO101] == partners.split()
    back = match_dimensions(names, SO101)
    assert {name: match.take for name, match in back.items()} == dict(zip(partners.split(), SO101, strict=True))


@given(st.data())
def test_nothing_is_left_out_while_a_plausible_joint_is_unused(data):
    """For arms of any names: joints without a partner on both sides sit in different places of the body."""
    words = ["shoulder_pan", "shoulder_pitch", "elbow", "wrist_1", "wrist_roll", "joint_1", "joint_4", "a", "b"]
    words += ["torso_lift", "gripper", "finger_2", "x", "a.vel"]
    lists = st.lists(st.sampled_from(words), unique=True, min_size=1)
    targets, sources = data.draw(lists), data.draw(lists)
    found = match_dimensions(targets, sources)
    taken = [match.take for match in found.values()]
    assert len(set(taken)) == len(taken) and set(taken) <= set(sources)
    mine, other = (
        {Dimension.parse(name).segment for name in names if name not in used and Dimension.parse(name).kind == "joint"}
        for names, used in ((targets, found), (sources, taken))
    )
    assert not mine or not other or (None not in mine | other and not mine & other)
