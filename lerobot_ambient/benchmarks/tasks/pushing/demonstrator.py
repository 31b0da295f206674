# SPDX-License-Identifier: Apache-2.0
"""A demonstrator that pushes the block to its goal with feedback, push by push.

It chooses the push that a quasi-static model says ends nearest to the goal, walks around the block to where it
starts, pushes until what it has commanded so far will bring the block to the best place on that line, steps back, and
chooses again. The model is the usual one of a sticking contact and an ellipsoidal limit surface (Lynch, Maekawa and
Tanie, 1992); it is only approximate in either physics, which is why the pushes are corrected by further ones.

Symbols: a command leads the pusher by `coast + deflection`: coast is the way the pusher still goes if no further
command comes, deflection what the load keeps it from going.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lerobot_ambient.benchmarks.tasks.pushing.task import FPS, HALF, TABLE, Physics, clearance, fold
from lerobot_ambient.benchmarks.tasks.pushing.world import ARM
from lerobot_ambient.core.arrays import Floats

_ANGLE_WEIGHT = 7.0
"""Centimetres that a radian counts for when two poses are compared."""
_STANDOFF = 2.0
"""Gap between pusher and face, in cm, where a push starts."""
_MARGIN = 0.8
"""Gap, in cm, that it keeps from the block on the way there."""
_OFFSETS = np.linspace(-3.6, 3.6, 9)
_TILTS = np.array([-0.3, 0.0, 0.3])
"""Places along a face, in cm from its centre, and angles to its normal, in rad, of the pushes it considers."""
_STRIDE, _STRIDES = 0.5, 36
"""Length of the model's strides in cm, and how many it looks ahead."""
_STEP = 0.2
"""How exactly, in cm, it sees where it will touch the block."""


@dataclass(frozen=True)
class Style:
    """How a demonstrator moves.

    Args:
        speed: of its commands, cm/s.
        jitter: standard deviation of what is added to each command, per axis, in cm.
        detour: by up to how many cm, drawn for each push, it goes around the block more widely than it must.
    """

    speed: float
    jitter: float
    detour: float


STYLES = {
    "target": Style(speed=15.0, jitter=0.0, detour=0.0),
    "source": Style(speed=20.0, jitter=0.4, detour=1.5),
}
"""A careful person, and a planner in a simulation: faster and more jagged."""


@dataclass(frozen=True)
class _Push:
    """A face (its outward normal in the block's frame), where on it, and the direction in the world, (2,)."""

    normal: Floats
    offset: float
    direction: Floats


def _cost(poses: Floats) -> Floats:
    """How far poses (strides, n, 3) are from the goal, squared, in cm^2, shape (strides, n).

    The goal is the quarter turn that is nearest at first: to roll the block on to another is not worth the risk.
    """
    goal = poses[:1, :, 2] - fold(poses[:1, :, 2])
    squared: Floats = np.square(poses[..., :2]).sum(-1) + np.square(_ANGLE_WEIGHT * (poses[..., 2] - goal))
    return squared


def predict(pose: Floats, contact: Floats, direction: Floats) -> Floats:
    """Poses along straight pushes with a sticking contact.

    Args:
        pose: of the block, (3,).
        contact: points of contact in the world, (n, 2).
        direction: unit vectors, (n, 2).

    Returns:
        (_STRIDES + 1, n, 3): after 0, 1, ... strides of `_STRIDE` cm each.
    """
    x, y, angle = (np.full(len(contact), value) for value in pose)
    poses = [np.stack([x, y, angle], axis=-1)]
    dx, dy = _STRIDE * direction.T
    for stride in range(_STRIDES):
        rx, ry = (contact + stride * _STRIDE * direction).T - (x, y)
        squared = ARM**2 + rx**2 + ry**2
        vx = ((ARM**2 + rx**2) * dx + rx * ry * dy) / squared
        vy = (rx * ry * dx + (ARM**2 + ry**2) * dy) / squared
        x, y, angle = x + vx, y + vy, angle + (rx * vy - ry * vx) / ARM**2
        poses.append(np.stack([x, y, angle], axis=-1))
    return np.stack(poses)


def nearest_point(place: Floats, pose: Floats) -> Floats:
    """The point (2,) of the block at `pose` that is nearest to a place (2,)."""
    turn = _rotation(pose[2])
    nearest: Floats = pose[:2] + turn @ np.clip(turn.T @ (place - pose[:2]), -HALF, HALF)
    return nearest


def _way_to_touch(place: Floats, direction: Floats, pose: Floats, radius: float) -> float | None:
    """How far a disc at `place` may go before it touches the block, to `_STEP` cm; None if it misses it."""
    for way in np.arange(0.0, 2.0 * _STANDOFF + 2.0, _STEP):
        if clearance(place + way * direction, pose) <= radius + 0.5 * _STEP:
            return float(way)
    return None


def _rotation(angle: float) -> Floats:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s], [s, c]])


_NORMALS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
_TANGENTS = np.array([[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0]])
_FACES, _PLACES, _LEANS = (axis.ravel() for axis in np.meshgrid(range(4), _OFFSETS, _TILTS, indexing="ij"))


