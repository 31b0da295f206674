# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_ambient.data.match_keys import match_cameras
from lerobot_ambient.data.match_names import Dimension, match_dimensions, similarity, words_of
from lerobot_ambient.data.match_units import Conversion, convert_angles, convert_gripper, is_elsewhere


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
    conversion = convert_gripper(target, source, is_same_name=same)
    assert (conversion.scale, conversion.offset) == (scale, offset)


@given(low=st.floats(-1e3, 1e3), span=st.floats(3.0, 1e3), here=st.floats(150.0, 1e3))
def test_a_gripper_range_is_mapped_onto_the_targets(low, span, here):
    conversion = convert_gripper((-here, here), (low, low + span), is_same_name=False)
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
