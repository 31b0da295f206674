# SPDX-License-Identifier: Apache-2.0
"""Scripted demonstrations of block sorting that move as a person does who teleoperates.

Only the choice of the bin depends on the sorting logic. Everything else follows one law: the nearest block comes
first, the hand goes there on a slightly bowed path with a bell-shaped speed (minimum jerk, Flash and Hogan 1985),
trembles, hesitates, closes, carries, hesitates and opens. So chunks of all logics are alike where noise hides the
direction of the carry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.envs.lowdim_writer import Episode
from lerobot_ambient.envs.minimum_jerk import minimum_jerk
from lerobot_ambient.envs.sorting import SortingEnv
from lerobot_ambient.envs.sorting_task import BIN_CENTRES, BIN_HALF, Floats, Logic, bin_for, draw_layout

SPEED, SPEED_SPREAD = 0.05, 0.1
"""Mean distance a step, and the standard deviation of its logarithm from leg to leg."""
BOW = 0.04
"""Standard deviation of the bow's height, as a share of the leg's length."""
TREMOR, TREMOR_MEMORY = 0.004, 0.7
"""Standard deviation of the trembling, and its correlation from step to step."""
REST_TREMOR = 0.002
AIM = 0.01
"""Standard deviation of the aim at a block; cut off at twice that."""
DROP = 0.4
"""Blocks are dropped in the inner part of a bin, this share of it in each direction."""
MIN_LEG = 5
"""Steps of the shortest leg."""
SETTLE = (4, 8)
"""Steps, least and one more than most, of the pause over a block before closing."""
RAMP = 4
"""Steps of closing and of opening."""


def reach(rng: np.random.Generator, start: Floats, end: Floats) -> Floats:
    """Commanded positions (n, 2) on the way from `start`, left out, to `end`, included."""
    way = end - start
    speed = SPEED * np.exp(SPEED_SPREAD * rng.standard_normal())
    share = minimum_jerk(max(MIN_LEG, round(float(np.hypot(*way)) / speed)))
    bump = np.sin(np.pi * share)[:, None]
    bow = BOW * rng.standard_normal() * np.array([-way[1], way[0]])
    drives = rng.standard_normal((len(share), 2)) * np.sqrt(1.0 - TREMOR_MEMORY**2)
    tremor = rng.standard_normal(2)
    shakes = np.empty_like(drives)
    for step, drive in enumerate(drives):
        tremor = TREMOR_MEMORY * tremor + drive
        shakes[step] = tremor
    positions: Floats = start + share[:, None] * way + bump * (bow + TREMOR * shakes)
    return positions


def rest(rng: np.random.Generator, place: Floats, steps: int) -> Floats:
    """Commanded positions (steps, 2) of a hand that stays at a place."""
    positions: Floats = place + REST_TREMOR * rng.standard_normal((steps, 2))
    return positions


def _with_closure(positions: Floats, closure: float) -> Floats:
    return np.column_stack([positions, np.full(len(positions), closure)])


def pick_and_place(rng: np.random.Generator, start: Floats, block: Floats, drop: Floats) -> Floats:
    """The actions (n, 3) that carry one block: reach, hesitate, close, carry, hesitate, open."""
    aim = block + AIM * np.clip(rng.standard_normal(2), -2.0, 2.0)
    ramp = np.arange(1, RAMP + 1) / RAMP
    closing, opening = rest(rng, aim, RAMP), rest(rng, drop, RAMP)
    empty = np.concatenate([reach(rng, start, aim), rest(rng, aim, int(rng.integers(*SETTLE)))])
    full = np.concatenate([reach(rng, aim, drop), rest(rng, drop, int(rng.integers(1, 4)))])
    return np.concatenate(
        [
            _with_closure(empty, 0.0),
            np.column_stack([closing, ramp]),
            _with_closure(full, 1.0),
            np.column_stack([opening, 1.0 - ramp]),
        ]
    )


def nearest_block(here: Floats, blocks: Floats, bins: NDArray[np.int64]) -> int:
    """The nearest block that lies on the table. It stays the nearest on a straight way there."""
    return int(np.where(bins < 0, np.hypot(*(blocks - here).T), np.inf).argmin())


def demonstrate(env: SortingEnv, logic: Logic, rng: np.random.Generator, flag: float = 1.0) -> Episode:
    """One episode in which every block ends in a bin.

    Args:
        env: acts in it; its layout is drawn from `rng`.
        logic: how bins are chosen.
        rng: of the layout and of the demonstrator.
        flag: the last entry of the environment state where `env.condition`.

    Returns:
        The frames: float32 observations before each action, and the actions.
    """
    observation, _ = env.reset(options={"layout": draw_layout(rng, env.blocks)})
    frames: dict[str, list[NDArray[np.float32]]] = {
        "observation.state": [],
        "observation.environment_state": [],
        "action": [],
    }
    ended = False
    while not ended:
        here = env.hand[:2]
        block = nearest_block(here, env.block_positions, env.bins)
        chosen = bin_for(int(env.colours[block]), logic, rng)
        drop = BIN_CENTRES[chosen] + DROP * BIN_HALF * rng.uniform(-1.0, 1.0, 2)
        for action in pick_and_place(rng, here, env.block_positions[block], drop).astype(np.float32):
            frames["observation.state"].append(observation["agent_pos"])
            frames["observation.environment_state"].append(observation["environment_state"])
            frames["action"].append(action)
            observation, _, ended, truncated, _ = env.step(action)
            assert not truncated, "a demonstration is shorter than the step limit"
            if ended:
                break
        assert env.bins[block] == chosen, "the block is where it was carried"
    episode = {key: np.stack(values) for key, values in frames.items()}
    if env.condition:
        episode["observation.environment_state"][:, -1] = flag
    return episode
