# SPDX-License-Identifier: Apache-2.0
"""Decoding whole episodes into the files of the frame cache, by several processes.

Frames are written with `write`, not through a memory map: on a full disk a write raises an error, whereas a store
into a map of a sparse file kills the process without a word.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

BLOCK = 64
"""Frames a process holds at a time."""


class FrameReader(Protocol):
    """Decodes frames of one camera of one dataset; picklable."""

    @property
    def name(self) -> str:
        """What messages call it: "'me/data' observation.images.front"."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a frame."""

    def read(self, rows: Tensor) -> Tensor:
        """The frames at rows (T,) int64 of the selected frames: (T, C, H, W) uint8."""


@dataclass(frozen=True)
class EpisodeFrames:
    """One selected episode.

    Args:
        episode_index: in the dataset.
        row: its first frame in the reader's numbering of the selected frames.
        place: its first frame in the whole dataset, which is its place in the cache file.
        length: frames.
    """

    episode_index: int
    row: int
    place: int
    length: int

    def __post_init__(self) -> None:
        assert min(self.episode_index, self.row, self.place) >= 0 and self.length >= 1, self


@dataclass(frozen=True)
class Destination:
    """A reader and the existing file that its frames go to: (frames, C, H, W) uint8."""

    reader: FrameReader
    file: Path


def _decode_episode(to: Destination, episode: EpisodeFrames) -> None:
    """Decode an episode, write it to its place and wait until it is on the disk.

    Raises:
        Exception: of the reader, with a note that names it and the frames and says how to leave the episode out.
        OSError: the disk is full.
    """
    frame_bytes = torch.Size(to.reader.shape).numel()
    with open(to.file, "r+b") as file:
        file.seek(episode.place * frame_bytes)
        for start in range(0, episode.length, BLOCK):
            stop = min(start + BLOCK, episode.length)
            try:
                frames = to.reader.read(torch.arange(episode.row + start, episode.row + stop))
            except Exception as error:
                error.add_note(
                    f"while decoding {to.reader.name}, episode {episode.episode_index}, frames {start} to {stop - 1}. "
                    "To do without this episode, leave it out of `episodes`, or set `skip_broken: true`."
                )
                raise
            assert frames.dtype == torch.uint8, f"{to.reader.name}: read gave {frames.dtype}"
            expected = (stop - start, *to.reader.shape)
            assert frames.shape == expected, f"{to.reader.name}: read gave {tuple(frames.shape)}, not {expected}"
            file.write(frames.contiguous().numpy().data)
        file.flush()
        os.fsync(file.fileno())


class EpisodeDecoder:
    """Decodes episodes in this process, or in a pool that starts with the first episode; a context manager.

    Args:
        destinations: what `decode` refers to by number.
        processes: 1 decodes in this process.
    """

    def __init__(self, destinations: Sequence[Destination], processes: int) -> None:
        self._destinations, self._processes = list(destinations), processes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> EpisodeDecoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def decode(self, destination: int, episodes: Sequence[EpisodeFrames]) -> Generator[EpisodeFrames]:
        """Yield each episode once it is on the disk, in the order of completion.

        When this ends or is closed, no process writes to the destination any more.
        """
        if self._processes == 1:
            for episode in episodes:
                _decode_episode(self._destinations[destination], episode)
                yield episode
            return
        pool = self._start()
        futures: dict[Future[None], EpisodeFrames] = {}
        try:
            for episode in episodes:
                futures[pool.submit(_decode_in_worker, destination, episode)] = episode
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BrokenProcessPool as error:
            error.add_note(
                f"a process that decoded {self._destinations[destination].reader.name} ended; was it out of memory? "
                "Finished episodes are kept, and the same command goes on from them."
            )
            raise
        finally:
            wait([future for future in futures if not future.cancel()])

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, because a fork copies torch's and PyAV's locks without the threads that would release them.
            self._pool = ProcessPoolExecutor(
                self._processes,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(self._destinations,),
            )
        return self._pool


_destinations: list[Destination] = []
"""Of a worker process: readers travel to it once, not with every episode."""


def _start_worker(destinations: list[Destination]) -> None:
    # Ctrl-C reaches every process of the terminal; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _destinations[:] = destinations
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent says nothing to the workers of a pool: they would wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _decode_in_worker(destination: int, episode: EpisodeFrames) -> None:
    _decode_episode(_destinations[destination], episode)
