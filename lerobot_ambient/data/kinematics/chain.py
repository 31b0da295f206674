# SPDX-License-Identifier: Apache-2.0
"""The chain of a URDF from its root to a tip, and where the tip is: forward kinematics of many frames at once.

    T(q) = prod_j  O_j M_j(q_j)      O_j: a joint's origin in its parent link, M_j: what its position does
                                     (revolute: a turn about its axis, prismatic: a shift along it)

Angles are radians, lengths metres, as in URDF (https://wiki.ros.org/urdf/XML/joint). LeRobot's own kinematics (placo)
takes one configuration a call, 35 microseconds each; a dataset has millions. Tests hold the two, and MuJoCo, together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.kinematics.poses import Poses
from lerobot_ambient.data.kinematics.rotations import from_roll_pitch_yaw, turned

_MOVING = ("revolute", "continuous", "prismatic")
_BLOCK = 1 << 16
"""Frames of one step of the product: what it holds at a time stays in the cache's reach."""
_ENDLESS = 200.0 * math.pi


@dataclass(frozen=True, eq=False)
class ChainJoint:
    """One joint of a chain.

    Args:
        name, kind: as in the URDF: revolute, continuous, prismatic or fixed.
        child: name of the link that it moves.
        xyz, rpy: (3,) its origin in the parent link, m and rad.
        axis: (3,) of unit length.
        limits: lowest and highest position, rad or m; infinite for a continuous joint.
    """

    name: str
    kind: str
    child: str
    xyz: NDArray[np.float64]
    rpy: NDArray[np.float64]
    axis: NDArray[np.float64]
    limits: tuple[float, float]

    @property
    def moves(self) -> bool:
        return self.kind != "fixed"


