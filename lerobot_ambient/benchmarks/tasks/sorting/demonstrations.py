# SPDX-License-Identifier: Apache-2.0
"""Scripted demonstrations of block sorting that move as a person does who teleoperates.

Only the choice of the bin depends on the sorting logic. Everything else follows one law: the nearest block comes
first, the hand goes there on a slightly bowed path with a bell-shaped speed (minimum jerk, Flash and Hogan 1985),
trembles, hesitates, closes, carries, hesitates and opens. Every fifth grasp misses; the demonstrator sees it, opens and
tries again. So chunks of all logics are alike where noise hides the direction of the carry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode
from lerobot_ambient.benchmarks.tasks.shared.motion import minimum_jerk
from lerobot_ambient.benchmarks.tasks.sorting.environment import SortingEnv
from lerobot_ambient.benchmarks.tasks.sorting.task import BIN_CENTRES, BIN_HALF, Layout, Logic, bin_for, draw_layout
from lerobot_ambient.core.arrays import Floats

_FRAME_KEYS = ("observation.state", "observation.environment_state", "action")

SPEED, _SPEED_SPREAD = 0.05, 0.1
"""Mean distance a step, and the standard deviation of its logarithm from leg to leg."""
_BOW = 0.04
"""Standard deviation of the bow's height, as a share of the leg's length."""
_TREMOR, _TREMOR_MEMORY = 0.004, 0.7
"""Standard deviation of the trembling, and its correlation from step to step."""
_REST_TREMOR = 0.002
AIM = 0.02
"""Standard deviation of the aim at a block in each direction: 22 % of the grasps miss, exp(-(GRASP_RADIUS/AIM)^2/2)."""
DROP = 0.4
"""Blocks are dropped in the inner part of a bin, this share of it in each direction."""
_MIN_LEG = 5
"""Steps of the shortest leg."""
_SETTLE, PAUSE = (4, 8), (1, 4)
"""Steps, least and one more than most, of the pause over a block before closing, and of other pauses."""
RAMP = 4
"""Steps of closing and of opening."""
_CLOSING = np.arange(1, RAMP + 1) / RAMP
"""The commanded closure in each of these steps; 1 less it when opening."""


def reach(rng: np.random.Generator, start: Floats, end: Floats) -> Floats:
    """Commanded positions (n, 2) on the way from `start`, left out, to `end`, included."""
    way = end - start
    speed = SPEED * np.exp(_SPEED_SPREAD * rng.standard_normal())
    share = minimum_jerk(max(_MIN_LEG, round(float(np.hypot(*way)) / speed)))
    bump = np.sin(np.pi * share)[:, None]
    bow = _BOW * rng.standard_normal() * np.array([-way[1], way[0]])
    drives = rng.standard_normal((len(share), 2)) * np.sqrt(1.0 - _TREMOR_MEMORY**2)
    tremor = rng.standard_normal(2)
    shakes = np.empty_like(drives)
    for step, drive in enumerate(drives):
        tremor = _TREMOR_MEMORY * tremor + drive
        shakes[step] = tremor
    positions: Floats = start + share[:, None] * way + bump * (bow + _TREMOR * shakes)
    return positions


def rest(rng: np.random.Generator, place: Floats, steps: int) -> Floats:
    """Commanded positions (steps, 2) of a hand that stays at a place."""
    positions: Floats = place + _REST_TREMOR * rng.standard_normal((steps, 2))
    return positions


def _with_closure(positions: Floats, closure: float) -> Floats:
    return np.column_stack([positions, np.full(len(positions), closure)])


def grasp(rng: np.random.Generator, start: Floats, block: Floats) -> Floats:
    """The actions (n, 3) of one try to take a block: reach, hesitate, close."""
    place = block + AIM * rng.standard_normal(2)
    empty = np.concatenate([reach(rng, start, place), rest(rng, place, int(rng.integers(*_SETTLE)))])
    return np.concatenate([_with_closure(empty, 0.0), np.column_stack([rest(rng, place, RAMP), _CLOSING])])


def _let_go(rng: np.random.Generator, place: Floats) -> Floats:
    """The actions (n, 3) of a closed gripper, full or empty, that hesitates and opens where it is."""
    pause = rest(rng, place, int(rng.integers(*PAUSE)))
    opening = np.column_stack([rest(rng, place, RAMP), 1.0 - _CLOSING])
    return np.concatenate([_with_closure(pause, 1.0), opening])


def carry(rng: np.random.Generator, start: Floats, drop: Floats) -> Floats:
    """The actions (n, 3) that carry a block and put it down: reach, hesitate, open."""
    return np.concatenate([_with_closure(reach(rng, start, drop), 1.0), _let_go(rng, drop)])


def _nearest_block(here: Floats, blocks: Floats, bins: NDArray[np.int64]) -> int:
    """The nearest block that lies on the table. It stays the nearest on a straight way there."""
    return int(np.where(bins < 0, np.hypot(*(blocks - here).T), np.inf).argmin())


class _Recording:
    """An episode while it is played."""

    def __init__(self, env: SortingEnv, layout: Layout) -> None:
        self._env = env
        self._observation, _ = env.reset(options={"layout": layout})
        self._frames: dict[str, list[NDArray[np.float32]]] = {key: [] for key in _FRAME_KEYS}
        self.ended = False

    def play(self, actions: Floats) -> None:
        """Act until the last of the actions (n, 3), or the end of the episode."""
        for action in actions.astype(np.float32):
            if self.ended:
                break
            seen = (self._observation["agent_pos"], self._observation["environment_state"], action)
            for key, value in zip(_FRAME_KEYS, seen, strict=True):
                self._frames[key].append(value)
            self._observation, _, self.ended, truncated, _ = self._env.step(action)
            assert not truncated, "a demonstration is shorter than the step limit"

    def frames(self) -> Episode:
        """What was seen before each action, and the actions."""
        return {key: np.stack(values) for key, values in self._frames.items()}


def demonstrate(env: SortingEnv, logic: Logic, rng: np.random.Generator, flag: float = 1.0) -> Episode:
    """One episode in which every block ends in a bin. A grasp that misses is noticed, and tried again.

    Args:
        env: acts in it; its layout is drawn from `rng`.
        logic: how bins are chosen.
        rng: of the layout and of the demonstrator.
        flag: the last entry of the environment state where `env.condition`.

    Returns:
        The frames: float32 observations before each action, and the actions.
    """
    recording = _Recording(env, draw_layout(rng, env.blocks))
    while not recording.ended:
        block = _nearest_block(env.hand[:2], env.block_positions, env.bins)
        recording.play(grasp(rng, env.hand[:2], env.block_positions[block]))
        if env.held is None:
            recording.play(_let_go(rng, env.hand[:2]))
            continue
        assert env.held == block, "the block that was aimed at is held"
        chosen = bin_for(int(env.colours[block]), logic, rng)
        drop = BIN_CENTRES[chosen] + DROP * BIN_HALF * rng.uniform(-1.0, 1.0, 2)
        recording.play(carry(rng, env.hand[:2], drop))
        assert env.bins[block] == chosen, "the block is where it was carried"
    episode = recording.frames()
    if env.condition:
        episode["observation.environment_state"][:, -1] = flag
    return episode