class Demonstrator:
    """Gives a command for every observation of one episode.

    Args:
        physics: whose pusher it is used to.
        style: how it moves.
        rng: of its jitter and detours.
    """

    def __init__(self, physics: Physics, style: Style, rng: np.random.Generator) -> None:
        self._physics, self._style, self._rng = physics, style, rng
        self._push: _Push | None = None
        self._pushing = False
        self._resting = 0
        self._detour = 0.0
        self._point: Floats | None = None

    def act(self, pusher: Floats, pose: Floats) -> Floats:
        """The command (2,) for a pusher at (2,) and a block at (3,)."""
        if self._point is None:
            self._point = pusher.copy()
        if self._push is None:
            self._push = self._choose(pusher, pose)
            self._pushing, self._resting = False, 0
            self._detour = self._rng.uniform(0.0, self._style.detour)
        command = self._advance(pusher, pose) if self._pushing else self._approach(pusher, pose)
        self._point = np.clip(command, -TABLE, TABLE)
        shaken = self._point + self._rng.normal(0.0, 1.0, 2) * self._style.jitter
        return np.clip(shaken, -TABLE, TABLE)

    def _choose(self, pusher: Floats, pose: Floats) -> _Push:
        turn = _rotation(pose[2])
        normals, tangents = _NORMALS[_FACES] @ turn.T, _TANGENTS[_FACES] @ turn.T
        contacts = pose[:2] + HALF * normals + _PLACES[:, None] * tangents
        directions = -np.cos(_LEANS)[:, None] * normals + np.sin(_LEANS)[:, None] * tangents
        costs = _cost(predict(pose, contacts, directions)).min(axis=0)
        starts = contacts + (self._physics.pusher_radius + _STANDOFF) * normals
        # A nearer start is worth a little.
        reachable = np.abs(starts).max(axis=1) <= TABLE
        ways = np.linalg.norm(starts - pusher, axis=1)
        best = int(np.argmin(np.where(reachable, np.sqrt(costs) + 0.02 * ways, np.inf)))
        return _Push(_NORMALS[_FACES[best]], float(_PLACES[best]), directions[best])

    def _contact(self, pose: Floats, beyond: float) -> Floats:
        """The place on the face where the push starts, `beyond` cm off it."""
        assert self._push is not None
        normal = self._push.normal
        tangent = np.array([-normal[1], normal[0]])
        return pose[:2] + _rotation(pose[2]) @ ((HALF + beyond) * normal + self._push.offset * tangent)

    def _towards(self, place: Floats) -> Floats:
        assert self._point is not None
        way = place - self._point
        return self._point + way * min(1.0, self._style.speed / FPS / max(float(np.linalg.norm(way)), 1e-9))

    def _approach(self, pusher: Floats, pose: Floats) -> Floats:
        """Towards the start of the push, straight if the way is free, else around the block."""
        assert self._point is not None
        start = self._contact(pose, self._physics.pusher_radius + _STANDOFF)
        if np.linalg.norm(pusher - start) < 1.0 and np.linalg.norm(self._point - start) < 1.0:
            self._pushing = True
            return self._advance(pusher, pose)
        keep = self._physics.pusher_radius + _MARGIN
        shares = np.linspace(0.0, 1.0, 24)[1:]
        if all(clearance(self._point + share * (start - self._point), pose) >= keep for share in shares):
            return self._towards(start)
        # Around on a circle that clears the corners, from where it is now.
        here, there = self._point - pose[:2], start - pose[:2]
        bearing = math.atan2(here[1], here[0])
        turn = (math.atan2(there[1], there[0]) - bearing + math.pi) % (2.0 * math.pi) - math.pi
        radius = math.sqrt(2.0) * HALF + keep + 0.3
        if np.linalg.norm(here) < radius - 0.5:
            onto = bearing
        else:
            onto = bearing + math.copysign(min(abs(turn), 0.5), turn)
        ring = (radius + self._detour) * np.array([math.cos(onto), math.sin(onto)])
        return self._towards(pose[:2] + ring)

    def _advance(self, pusher: Floats, pose: Floats) -> Floats:
        """On along the push by what is missing to the best place on it; ends the push when nothing is."""
        assert self._push is not None
        assert self._point is not None
        direction, radius = self._push.direction, self._physics.pusher_radius
        free = _way_to_touch(pusher, direction, pose, radius)
        if free is None:
            # It slipped past a corner.
            self._push = None
            return self._point
        contact = nearest_point(pusher + free * direction, pose)
        costs = _cost(predict(pose, contact[None], direction[None]))[:, 0]
        best = int(np.argmin(costs))
        coast = float((self._point - pusher) @ direction) - self._physics.deflection
        missing = _STRIDE * best + free - coast
        move = min(missing, self._style.speed / FPS)
        if move < 0.5 * _STRIDE:
            self._resting += 1
        # A long rest would teach a policy to rest for ever.
        if self._resting > self._physics.delay:
            self._push = None
        if move < 0.0:
            return self._point
        return self._point + move * direction
