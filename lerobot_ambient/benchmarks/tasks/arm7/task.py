# SPDX-License-Identifier: Apache-2.0
"""What the arm's environment and its demonstrations must agree on: joints, speeds, starts and goals, success.

Symbols: a configuration is an array (7,) of joint angles in rad, a path an array (n, 7) of configurations at
1 / FPS intervals. Lengths of paths are Euclidean in the joints. The module is free of MuJoCo, so that the
environment's LeRobot configuration stays light.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from lerobot_ambient.core.arrays import Floats

FPS = 10
JOINTS = 7
LOW = np.array([-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973])
HIGH = np.array([2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973])
"""Limits of the joints."""
SPACING = 0.08
"""Distance between neighbouring demonstrated configurations at full speed: 0.8 rad/s."""
MAX_STEP = 0.15
"""How far the fastest joint turns in a step at most: 1.5 rad/s."""
GOAL_TOLERANCE = 0.15
"""The largest error of a joint that still counts as arrived."""
CLEARANCE = 0.03
"""Starts and goals keep this far, in m, from obstacles."""
MIN_SEPARATION = 1.0
"""Least distance of the goal from the start."""
EPISODE_LENGTH = 150
TASK = "Move the arm to the goal without touching anything."

CENTRE = np.array([0.0, 0.4, 0.0, -1.9, 0.0, 2.3, 0.0])
SPREAD = np.array([1.3, 0.4, 0.3, 0.4, 0.3, 0.4, 0.4])
"""Starts and goals lie in CENTRE +- SPREAD: the elbow up, the hand turned down or forward."""
REACH_LOW, REACH_HIGH = np.array([0.2, -1.0, 0.15]), np.array([1.0, 1.0, 0.6])
"""Where the tool is at starts and goals, in m: over the table, between the posts or beside them."""


class Room(Protocol):
    """What drawing asks of the scene, see `scene.ArmScene`."""

    def free(self, angles: ArrayLike) -> bool: ...

    def points(self, angles: ArrayLike) -> Floats: ...


def is_success(angles: ArrayLike, goal: ArrayLike) -> bool:
    """Whether every joint is within `GOAL_TOLERANCE` of the goal, bounds included."""
    return bool(np.abs(np.subtract(angles, goal)).max() <= GOAL_TOLERANCE)


def _draw_configuration(rng: np.random.Generator, room: Room) -> Floats:
    """Draw a start or a goal: uniform over the free configurations in CENTRE +- SPREAD with the tool in reach."""
    while True:
        angles = rng.uniform(CENTRE - SPREAD, CENTRE + SPREAD)
        if room.free(angles):
            tool = room.points(angles)[-1]
            if (tool >= REACH_LOW).all() and (tool <= REACH_HIGH).all():
                return angles


def draw_task(rng: np.random.Generator, room: Room) -> tuple[Floats, Floats]:
    """Draw a start and a goal, each (7,), at least `MIN_SEPARATION` apart.

    Args:
        rng: drawn from.
        room: the scene with the clearance that they must keep.
    """
    while True:
        start, goal = _draw_configuration(rng, room), _draw_configuration(rng, room)
        if np.linalg.norm(goal - start) >= MIN_SEPARATION:
            return start, goal
