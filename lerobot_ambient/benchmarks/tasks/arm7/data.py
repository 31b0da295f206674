# SPDX-License-Identifier: Apache-2.0
"""The arm's demonstrations as two LeRobotDatasets: a few smooth and short paths, many raw ones of a random tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lerobot_ambient.benchmarks.tasks.arm7.demonstrations import CLEARANCES, demonstrations
from lerobot_ambient.benchmarks.tasks.arm7.task import FPS, GOAL_TOLERANCE, JOINTS, MIN_SEPARATION, SPACING, TASK
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

VERSION = 2
"""Raise it when the same arguments would give other demonstrations, or the scene changes."""
REPO_IDS: dict[Kind, str] = {"target": "ambient/arm7_target", "source": "ambient/arm7_source"}
_JOINT_NAMES = [f"joint_{number}" for number in range(1, JOINTS + 1)]
FEATURES: dict[str, dict[str, Any]] = {
    "observation.state": {"dtype": "float32", "shape": (JOINTS,), "names": _JOINT_NAMES},
    "observation.environment_state": {
        "dtype": "float32",
        "shape": (JOINTS,),
        "names": [f"goal_{name}" for name in _JOINT_NAMES],
    },
    "action": {"dtype": "float32", "shape": (JOINTS,), "names": _JOINT_NAMES},
}


def path_to_episode(path: NDArray[np.float32]) -> Episode:
    """The frames of a path (n, 7): n - 1 observations, each with the next configuration as its action."""
    return {
        "observation.state": path[:-1],
        "observation.environment_state": np.broadcast_to(path[-1], path[:-1].shape),
        "action": path[1:],
    }


def make_arm7_data(
    root: Path,
    *,
    target_episodes: int = 50,
    source_episodes: int = 2000,
    seed: int = 0,
    kinds: Sequence[Kind] = KINDS,
    processes: int = 1,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Write the target and source demonstrations of the arm to `root/target` and `root/source`.

    Calling it again with the same arguments returns at once; after a kill it makes the dataset that is missing.

    Args:
        root: parent folder of the two datasets.
        target_episodes, source_episodes: number of episodes, at least 1.
        seed: of the demonstrations, not negative.
        kinds: which of the two to make; the other is not touched.
        processes: how many planners work side by side, at least 1.
        progress: whether to show progress bars.

    Returns:
        For each of `kinds`: root, repo_id, episodes, frames and mean_squared_acceleration (the mean over
        episodes, in rad^2 / s^4).

    Raises:
        ValueError: if a dataset made with other arguments is in the way, or an argument is out of range.
    """
    root = Path(root)
    counts: dict[Kind, int] = {"target": target_episodes, "source": source_episodes}
    require_at_least(
        "make_arm7_data",
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
        paths = list(tqdm(made, f"plan {kind}", counts[kind], unit="path", disable=not progress))
        _write(root / kind, arguments[kind], paths)
    return summaries_of(root, arguments)


def _arguments(kind: Kind, episodes: int, seed: int) -> dict[str, Any]:
    return {
        "version": VERSION,
        "experiment": "arm7",
        "kind": kind,
        "episodes": episodes,
        "seed": seed,
        "clearance": CLEARANCES[kind],
        "spacing": SPACING,
        "min_separation": MIN_SEPARATION,
        "goal_tolerance": GOAL_TOLERANCE,
    }


def _write(folder: Path, arguments: dict[str, Any], paths: list[NDArray[np.float32]]) -> None:
    kind: Kind = arguments["kind"]
    summary = {
        "root": folder.name,
        "repo_id": REPO_IDS[kind],
        "episodes": len(paths),
        "frames": sum(len(path) - 1 for path in paths),
        "mean_squared_acceleration": float(np.mean([mean_squared_acceleration(path, FPS) for path in paths])),
    }
    episodes = [path_to_episode(path) for path in paths]
    write_recorded(
        folder,
        arguments,
        summary,
        lambda partial: write_low_dim_dataset(partial, REPO_IDS[kind], FPS, FEATURES, episodes, TASK),
    )
