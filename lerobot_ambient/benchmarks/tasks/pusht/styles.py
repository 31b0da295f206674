# SPDX-License-Identifier: Apache-2.0
"""How demonstrators of PushT move: cleanly in the target, each with one planted fault in the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from lerobot_ambient.benchmarks.tasks.pusht.task import GOAL

Fault = Literal["trembling", "slow", "delayed", "friction", "goal", "broken", "none"]
FAULTS: tuple[Fault, ...] = get_args(Fault)


@dataclass(frozen=True)
class Style:
    """How a demonstrator moves, and what it gets wrong.

    Args:
        walk, push: its mean speeds on the way to a push and in it, pixels a step.
        aim: standard deviations of a push's errors: of how far it goes, as a share of that, and of where it touches, in
            pixels along the edge. A planner that knows the simulator would never show how to correct a push; this one
            does, as a person would.
        tremble: standard deviation of what is added to each command, per axis, pixels.
        hesitate: chance of a pause at each step; a pause lasts 2 to 8 steps.
        delay: steps from a command to its effect.
        friction: coefficient between pusher and T in the world it demonstrates in; gym-pusht's has none.
        shift: what is added to the goal's pose.
        broken: share of its episodes that come to nothing: see `demonstrations.broken`.
    """

    walk: float = 9.0
    push: float = 4.0
    aim: tuple[float, float] = (0.15, 3.0)
    tremble: float = 0.0
    hesitate: float = 0.0
    delay: int = 0
    friction: float = 0.0
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    broken: float = 0.0

    @property
    def goal(self) -> np.ndarray:
        """The pose (3,) that it brings the T to."""
        moved: np.ndarray = GOAL + np.array(self.shift)
        return moved


CLEAN = Style()
SOURCES: dict[Fault, Style] = {
    "trembling": Style(tremble=8.0),
    "slow": Style(walk=4.5, push=2.0, hesitate=0.06),
    "delayed": Style(delay=3),
    "friction": Style(friction=1.0),
    "goal": Style(shift=(-40.0, 30.0, 0.6)),
    "broken": Style(broken=0.3),
    "none": CLEAN,
}
"""One fault each: shaking commands; half the speed, with pauses; a command acts three steps late; a pusher that sticks
to the T; a mark elsewhere; three episodes in ten broken; and none, for an upper bound."""


def style_of(fault: Fault) -> Style:
    """The source's style with a fault.

    Raises:
        ValueError: if there is none of that name.
    """
    if fault not in SOURCES:
        raise ValueError(f"pusht has no fault {fault!r}; choose from {', '.join(SOURCES)}")
    return SOURCES[fault]
