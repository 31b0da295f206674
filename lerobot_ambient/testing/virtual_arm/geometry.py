# SPDX-License-Identifier: Apache-2.0
"""Where the links of an SO-101 are, for a drawing and as a URDF: an approximation to a few millimetres.

    r, z    forward and up in the vertical plane that the arm lies in, in metres; the base stands at (0, 0)

In the middle of every joint's range the upper arm points up, the forearm and the gripper forward. Lift, elbow and
wrist turn what lies beyond them forward and down as their angles grow; the pan turns the plane about the base, to the
left. In the URDF x is forward, y left and z up; the roll turns the gripper about its own x, clockwise as seen from
behind. The drawing leaves the roll out. A physical arm has its maker's URDF, whose axes lie otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .joints import JOINTS

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


TIP = "gripper_tip"
"""The link of the URDF at the fixed jaw's tip: x along the jaw, z up where nothing is turned."""


def urdf() -> str:
    """The arm as a URDF: five joints with the ranges of the shipped calibration, no gripper, masses or meshes."""
    origins = {
        "shoulder_pan": (0.0, 0.0, 0.0),
        "shoulder_lift": (SHOULDER[0], 0.0, SHOULDER[1]),
        "elbow_flex": (UPPER_ARM[0], 0.0, UPPER_ARM[1]),
        "wrist_flex": (FOREARM[0], 0.0, FOREARM[1]),
        "wrist_roll": (0.0, 0.0, 0.0),
    }
    axes = {"shoulder_pan": "0 0 1", "wrist_roll": "1 0 0"}
    lines, parent = ['<robot name="virtual_so101">', '  <link name="base"/>'], "base"
    for joint in JOINTS[: len(origins)]:
        # Angles count from the middle between the stops.
        half = np.pi if joint.stops is None else np.radians(joint.angle(joint.stops[1]))
        lines += [
            f'  <link name="{joint.name}_link"/>',
            f'  <joint name="{joint.name}" type="revolute">',
            f'    <parent link="{parent}"/><child link="{joint.name}_link"/>',
            f'    <origin xyz="{" ".join(map(str, origins[joint.name]))}"/>',
            f'    <axis xyz="{axes.get(joint.name, "0 1 0")}"/>',
            f'    <limit lower="{-half:.6f}" upper="{half:.6f}" effort="3" velocity="5"/>',
            "  </joint>",
        ]
        parent = f"{joint.name}_link"
    return "\n".join(
        [
            *lines,
            f'  <link name="{TIP}"/>',
            f'  <joint name="tip" type="fixed"><parent link="{parent}"/><child link="{TIP}"/>',
            f'    <origin xyz="{WRIST[0] + JAW} 0 0"/></joint>',
            "</robot>\n",
        ]
    )