@dataclass(frozen=True, eq=False)
class Chain:
    """The joints from the root to the tip, in this order.

    Args:
        root: name of the first link, in whose axes poses are.
        links: at least one; a tip that is the root moves nowhere.
    """

    root: str
    links: tuple[ChainJoint, ...]

    @cached_property
    def moving(self) -> tuple[ChainJoint, ...]:
        """The joints that move, J of them."""
        return tuple(joint for joint in self.links if joint.moves)

    @property
    def names(self) -> list[str]:
        """(J,) names of the joints that move."""
        return [joint.name for joint in self.moving]

    @property
    def tip(self) -> str:
        return self.links[-1].child

    @property
    def limits(self) -> NDArray[np.float64]:
        """(2, J) lowest and highest positions, rad or m."""
        return np.array([joint.limits for joint in self.moving]).T

    def forward(self, positions: NDArray[np.float64]) -> Poses:
        """Poses of the tip in the root's axes.

        Args:
            positions: (N, J) rad or m.
        """
        rotation, position = np.empty((len(positions), 3, 3)), np.empty((len(positions), 3))
        for start in range(0, len(positions), _BLOCK):
            block = slice(start, start + _BLOCK)
            rotation[block], position[block] = self._forward(np.asarray(positions[block], dtype=np.float64))
        return Poses(rotation, position)

    def _forward(self, positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # (3 N, 3) rows of all rotations under each other: a constant on the right is one product for all frames.
        rows, position = np.tile(np.eye(3), (len(positions), 1)), np.zeros((len(positions), 3))
        column = 0
        for joint in self.links:
            position += (rows @ joint.xyz).reshape(-1, 3)
            if joint.rpy.any():
                rows = rows @ from_roll_pitch_yaw(joint.rpy)
            if not joint.moves:
                continue
            moved, column = positions[:, column], column + 1
            if joint.kind == "prismatic":
                position += (rows @ joint.axis).reshape(-1, 3) * moved[:, None]
            else:
                rows = turned(rows, joint.axis, moved)
        return rows.reshape(-1, 3, 3), position

    def to_urdf(self, *, endless: bool = True) -> str:
        """The chain alone as a URDF, without masses and meshes; `read_chain` of it is this chain.

        Args:
            endless: whether continuous joints are such; else revolute ones that reach a hundred turns. Pinocchio keeps
                a continuous position as cosine and sine, which placo's set_joint takes for one number.
        """
        robot = ElementTree.Element("robot", name="chain")
        ElementTree.SubElement(robot, "link", name=self.root)
        parent = self.root
        for joint in self.links:
            ElementTree.SubElement(robot, "link", name=joint.child)
            kind, limits = joint.kind, joint.limits
            if kind == "continuous" and not endless:
                kind, limits = "revolute", (-_ENDLESS, _ENDLESS)
            element = ElementTree.SubElement(robot, "joint", name=joint.name, type=kind)
            ElementTree.SubElement(element, "parent", link=parent)
            ElementTree.SubElement(element, "child", link=joint.child)
            ElementTree.SubElement(element, "origin", xyz=_text(joint.xyz), rpy=_text(joint.rpy))
            if joint.moves:
                ElementTree.SubElement(element, "axis", xyz=_text(joint.axis))
            if kind in ("revolute", "prismatic"):
                low, high = limits
                # A URDF's limit needs an effort and a velocity; kinematics reads neither.
                ElementTree.SubElement(element, "limit", lower=repr(low), upper=repr(high), effort="0", velocity="0")
            parent = joint.child
        return ElementTree.tostring(robot, encoding="unicode")


def read_chain(path: str | Path, tip: str) -> Chain:
    """The chain of a URDF file from its root to a link.

    Raises:
        ValueError: no such file, no URDF, no such link, or a joint in the chain that cannot be computed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        place = "" if Path(path).is_absolute() else f" (that is {Path(path).absolute()})"
        raise ValueError(f"the URDF {path}{place} cannot be read: {error}.") from error
    return parse_chain(text, tip, str(path))


def parse_chain(text: str, tip: str, name: str) -> Chain:
    """As `read_chain`, of a URDF's text.

    Args:
        text: of the URDF.
        tip: the link at the chain's end.
        name: of the file, for messages.
    """
    try:
        robot = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"{name} is no URDF: {error}.") from error
    links = [str(link.get("name")) for link in robot.findall("link")]
    if robot.tag != "robot" or not links:
        raise ValueError(
            f"{name} is no URDF: its element is <{robot.tag}> with {len(links)} links. A xacro has to be expanded "
            "first (xacro FILE > FILE.urdf)."
        )
    if tip not in links:
        raise ValueError(f"{name} has no link '{tip}' for the tip; its links are {links}.")
    above = {_link(joint, "child", name): joint for joint in robot.findall("joint")}
    chain: list[ChainJoint] = []
    link = tip
    while link in above:
        if len(chain) > len(above):
            raise ValueError(f"{name}: the links above '{tip}' form a circle.")
        chain.append(_joint(above[link], name))
        link = _link(above[link], "parent", name)
    if not any(joint.moves for joint in chain):
        raise ValueError(f"{name}: no joint moves the link '{tip}'; name the tip of the arm, one of {links}.")
    return Chain(link, tuple(reversed(chain)))


def _joint(element: ElementTree.Element, name: str) -> ChainJoint:
    kind, joint = str(element.get("type")), str(element.get("name"))
    if kind not in (*_MOVING, "fixed"):
        raise ValueError(f"{name}: joint '{joint}' is {kind}; only {', '.join(_MOVING)} and fixed joints are computed.")
    if element.find("mimic") is not None:
        raise ValueError(f"{name}: joint '{joint}' mimics another and cannot stand between the root and the tip.")
    origin = element.find("origin")
    placed = {} if origin is None else origin.attrib
    axis_element = element.find("axis")
    axis = _numbers("1 0 0" if axis_element is None else str(axis_element.get("xyz")), f"{name}: axis of '{joint}'")
    length = float(np.linalg.norm(axis))
    if kind != "fixed" and length == 0.0:
        raise ValueError(f"{name}: the axis of joint '{joint}' is 0 0 0.")
    limits = (-math.inf, math.inf)
    if kind in ("revolute", "prismatic"):
        limit = element.find("limit")
        if limit is None:
            raise ValueError(f"{name}: joint '{joint}' is {kind} and has no limit; URDF asks for one.")
        limits = (_limit(limit, "lower", joint, name), _limit(limit, "upper", joint, name))
        if not limits[0] <= limits[1]:
            raise ValueError(
                f"{name}: joint '{joint}' reaches from {limits[0]:g} to {limits[1]:g}, lower to upper limit."
            )
    return ChainJoint(
        name=joint,
        kind=kind,
        child=_link(element, "child", name),
        xyz=_numbers(placed.get("xyz", "0 0 0"), f"{name}: origin of '{joint}'"),
        rpy=_numbers(placed.get("rpy", "0 0 0"), f"{name}: origin of '{joint}'"),
        # A unit axis keeps its bits, so that a chain that was written is read as itself.
        axis=axis / length if length and abs(length - 1.0) > 1e-12 else axis,
        limits=limits,
    )


def _limit(element: ElementTree.Element, end: str, joint: str, name: str) -> float:
    text = str(element.get(end, "0"))
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{name}: the {end} limit of joint '{joint}' is '{text}', no number.") from error


def _link(joint: ElementTree.Element, which: str, name: str) -> str:
    element = joint.find(which)
    if element is None or not element.get("link"):
        raise ValueError(f"{name}: joint '{joint.get('name')}' has no {which} link.")
    return str(element.get("link"))


def _numbers(text: str, what: str) -> NDArray[np.float64]:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise ValueError(f"{what} is '{text}', not three numbers.") from error
    if values.shape != (3,) or not np.isfinite(values).all():
        raise ValueError(f"{what} is '{text}', not three numbers.")
    return values


def _text(values: NDArray[np.float64]) -> str:
    return " ".join(repr(float(value)) for value in values)
