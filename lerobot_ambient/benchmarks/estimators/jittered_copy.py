# SPDX-License-Identifier: Apache-2.0
"""A copy of some episodes of a dataset with white jitter planted in the actions.

The copy appears under its name only when it is complete, holds in meta/ambient_jitter.json what it was made from, and
is found again by it. Cameras are left out: a window is a statement about actions.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.utils.constants import ACTION
from lerobot.utils.utils import SuppressProgressBars
from numpy.typing import NDArray

from lerobot_ambient.data.reading.open_dataset import OpenedDataset, is_bookkeeping

RECORD = Path("meta") / "ambient_jitter.json"
VERSION = 1
"""Raise it when the same arguments would give another copy."""
_STREAM = 11


def write_jittered_copy(
    source: OpenedDataset, folder: Path, repo_id: str, *, jitter: float, scale: Sequence[float], seed: int
) -> None:
    """Write the selected episodes of `source` to `folder`, actions with white Gaussian jitter; once.

    Args:
        source: the dataset with its episodes, opened and not aligned.
        folder: of the copy; one that was made from the same is left as it is.
        repo_id: name of the copy.
        jitter: standard deviation in normalised units, of every dimension of every frame, independent.
        scale: (A,) raw units in a normalised one.
        seed: of the jitter.

    Raises:
        ValueError: jitter that is not positive, no actions, or a folder that holds something else.
    """
    if not 0.0 < jitter < float("inf"):
        raise ValueError(f"jitter = {jitter} must be positive and finite: a standard deviation in normalised units.")
    if ACTION not in source.columns:
        raise ValueError(f"'{source.name}' has no numeric feature '{ACTION}', only {sorted(source.columns)}.")
    record = {
        "version": VERSION,
        "jitter": jitter,
        "seed": seed,
        "scale": [float(one) for one in scale],
        "episodes": source.episode_ids.tolist(),
        "actions": hashlib.sha256(np.ascontiguousarray(source.columns[ACTION]).tobytes()).hexdigest(),
    }
    if folder.exists():
        _require_same(folder, record)
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _write(source, partial, repo_id, _jittered(source.columns[ACTION], jitter, scale, seed))
    (partial / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    partial.rename(folder)


def _jittered(actions: NDArray[np.float32], jitter: float, scale: Sequence[float], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(np.random.SeedSequence([seed, _STREAM]))
    noise = jitter * np.asarray(scale) * rng.standard_normal(actions.shape)
    return (actions + noise).astype(np.float32)


def _write(source: OpenedDataset, root: Path, repo_id: str, actions: NDArray[np.float32]) -> None:
    meta = source.meta
    features = {key: source.features[key] for key in source.columns if not is_bookkeeping(key)}
    values = {key: source.columns[key] for key in features} | {ACTION: actions}
    tasks = {int(number): str(task) for task, number in meta.tasks["task_index"].items()}
    dataset = LeRobotDataset.create(
        repo_id, fps=meta.fps, features=features, root=root, robot_type=meta.robot_type, use_videos=False
    )
    try:
        for start, stop in zip(source.starts, source.stops, strict=True):
            for row in range(start, stop):
                frame: dict[str, Any] = {key: values[key][row].reshape(features[key]["shape"]) for key in features}
                dataset.add_frame({**frame, "task": tasks[int(source.columns["task_index"][row])]})
            # LeRobot's search for images to embed shows a progress bar for every episode.
            with SuppressProgressBars():
                dataset.save_episode()
    finally:
        # After an error too: left to the destructor, it would write later.
        dataset.finalize()


def _require_same(folder: Path, record: dict[str, Any]) -> None:
    file = folder / RECORD
    if not file.is_file():
        raise ValueError(
            f"{folder} exists and has no {RECORD}, so it is not a jittered copy; move it away or choose another folder."
        )
    found = json.loads(file.read_text(encoding="utf-8"))
    other = [key for key in record if found.get(key) != record[key]]
    if other:
        old, new = ({key: values.get(key) for key in other} for values in (found, record))
        raise ValueError(
            f"{folder} was made with {old}, not with {new}; remove it, choose another --output-dir, or give the same "
            "recording, --jitter and --seed."
        )
