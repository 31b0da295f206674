# SPDX-License-Identifier: Apache-2.0
"""LeRobot's layout with the videos left on the Hub: metadata and numbers are here, frames are read where they lie.

Everything is of one commit, the one that LeRobot found for the revision when the metadata came. The numbers are fetched
at that commit, and so is every block of a video.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants as hub_constants
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from lerobot.datasets import dataset_metadata
from lerobot.datasets.dataset_metadata import CODEBASE_VERSION, LeRobotDatasetMetadata

from lerobot_ambient.data.cameras.needed_cameras import cameras_without_frames
from lerobot_ambient.data.cameras.picture_files import broken_pictures
from lerobot_ambient.data.cameras.video_sources import RemoteVideo, VideoSource
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.data.reading.storage import FilesHere
from lerobot_ambient.data.remote.blocks import RemoteBlocks
from lerobot_ambient.data.remote.options import StreamOptions
from lerobot_ambient.data.remote.pinned_repo import PinnedRepo, RemoteReadError

logger = logging.getLogger(__name__)

LISTING = "files.json"
"""Beside the blocks of a commit: which videos it has."""


@dataclass(frozen=True)
class VideosOnTheHub(FilesHere):
    """The same layout, whose videos are read by ranges of bytes.

    Args:
        config: as declared.
        blocks: of the videos.
    """

    blocks: RemoteBlocks

    def fetch(self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], videos: Sequence[str]) -> None:
        if meta.image_keys:
            logger.warning(
                "'%s': %s are pictures beside the numbers, which are downloaded whole; `stream` leaves only videos on "
                "the Hub.",
                *(self.config.repo_id, meta.image_keys),
            )
        table = EpisodeTable(meta)
        known = [episode for episode, row in zip(episodes, table.rows(episodes), strict=True) if row >= 0]
        files = sorted({str(path) for path in table.data_files(known)})
        if hub_constants.HF_HUB_OFFLINE or all((Path(meta.root) / path).is_file() for path in files):
            return
        try:
            snapshot_download(
                self.config.repo_id,
                repo_type="dataset",
                revision=self.blocks.repo.commit,
                cache_dir=dataset_metadata.HF_LEROBOT_HUB_CACHE,
                allow_patterns=files,
            )
        except NOT_ON_THE_HUB as error:
            logger.warning("'%s': its numbers could not be fetched%s", self.config.repo_id, reason_of(error))

    def frameless(self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str]) -> dict[str, str]:
        videos = [key for key in keys if key in meta.video_keys]
        found = cameras_without_frames(meta, episodes, [key for key in keys if key not in videos])
        table = EpisodeTable(meta)
        known = [episode for episode, row in zip(episodes, table.rows(episodes), strict=True) if row >= 0]
        for key in videos if known else ():
            if not table.has_videos(key):
                found[key] = f"meta/episodes has no columns videos/{key}/..."
                continue
            paths = list(dict.fromkeys(str(path) for path in table.video_files(known, key)))
            if not any(path in self.blocks.repo.files for path in paths):
                found[key] = f"none of its {len(paths)} video files is on the Hub ({paths[0]})"
        return found

    def broken(
        self, meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str], *, thorough: bool
    ) -> dict[int, str]:
        """By the listing; no video is opened, for that would fetch a part of each."""
        pictures = [key for key in keys if key in meta.image_keys] if thorough else []
        found = broken_pictures(meta, episodes, pictures, progress=True)
        listed, table = self.blocks.repo.files, EpisodeTable(meta)
        for key in (key for key in keys if key in meta.video_keys):
            for episode, path in zip(episodes, table.video_files(episodes, key), strict=True):
                file = listed.get(str(path))
                if file is None or file.size == 0:
                    what = "missing on the Hub" if file is None else "empty"
                    found.setdefault(episode, f"{path} is {what}")
        return found

    @property
    def in_files(self) -> bool:
        return False

    @property
    def room(self) -> int | None:
        return self.blocks.store.capacity // self.blocks.store.block_bytes

    @property
    def identity(self) -> str | None:
        """Of the videos, by their hashes: another commit that changed none of them is the same mixture."""
        listed = sorted((path, file.oid) for path, file in self.blocks.repo.files.items())
        return hashlib.sha256(repr(listed).encode()).hexdigest()[:8]

    def _video(self, meta: LeRobotDatasetMetadata, path: Path) -> VideoSource:
        return RemoteVideo(self.blocks, str(path))


def open_streamed(config: Source, meta: LeRobotDatasetMetadata, stream: StreamOptions) -> VideosOnTheHub:
    """The storage of a dataset whose metadata lie in a snapshot of the Hub.

    Raises:
        RemoteReadError: its videos cannot be listed.
        ValueError: too small a block cache.
    """
    store, commit = stream.store(), Path(meta.root).name
    below = Path(meta.video_path).parts[0] if meta.video_keys else ""
    kept = store.folder / config.repo_id.replace("/", "--") / commit / LISTING
    if meta.video_keys:
        try:
            repo = PinnedRepo.open(config.repo_id, commit, below, kept)
        except OSError as error:
            if not isinstance(error, RemoteReadError):
                error.add_note(f"while writing the block cache in {store.folder} (--policy.stream_cache).")
            raise
    else:
        repo = PinnedRepo(config.repo_id, commit, {})
    return VideosOnTheHub(config, RemoteBlocks(repo, store))


def cached_commit(config: Source) -> str | None:
    """The commit of a dataset's metadata in LeRobot's cache, for when the Hub may not be asked; the declared revision
    where there is none."""
    try:
        folder = snapshot_download(
            config.repo_id,
            repo_type="dataset",
            revision=config.revision or CODEBASE_VERSION,
            cache_dir=dataset_metadata.HF_LEROBOT_HUB_CACHE,
            allow_patterns="meta/",
            local_files_only=True,
        )
    except (LocalEntryNotFoundError, *NOT_ON_THE_HUB):
        return config.revision
    return Path(folder).name


def refuse_local_copy(titled: str, meta: LeRobotDatasetMetadata) -> None:
    """See that the metadata are of a commit of the Hub.

    Raises:
        ValueError: they lie in a folder of the user's own.
    """
    if Path(meta.root).parent.name != "snapshots":
        raise ValueError(
            f"{titled} lies in {meta.root}, so there is nothing to stream from the Hub. Leave out `stream` "
            "(--dataset.streaming for the target), or move that folder away."
        )
