# SPDX-License-Identifier: Apache-2.0
"""Meta-World's demonstrations as two LeRobotDatasets: a few of an expert, many with a planted fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lerobot_ambient.benchmarks.tasks.metaworld.demonstrations import (
    Demonstration,
    source_demonstration,
    target_demonstration,
)
from lerobot_ambient.benchmarks.tasks.metaworld.faults import Fault, FaultName
from lerobot_ambient.benchmarks.tasks.metaworld.task import DEFAULT_TASK, FPS, HAND_NAMES, STATE_NAMES, task_named
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

VERSION = 1
"""Raise it when the same arguments would give other demonstrations."""
REPO_IDS: dict[Kind, str] = {"target": "ambient/metaworld_target", "source": "ambient/metaworld_source"}
FEATURES: dict[str, dict[str, Any]] = {
    "observation.state": {"dtype": "float32", "shape": (len(HAND_NAMES),), "names": HAND_NAMES},
    "observation.environment_state": {"dtype": "float32", "shape": (len(STATE_NAMES),), "names": STATE_NAMES},
    "action": {"dtype": "float32", "shape": (len(HAND_NAMES),), "names": HAND_NAMES},
}


def make_metaworld_data(
    root: Path,
    *,
    task: str = DEFAULT_TASK,
    fault: FaultName = "none",
    strength: float = 1.0,
    target_episodes: int = 25,
    source_episodes: int = 500,
    seed: int = 0,
    kinds: Sequence[Kind] = KINDS,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Write expert demonstrations to `root/target` and those with a planted fault to `root/source`.

    Calling it again with the same arguments returns at once; after a kill it makes the dataset that is missing. The
    target does not depend on the fault.

    Args:
        root: parent folder of the two datasets.
        task: one of `task.TASKS`.
        fault: of the source, a key of `faults.FAULTS`.
        strength: of the fault; what it scales is said there.
        target_episodes, source_episodes: number of episodes, at least 1.
        seed: of the demonstrations, not negative.
        kinds: which of the two to make; the other is not touched.
        progress: whether to show progress bars.

    Returns:
        For each of `kinds`: root, repo_id, task, fault, episodes, frames, successes and mean_squared_acceleration (of
        the hand, the mean over episodes, in m^2 / s^4).

    Raises:
        ValueError: if a dataset made with other arguments is in the way, or an argument is out of range.
    """
    root = Path(root)
    chosen, planted = task_named(task), Fault(fault, strength)
    planted.require(chosen)
    require_at_least(
        "make_metaworld_data",
        target_episodes=(target_episodes, 1),
        source_episodes=(source_episodes, 1),
        seed=(seed, 0),
    )
    common = {"version": VERSION, "experiment": "metaworld", "task": chosen.name, "seed": seed}
    every: dict[Kind, dict[str, Any]] = {
        "target": {**common, "kind": "target", "episodes": target_episodes, "fault": "none", "strength": 1.0},
        "source": {**common, "kind": "source", "episodes": source_episodes, "fault": fault, "strength": strength},
    }
    arguments = {kind: every[kind] for kind in kinds}
    missing = [kind for kind in kinds if finished(root / kind, arguments[kind]) is None]
    root.mkdir(parents=True, exist_ok=True)
    for kind in missing:
        numbers = tqdm(range(every[kind]["episodes"]), f"{chosen.name} {kind}", unit="episode", disable=not progress)
        demonstrations = [
            target_demonstration(chosen, seed, number)
            if kind == "target"
            else source_demonstration(chosen, planted, seed, number)
            for number in numbers
        ]
        _write(root / kind, arguments[kind], demonstrations)
    return summaries_of(root, arguments)


def _write(folder: Path, arguments: dict[str, Any], demonstrations: list[Demonstration]) -> None:
    kind: Kind = arguments["kind"]
    episodes = [one.frames for one in demonstrations]
    summary = {
        "root": folder.name,
        "repo_id": REPO_IDS[kind],
        "task": arguments["task"],
        "fault": arguments["fault"],
        "episodes": len(episodes),
        "frames": sum(len(episode["action"]) for episode in episodes),
        "successes": sum(one.success for one in demonstrations),
        "mean_squared_acceleration": float(
            np.mean([mean_squared_acceleration(episode["observation.state"][:, :3], FPS) for episode in episodes])
        ),
    }
    # LeRobot's diffusion policies read no language; a source of another task is filed under the task it is used for.
    sentence = task_named(arguments["task"]).description
    write_recorded(
        folder,
        arguments,
        summary,
        lambda partial: write_low_dim_dataset(partial, REPO_IDS[kind], FPS, FEATURES, episodes, sentence),
    )
