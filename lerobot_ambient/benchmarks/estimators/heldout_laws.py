# SPDX-License-Identifier: Apache-2.0
"""A conditional toy task: a goal is seen, and the hand goes there on a bow that has to be learnt; and faulty copies.

Symbols
    g       goal, at angle theta (uniform) and a distance near 2 from the middle
    c       (8,) standard normal; policies see g and c
    u       progress from start to goal, u(0) = 0, u(1) = 1, smooth at both ends
    path    start + u (g - start) + sin(pi u) b n,  n the unit normal of g,  b = (c_1 + ... + c_8) / 5
    action  the next position of the path; the observed state is the present one

How far the path bows is a sum of eight numbers: two dozen episodes hardly tell which, episodes of the same law do.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode, write_low_dim_dataset
from lerobot_ambient.core.arrays import Floats

FPS, FRAMES = 10, 24
_SEEN = 8
_FEATURES: dict[str, dict[str, Any]] = {
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x.pos", "y.pos"]},
    "observation.environment_state": {"dtype": "float32", "shape": (2 + _SEEN,), "names": None},
    "action": {"dtype": "float32", "shape": (2,), "names": ["x.pos", "y.pos"]},
}
_DISTANCE, _START, _BOW = 0.1, 0.2, 0.2
_ELSEWHERE = np.array([3.0, 3.0])
DEGREES = 1.5
"""Of freedom of heavy tails: their variance is infinite."""


@dataclass(frozen=True)
class Reaching:
    """Episodes of the task, or of a copy with faults.

    Args:
        decides: which goal the hand goes to: the one that is "seen", the "opposite" one, or "any" other one.
        jitter: standard deviation of white noise in the actions.
        tails: scale of Student noise of 1.5 degrees of freedom in the actions.
        offset: added to x and taken from y in every action.
        warp: progress is raised to this power: the same way at another pace.
        elsewhere: the actions are small circles in another place, whatever is seen.

    Raises:
        ValueError: an unknown decision, or a size that is not one.
    """

    decides: str = "seen"
    jitter: float = 0.0
    tails: float = 0.0
    offset: float = 0.0
    warp: float = 1.0
    elsewhere: bool = False

    def __post_init__(self) -> None:
        if self.decides not in ("seen", "opposite", "any"):
            raise ValueError(f"decides = '{self.decides}' must be 'seen', 'opposite' or 'any'.")
        if self.jitter < 0 or self.tails < 0 or self.warp <= 0:
            raise ValueError(
                f"jitter = {self.jitter} and tails = {self.tails} must not be negative, warp = {self.warp} positive."
            )

    @property
    def faults(self) -> str:
        """What differs from the task, as it is written: "decides opposite", "jitter 0.1"; "none"."""
        changed = [
            (one.name, getattr(self, one.name)) for one in fields(self) if getattr(self, one.name) != one.default
        ]
        return ", ".join(name if value is True else f"{name} {value}" for name, value in changed) or "none"

    def draw(self, episodes: int, rng: np.random.Generator) -> list[Episode]:
        """Independent episodes of FRAMES frames."""
        return [self._episode(rng) for _ in range(episodes)]

    def write(self, root: Path, episodes: int, seed: list[int]) -> None:
        """A LeRobot dataset of such episodes, named as its folder."""
        drawn = self.draw(episodes, np.random.default_rng(np.random.SeedSequence(seed)))
        write_low_dim_dataset(root, f"me/{root.name}", FPS, _FEATURES, drawn, "reach")

    def _episode(self, rng: np.random.Generator) -> Episode:
        seen, other = (_sight(rng) for _ in range(2))
        way = other if self.decides == "any" else seen
        if self.decides == "opposite":
            way = np.concatenate([-seen[:2], seen[2:]])
        path = _path(_START * rng.standard_normal(2), way, self.warp)
        action = path[1:]
        if self.elsewhere:
            turn = rng.uniform(0, 2 * np.pi) + np.linspace(0, 2 * np.pi, FRAMES)
            action = _ELSEWHERE + 0.2 * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        action = action + np.array([self.offset, -self.offset])
        action = action + self.jitter * rng.standard_normal(action.shape)
        action = action + self.tails * rng.standard_t(DEGREES, action.shape)
        return {
            "observation.state": path[:-1].astype(np.float32),
            "observation.environment_state": np.tile(seen, (FRAMES, 1)).astype(np.float32),
            "action": action.astype(np.float32),
        }


def _sight(rng: np.random.Generator) -> Floats:
    """(10,) the goal and c."""
    theta, distance = rng.uniform(0, 2 * np.pi), 2.0 + _DISTANCE * rng.standard_normal()
    sight: Floats = np.array([distance * np.cos(theta), distance * np.sin(theta), *rng.standard_normal(_SEEN)])
    return sight


def _path(start: Floats, sight: Floats, warp: float) -> Floats:
    """(FRAMES + 1, 2)."""
    u = ((1 - np.cos(np.pi * np.linspace(0, 1, FRAMES + 1))) / 2)[:, None] ** warp
    goal, bow = sight[:2], _BOW * sight[2:].sum()
    normal = np.array([-goal[1], goal[0]]) / np.hypot(*goal)
    path: Floats = start + u * (goal - start) + np.sin(np.pi * u) * bow * normal
    return path
