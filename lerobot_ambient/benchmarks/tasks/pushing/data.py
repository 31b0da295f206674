# SPDX-License-Identifier: Apache-2.0
"""The pushing demonstrations as two LeRobotDatasets: a few in the target's physics, many in the source's.

Both come from the same kind of demonstrator, each used to its own physics and moving in its own style, see
`demonstrator.py`. An episode ends when the block looks right to the demonstrator (`task.looks_right`);
an attempt in which it never does is thrown away and drawn again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lerobot_ambient.benchmarks.tasks.pushing.demonstrator import STYLES, Demonstrator
from lerobot_ambient.benchmarks.tasks.pushing.environment import PushingEnv
from lerobot_ambient.benchmarks.tasks.pushing.task import (
    CONTENT_ANGLE,
    CONTENT_POSITION,
    FPS,
    PHYSICS,
    TASK,
    looks_right,
)
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import (
    KINDS,
    Kind,
    finished,
    require_at_least,
    summaries_of,
    write_recorded,
)
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode, write_low_dim_dataset
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration

REPO_IDS: dict[Kind, str] = {"target": "ambient/pushing_target", "source": "ambient/pushing_source"}
FEATURES: dict[str, dict[str, Any]] = {
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
    "observation.environment_state": {
        "dtype": "float32",
        "shape": (4,),
        "names": ["block_x", "block_y", "block_cos_4_angle", "block_sin_4_angle"],
    },
    "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
}
ATTEMPTS = 20
VERSION = 1
"""Raise it when the same arguments would give other demonstrations."""
_STREAM = 0x70757368
"""First word of every spawn key, so that no demonstration shares a stream with an environment's reset seed."""


def attempt(env: PushingEnv, kind: Kind, sequence: np.random.SeedSequence) -> Episode | None:
    """One episode of the demonstrator of a kind, until it is content; None if it is not within the limit."""
    start, style = sequence.spawn(2)
    observation, _ = env.reset(seed=int(start.generate_state(1, np.uint64)[0]))
    demonstrator = Demonstrator(env.physics, STYLES[kind], np.random.default_rng(style))
    frames = []
    content = ended = False
    while not (content or ended):
        action = demonstrator.act(env.pusher, env.pose).astype(np.float32)
        frames.append((observation["agent_pos"], observation["environment_state"], action))
        observation, _, terminated, truncated, _ = env.step(action)
        content, ended = looks_right(env.pose), terminated or truncated
    if not content:
        return None
    return {key: np.stack(values) for key, values in zip(FEATURES, zip(*frames, strict=True), strict=True)}


def demonstration(number: int, kind: Kind, seed: int) -> Episode:
    """Demonstration `number` of a kind, pure in its arguments. It does not depend on how many are made."""
    env = PushingEnv(physics=kind)
    for retry in range(ATTEMPTS):
        sequence = np.random.SeedSequence(seed, spawn_key=(_STREAM, KINDS.index(kind), number, retry))
        episode = attempt(env, kind, sequence)
        if episode is not None:
            return episode
    raise RuntimeError(f"pushing, {kind}: demonstration {number} of seed {seed} failed {ATTEMPTS} times")


def demonstrations(kind: Kind, count: int, seed: int, processes: int) -> Iterator[Episode]:
    """The first `count` demonstrations of a kind, in order; `processes` does not change them."""
    make = partial(demonstration, kind=kind, seed=seed)
    if processes == 1:
        yield from map(make, range(count))
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(make, range(count), chunksize=20)


def make_pushing_data(
    root: Path,
    *,
    target_episodes: int = 50,
    source_episodes: int = 2000,
    seed: int = 0,
    kinds: Sequence[Kind] = KINDS,
    processes: int = 1,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Write the target and source demonstrations of planar pushing to `root/target` and `root/source`.

    Calling it again with the same arguments returns at once; after a kill it makes the dataset that is missing.

    Args:
        root: parent folder of the two datasets.
        target_episodes, source_episodes: number of episodes, at least 1.
        seed: of the demonstrations, not negative.
        kinds: which of the two to make; the other is not touched.
        processes: how many demonstrators work side by side, at least 1.
        progress: whether to show progress bars.

    Returns:
        For each of `kinds`: root, repo_id, episodes, frames and mean_squared_acceleration (of the pusher, the
        mean over episodes, in cm^2 / s^4).

    Raises:
        ValueError: if a dataset made with other arguments is in the way, or an argument is out of range.
    """
    root = Path(root)
    counts: dict[Kind, int] = {"target": target_episodes, "source": source_episodes}
    require_at_least(
        "make_pushing_data",
        target_episodes=(target_episodes, 1),
        source_episodes=(source_episodes, 1),
        seed=(seed, 0),
        processes=(processes, 1),
    )
    arguments = {kind: _arguments(kind, counts[kind], seed) for kind in kinds}
    missing = [kind for kind in kinds if finished(root / kind, arguments[kind]) is None]
    root.mkdir(parents=True, exist_ok=True)
    for kind in missing:
        made = demonstrations(kind, counts[kind], seed, processes)
        episodes = list(tqdm(made, f"push {kind}", counts[kind], unit="episode", disable=not progress))
        _write(root / kind, arguments[kind], episodes)
    return summaries_of(root, arguments)


def _arguments(kind: Kind, episodes: int, seed: int) -> dict[str, Any]:
    return {
        "version": VERSION,
        "experiment": "pushing",
        "kind": kind,
        "episodes": episodes,
        "seed": seed,
        "physics": asdict(PHYSICS[kind]),
        "style": asdict(STYLES[kind]),
        "position_tolerance": CONTENT_POSITION,
        "angle_tolerance": CONTENT_ANGLE,
    }


def _write(folder: Path, arguments: dict[str, Any], episodes: list[Episode]) -> None:
    kind: Kind = arguments["kind"]
    summary = {
        "root": folder.name,
        "repo_id": REPO_IDS[kind],
        "episodes": len(episodes),
        "frames": sum(len(episode["action"]) for episode in episodes),
        "mean_squared_acceleration": float(
            np.mean([mean_squared_acceleration(episode["observation.state"], FPS) for episode in episodes])
        ),
    }
    write_recorded(
        folder,
        arguments,
        summary,
        lambda partial: write_low_dim_dataset(partial, REPO_IDS[kind], FPS, FEATURES, episodes, TASK),
    )
