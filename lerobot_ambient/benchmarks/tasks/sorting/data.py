# SPDX-License-Identifier: Apache-2.0
"""The sorting demonstrations as two LeRobotDatasets: a small target that sorts right and a larger source that does not.

Both move alike; see `demonstrations.py`. With `condition`, the environment state ends with a flag: 1 in the
target, 0 in the source, 1 in the environment. LeRobot's diffusion policies read no language, so this flag is how a
policy can be told which logic to follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import (
    KINDS,
    Kind,
    finished,
    summaries_of,
    write_recorded,
)
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode, write_low_dim_dataset
from lerobot_ambient.benchmarks.tasks.sorting.demonstrations import demonstrate
from lerobot_ambient.benchmarks.tasks.sorting.environment import SortingEnv
from lerobot_ambient.benchmarks.tasks.sorting.task import (
    DEFAULT_BLOCKS,
    FPS,
    LOGICS,
    MAX_BLOCKS,
    STEPS_PER_BLOCK,
    TASKS,
    VIEWS,
    Logic,
    View,
    environment_state_names,
)

REPO_IDS: dict[Kind, str] = {"target": "ambient/sorting_target", "source": "ambient/sorting_source"}
FLAGS: dict[Kind, float] = {"target": 1.0, "source": 0.0}
VERSION = 3
"""Raise it when the same arguments would give other demonstrations."""
_STREAM = 0x736F7274
"""First word of every spawn key, so that no demonstration shares a stream with an environment's reset seed."""
HAND = ["x", "y", "closure"]


def features(blocks: int, condition: bool, view: View) -> dict[str, dict[str, Any]]:
    """The datasets' features, as LeRobotDataset.create takes them."""
    names = environment_state_names(blocks, condition, view)
    return {
        "observation.state": {"dtype": "float32", "shape": (3,), "names": HAND},
        "observation.environment_state": {"dtype": "float32", "shape": (len(names),), "names": names},
        "action": {"dtype": "float32", "shape": (3,), "names": HAND},
    }


def demonstration(
    kind: Kind, logic: Logic, seed: int, number: int, blocks: int, condition: bool = False, view: View = "table"
) -> Episode:
    """Demonstration `number` of a kind, pure in its arguments. It does not depend on how many are made."""
    sequence = np.random.SeedSequence(seed, spawn_key=(_STREAM, KINDS.index(kind), number))
    # No demonstrator gives up at the step limit of a rollout.
    env = SortingEnv(blocks=blocks, condition=condition, view=view, episode_length=4 * STEPS_PER_BLOCK * blocks)
    return demonstrate(env, logic, np.random.default_rng(sequence), FLAGS[kind])


def correct_share(episodes: list[Episode], blocks: int, view: View = "table") -> float:
    """The share of the blocks that were carried towards the bin of their colour: the demonstrated logic.

    A carry is judged by where the hand opens for the last time with that block: left for red, right for blue.
    """
    right, column = 0, environment_state_names(blocks, False, view).index("held_colour")
    for episode in episodes:
        held = episode["observation.environment_state"][:, column]
        last = np.flatnonzero(held * np.append(held[1:] != held[:-1], True))
        right += int((np.sign(episode["action"][last, 0]) == held[last]).sum())
    return right / (blocks * len(episodes))


def make_sorting_data(
    root: Path,
    *,
    logic: Logic,
    target_episodes: int = 50,
    source_episodes: int = 200,
    seed: int = 0,
    kinds: Sequence[Kind] = KINDS,
    blocks: int = DEFAULT_BLOCKS,
    condition: bool = False,
    view: View = "table",
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Write the target and source demonstrations of block sorting to `root/target` and `root/source`.

    Calling it again with the same arguments returns at once; after a kill it makes what is missing.

    Args:
        root: parent folder of the two datasets.
        logic: of the source: "opposite", "arbitrary", or "right" for an upper bound. The target's is "right".
        target_episodes, source_episodes: number of episodes, at least 1.
        seed: of the demonstrations, not negative.
        kinds: which of the two to make; the other is not touched.
        blocks: in every episode, as in the environment.
        condition: whether the environment state ends with the flag of the target, as in the environment.
        view: what is observed, as in the environment.
        progress: whether to show progress bars.

    Returns:
        For each of `kinds`: root, repo_id, logic, episodes, frames, and correct (share of the blocks that went
        to the bin of their colour).

    Raises:
        ValueError: if a dataset made with other arguments is in the way, or an argument is out of range.
    """
    root = Path(root)
    counts: dict[Kind, int] = {"target": target_episodes, "source": source_episodes}
    logics: dict[Kind, Logic] = {"target": "right", "source": logic}
    if logic not in LOGICS:
        raise ValueError(f"sorting demonstrations: logic is {logic!r}, must be one of {LOGICS}")
    if view not in VIEWS:
        raise ValueError(f"sorting demonstrations: view is {view!r}, must be one of {VIEWS}")
    if seed < 0:
        raise ValueError(f"sorting demonstrations: seed is {seed}, must not be negative")
    if not 1 <= blocks <= MAX_BLOCKS:
        raise ValueError(f"sorting demonstrations: blocks is {blocks}, must be 1 to {MAX_BLOCKS}")
    for kind in KINDS:
        if counts[kind] < 1:
            raise ValueError(f"{kind} demonstrations of sorting: count is {counts[kind]}, must be at least 1")
    arguments = {
        kind: {
            "version": VERSION,
            "experiment": "sorting",
            "kind": kind,
            "logic": logics[kind],
            "episodes": counts[kind],
            "seed": seed,
            "blocks": blocks,
            "condition": condition,
            # What was made before there were views shows the table, and says nothing.
            **({} if view == "table" else {"view": view}),
        }
        for kind in kinds
    }
    missing = [kind for kind in kinds if finished(root / kind, arguments[kind]) is None]
    root.mkdir(parents=True, exist_ok=True)
    for kind in missing:
        numbers = tqdm(range(counts[kind]), desc=f"sort {kind}", unit="episode", disable=not progress)
        episodes = [demonstration(kind, logics[kind], seed, number, blocks, condition, view) for number in numbers]
        _write(root / kind, arguments[kind], episodes)
    return summaries_of(root, arguments)


def _write(folder: Path, arguments: dict[str, Any], episodes: list[Episode]) -> None:
    kind: Kind = arguments["kind"]
    blocks, logic, view = arguments["blocks"], arguments["logic"], arguments.get("view", "table")
    summary = {
        "root": folder.name,
        "repo_id": REPO_IDS[kind],
        "logic": logic,
        "episodes": len(episodes),
        "frames": sum(len(episode["action"]) for episode in episodes),
        "correct": correct_share(episodes, blocks, view),
    }
    columns = features(blocks, arguments["condition"], view)
    write_recorded(
        folder,
        arguments,
        summary,
        lambda partial: write_low_dim_dataset(partial, REPO_IDS[kind], FPS, columns, episodes, TASKS[logic]),
    )
