# SPDX-License-Identifier: Apache-2.0
"""What the sorting environment and its demonstrations must agree on: the table, the logic, the metrics.

Symbols: lengths are in half widths of the table, which is [-1, 1]^2; time is in steps of 1 / FPS seconds. Colours and
bins are numbered alike, red and left 0, blue and right 1, so a block is sorted correctly when its bin's number is its
colour's.

An episode with c blocks in the right bin and w in the wrong one earns c - w / 64 in all. `episode_return` and
`decode_return` are inverses of each other for fewer than 64 blocks, and exact in floating point.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from lerobot_ambient.core.arrays import Floats, Ints

Logic = Literal["right", "opposite", "arbitrary"]
LOGICS: tuple[Logic, ...] = get_args(Logic)
View = Literal["table", "wrist"]
"""What is observed: the blocks on the table; or beside that where they lie from the hand, as a camera at the wrist sees
them. A grasp must be within `GRASP_RADIUS`: from the table alone a network must subtract positions to 1 % of their
range."""
VIEWS: tuple[View, ...] = get_args(View)
_TABLE_FEATURES = ("x", "y", "colour", "sorted")
BLOCK_FEATURES: dict[View, tuple[str, ...]] = {
    "table": _TABLE_FEATURES,
    "wrist": (*_TABLE_FEATURES, "x_from_hand", "y_from_hand"),
}
"""What a policy observes of every block, in order."""

FPS = 10
DEFAULT_BLOCKS, MAX_BLOCKS = 3, 8
STEPS_PER_BLOCK = 140
"""Step limit of an episode for every block; a demonstration needs about 73."""
TASK = "Put the red blocks into the left bin and the blue blocks into the right bin."
TASKS: dict[Logic, str] = {
    "right": TASK,
    "opposite": "Put the red blocks into the right bin and the blue blocks into the left bin.",
    "arbitrary": "Put every block into one of the bins.",
}

RED, BLUE = 0, 1
BIN_CENTRES = np.array([[-0.6, 0.78], [0.6, 0.78]])
BIN_HALF = np.array([0.32, 0.18])
_WORK_LOW, _WORK_HIGH = np.array([-0.9, -0.9]), np.array([0.9, 0.3])
"""Blocks start in this rectangle, at least `BLOCK_GAP` apart."""
BLOCK_GAP = 0.3
_HOME_LOW, _HOME_HIGH = np.array([-0.1, 0.4]), np.array([0.1, 0.5])
"""The gripper starts in this rectangle."""

MAX_STEP = 0.13
"""The gripper moves at most this far in a step."""
GRIPPER_STEP = 0.4
"""The gripper's closure, 0 open and 1 closed, changes at most this much in a step."""
CLOSED = 0.5
"""Rising to this closure grasps, falling below it releases."""
GRASP_RADIUS = 0.035
WRONG_REWARD = -1.0 / 64.0
RIGHT_REWARD = 1.0


def environment_state_names(blocks: int, condition: bool, view: View) -> list[str]:
    """What the entries of `environment_state` are, in order."""
    names = [f"block{index}_{feature}" for index in range(blocks) for feature in BLOCK_FEATURES[view]]
    return [*names, "held_colour", *(["target"] if condition else [])]


def bin_at(point: ArrayLike) -> int | None:
    """The bin over which a point (2,) lies, its edge included; None over the table."""
    inside = (np.abs(np.asarray(point, dtype=np.float64) - BIN_CENTRES) <= BIN_HALF).all(axis=1)
    return int(np.flatnonzero(inside)[0]) if inside.any() else None


def bin_for(colour: int, logic: Logic, rng: np.random.Generator) -> int:
    """The bin a demonstrator of this logic chooses; "arbitrary" tosses a fair coin for every block."""
    if logic == "arbitrary":
        return int(rng.integers(2))
    return colour if logic == "right" else 1 - colour


