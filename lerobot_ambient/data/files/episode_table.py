# SPDX-License-Identifier: Apache-2.0
"""LeRobot's table of episodes as arrays: where the frames, files and seconds of many episodes are, without a loop.

LeRobot's own look-ups take an episode at a time, a tenth of a millisecond each; datasets have hundreds of thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from lerobot_ambient.data.files.dataset_format import owner_of


class EpisodeTable:
    """The episodes of a dataset.

    Args:
        meta: of the dataset.
    """

    def __init__(self, meta: LeRobotDatasetMetadata) -> None:
        assert meta.episodes is not None
        self.meta = meta

    @cached_property
    def number(self) -> NDArray[np.int64]:
        """(E,) episode numbers, in the table's order."""
        return self.column("episode_index").astype(np.int64)

    @property
    def length(self) -> NDArray[np.int64]:
        """(E,) frames of each episode."""
        return self.column("length").astype(np.int64)

    def column(self, name: str) -> NDArray[Any]:
        """(E,) one column of the table, of numbers.

        Raises:
            ValueError: the table lacks the column, or it is not a number in every row.
        """
        table = self.meta.episodes.data
        if name not in table.column_names:
            raise ValueError(f"{self._what} lacks the column '{name}' (it has {table.column_names}).{_because(name)}")
        column = table.column(name)
        if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise ValueError(
                f"{self._what}: the column '{name}' must be a number in every row; it is of type {column.type} with "
                f"{column.null_count} of {len(column)} rows null.{_because(name)}"
            )
        values: NDArray[Any] = column.to_numpy()
        return values

    def first_tasks(self, episodes: Sequence[int]) -> list[str]:
        """(n,) the first task of each episode; empty where the table names none."""
        table = self.meta.episodes
        if "tasks" not in table.column_names:
            return [""] * len(episodes)
        tasks = table.data.column("tasks").to_pylist()
        return [str(tasks[row][0]) if row >= 0 and tasks[row] else "" for row in self.rows(episodes).tolist()]

    def rows(self, episodes: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) the table's row of each episode, -1 for an unknown one."""
        wanted = np.asarray(episodes, dtype=np.int64)
        order = np.argsort(self.number, kind="stable")
        at = np.minimum(np.searchsorted(self.number[order], wanted), len(order) - 1)
        return np.where(self.number[order[at]] == wanted, order[at], -1)

    def data_files(self, episodes: Sequence[int] | NDArray[np.int64]) -> list[Path]:
        """The parquet file of each episode, relative to the root."""
        return self._files(episodes, "data", self.meta.data_path)

    def files_in_order(self, episodes: Sequence[int]) -> list[Path]:
        """The parquet files of these episodes, each once, by their numbers: the order in which rows are counted."""
        rows = self.rows(episodes)
        places = np.stack([self.column(f"data/{part}_index")[rows] for part in ("chunk", "file")], axis=1)
        kinds = np.unique(places.astype(np.int64), axis=0).tolist()
        return [Path(self.meta.data_path.format(chunk_index=chunk, file_index=file)) for chunk, file in kinds]

    def video_files(self, episodes: Sequence[int] | NDArray[np.int64], key: str) -> list[Path]:
        """The video file of each episode for one camera, relative to the root."""
        return self._files(episodes, f"videos/{key}", self.meta.video_path, video_key=key)

    def has_videos(self, key: str) -> bool:
        """Whether the table knows where the videos of a camera are."""
        return f"videos/{key}/chunk_index" in self.meta.episodes.column_names

    @property
    def _what(self) -> str:
        return f"{owner_of(self.meta.repo_id, self.meta.root)}: meta/episodes"

    def _files(self, episodes: Sequence[int] | NDArray[np.int64], kind: str, pattern: str, **names: str) -> list[Path]:
        rows = self.rows(episodes)
        places = np.stack([self.column(f"{kind}/{part}_index")[rows] for part in ("chunk", "file")], axis=1)
        kinds, which = np.unique(places.astype(np.int64), axis=0, return_inverse=True)
        paths = [Path(pattern.format(chunk_index=chunk, file_index=file, **names)) for chunk, file in kinds.tolist()]
        return [paths[i] for i in which.reshape(-1).tolist()]


def _because(name: str) -> str:
    """Who asked for a column of videos: a feature, which may not be one."""
    parts = name.split("/")
    if parts[0] != "videos":
        return ""
    return (
        f" meta/info.json says that '{parts[1]}' is a video; write its true dtype there, or bring meta/episodes back."
    )
