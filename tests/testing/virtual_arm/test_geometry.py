# SPDX-License-Identifier: Apache-2.0
"""Where the links are, against lengths and poses that can be told by hand."""

import numpy as np
import pytest

from lerobot_ambient.testing.virtual_arm.geometry import FOREARM, JAW, SHOULDER, UPPER_ARM, WRIST, links, moving_tip
from lerobot_ambient.testing.virtual_arm.joints import JOINTS
from lerobot_ambient.testing.virtual_arm.motion import MOTIONS, PICK_SECONDS, REST

NAMES = [joint.name for joint in JOINTS]


def pose(**angles: float) -> dict[str, float]:
    return {name: angles.get(name, 0.0) for name in NAMES}


def test_in_the_middle_the_upper_arm_points_up_and_the_rest_forward():
    base, shoulder, elbow, wrist, root, tip = links(pose())
    assert tuple(base) == (0.0, 0.0)
    assert tuple(shoulder) == SHOULDER
    assert elbow[1] - shoulder[1] == pytest.approx(UPPER_ARM[1])
    assert wrist[1] == root[1] == tip[1] == elbow[1]
    assert tip[0] - elbow[0] == pytest.approx(FOREARM[0] + WRIST[0] + JAW)


def test_positive_angles_turn_forward_and_down_what_lies_beyond():
    still = links(pose())
    for joint, first in (("shoulder_lift", 2), ("elbow_flex", 3), ("wrist_flex", 4)):
        turned = links(pose(**{joint: 90.0}))
        np.testing.assert_array_equal(turned[:first], still[:first])
        arm, before = turned[first] - turned[first - 1], still[first] - still[first - 1]
        # A quarter turn: up becomes forward, forward becomes down.
        np.testing.assert_allclose(arm, [before[1], -before[0]], atol=1e-12)


def test_no_angle_changes_a_length():
    rng = np.random.default_rng(0)
    expected = np.linalg.norm([SHOULDER, UPPER_ARM, FOREARM, WRIST, (JAW, 0.0)], axis=1)
    for _ in range(20):
        angles = pose(**dict(zip(NAMES, rng.uniform(-100, 100, 6), strict=True)))
        points = links(angles)
        np.testing.assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), expected, atol=1e-12)
        assert np.linalg.norm(moving_tip(angles) - points[4]) == pytest.approx(JAW)


def test_the_gripper_opens_and_closes():
    shut, ajar, wide = (moving_tip(pose(gripper=percent)) - links(pose())[5] for percent in (0.0, 50.0, 100.0))
    np.testing.assert_allclose(shut, 0.0, atol=1e-12)
    assert 0 < ajar[1] < wide[1]


def test_picking_reaches_down_to_the_table_and_rests_above_it():
    motion = MOTIONS["pick"](0)
    heights = [links(dict(zip(NAMES, motion(t), strict=True)))[:, 1].min() for t in np.arange(0.0, PICK_SECONDS, 0.1)]
    assert -0.04 < min(heights) < 0.03
    assert links(dict(zip(NAMES, REST, strict=True)))[1:, 1].min() > 0.08
