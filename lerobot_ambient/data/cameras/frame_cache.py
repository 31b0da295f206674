# SPDX-License-Identifier: Apache-2.0
"""Camera frames decoded once: one memory-mapped file per dataset, camera and size.

    <folder>/<digest>/      the digest of everything the pixels depend on
        identity.json       what was digested, for people
        frames.u8           (frames of the whole dataset, C, H, W) uint8; sparse: an episode that was never
                            decoded takes no space
        done.txt            the episodes in it, a line each, written after their frames have reached the disk
        lock                held by the process that builds

An episode counts once its line is complete, so a build may be killed at any point. A line is never taken back, and
frames that count are never written again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import WeakFileLock
from torch import Tensor
from tqdm import tqdm

from lerobot_ambient.data.cameras.frame_cache_build import Destination, EpisodeDecoder, EpisodeFrames, FrameReader

logger = logging.getLogger(__name__)

FORMAT = 1
KEPT_FREE = 256 * 2**20
"""Bytes of the disk that a build leaves alone: a training that cannot write its checkpoint is lost."""
MAX_PROCESSES = 8
"""By default: each has LeRobot's imports in its memory, and all read the same disk."""
FRAMES_FOR_A_POOL = 5000
"""Below this, one process has decoded them before others have started: each imports LeRobot first."""


@dataclass(frozen=True)
class CacheJob:
    """One camera of one dataset.

    Args:
        reader: decodes it.
        identity: JSON values that determine every pixel: repo_id, revision, files with sizes, camera, size, fit.
            Paths that may change do not belong here.
        total_frames: of the whole dataset.
        episodes: the selected ones.
    """

    reader: FrameReader
    identity: Mapping[str, Any]
    total_frames: int
    episodes: Sequence[EpisodeFrames]

    def __post_init__(self) -> None:
        assert self.episodes, self.reader.name
        last = max(episode.place + episode.length for episode in self.episodes)
        assert last <= self.total_frames, f"{self.reader.name}: {last} of {self.total_frames} frames"


class CachedFrames:
    """Reads frames from the cache in place of the job's reader. Picklable; the file is mapped at the first read.

    Args:
        file: (total_frames, C, H, W) uint8.
        job: whose episodes are all in the file.
    """

    dtype = torch.uint8
    is_remote = False

    def __init__(self, file: Path, job: CacheJob) -> None:
        self.name, self.shape = job.reader.name, job.reader.shape
        self._file, self._total_frames = file, job.total_frames
        episodes = sorted(job.episodes, key=lambda episode: episode.row)
        self._starts = np.array([episode.row for episode in episodes])
        self._stops = self._starts + np.array([episode.length for episode in episodes])
        self._shift = np.array([episode.place for episode in episodes]) - self._starts
        assert (self._stops[:-1] <= self._starts[1:]).all(), f"{self.name}: episodes share rows"
        self._frames: np.ndarray | None = None

    def __len__(self) -> int:
        return int((self._stops - self._starts).sum())

    def read(self, rows: Tensor) -> Tensor:
        """The frames at rows (T,) int64 of the reader's numbering: (T, C, H, W) uint8, a copy."""
        if self._frames is None:
            memory = np.memmap(self._file, dtype=np.uint8, mode="r", shape=(self._total_frames, *self.shape))
            self._frames = np.asarray(memory)
        wanted = rows.numpy()
        episode = np.searchsorted(self._starts, wanted, side="right") - 1
        assert ((wanted >= 0) & (wanted < self._stops[episode])).all(), f"{self.name}: rows outside the selection"
        # Several times as fast as indexing a tensor with a tensor, and equal to torch.index_select.
        return torch.from_numpy(self._frames.take(wanted + self._shift[episode], axis=0))

    def places(self, rows: Tensor) -> None:
        """Nothing is decoded, so nothing is worth a thread."""

    def prefetch(self, rows: Tensor) -> None:
        """Nothing is fetched."""

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_frames": None}

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"{self.name}: {size}, {len(self)} frames of {len(self._starts)} episodes, cached in {self._file.parent}"


class _Entry:
    """The folder of one job."""

    def __init__(self, folder: Path, job: CacheJob) -> None:
        self.job = job
        self.frame_bytes = math.prod(job.reader.shape)
        layout = {"format": FORMAT, "total_frames": job.total_frames, "shape": list(job.reader.shape)}
        self.identity = json.dumps({"layout": layout, "identity": dict(job.identity)}, sort_keys=True, indent=2)
        self.folder = folder / hashlib.sha256(self.identity.encode()).hexdigest()[:16]
        self.frames, self._done = self.folder / "frames.u8", self.folder / "done.txt"

    def missing(self) -> list[EpisodeFrames]:
        """Selected episodes that are not decoded yet."""
        done = self._finished()
        return [episode for episode in self.job.episodes if episode.episode_index not in done]

    def _finished(self) -> set[int]:
        if not self._is_whole() or not self._done.exists():
            return set()
        # What follows the last newline is a line cut short. Other lines are numbers, unless the power failed.
        lines = self._done.read_bytes().split(b"\n")[:-1]
        return {int(line) for line in lines if line.isdigit()}

    def _is_whole(self) -> bool:
        return self.frames.exists() and self.frames.stat().st_size == self.job.total_frames * self.frame_bytes

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One process builds, others wait. The system releases the lock of a killed process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "lock"
        with ExitStack() as stack:
            try:
                stack.enter_context(WeakFileLock(path, timeout=0.5))
            except TimeoutError:
                logger.warning("waiting for another process that decodes %s into %s", self.job.reader.name, path.parent)
                stack.enter_context(WeakFileLock(path))
            yield

    def prepare(self) -> None:
        """Make the folder ready for episodes; under the lock."""
        if not self._is_whole():
            # Lines without their frames: somebody deleted the large file.
            self._done.unlink(missing_ok=True)
            with open(self.frames, "ab") as file:
                file.truncate(self.job.total_frames * self.frame_bytes)
        if self._done.exists():
            text = self._done.read_bytes()
            os.truncate(self._done, text.rfind(b"\n") + 1)
        path = self.folder / "identity.json"
        if not path.exists():
            partial = self.folder / ".identity.json.partial"
            partial.write_text(self.identity, encoding="utf-8")
            os.replace(partial, path)

    def add(self, episode: EpisodeFrames) -> None:
        """Count an episode whose frames are on the disk; under the lock."""
        with open(self._done, "ab", buffering=0) as file:
            file.write(b"%d\n" % episode.episode_index)


