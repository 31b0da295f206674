# SPDX-License-Identifier: Apache-2.0
"""Files of a pinned dataset as blocks: from memory, from disk, or from the Hub, each block asked for once at a time."""

from __future__ import annotations

import errno
import io
import itertools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from lerobot_ambient.data.remote.block_store import BlockStore
from lerobot_ambient.data.remote.pinned_repo import PinnedRepo

THREADS = 8
"""That fetch ahead, in each process, whatever the number of datasets: as many requests are under way."""
_IN_MEMORY = 128
"""Blocks that a process holds, of all its datasets: a decoder reads one in many small pieces."""
_NEXT = 4
"""Blocks that are fetched ahead of a file that is read from one end to the other, as soon as so many were."""
_SETTLE_S = 10.0
"""Seconds that a fork waits for those threads: a lock that one of them holds would stay locked in the child."""
_numbers = itertools.count()
_Key = tuple[int, str, int]


class _Process:
    """What threads of one process share, for all datasets; another process begins anew."""

    def __init__(self) -> None:
        self.number = os.getpid()
        self.lock = threading.Lock()
        self.held: OrderedDict[_Key, bytes] = OrderedDict()
        self.coming: dict[_Key, Future[bytes]] = {}
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch-blocks")
        self.asked: set[Future[None]] = set()

    def submit(self, function: Callable[[], None]) -> None:
        with self.lock:
            asked = self.pool.submit(function)
            self.asked.add(asked)
        asked.add_done_callback(self._forget)

    def hold(self, key: _Key, data: bytes) -> None:
        with self.lock:
            self.held[key] = data
            while len(self.held) > _IN_MEMORY:
                self.held.popitem(last=False)

    def _forget(self, asked: Future[None]) -> None:
        with self.lock:
            self.asked.discard(asked)

    def settle(self) -> None:
        """Wait until no thread fetches any more."""
        with self.lock:
            asked = set(self.asked)
        wait(asked, timeout=_SETTLE_S)


_process = _Process()


def _mine() -> _Process:
    # A forked worker has its parent's threads and locks only in name.
    global _process
    if _process.number != os.getpid():
        _process = _Process()
    return _process


def settle() -> None:
    """Wait until nothing is fetched ahead in this process."""
    if _process.number == os.getpid():
        _process.settle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=settle)


class RemoteBlocks:
    """Blocks of the files of a dataset; picklable, and safe in threads and in forked and spawned processes.

    Args:
        repo: the files.
        store: where blocks are kept.
    """

    def __init__(self, repo: PinnedRepo, store: BlockStore) -> None:
        self.repo, self.store = repo, store
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        return {"repo": self.repo, "store": self.store}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def _begin(self) -> None:
        # Distinguishes its blocks from those of others in this process.
        self._number = next(_numbers)
        self._failed = False

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self.repo.files[path].size

    def block(self, path: str, index: int) -> bytes:
        """A block of a file, the last one shorter.

        Raises:
            RemoteReadError: it is not here and cannot be had.
        """
        mine, key = _mine(), (self._number, path, index)
        with mine.lock:
            if key in mine.held:
                mine.held.move_to_end(key)
                return mine.held[key]
            coming = mine.coming.get(key)
            if coming is None:
                promised: Future[bytes] = Future()
                mine.coming[key] = promised
        if coming is not None:
            return coming.result()
        try:
            data = self._load(path, index)
        except BaseException as error:
            self._failed = True
            promised.set_exception(error)
            raise
        else:
            self._failed = False
            mine.hold(key, data)
            promised.set_result(data)
            return data
        finally:
            with mine.lock:
                mine.coming.pop(key, None)

    def fetch_ahead(self, path: str, indices: Iterable[int]) -> None:
        """Begin to fetch blocks that are not here; whoever reads a block that cannot be had is told so then."""
        for index in indices:
            if 0 <= index * self.store.block_bytes < self.size(path):
                self.submit(self.block, path, index)

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        """Run a function in one of the threads that fetch; not at all while nothing can be had, or once the process
        is about to end, which waits for them."""

        def run() -> None:
            if not self._failed and threading.main_thread().is_alive():
                function(*args)

        _mine().submit(run)

    def name(self, path: str, index: int) -> str:
        """What the store calls a block: repository, commit, file, block; with the size that blocks have."""
        return str(self.folder / path.replace("/", "--") / f"{self.store.block_bytes}-{index:06d}")

    @property
    def folder(self) -> Path:
        """Of all blocks of this commit, in the store."""
        return Path(self.repo.repo_id.replace("/", "--"), self.repo.commit)

    def _load(self, path: str, index: int) -> bytes:
        start = index * self.store.block_bytes
        stop = min(start + self.store.block_bytes, self.size(path))
        kept = self.store.read(self.name(path, index))
        if kept is not None and len(kept) == stop - start:
            return kept
        data = self.repo.read(path, start, stop)
        self.store.write(self.name(path, index), data)
        return data


class BlockFile(io.RawIOBase):
    """A file on the Hub, to be read by a decoder.

    Args:
        blocks: of its dataset.
        path: of the file.

    Attributes:
        failure: what a read raised, for decoders that swallow it.
    """

    def __init__(self, blocks: RemoteBlocks, path: str) -> None:
        self._blocks, self._path, self._size = blocks, path, blocks.size(path)
        self._at = 0
        self._last, self._run = -1, 0
        self.failure: BaseException | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        wanted = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if wanted < 0:
            raise OSError(errno.EINVAL, f"byte {wanted} of {self._path}")
        self._at = wanted
        return wanted

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes, all that are left of the file when it is negative or None."""
        stop = self._size if size is None or size < 0 else min(self._at + size, self._size)
        parts = []
        try:
            while self._at < stop:
                part = self._part(stop)
                parts.append(part)
                self._at += len(part)
        except BaseException as error:
            self.failure = error
            raise
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _part(self, stop: int) -> bytes:
        """What the block at this place holds of the bytes up to `stop`."""
        index, offset = divmod(self._at, self._blocks.store.block_bytes)
        if index != self._last:
            self._run = self._run + 1 if index == self._last + 1 else 1
            self._last = index
            if self._run > _NEXT:
                self._blocks.fetch_ahead(self._path, range(index, index + _NEXT))
        return self._blocks.block(self._path, index)[offset : offset + stop - self._at]
