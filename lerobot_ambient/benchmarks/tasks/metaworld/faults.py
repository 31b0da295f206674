# SPDX-License-Identifier: Apache-2.0
"""Planted faults: what is wrong with a source's demonstrations, and how strongly.

A fault is a habit of the demonstrator (how commands come out), another physics, or a wrong label. `strength` 1 is a
fault that a person would notice on a recording; each fault says what it scales.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from lerobot_ambient.benchmarks.tasks.metaworld.simulation import OWN, Physics
from lerobot_ambient.benchmarks.tasks.metaworld.task import MAX_STEP, MetaWorldTask
from lerobot_ambient.core.arrays import Floats

FaultName = Literal["none", "tremble", "slow", "gains", "delay", "wrong_goal", "wrong_task", "broken"]
FAULTS: dict[FaultName, str] = {
    "none": "the target's expert, for an upper bound",
    "tremble": "coloured noise on the commanded positions, 1 cm x strength",
    "slow": "1 + strength times slower, with pauses",
    "gains": "another physics: the hand lags 1 + strength times longer, with friction 1 + strength times smaller",
    "delay": "commands for what was seen 0.05 s x strength ago",
    "wrong_goal": "the recorded goal is another one, strength of the way there",
    "wrong_task": "another task of the family, in its own scene",
    "broken": "30 % x strength of the episodes go astray, the rest is perfect",
}
assert set(FAULTS) == set(get_args(FaultName))
_STRENGTHLESS = ("none", "wrong_task")

_TREMOR, _TREMOR_MEMORY = 0.01, 0.6
"""Standard deviation in m on each axis, and correlation from command to command: mostly above 3 Hz."""
_PAUSE_RATE, _PAUSE = 0.05, (3, 13)
"""Chance of a pause at each command, and its length in commands, least and one more than most."""
_DELAY = 2
"""Commands."""
BROKEN_SHARE = 0.3
_BROKEN_FROM, _BROKEN_FOR = (0, 30), (20, 60)
"""The command from which an episode goes astray, and for how many."""
_WANDER_MEMORY = 0.9


@dataclass(frozen=True)
class Fault:
    """A planted fault.

    Args:
        name: a key of `FAULTS`.
        strength: see there.
    """

    name: FaultName = "none"
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"fault {self.name!r} must be one of {', '.join(FAULTS)}")
        if self.name in _STRENGTHLESS and self.strength != 1.0:
            raise ValueError(f"fault {self.name} has no strength, it was given {self.strength:g}; leave it out")
        most = {"wrong_goal": 1.0, "broken": 1.0 / BROKEN_SHARE}.get(self.name, np.inf)
        if not 0.0 < self.strength <= most:
            raise ValueError(f"fault {self.name}: strength is {self.strength:g}, must lie in (0, {most:.3g}]")

    def require(self, task: MetaWorldTask) -> None:
        """Check that the fault makes sense in a task.

        Raises:
            ValueError: it does not.
        """
        if self.name == "wrong_goal" and not task.sees_goal:
            raise ValueError(
                f"fault wrong_goal: the goal of {task.name} follows from the object, and its expert does not look at "
                "it; take --fault=wrong_task, or a task with a free goal (push-v3, pick-place-v3, peg-insert-side-v3)"
            )

    @property
    def physics(self) -> Physics:
        """In which the source is demonstrated."""
        if self.name != "gains":
            return OWN
        return Physics(lag=1.0 + self.strength, friction=1.0 / (1.0 + self.strength))

    @property
    def patience(self) -> float:
        """How much longer than an episode of the environment a demonstration may take."""
        return 1.5 * (1.0 + self.strength) if self.name == "slow" else 1.0

    def habit(self, rng: np.random.Generator) -> Habit:
        """How the demonstrator acts in one episode."""
        if self.name == "tremble":
            return Trembling(rng, _TREMOR * self.strength)
        if self.name == "slow":
            return Hesitant(rng, 1.0 / (1.0 + self.strength))
        if self.name == "delay":
            return Late(max(1, round(_DELAY * self.strength)))
        if self.name == "broken" and rng.random() < BROKEN_SHARE * self.strength:
            return Astray(rng)
        return Habit()


class Habit:
    """A demonstrator without a fault: acts on what is seen, and does what was meant."""

    def see(self, seen: Floats) -> Floats:
        """What the expert acts on, given Meta-World's observation (39,)."""
        return seen

    def do(self, setpoint: Floats, command: Floats) -> Floats | None:
        """The command that comes out, (4,), where the expert meant `command`; None: the episode is over."""
        return command


class Trembling(Habit):
    """Adds an autoregressive tremor to the positions, not to the gripper."""

    def __init__(self, rng: np.random.Generator, size: float) -> None:
        self._rng, self._size = rng, size
        self._tremor = np.zeros(3)

    def do(self, setpoint: Floats, command: Floats) -> Floats:
        fresh = np.sqrt(1.0 - _TREMOR_MEMORY**2) * self._size * self._rng.standard_normal(3)
        before, self._tremor = self._tremor, _TREMOR_MEMORY * self._tremor + fresh
        # The expert starts from a setpoint that holds the last tremor.
        return np.append(command[:3] + self._tremor - before, command[3])


class Hesitant(Habit):
    """Moves at a share of the speed, and stops now and then."""

    def __init__(self, rng: np.random.Generator, speed: float) -> None:
        self._rng, self._speed = rng, speed
        self._pause = 0

    def do(self, setpoint: Floats, command: Floats) -> Floats:
        if self._pause == 0 and self._rng.random() < _PAUSE_RATE:
            self._pause = int(self._rng.integers(*_PAUSE))
        self._pause = max(0, self._pause - 1)
        speed = 0.0 if self._pause else self._speed
        return np.append(setpoint + speed * (command[:3] - setpoint), command[3])


class Late(Habit):
    """Acts on what was seen some commands ago."""

    def __init__(self, commands: int) -> None:
        self._past: deque[Floats] = deque(maxlen=commands + 1)

    def see(self, seen: Floats) -> Floats:
        self._past.append(seen)
        return self._past[0].copy()


class Astray(Habit):
    """Leaves the task at some time: the hand wanders smoothly, opens and closes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._begin = int(rng.integers(*_BROKEN_FROM))
        self._end = self._begin + int(rng.integers(*_BROKEN_FOR))
        self._drift = np.zeros(4)
        self._done = 0

    def do(self, setpoint: Floats, command: Floats) -> Floats | None:
        self._done += 1
        if self._done <= self._begin:
            return command
        fresh = np.sqrt(1.0 - _WANDER_MEMORY**2) * self._rng.standard_normal(4)
        self._drift = _WANDER_MEMORY * self._drift + fresh
        moved = np.append(setpoint + MAX_STEP * self._drift[:3], np.clip(self._drift[3], -1.0, 1.0))
        return None if self._done > self._end else moved
