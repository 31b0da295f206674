# SPDX-License-Identifier: Apache-2.0
"""What the pushing environment and its demonstrations must agree on: units, the two physics, starts, success.

Symbols: lengths in cm, time in s, mass in kg, angles in rad. The origin is the goal, the centre of the table. A pose
is an array (3,) of the block's centre and angle. The block is a square without marks, so a quarter turn changes
nothing: its angle is folded into [-pi/4, pi/4], and observed as the cosine and sine of four times the angle, which do
not jump at the fold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from lerobot_ambient.core.arrays import Floats

FPS = 10
_GRAVITY = 981.0
"""cm/s^2."""
TABLE = 25.0
"""Half of the table's side. The pusher cannot be sent farther from the centre than this along an axis."""
HALF = 5.0
"""Half of the block's side."""
POSITION_TOLERANCE = 1.0
ANGLE_TOLERANCE = math.radians(6.0)
"""Bounds of success: distance in cm and angle in rad."""
CONTENT_POSITION = 1.5
CONTENT_ANGLE = math.radians(10.0)
"""A demonstrator is content within these and stops. It judges by eye; rollouts are judged more strictly."""
EPISODE_LENGTH = 200
TASK = "Push the block onto the marked square."


@dataclass(frozen=True)
class Physics:
    """What differs between a simulation and the world it stands for.

    Args:
        ground_friction: coefficient between block and table, positive.
        contact_friction: coefficient between pusher and block, not negative.
        block_mass: kg, positive.
        pusher_radius: cm, positive.
        stiffness: natural frequency, in 1/s, of the critically damped spring that draws the pusher, 1 kg, to its
            commanded position; in (0, 50]. A load F displaces the pusher by F / stiffness^2 cm.
        delay: control steps from a command to its effect, not negative.
        noise: standard deviation of what is added to every command, in cm, not negative.
    """

    ground_friction: float
    contact_friction: float
    block_mass: float
    pusher_radius: float
    stiffness: float
    delay: int
    noise: float

    def __post_init__(self) -> None:
        positive = ("ground_friction", "block_mass", "pusher_radius", "stiffness")
        for name in (entry.name for entry in fields(self)):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (name in positive and value == 0):
                bound = "positive" if name in positive else "not negative"
                raise ValueError(f"Physics: {name} is {value}, must be finite and {bound}")
        if self.stiffness > 50.0:
            raise ValueError(f"Physics: stiffness is {self.stiffness} 1/s, must be at most 50: the step is 1/100 s")
        if int(self.delay) != self.delay:
            raise ValueError(f"Physics: delay is {self.delay}, must be a whole number of control steps")

    @property
    def load(self) -> float:
        """Force that slides the block along the table, in kg cm/s^2."""
        return self.ground_friction * self.block_mass * _GRAVITY

    @property
    def deflection(self) -> float:
        """By how many cm the pusher stays behind its command while it pushes the block slowly."""
        return self.load / self.stiffness**2


PHYSICS = {
    "target": Physics(
        ground_friction=0.35,
        contact_friction=0.5,
        block_mass=1.0,
        pusher_radius=1.5,
        stiffness=15.0,
        delay=1,
        noise=0.05,
    ),
    "source": Physics(
        ground_friction=0.15,
        contact_friction=0.2,
        block_mass=1.0,
        pusher_radius=1.5,
        stiffness=25.0,
        delay=0,
        noise=0.0,
    ),
}
"""`target` stands for the real robot: a heavier, grippier contact, a compliant and late arm. `source` stands for a
simulation of it: slippery, stiff and prompt."""


def physics_named(name: str) -> Physics:
    """The physics called `name`.

    Raises:
        ValueError: if there is none.
    """
    if name not in PHYSICS:
        raise ValueError(f"pushing has no physics '{name}'; choose from {', '.join(PHYSICS)}")
    return PHYSICS[name]


def fold(angle: ArrayLike) -> Floats:
    """An angle up to quarter turns, in [-pi/4, pi/4]; one that lies there already stays as it is."""
    quarter = math.pi / 2.0
    values = np.asarray(angle, dtype=np.float64)
    folded: Floats = values - quarter * np.round(values / quarter)
    return folded


def pose_error(pose: ArrayLike) -> tuple[float, float]:
    """Distance (cm) and absolute angle (rad, at most pi/4) of a pose (3,) from the goal."""
    x, y, angle = np.asarray(pose, dtype=np.float64)
    return math.hypot(x, y), abs(float(fold(angle)))


def is_success(pose: ArrayLike) -> bool:
    """Whether the pose is within both tolerances of the goal, bounds included."""
    distance, angle = pose_error(pose)
    return distance <= POSITION_TOLERANCE and angle <= ANGLE_TOLERANCE


def looks_right(pose: ArrayLike) -> bool:
    """Whether a demonstrator is content with the pose, bounds included; true of every success."""
    distance, angle = pose_error(pose)
    return distance <= CONTENT_POSITION and angle <= CONTENT_ANGLE


def clearance(pusher: ArrayLike, pose: ArrayLike) -> float:
    """Distance of a point (2,) to the block at `pose`, in cm; 0 inside."""
    x, y, angle = np.asarray(pose, dtype=np.float64)
    dx, dy = np.asarray(pusher, dtype=np.float64) - (x, y)
    c, s = math.cos(angle), math.sin(angle)
    beyond = max(abs(c * dx + s * dy) - HALF, 0.0), max(abs(c * dy - s * dx) - HALF, 0.0)
    return math.hypot(*beyond)


def draw_start(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw a start: pusher (2,) and block pose (3,).

    The block's centre is uniform over the ring from 5 to 12 cm about the goal, its angle over 30 degrees to either
    side; the pusher is uniform over the table without its outer 3 cm, at least 4 cm from the block.
    """
    radius, bearing = math.sqrt(rng.uniform(5.0**2, 12.0**2)), rng.uniform(-math.pi, math.pi)
    angle = rng.uniform(-math.pi / 6.0, math.pi / 6.0)
    pose = np.array([radius * math.cos(bearing), radius * math.sin(bearing), angle])
    while True:
        pusher = rng.uniform(-TABLE + 3.0, TABLE - 3.0, 2)
        if clearance(pusher, pose) >= 4.0:
            return pusher, pose
