# SPDX-License-Identifier: Apache-2.0
"""Datasets in Lance's layout, as lerobot-lancedb writes it: numbers and videos in tables, read through its library.

<root>/meta/            LeRobot's metadata, whose info.json says "storage_format": "lance"
<root>/frames.lance     a row a frame
<root>/videos.lance     a row a video file, its bytes as they were
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from lerobot_ambient.data.cameras.video_sources import OpenedVideo, VideoSource
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.info_file import INFO
from lerobot_ambient.data.files.parquet_rows import FileRows, rows_of
from lerobot_ambient.data.reading.column_reader import ReadColumns, read_columns
from lerobot_ambient.data.reading.storage import FilesHere

_INSTALL = "pip install 'lerobot_policy_ambient_diffusion[lance]'"


def is_lance(meta: LeRobotDatasetMetadata) -> bool:
    """Whether a dataset says that it is kept as Lance's tables."""
    try:
        info = json.loads((Path(meta.root) / INFO).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(info, dict) and info.get("storage_format") == "lance"


@dataclass(frozen=True)
class LanceTables(FilesHere):
    """Lance's tables in a folder of this machine.

    Args:
        config: as declared.
    """

    def fetch(self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], videos: Sequence[str]) -> None:
        """Nothing is fetched.

        Raises:
            ValueError: the tables are not here, the library is not installed, or cameras are kept as pictures.
        """
        root, name = Path(meta.root), f"'{self.config.repo_id}'"
        if not (root / "frames.lance").is_dir():
            raise ValueError(
                f"{name} is kept as Lance's tables, and {root} has no frames.lance. They are read from a folder here: "
                f"`hf download --repo-type=dataset {self.config.repo_id} --local-dir=FOLDER`, and FOLDER as `root`."
            )
        _library(name)
        if meta.image_keys:
            raise ValueError(
                f"{name}: {meta.image_keys} are kept as pictures in Lance's tables, which lerobot-lancedb does not "
                "read; convert the dataset again with its cameras as videos."
            )

    def numbers(
        self,
        meta: LeRobotDatasetMetadata,
        episodes: Sequence[int],
        shapes: Mapping[str, Sequence[int]],
        finite: Sequence[str],
    ) -> ReadColumns:
        def read() -> FileRows:
            lance = _library(self.config.repo_id)
            table = _open(str(meta.root), lance.FRAMES_TABLE, os.getpid())
            columns = {lance.to_lance_column(key): key for key in shapes}
            there = [name for name in table.schema.names if name in columns]
            found: pa.Table = table.search().select(there).to_arrow()
            return rows_of(found.select(there).rename_columns([columns[name] for name in there]), shapes, finite)

        return read_columns(meta, episodes, shapes, finite, table=("frames.lance", read))

    def frameless(self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str]) -> dict[str, str]:
        table, rows = EpisodeTable(meta), self._rows(meta)
        found = {}
        for key in keys:
            if not table.has_videos(key):
                found[key] = f"meta/episodes has no columns videos/{key}/..."
            elif not any(place[0] == key for place in rows):
                found[key] = "videos.lance has no row of it"
        return found

    def broken(
        self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str], *, thorough: bool
    ) -> dict[int, str]:
        """By the tables' rows; no video is opened."""
        rows, found = self._rows(meta), dict[int, str]()
        for key in keys:
            for episode, path in zip(episodes, EpisodeTable(meta).video_files(episodes, key), strict=True):
                if not rows.get(_place(path, key)):
                    found.setdefault(episode, f"{path} has no row with bytes in videos.lance")
        return found

    def content(self, meta: LeRobotDatasetMetadata, key: str) -> Any:
        return {"/".join(map(str, place)): size for place, size in sorted(self._rows(meta).items()) if place[0] == key}

    @property
    def in_files(self) -> bool:
        return False

    def _video(self, meta: LeRobotDatasetMetadata, path: Path) -> VideoSource:
        # <folder>/<camera>/chunk-000/file-000.mp4, the form of LeRobot's video_path.
        return LanceVideo(str(meta.root), _place(path, path.parts[-3]))

    def _rows(self, meta: LeRobotDatasetMetadata) -> dict[tuple[str, int, int], int]:
        """{(camera, chunk, file): bytes} of the videos."""
        lance = _library(self.config.repo_id)
        if not (Path(meta.root) / f"{lance.VIDEOS_TABLE}.lance").is_dir():
            return {}
        table = _open(str(meta.root), lance.VIDEOS_TABLE, os.getpid())
        listed = table.search().select(["video_key", "chunk_index", "file_index", "file_size"]).to_arrow().to_pylist()
        return {(row["video_key"], row["chunk_index"], row["file_index"]): row["file_size"] for row in listed}


class LanceVideo(OpenedVideo):
    """A video file that is a row of videos.lance.

    Lance runs threads that a forked process has no more: loader workers are to be spawned, as LeRobot does.

    Args:
        root: folder of the tables.
        place: camera, chunk and file.
    """

    def __init__(self, root: str, place: tuple[str, int, int]) -> None:
        self.root, self.place = root, place

    @property
    def name(self) -> str:
        key, chunk, file = self.place
        return f"{self.root}/videos.lance, {key} chunk {chunk} file {file}"

    def opened(self) -> Any:
        lance = _library(self.root)
        table = _open(self.root, lance.VIDEOS_TABLE, os.getpid())
        row = _row_ids(self.root, os.getpid())[self.place]
        (file,) = table.fetch_blob_files(lance.VIDEO_BLOB_COLUMN, [row])
        return file


def _place(path: Path, key: str) -> tuple[str, int, int]:
    """What videos.lance calls a file of LeRobot's layout: camera, chunk and file."""
    return key, int(path.parent.name.rpartition("-")[2]), int(path.stem.rpartition("-")[2])


_opened_by: int | None = None
"""The process that opened the first table; a spawned one begins anew, a forked one does not."""


@lru_cache(maxsize=64)
def _open(root: str, table: str, process: int) -> Any:
    """A table, opened once in each process.

    Raises:
        RuntimeError: this process was forked from one that has tables open.
    """
    global _opened_by
    if _opened_by not in (None, process):
        raise RuntimeError(
            f"{root}: Lance's tables cannot be read in a forked process, which lacks the threads of the library and "
            "would wait for them forever. Spawn the loader workers (--dataloader_multiprocessing_context=spawn)."
        )
    _opened_by = process
    import lancedb

    return lancedb.connect(root).open_table(table)


@lru_cache(maxsize=64)
def _row_ids(root: str, process: int) -> dict[tuple[str, int, int], int]:
    lance = _library(root)
    query = _open(root, lance.VIDEOS_TABLE, process).search().select(["video_key", "chunk_index", "file_index"])
    rows = query.with_row_id(True).to_arrow().to_pylist()
    return {(row["video_key"], row["chunk_index"], row["file_index"]): row["_rowid"] for row in rows}


def _library(name: str) -> Any:
    try:
        import lerobot_lancedb
    except ImportError as error:
        raise ValueError(
            f"{name} is kept as Lance's tables, which need the package lerobot-lancedb: {_INSTALL}"
        ) from error
    return lerobot_lancedb
