# SPDX-License-Identifier: Apache-2.0
"""The PushT demonstrations as two LeRobotDatasets: a few clean ones, many with a planted fault.

Both come from a planner that knows gym-pusht's physics, not from people: see `demonstrator.py` and `styles.py`. An
attempt that does not bring the T to the goal in time is thrown away, counted and drawn again.
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

from lerobot_ambient.benchmarks.tasks.pusht.demonstrations import Demonstration, demonstration
from lerobot_ambient.benchmarks.tasks.pusht.styles import CLEAN, FAULTS, Fault, Style, style_of
from lerobot_ambient.benchmarks.tasks.pusht.task import FPS, KEYPOINTS, TASK, require_reach
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import (
    KINDS,
    Kind,
    finished,
    require_at_least,
    summaries_of,
    write_recorded,
)
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import write_low_dim_dataset
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration

REPO_IDS: dict[Kind, str] = {"target": "ambient/pusht_target", "source": "ambient/pusht_source"}
FEATURES: dict[str, dict[str, Any]] = {
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
    "observation.environment_state": {
        "dtype": "float32",
        "shape": (2 * KEYPOINTS,),
        "names": [f"keypoint_{number}_{axis}" for number in range(KEYPOINTS) for axis in "xy"],
    },
    "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
}
VERSION = 3
"""Raise it when the same arguments would give other demonstrations."""
_STREAM = 0x70757374
"""First word of every spawn key, so that no demonstration shares a stream with an environment's reset seed."""


def one(number: int, kind: Kind, fault: Fault, reach: float, seed: int) -> Demonstration:
    """Demonstration `number` of a kind, pure in its arguments."""
    if kind == "target":
        return demonstration(number, CLEAN, reach, (_STREAM, 0), seed)
    return demonstration(number, style_of(fault), reach, (_STREAM, 1 + FAULTS.index(fault)), seed)


def demonstrations(
    kind: Kind, count: int, fault: Fault, reach: float, seed: int, processes: int
) -> Iterator[Demonstration]:
    """The first `count` demonstrations of a kind, in order; `processes` does not change them."""
    make = partial(one, kind=kind, fault=fault, reach=reach, seed=seed)
    if processes == 1:
        yield from map(make, range(count))
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(make, range(count), chunksize=10)


def make_pusht_data(
    root: Path,
    *,
    fault: Fault,
    kinds: Sequence[Kind] = KINDS,
    reach: float = 1.0,
    target_episodes: int = 50,
    source_episodes: int = 300,
    seed: int = 0,
    processes: int = 1,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Write the target and source demonstrations of PushT to `root/target` and `root/source`.

    Calling it again with the same arguments returns at once; after a kill it makes the dataset that is missing.

    Args:
        root: parent folder of the two datasets.
        fault: of the source, one of `FAULTS`.
        kinds: which of the two to make.
        reach: how far from the goal the T starts, in (0, 1]; as in the environment.
        target_episodes, source_episodes: number of episodes, at least 1.
        seed: of the demonstrations, not negative.
        processes: how many demonstrators work side by side, at least 1.
        progress: whether to show progress bars.

    Returns:
        For each of `kinds`: root, repo_id, episodes, frames, attempts (of which those beyond `episodes` failed) and
        mean_squared_acceleration (of the pusher, the mean over episodes, in pixels^2 / s^4).

    Raises:
        ValueError: if a dataset made with other arguments is in the way, or an argument is out of range.
    """
    root = Path(root)
    counts: dict[Kind, int] = {"target": target_episodes, "source": source_episodes}
    require_at_least(
        "make_pusht_data",
        target_episodes=(target_episodes, 1),
        source_episodes=(source_episodes, 1),
        seed=(seed, 0),
        processes=(processes, 1),
    )
    require_reach(reach)
    styles: dict[Kind, Style] = {"target": CLEAN, "source": style_of(fault)}
    arguments = {kind: _arguments(kind, fault, styles[kind], reach, counts[kind], seed) for kind in kinds}
    missing = [kind for kind in kinds if finished(root / kind, arguments[kind]) is None]
    root.mkdir(parents=True, exist_ok=True)
    for kind in missing:
        made = demonstrations(kind, counts[kind], fault, reach, seed, processes)
        bar = tqdm(made, f"push {kind}", counts[kind], unit="episode", disable=not progress)
        _write(root / kind, arguments[kind], list(bar))
    return summaries_of(root, arguments)


def _arguments(kind: Kind, fault: Fault, style: Style, reach: float, episodes: int, seed: int) -> dict[str, Any]:
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(style).items()}
    return {
        "version": VERSION,
        "experiment": "pusht",
        "kind": kind,
        "fault": "none" if kind == "target" else fault,
        "episodes": episodes,
        "seed": seed,
        "reach": reach,
        "style": values,
    }


def _write(folder: Path, arguments: dict[str, Any], made: list[Demonstration]) -> None:
    kind: Kind = arguments["kind"]
    episodes = [demonstration.episode for demonstration in made]
    summary = {
        "root": folder.name,
        "repo_id": REPO_IDS[kind],
        "episodes": len(episodes),
        "frames": sum(len(episode["action"]) for episode in episodes),
        "attempts": sum(demonstration.attempts for demonstration in made),
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