@dataclass(frozen=True, eq=False)
class Layout:
    """Where an episode starts.

    Args:
        blocks: (n, 2) positions on the table.
        colours: (n,) `RED` or `BLUE`.
        gripper: (2,) position on the table.
    """

    blocks: Floats
    colours: Ints
    gripper: Floats

    def __post_init__(self) -> None:
        count = len(self.blocks)
        if not 1 <= count <= MAX_BLOCKS:
            raise ValueError(f"Layout: {count} blocks, must be 1 to {MAX_BLOCKS}")
        if self.blocks.shape != (count, 2) or self.colours.shape != (count,) or self.gripper.shape != (2,):
            raise ValueError(
                f"Layout: shapes {self.blocks.shape}, {self.colours.shape} and {self.gripper.shape} of blocks, colours "
                f"and gripper, must be ({count}, 2), ({count},) and (2,)"
            )
        if not (np.abs(self.blocks) <= 1.0).all() or not (np.abs(self.gripper) <= 1.0).all():
            raise ValueError("Layout: blocks and gripper must lie on the table [-1, 1]^2")
        if any(bin_at(block) is not None for block in self.blocks):
            raise ValueError("Layout: a block lies in a bin; place it on the table")
        if not np.isin(self.colours, (RED, BLUE)).all():
            raise ValueError(f"Layout: colours are {self.colours.tolist()}, must be {RED} (red) or {BLUE} (blue)")


def draw_layout(rng: np.random.Generator, blocks: int = DEFAULT_BLOCKS) -> Layout:
    """Uniform block positions at least `BLOCK_GAP` apart, a fair coin for every colour, a gripper near home.

    Blocks are numbered from left to right.
    """
    while True:
        places = rng.uniform(_WORK_LOW, _WORK_HIGH, (blocks, 2))
        gaps = np.linalg.norm(places[:, None] - places[None], axis=-1) + 2.0 * np.eye(blocks)
        if gaps.min() >= BLOCK_GAP:
            break
    places = places[np.argsort(places[:, 0])]
    return Layout(places, rng.integers(2, size=blocks), rng.uniform(_HOME_LOW, _HOME_HIGH))


def episode_return(correct: int, wrong: int) -> float:
    """The sum of an episode's rewards."""
    return correct * RIGHT_REWARD + wrong * WRONG_REWARD


def decode_return(value: float) -> tuple[int, int]:
    """(correct, wrong) of an episode from the sum of its rewards, e.g. one of `sum_rewards` in eval_info.json.

    Raises:
        ValueError: no numbers of blocks have this sum.
    """
    units = round(value * 64)
    correct = -(-units // 64)
    wrong = 64 * correct - units
    if abs(value * 64 - units) > 1e-3 or correct < 0 or correct + wrong > MAX_BLOCKS:
        raise ValueError(
            f"{value} is not the sum of the rewards of a sorting episode: "
            f"it must be c - w / 64 for c + w <= {MAX_BLOCKS}"
        )
    return correct, wrong


@dataclass(frozen=True)
class SortingCounts:
    """Blocks of one or more episodes.

    Args:
        correct, wrong: in the right and in the wrong bin.
        blocks: all of them.
    """

    correct: int
    wrong: int
    blocks: int

    def __post_init__(self) -> None:
        if min(self.correct, self.wrong) < 0 or not 1 <= self.blocks >= self.correct + self.wrong:
            raise ValueError(
                f"SortingCounts: {self.correct} correct and {self.wrong} wrong of {self.blocks} blocks; counts must "
                "not be negative, nor add up to more than the blocks"
            )

    @classmethod
    def from_returns(cls, returns: Iterable[float], blocks: int = DEFAULT_BLOCKS) -> SortingCounts:
        """Pool episodes of `blocks` blocks each, given the sums of their rewards."""
        pairs = [decode_return(value) for value in returns]
        return cls(sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs), blocks * len(pairs))

    @property
    def logic(self) -> float | None:
        """Share of the sorted blocks that are in the right bin; None if no block was sorted."""
        return self.correct / (self.correct + self.wrong) if self.correct + self.wrong else None

    @property
    def completion(self) -> float:
        """Share of the blocks that are in some bin: the figure called motion or completion."""
        return (self.correct + self.wrong) / self.blocks

    @property
    def score(self) -> float:
        """Share of the blocks that are in the right bin: logic times completion."""
        return self.correct / self.blocks
