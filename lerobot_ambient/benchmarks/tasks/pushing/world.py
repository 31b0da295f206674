# SPDX-License-Identifier: Apache-2.0
"""The pushed block and its pusher in pymunk, seen from above.

The block stands on four feet; dry friction of a foot is a joint to the table that gives way at its share of the load.
The pusher is a disc of 1 kg, drawn to its commanded position by a critically damped spring, so it yields to loads.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pymunk

from lerobot_ambient.benchmarks.tasks.pushing.task import FPS, HALF, Physics
from lerobot_ambient.core.arrays import Floats

_SUBSTEPS = 10
_FEET = 0.54 * HALF
"""Offset of the feet along each axis. Their limit of torque over force, sqrt(2) times this, is then that of a square
of even pressure."""
ARM = math.sqrt(2.0) * _FEET
"""Largest torque that the table's friction resists, over the largest force, in cm."""


class World:
    """A block and a pusher on a table.

    Args:
        physics: see `Physics`.
        pusher: position (2,).
        pose: of the block, (3,).
        rng: for the noise of commands.
    """

    def __init__(self, physics: Physics, pusher: Floats, pose: Floats, rng: np.random.Generator) -> None:
        self._physics, self._rng = physics, rng
        self._space = pymunk.Space()
        # The default tolerates an overlap of 0.1, a tenth of the success radius.
        self._space.collision_slop = 0.01
        self._block = pymunk.Body(physics.block_mass, pymunk.moment_for_box(physics.block_mass, (2 * HALF, 2 * HALF)))
        self._block.position, self._block.angle = (float(pose[0]), float(pose[1])), float(pose[2])
        box = pymunk.Poly.create_box(self._block, (2 * HALF, 2 * HALF))
        self._pusher = pymunk.Body(1.0, math.inf)
        self._pusher.position = float(pusher[0]), float(pusher[1])
        disc = pymunk.Circle(self._pusher, physics.pusher_radius)
        # pymunk multiplies the two coefficients.
        box.friction, disc.friction = 1.0, physics.contact_friction
        self._space.add(self._block, box, self._pusher, disc)
        for foot in ((-_FEET, -_FEET), (-_FEET, _FEET), (_FEET, -_FEET), (_FEET, _FEET)):
            joint = pymunk.PivotJoint(self._space.static_body, self._block, (0.0, 0.0), foot)
            # Friction resists motion and does not pull back what has slid.
            joint.max_bias, joint.max_force = 0.0, physics.load / 4.0
            self._space.add(joint)
        self._queue: deque[tuple[float, float]] = deque([self._pusher.position] * physics.delay)

    @property
    def pusher(self) -> Floats:
        """Position (2,)."""
        return np.array(self._pusher.position)

    @property
    def pose(self) -> Floats:
        """The block's pose (3,), its angle not folded."""
        return np.array([*self._block.position, self._block.angle])

    def step(self, command: Floats) -> None:
        """Advance by 1 / FPS seconds with a new command (2,), which acts after the delay."""
        x, y = float(command[0]), float(command[1])
        if self._physics.noise:
            dx, dy = self._rng.normal(0.0, self._physics.noise, 2)
            x, y = x + dx, y + dy
        self._queue.append((x, y))
        goal_x, goal_y = self._queue.popleft()
        stiffness, damping = self._physics.stiffness**2, 2.0 * self._physics.stiffness
        for _ in range(_SUBSTEPS):
            (px, py), (vx, vy) = self._pusher.position, self._pusher.velocity
            self._pusher.force = (
                stiffness * (goal_x - px) - damping * vx,
                stiffness * (goal_y - py) - damping * vy,
            )
            self._space.step(1.0 / (FPS * _SUBSTEPS))
