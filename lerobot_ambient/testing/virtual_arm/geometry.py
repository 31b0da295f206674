# SPDX-License-Identifier: Apache-2.0
"""Where the links of an SO-101 are, for a drawing: an approximation to a few millimetres, without the wrist's roll.

    r, z    forward and up in the vertical plane that the arm lies in, in metres; the base stands at (0, 0)

In the middle of every joint's range the upper arm points up, the forearm and the gripper forward. Lift, elbow and
wrist turn what lies beyond them forward and down as their angles grow; the pan turns the plane about the base.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

SHOULDER = (0.030, 0.117)
"""The axis of the shoulder's lift: r and z."""
UPPER_ARM = (0.028, 0.113)
"""From there to the elbow's axis, in the middle of the range."""
FOREARM = (0.135, 0.0)
WRIST = (0.061, 0.0)
"""From the axis of the wrist to where the jaws begin."""
JAW = 0.098
_WIDEST = 60.0
"""Degrees between the jaws at 100 percent."""


def links(angles: Mapping[str, float]) -> NDArray[np.float64]:
    """Points of the arm in its plane.

    Args:
        angles: degrees from the middle of each joint's range, by joint; LeRobot's.

    Returns:
        (6, 2) r and z of the base, the shoulder, the elbow, the wrist, the root of the jaws, and their fixed tip.
    """
    turned = np.zeros(2)
    points = [turned, np.array(SHOULDER)]
    down = 0.0
    for joint, link in (("shoulder_lift", UPPER_ARM), ("elbow_flex", FOREARM), ("wrist_flex", WRIST)):
        down += np.radians(angles[joint])
        points.append(points[-1] + _turn(link, down))
    points.append(points[-1] + _turn((JAW, 0.0), down))
    return np.array(points)


def moving_tip(angles: Mapping[str, float]) -> NDArray[np.float64]:
    """(2,) r and z of the tip of the jaw that the gripper moves; it is drawn in the arm's plane, whatever the roll."""
    down = np.radians(angles["shoulder_lift"] + angles["elbow_flex"] + angles["wrist_flex"])
    opened = np.radians(_WIDEST * angles["gripper"] / 100)
    tip: NDArray[np.float64] = links(angles)[4] + _turn((JAW, 0.0), down - opened)
    return tip


def _turn(link: tuple[float, float], down: float) -> NDArray[np.float64]:
    """`link` turned forward and down by an angle in radians."""
    r, z = link
    return np.array([r * np.cos(down) + z * np.sin(down), z * np.cos(down) - r * np.sin(down)])
