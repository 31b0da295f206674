# SPDX-License-Identifier: Apache-2.0
"""How a hand moves an arm whose torque is off: built-in motions, and a file of times and angles.

A motion maps seconds since its start to six angles: degrees from the middle of the range, the gripper in percent open.
Every motion is a pure function of the time, its seed and its jitter.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .joints import JOINTS

Motion = Callable[[float], NDArray[np.float64]]
"""Seconds since the start -> (6,) angles."""

REST = np.array([0.0, -60.0, 60.0, 30.0, 0.0, 10.0])
"""Where an arm starts: folded, gripper almost closed."""

PICK_SECONDS = 8.0
"""One pick and place, and back to rest."""


def still(seed: int) -> Motion:
    """Stay at rest; `seed` changes nothing, for there is nothing to draw."""
    return lambda t: REST.copy()


def wave(seed: int) -> Motion:
    """Swing every joint on a sine of its own; the seed draws periods of 3 to 6 s and the phases."""
    rng = np.random.default_rng([seed, 0])
    periods, phases = rng.uniform(3.0, 6.0, len(JOINTS)), rng.uniform(0.0, 2 * math.pi, len(JOINTS))
    middle, swing = np.array([0.0, -20, 20, 0, 0, 40]), np.array([35.0, 25, 25, 30, 60, 35])
    return lambda t: middle + swing * np.sin(2 * math.pi * t / periods + phases)


def pick(seed: int) -> Motion:
    """Reach, close the gripper, lift, carry, open, return, every 8 s; the seed draws each cycle's places and turns."""

    def at(t: float) -> NDArray[np.float64]:
        cycle, phase = divmod(t, PICK_SECONDS)
        rng = np.random.default_rng([seed, 1, int(cycle)])
        pan_from, pan_to = rng.uniform(15, 50), rng.uniform(-50, -15)
        reach = rng.uniform(-5, 10)
        turn_from, turn_to = rng.uniform(-40, 40, 2)
        down, up = [40 + reach, -15 - reach, 40.0], [5.0, 10.0, 40.0]
        times = [0.0, 1.5, 2.2, 2.8, 3.6, 4.8, 5.5, 6.0, 6.6, 8.0]
        poses = [
            REST,
            [pan_from, *up, turn_from, 70],
            [pan_from, *down, turn_from, 70],
            [pan_from, *down, turn_from, 15],
            [pan_from, *up, turn_from, 15],
            [pan_to, *up, turn_to, 15],
            [pan_to, *down, turn_to, 15],
            [pan_to, *down, turn_to, 70],
            [pan_to, *up, turn_to, 70],
            REST,
        ]
        return _between(np.array(times), np.array(poses, dtype=np.float64), phase)

    return at


def sweep(seed: int) -> Motion:
    """Stay in the middle of every range for 1 s, then go through all of it every 4 s, as a calibration asks for."""

    def at(t: float) -> NDArray[np.float64]:
        share = math.sin(2 * math.pi * max(0.0, t - 1.0) / 4.0)
        # The stops end the sweep: 150 degrees lie beyond each of them. wrist_roll has none and is not swept.
        return np.array([150.0, 150, 150, 150, 0, 0]) * share + np.array([0.0, 0, 0, 0, 0, 50 + 60 * share])

    return at


MOTIONS: dict[str, Callable[[int], Motion]] = {"still": still, "wave": wave, "pick": pick, "sweep": sweep}
"""The built-in motions by name; each takes a seed."""


@dataclass(frozen=True)
class Jitter:
    """A hand's tremor on top of `motion`: each joint swings by `size` (degrees or percent) at 4 to 9 Hz."""

    motion: Motion
    size: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.size < math.inf:
            raise ValueError(f"jitter is {self.size}; give degrees, a number from 0 up")

    def __call__(self, t: float) -> NDArray[np.float64]:
        rng = np.random.default_rng([self.seed, 2])
        hertz, phases = rng.uniform(4.0, 9.0, (2, 6)), rng.uniform(0.0, 2 * math.pi, (2, 6))
        return self.motion(t) + self.size * np.sin(2 * math.pi * hertz * t + phases).mean(axis=0)


def motion_of_file(path: Path) -> Motion:
    """Return the motion of a file: rows of a time in seconds and six angles; linear between, still before and after.

    `.csv`: a header line, then `time, shoulder_pan, ..., gripper`. Otherwise one JSON list of seven numbers a line.

    Raises:
        ValueError: the rows are not seven finite numbers each, or the times do not rise.
    """
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix.lower() == ".csv":
            rows = [[float(word) for word in row] for row in list(csv.reader(text.splitlines()))[1:] if row]
        else:
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        table = np.array(rows, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}; each row is a time and six angles") from error
    if table.ndim != 2 or table.shape[1] != 7 or not np.isfinite(table).all():
        raise ValueError(f"{path}: a table of shape {table.shape}; each row is a time and six angles, all finite")
    if not (np.diff(table[:, 0]) > 0).all():
        raise ValueError(f"{path}: the times in the first column must rise from row to row")
    return lambda t: _between(table[:, 0], table[:, 1:], t)


def _between(times: NDArray[np.float64], poses: NDArray[np.float64], t: float) -> NDArray[np.float64]:
    return np.array([np.interp(t, times, column) for column in poses.T])
