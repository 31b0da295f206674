# SPDX-License-Identifier: Apache-2.0
"""How a dataset is kept, behind one small interface: its metadata, its numbers, its frames.

`FilesHere` is LeRobot's own layout on this machine: numbers in parquet files, frames as videos or as pictures beside
the numbers. `VideosOnTheHub` is the same layout with the videos left where they are.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from huggingface_hub import constants as hub_constants
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from numpy.typing import NDArray

from lerobot_ambient.data.cameras.needed_cameras import cameras_without_frames
from lerobot_ambient.data.cameras.picture_files import broken_pictures
from lerobot_ambient.data.cameras.readers import StoredImageReader, VideoReader
from lerobot_ambient.data.cameras.stored_pictures import StoredPictures
from lerobot_ambient.data.cameras.video_files import broken_videos
from lerobot_ambient.data.cameras.video_sources import LocalVideo, VideoSource
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB
from lerobot_ambient.data.reading.column_reader import ReadColumns, read_columns

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WantedFrames:
    """Which frames of one camera a reader is asked for, and how.

    Args:
        name: for messages.
        key: the dataset's own key of the camera.
        shape: (C, H, W) as the policy sees it.
        episode_ids: (E,) int64 selected episodes, in the order of the rows.
        starts: (E,) int64 first row of each.
        timestamps: (N,) float32 seconds since each episode's beginning.
        as_uint8: give pictures of the parquet files as bytes; videos always are.
        tolerance_s, backend: as for LeRobotDataset.
    """

    name: str
    key: str
    shape: tuple[int, int, int]
    episode_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    timestamps: NDArray[np.float32]
    as_uint8: bool
    tolerance_s: float
    backend: str


class Storage(Protocol):
    """What opening a dataset asks of the way in which it is kept."""

    def fetch(self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], videos: Sequence[str]) -> None:
        """Bring here what of these episodes has to be here; what stays missing is reported by the other methods.

        Args:
            meta: of the dataset.
            episodes: the selected ones.
            videos: the cameras kept as videos whose frames are needed.
        """

    def numbers(
        self,
        meta: LeRobotDatasetMetadata,
        episodes: Sequence[int],
        shapes: Mapping[str, Sequence[int]],
        finite: Sequence[str],
    ) -> ReadColumns:
        """Columns of numbers, and the episodes that cannot be used; see `read_columns`."""

    def frameless(self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str]) -> dict[str, str]:
        """Cameras of which no selected episode has a frame, with the reason."""

    def broken(
        self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str], *, thorough: bool
    ) -> dict[int, str]:
        """Episodes whose frames cannot be read, with the reason; `thorough` looks into every file."""

    def frames(
        self, meta: LeRobotDatasetMetadata, wanted: WantedFrames, pictures: StoredPictures | None
    ) -> StoredImageReader | VideoReader:
        """A reader of one camera; `pictures` are those beside the numbers, of a camera that keeps its frames there."""

    def content(self, meta: LeRobotDatasetMetadata, key: str) -> Any:
        """JSON values that stand for every pixel of a camera without reading one."""

    @property
    def in_files(self) -> bool:
        """Whether its videos are files here, each of which can be looked into."""

    @property
    def room(self) -> int | None:
        """How many blocks of its frames are kept here; None where they are not fetched as they are drawn."""

    @property
    def identity(self) -> str | None:
        """What joins the fingerprint of a mixture beside the numbers; None for nothing."""


@dataclass(frozen=True)
class FilesHere:
    """LeRobot's layout on this machine; what a dataset on the Hub lacks here is downloaded by LeRobot.

    Args:
        config: as declared.
    """

    config: Source

    def fetch(self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], videos: Sequence[str]) -> None:
        if hub_constants.HF_HUB_OFFLINE:
            return
        table = EpisodeTable(meta)
        known = [episode for episode, row in zip(episodes, table.rows(episodes), strict=True) if row >= 0]
        recorded = [key for key in videos if table.has_videos(key)]
        files = set(table.data_files(known)).union(*(table.video_files(known, key) for key in recorded))
        if all((Path(meta.root) / path).is_file() for path in files):
            return
        config = self.config
        try:
            LeRobotDataset(
                config.repo_id,
                root=config.root,
                episodes=list(episodes),
                revision=config.revision,
                download_videos=bool(videos),
            )
        except (*NOT_ON_THE_HUB, ValueError) as error:
            # LeRobot's own reading also stops at damage that is reported by other means.
            logger.warning("'%s' lacks files and could not be completed from the Hub: %s", config.repo_id, error)

    def numbers(
        self,
        meta: LeRobotDatasetMetadata,
        episodes: Sequence[int],
        shapes: Mapping[str, Sequence[int]],
        finite: Sequence[str],
    ) -> ReadColumns:
        return read_columns(meta, episodes, shapes, finite)

    def frameless(self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str]) -> dict[str, str]:
        return cameras_without_frames(meta, episodes, keys)

    def broken(
        self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str], *, thorough: bool
    ) -> dict[int, str]:
        videos, pictures = ([key for key in keys if key in kept] for kept in (meta.video_keys, meta.image_keys))
        if not thorough:
            return _missing_videos(meta, episodes, videos)
        found = broken_pictures(meta, episodes, pictures, progress=True)
        return found | broken_videos(meta, [episode for episode in episodes if episode not in found], keys=videos)

    def frames(
        self, meta: LeRobotDatasetMetadata, wanted: WantedFrames, pictures: StoredPictures | None
    ) -> StoredImageReader | VideoReader:
        starts, episode_ids = torch.from_numpy(wanted.starts), torch.from_numpy(wanted.episode_ids)
        if pictures is not None:
            return StoredImageReader(
                wanted.name, wanted.shape, pictures, wanted.key, starts, episode_ids, wanted.as_uint8
            )
        table = EpisodeTable(meta)
        begins = table.column(f"videos/{wanted.key}/from_timestamp").astype(np.float64)
        paths = table.video_files(wanted.episode_ids, wanted.key)
        files = {path: self._video(meta, path) for path in dict.fromkeys(paths)}
        return VideoReader(
            wanted.name,
            wanted.shape,
            [files[path] for path in paths],
            torch.from_numpy(begins[table.rows(wanted.episode_ids)]),
            starts,
            torch.from_numpy(wanted.timestamps),
            episode_ids,
            wanted.tolerance_s,
            wanted.backend,
        )

    def content(self, meta: LeRobotDatasetMetadata, key: str) -> Any:
        """A snapshot of the Hub lies in a folder named by its commit, of which not every file need be here. In a
        folder of the user's own anything may change, and a changed file has another size."""
        if self.config.root is None and Path(meta.root).parent.name == "snapshots":
            return Path(meta.root).name
        table, root = EpisodeTable(meta), Path(meta.root)
        in_parquet = meta.features[key]["dtype"] == "image"
        files = set(table.data_files(table.number) if in_parquet else table.video_files(table.number, key))
        return {str(file): (root / file).stat().st_size for file in sorted(files) if (root / file).is_file()}

    @property
    def in_files(self) -> bool:
        return True

    @property
    def room(self) -> int | None:
        return None

    @property
    def identity(self) -> str | None:
        return None

    def _video(self, meta: LeRobotDatasetMetadata, path: Path) -> VideoSource:
        return LocalVideo(Path(meta.root) / path)


def _missing_videos(meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str]) -> dict[int, str]:
    broken: dict[int, str] = {}
    size: dict[Path, int | None] = {}
    for key in keys:
        for episode, relative in zip(episodes, EpisodeTable(meta).video_files(episodes, key), strict=True):
            path = Path(meta.root) / relative
            if path not in size:
                size[path] = path.stat().st_size if path.is_file() else None
            if not size[path]:
                broken.setdefault(episode, f"{relative} is {'missing' if size[path] is None else 'empty'}")
    return broken