def open_frame_cache(
    folder: Path, jobs: Sequence[CacheJob], *, processes: int | None = None, progress: bool = True
) -> list[CachedFrames]:
    """Decode what is missing of the jobs' episodes and return a fast reader for each job.

    Safe against being killed at any point and against other processes that open the same folder: they wait for
    each other, and an episode is decoded once.

    Args:
        folder: of the cache; made if it is absent. Several datasets, cameras and sizes share it.
        processes: that decode; by default one per core and missing episode, at most 8, and only this one where there
            is little to do.
        progress: show a bar on a terminal, counting frames.

    Raises:
        ValueError: the disk is too small for what is missing.
        Exception: of a reader, with a note that names it and the episode.
    """
    if processes is not None and processes < 1:
        raise ValueError(f"the frame cache is decoded by at least 1 process, got {processes}.")
    entries = [_Entry(folder, job) for job in jobs]
    missing = _missing(entries)
    if missing:
        _require_space(folder, missing)
        frames = sum(_frames(episodes) for _, episodes in missing)
        if processes is None:
            processes = _default_processes(frames, sum(len(episodes) for _, episodes in missing))
        with (
            EpisodeDecoder([Destination(entry.job.reader, entry.frames) for entry in entries], processes) as decoder,
            tqdm(total=frames, desc="decode frames", unit="frame", disable=None if progress else True) as bar,
        ):
            for number, entry in enumerate(entries):
                _build(number, entry, decoder, bar)
    return [CachedFrames(entry.frames, entry.job) for entry in entries]


def _build(number: int, entry: _Entry, decoder: EpisodeDecoder, bar: tqdm[Any]) -> None:
    before = entry.missing()
    if not before:
        return
    with entry.lock():
        missing = entry.missing()
        bar.update(_frames(before) - _frames(missing))
        if not missing:
            return
        entry.prepare()
        with closing(decoder.decode(number, missing)) as finished:
            for episode in finished:
                entry.add(episode)
                bar.update(episode.length)


def _default_processes(frames: int, episodes: int) -> int:
    return 1 if frames < FRAMES_FOR_A_POOL else min(os.cpu_count() or 1, episodes, MAX_PROCESSES)


def _frames(episodes: Iterable[EpisodeFrames]) -> int:
    return sum(episode.length for episode in episodes)


def _missing(entries: Sequence[_Entry]) -> list[tuple[_Entry, list[EpisodeFrames]]]:
    """What has to be decoded; once, where entries share a folder because a dataset is used twice."""
    found: dict[Path, tuple[_Entry, dict[int, EpisodeFrames]]] = {}
    for entry in entries:
        _, episodes = found.setdefault(entry.folder, (entry, {}))
        episodes.update({episode.episode_index: episode for episode in entry.missing()})
    return [(entry, list(episodes.values())) for entry, episodes in found.values() if episodes]


def _require_space(folder: Path, missing: Sequence[tuple[_Entry, Sequence[EpisodeFrames]]]) -> None:
    """Say what the build will take, and refuse it where the disk is short.

    Raises:
        ValueError: needed and free bytes, the folder, and what to do.
    """
    needed, lines = 0, []
    for entry, episodes in missing:
        size = _frames(episodes) * entry.frame_bytes
        needed += size
        lines.append(
            f"  {entry.job.reader.name}: {len(episodes)} episodes, {_frames(episodes)} frames of "
            f"{' x '.join(map(str, entry.job.reader.shape))}, {_readable(size)}"
        )
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    listing = "\n".join(lines)
    if needed + KEPT_FREE > free:
        raise ValueError(
            f"the frame cache needs {needed} bytes ({_readable(needed)}) in {folder}, where {free} bytes "
            f"({_readable(free)}) are free, {_readable(KEPT_FREE)} of them to be left alone:\n{listing}\n"
            "Make the frames smaller (policy.resize_shape), name another folder (policy.frame_cache), select fewer "
            "episodes, or train without a cache (policy.frame_cache=null)."
        )
    logger.info("frame cache: decoding %s into %s (%s free):\n%s", _readable(needed), folder, _readable(free), listing)


def _readable(size: int) -> str:
    return str(tqdm.format_sizeof(size, "B"))
