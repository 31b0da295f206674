# SPDX-License-Identifier: Apache-2.0
"""What the PushT environment and its demonstrations must agree on: units, the T's shape, its goal, starts.

Symbols: lengths in gym-pusht's pixels (the table is 512 wide), time in s, angles in rad. Points of the plane are
complex numbers where they are turned, x + i y. A pose is an array (3,): where the T's own origin, the middle of its
bar's outer edge, lies, and its angle.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from lerobot_ambient.core.arrays import Floats

FPS = 10
TABLE = 512.0
RADIUS = 15.0
"""Of the pusher."""
EPISODE_LENGTH = 300
"""gym-pusht's own."""
GOAL = np.array([256.0, 256.0, math.pi / 4.0])
KEYPOINTS = 8
TASK = "Push the T onto the marked T."
OUTLINE = np.array([-60 + 0j, 60 + 0j, 60 + 30j, 15 + 30j, 15 + 120j, -15 + 120j, -15 + 30j, -60 + 30j])
"""Corners of the T in its own frame, counter-clockwise."""
CENTRE, INERTIA = 45j, 3000.0
"""Its centre of mass, and its moment of inertia over its mass: gym-pusht's, which are not those of an even plate."""


def require_reach(reach: float) -> None:
    """Check how far from the goal episodes start.

    Raises:
        ValueError: it is not in (0, 1].
    """
    if not 0.0 < reach <= 1.0:
        raise ValueError(f"pusht: reach is {reach}, must be in (0, 1]; 1 is gym-pusht's own starts")


def draw_start(rng: np.random.Generator, reach: float) -> tuple[Floats, Floats]:
    """Draw a start near the goal: pusher (2,) and the T's pose (3,).

    gym-pusht's own ranges, the T's shrunk by `reach` about the goal: its middle (of the mass) is uniform over the
    square of 300 `reach` about the goal's, its angle within pi `reach` of the goal's. The pusher is uniform over the
    inner 400, at least 10 away from the T.
    """
    goal_centre = place(GOAL, CENTRE)
    while True:
        angle = GOAL[2] + reach * rng.uniform(-math.pi, math.pi)
        centre = goal_centre + reach * complex(rng.uniform(-150.0, 150.0), rng.uniform(-150.0, 150.0))
        origin = centre - CENTRE * np.exp(1j * angle)
        pose = np.array([origin.real, origin.imag, angle])
        pusher = complex(rng.uniform(50.0, 450.0), rng.uniform(50.0, 450.0))
        if clearance(np.array([pusher]), pose)[0] >= RADIUS + 10.0:
            return np.array([pusher.real, pusher.imag]), pose


def place(pose: ArrayLike, points: complex | np.ndarray) -> np.ndarray:
    """Points of the T's frame in the plane, complex, of the shape of `points`."""
    x, y, angle = np.asarray(pose, dtype=np.float64)
    placed: np.ndarray = x + 1j * y + np.exp(1j * angle) * np.asarray(points)
    return placed


def clearance(places: np.ndarray, pose: ArrayLike) -> Floats:
    """Distance of complex places (n,) to the T at `pose`; 0 inside."""
    x, y, angle = np.asarray(pose, dtype=np.float64)
    inner = (places - (x + 1j * y)) * np.exp(-1j * angle)

    def beyond(left: float, right: float, bottom: float, top: float) -> Floats:
        dx = np.maximum(np.maximum(left - inner.real, inner.real - right), 0.0)
        dy = np.maximum(np.maximum(bottom - inner.imag, inner.imag - top), 0.0)
        distance: Floats = np.hypot(dx, dy)
        return distance

    return np.minimum(beyond(-60.0, 60.0, 0.0, 30.0), beyond(-15.0, 15.0, 30.0, 120.0))
