# SPDX-License-Identifier: Apache-2.0
"""The arm's scene as MuJoCo text, and the questions asked of it: does the arm touch anything, and where is it.

The arm has seven revolute joints with the link lengths and the joint limits that Franka publishes for its Panda, and
links of capsules. It stands on a table with two posts before it. Lengths in m, angles in rad.

Control here is kinematic: the task is to find motions, so joints are placed, not driven, and MuJoCo computes where
the links are and what touches. Nothing is simulated in time.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from lerobot_ambient.benchmarks.tasks.arm7.task import HIGH, JOINTS, LOW
from lerobot_ambient.core.arrays import Floats

RESOLUTION = 0.04
"""A motion is checked at configurations at most this far apart, in rad of the joint that moves most. A single joint
moves the hand by less than 4 cm in between; the thinnest obstacle and the thinnest link are 8 cm thick together."""

# A body's frame lies on its joint's axis, z, after the one before it: place, then quarter turns about x.
_UP, _DOWN = "0.7071068 0.7071068 0 0", "0.7071068 -0.7071068 0 0"
_BODIES: tuple[tuple[str, str, str], ...] = (
    ("link1", "0 0 0.333", "1 0 0 0"),
    ("link2", "0 0 0", _DOWN),
    ("link3", "0 -0.316 0", _UP),
    ("link4", "0.0825 0 0", _UP),
    ("link5", "-0.0825 0.384 0", _DOWN),
    ("link6", "0 0 0", _UP),
    ("link7", "0.088 0 0", _UP),
)
# End points and radius of each body's capsules. The hand belongs to link 7.
_CAPSULES: dict[str, tuple[tuple[str, float], ...]] = {
    "link1": (("0 0 -0.19 0 0 -0.03", 0.06),),
    "link2": (("0 0 -0.05 0 0 0.05", 0.06),),
    "link3": (("0 0 -0.22 0 0 -0.06", 0.06), ("0.07 0 -0.03 0.07 0 0.03", 0.05)),
    "link4": (("0 0 -0.05 0 0 0.05", 0.055), ("-0.07 0.03 0 -0.0825 0.12 0", 0.055)),
    "link5": (("0 0 -0.26 0 0 -0.02", 0.05),),
    "link6": (("0 0 -0.04 0 0 0.04", 0.05), ("0.088 0 -0.02 0.088 0 0.02", 0.05)),
    "link7": (("0 0 0.03 0 0 0.12", 0.045), ("0.06 0.06 0.15 -0.06 -0.06 0.15", 0.035), ("0 0 0.17 0 0 0.21", 0.025)),
}
TOOL = (0.0, 0.0, 0.21)
"""The point between the fingers, in the frame of link 7."""
BOXES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "table": ((0.25, 0.0, -0.02), (0.75, 0.9, 0.02)),
    "post_left": ((0.50, 0.30, 0.16), (0.04, 0.04, 0.16)),
    "post_right": ((0.50, -0.30, 0.16), (0.04, 0.04, 0.16)),
}
"""Obstacles: centre and half of the sides."""

# Bits of contype and conaffinity. Everything of the arm can touch an obstacle; wrist and hand can touch the lower
# arm. Neighbours overlap at their joint, which is no collision, so other pairs of links are left out.
_BITS = {"box": (1, 0), "lower": (2, 1), "elbow": (0, 1), "wrist": (0, 3)}
_PART = {"link1": "lower", "link2": "lower", "link3": "lower", "link4": "elbow"}


def _geom(part: str, attributes: str) -> str:
    contype, conaffinity = _BITS[part]
    return f'<geom contype="{contype}" conaffinity="{conaffinity}" {attributes}/>'


def _scene_text(clearance: float = 0.0) -> str:
    """The scene in MuJoCo's XML; links that come within `clearance` of something count as touching it."""
    # MuJoCo 4 adds the margins of the two geoms; before, the larger one counted.
    boxes = "\n".join(
        _geom("box", f'name="{name}" type="box" pos="{_words(centre)}" size="{_words(half)}"')
        for name, (centre, half) in BOXES.items()
    )
    arm = "</body>" * JOINTS
    for number, (name, place, turn) in reversed(list(enumerate(_BODIES))):
        geoms = "\n".join(
            _geom(_PART.get(name, "wrist"), f'type="capsule" fromto="{ends}" size="{radius}"')
            for ends, radius in _CAPSULES[name]
        )
        site = f'<site name="tool" pos="{_words(TOOL)}"/>' if name == "link7" else ""
        joint = f'<joint axis="0 0 1" range="{LOW[number]} {HIGH[number]}"/>'
        arm = f'<body name="{name}" pos="{place}" quat="{turn}">{joint}\n{geoms}{site}\n{arm}'
    base = _geom("lower", 'type="capsule" fromto="0 0 0.07 0 0 0.12" size="0.07"')
    return f"""<mujoco model="arm7">
<compiler angle="radian" autolimits="true"/>
<default><geom margin="{clearance / 2}"/></default>
<worldbody>
{boxes}
{base}
{arm}
</worldbody>
</mujoco>"""


def _words(numbers: tuple[float, ...]) -> str:
    return " ".join(str(number) for number in numbers)


class ArmScene:
    """The arm among its obstacles.

    Args:
        clearance: how far, in m, the arm keeps from obstacles and from itself; 0 counts touching only.
    """

    def __init__(self, clearance: float = 0.0) -> None:
        if not 0.0 <= clearance <= 0.1:
            raise ValueError(f"ArmScene: clearance is {clearance} m, must lie in [0, 0.1]")
        self.clearance = clearance
        self._model = mujoco.MjModel.from_xml_string(_scene_text(clearance))
        self._data = mujoco.MjData(self._model)
        # Held, because looking them up costs as much as a check.
        self._angles: Floats = self._data.qpos

    def free(self, angles: ArrayLike) -> bool:
        """Whether the arm at the joint angles (7,) is within the limits and keeps its clearance."""
        there = np.asarray(angles, dtype=np.float64)
        return bool((there >= LOW).all() and (there <= HIGH).all()) and not self._touches(there)

    def motion_free(self, start: Floats, end: Floats) -> bool:
        """Whether the straight joint motion from `start` to `end`, both (7,), is free; `start` is taken to be."""
        # The end first: it is the likeliest to be bad when a tree grows. Between two configurations within the limits
        # all are.
        if not self.free(end):
            return False
        step = end - start
        checks = math.ceil(float(np.abs(step).max()) / RESOLUTION)
        return not any(self._touches(start + (number / checks) * step) for number in range(checks - 1, 0, -1))

    def _touches(self, angles: Floats) -> bool:
        self._angles[:] = angles
        # The part of mj_forward that finds contacts.
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_collision(self._model, self._data)
        return bool(self._data.ncon > 0)

    def points(self, angles: ArrayLike) -> Floats:
        """Places of the base, the seven joints and the tool, shape (9, 3)."""
        self._angles[:] = angles
        mujoco.mj_kinematics(self._model, self._data)
        return np.vstack([self._data.xpos, self._data.site_xpos])
