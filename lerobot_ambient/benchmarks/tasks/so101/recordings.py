# SPDX-License-Identifier: Apache-2.0
"""One recorded episode: the arm hovers above a cube, grasps it, and drops it into a box that always stands alike.

Symbols
    r, z    forward and up in the plane that the arm lies in, in metres, as in testing/virtual_arm/geometry.py
    pan     degrees that this plane is turned to the left
    q       (T, 6) degrees of the five joints, and percent that the gripper is open

Where and how the cube lies shows in the first pose, so what follows is a function of what is observed. The command is
what a leader arm would send, the state where the follower's servos are then. A clumsy hand trembles and hesitates on
its way; it goes to the right places all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode
from lerobot_ambient.benchmarks.tasks.shared.motion import minimum_jerk
from lerobot_ambient.testing.virtual_arm.geometry import FOREARM, JAW, SHOULDER, UPPER_ARM, WRIST

FPS = 30
BOX = (-55.0, 0.20)
"""Pan and r of the box."""
CUBE_PAN, CUBE_R = (-20.0, 55.0), (0.16, 0.22)
"""Between which the cube lies, uniformly."""
CUBE_ROLL = (-40.0, 40.0)
"""How the jaws are turned to hold it; they turn back on the way to the box."""
TABLE, ABOVE = 0.015, 0.08
"""Heights of the tip that grasps and that travels."""
OPEN, CLOSED = 60.0, 18.0

Hand = Literal["careful", "clumsy"]
_TREMOR_BAND = (3.0, 9.0)
"""Hz; a hand's tremor."""
_TREMOR = {"careful": 0.15, "clumsy": 2.0}
"""Degrees, root mean square."""
_LAG = 0.45
"""Share of the way to the command that a servo goes in a frame."""
_ENCODER = 360.0 / 4096


def pose(pan: float, r: float, z: float, gripper: float, roll: float = 0.0) -> NDArray[np.float64]:
    """(6,) the joints that bring the tip of the jaws to (r, z), pointing down.

    Raises:
        ValueError: the arm does not reach there.
    """
    upper, lower = float(np.hypot(*UPPER_ARM)), FOREARM[0]
    forward, up = r - SHOULDER[0], z + WRIST[0] + JAW - SHOULDER[1]
    reach = float(np.hypot(forward, up))
    if not upper - lower < reach < upper + lower:
        raise ValueError(f"the virtual SO-101 does not reach r = {r:g} m, z = {z:g} m with its jaws down.")
    rise = np.arctan2(up, forward) + np.arccos((upper**2 + reach**2 - lower**2) / (2 * upper * reach))
    elbow = upper * np.array([np.cos(rise), np.sin(rise)])
    fall = np.arctan2(up - elbow[1], forward - elbow[0])
    lift = np.degrees(np.arctan2(UPPER_ARM[1], UPPER_ARM[0]) - rise)
    flex = -np.degrees(fall) - lift
    return np.array([pan, lift, flex, 90.0 - lift - flex, roll, gripper])


def record(hand: Hand, rng: np.random.Generator) -> tuple[Episode, tuple[float, float]]:
    """An episode, and the pan and r of its cube.

    Args:
        hand: who leads.
        rng: of everything that differs between episodes.

    Returns:
        `observation.state` and `action`, (T, 6) float32 each, T about 100; a clumsy hand takes longer.
    """
    cube = float(rng.uniform(*CUBE_PAN)), float(rng.uniform(*CUBE_R))
    led = _led(hand, cube, float(rng.uniform(*CUBE_ROLL)), rng)
    led = led + _tremor(len(led), _TREMOR[hand], rng)
    led[:, 5] = np.clip(led[:, 5], 0.0, 100.0)
    follower = np.empty_like(led)
    follower[0] = led[0]
    for t in range(1, len(led)):
        follower[t] = follower[t - 1] + _LAG * (led[t] - follower[t - 1])
    seen = np.round(follower / _ENCODER) * _ENCODER
    # The command of a frame is where the leader is when the frame is over.
    return {"observation.state": seen[:-1].astype(np.float32), "action": led[1:].astype(np.float32)}, cube


def _led(hand: Hand, cube: tuple[float, float], roll: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(T, 6) the leader's way without its tremor."""
    stops: Sequence[tuple[NDArray[np.float64], float]] = (
        (pose(*cube, TABLE, OPEN, roll), 0.7),
        (pose(*cube, TABLE, CLOSED, roll), 0.35),
        (pose(*cube, ABOVE, CLOSED, roll), 0.6),
        (pose(*BOX, ABOVE, CLOSED), 1.2),
        (pose(*BOX, ABOVE, OPEN), 0.4),
    )
    at = pose(*cube, ABOVE, OPEN, roll)
    way = [at[None]]
    for goal, seconds in stops:
        steps = round(FPS * seconds * rng.uniform(0.9, 1.1))
        share = minimum_jerk(steps)
        if hand == "clumsy":
            share = _hesitating(share, rng)
        way.append(at + share[:, None] * (goal - at))
        at = goal
    return np.concatenate(way)


def _hesitating(share: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The same way, with a stop of up to a quarter of a second at a place on it."""
    stop = int(rng.integers(len(share)))
    pause = int(rng.integers(FPS // 4 + 1))
    return np.concatenate([share[:stop], np.full(pause, share[stop]), share[stop:]])


def _tremor(frames: int, degrees: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(frames, 6) noise of the tremor's band and of so many degrees root mean square."""
    spectrum = np.fft.rfft(rng.standard_normal((frames, 6)), axis=0)
    hertz = np.fft.rfftfreq(frames, 1.0 / FPS)
    spectrum[(hertz < _TREMOR_BAND[0]) | (hertz > _TREMOR_BAND[1])] = 0.0
    noise = np.fft.irfft(spectrum, frames, axis=0)
    scaled: NDArray[np.float64] = degrees * noise / np.sqrt(np.square(noise).mean(0))
    return scaled
