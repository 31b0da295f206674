# SPDX-License-Identifier: Apache-2.0
"""Writes low-dimensional episodes as a LeRobotDataset in one go.

LeRobot's save_episode takes 0.1 to 0.2 s whatever the episode holds: it maps every frame through a search for images
to embed, builds a Hugging Face dataset an episode, and rewrites info.json and stats.json each time. Here the same
columns, statistics and metadata, from LeRobot's own public functions, are written once for all episodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.compute_stats import aggregate_stats, compute_episode_stats
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.feature_utils import get_hf_features_from_features
from lerobot.datasets.io_utils import write_info, write_stats
from lerobot.datasets.utils import DEFAULT_EPISODES_PATH
from lerobot.utils.utils import flatten_dict
from numpy.typing import NDArray

Episode = Mapping[str, NDArray[Any]]
_FILE = {"chunk_index": 0, "file_index": 0}


def _columns(episode: Episode, features: Mapping[str, Any], fps: int, number: int, first: int) -> dict[str, Any]:
    """The episode's columns, with LeRobot's own five, in the order of `features`."""
    lengths = {key: len(values) for key, values in episode.items()}
    length = next(iter(lengths.values()))
    if length == 0 or len(set(lengths.values())) != 1:
        raise ValueError(f"episode {number}: every feature needs the same number of frames, not {lengths}")
    frames = np.arange(length)
    given = {
        **episode,
        # Python's own division, as add_frame computes it.
        "timestamp": np.array([frame / fps for frame in range(length)]),
        "frame_index": frames,
        "episode_index": np.full(length, number),
        "index": first + frames,
        "task_index": np.zeros(length, dtype=np.int64),
    }
    if set(given) != set(features):
        raise ValueError(f"episode {number}: holds {sorted(given)}, but the features are {sorted(features)}")
    for key, feature in features.items():
        shape = () if tuple(feature["shape"]) == (1,) else tuple(feature["shape"])
        if given[key].shape[1:] != shape:
            raise ValueError(
                f"episode {number}: {key} has shape {given[key].shape[1:]} a frame, not {feature['shape']}"
            )
    return {key: given[key] for key in features}


def write_low_dim_dataset(
    root: Path,
    repo_id: str,
    fps: int,
    features: Mapping[str, Mapping[str, Any]],
    episodes: Sequence[Episode],
    task: str,
    on_episode: Callable[[], object] = lambda: None,
) -> None:
    """Write a LeRobotDataset of numeric features with one task.

    Args:
        root: a folder that does not exist yet.
        repo_id: the dataset's name.
        fps: frames a second.
        features: as for LeRobotDataset.create, without images and strings.
        episodes: for every feature an array (frames, *shape); shape (1,) is given as (frames,).
        task: the task of every episode.
        on_episode: called after every episode.

    Raises:
        ValueError: if an episode does not fit the features, or all of them do not fit LeRobot's one-file limit.
        FileExistsError: if `root` exists.
    """
    if not episodes:
        raise ValueError(f"dataset {repo_id}: no episodes to write; give at least one")
    visual = [key for key, feature in features.items() if feature["dtype"] in ("image", "video", "string")]
    if visual:
        raise ValueError(f"dataset {repo_id}: {visual} are not numeric; use LeRobotDataset.create for them")
    meta = LeRobotDatasetMetadata.create(repo_id, fps, dict(features), root=root, use_videos=False)
    meta.save_episode_tasks([task])
    columns, rows, statistics, first = [], [], [], 0
    for number, episode in enumerate(episodes):
        column = _columns(episode, meta.features, fps, number, first)
        stats = compute_episode_stats(column, meta.features)
        length = len(column["index"])
        rows.append(
            {
                "episode_index": number,
                "tasks": [task],
                "length": length,
                **{f"data/{key}": value for key, value in _FILE.items()},
                "dataset_from_index": first,
                "dataset_to_index": first + length,
                **{key: value.tolist() for key, value in flatten_dict({"stats": stats}).items()},
                **{f"meta/episodes/{key}": value for key, value in _FILE.items()},
            }
        )
        columns.append(column)
        statistics.append(stats)
        first += length
        on_episode()

    hf_features = get_hf_features_from_features(meta.features)
    merged = {key: np.concatenate([column[key] for column in columns]) for key in hf_features}
    table = datasets.Dataset.from_dict(merged, features=hf_features, split="train").with_format("arrow")[:]
    _write(table, root / meta.data_path.format(**_FILE), meta.data_files_size_in_mb)
    _write(
        pa.Table.from_pydict({key: [row[key] for row in rows] for key in rows[0]}),
        root / DEFAULT_EPISODES_PATH.format(**_FILE),
        meta.data_files_size_in_mb,
    )
    meta.info.total_episodes, meta.info.total_frames = len(rows), first
    meta.info.total_tasks = len(meta.tasks)
    meta.info.splits = {"train": f"0:{len(rows)}"}
    write_info(meta.info, root)
    write_stats(in_order(aggregate_stats(statistics)), root)


def _write(table: pa.Table, path: Path, limit_in_mb: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="snappy", use_dictionary=True)
    size = path.stat().st_size / 2**20
    if size >= limit_in_mb:
        raise ValueError(
            f"{path} has {size:.0f} MB, LeRobot's limit for one file is {limit_in_mb} MB; write fewer episodes, "
            "or use LeRobotDataset.create, which splits files"
        )


def in_order(stats: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Statistics sorted by name: LeRobot aggregates them in the order of a set, which differs between processes."""
    return {feature: dict(sorted(stats[feature].items())) for feature in sorted(stats)}
