# SPDX-License-Identifier: Apache-2.0
"""Blocks of files on disk, within a bound that all processes of a machine share.

    <folder>/<name>         one block: its CRC-32, four bytes, then its bytes
    <folder>/used           how many bytes the blocks take, or a little more
    <folder>/lock           held for the moment in which room is made

A block is written under a hidden name and moved to its place, so a reader sees a whole one or none. Its room is counted
before it is written: a process that is killed leaves the count too high, never too low, and the next time that the
bound is met the blocks are counted anew. The blocks that were read least recently go first.

Neither fsspec's `CachingFileSystem`, which knows no bound and no second process, nor `diskcache`, whose index is one
SQLite file that every read writes to, is used here.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import shutil
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

logger = logging.getLogger(__name__)

KEPT_FREE = 256 * 2**20
"""Bytes of the disk that the blocks leave alone: a training that cannot write its checkpoint is lost."""
LEAST = 64
"""Blocks that have to fit: fewer would push each other out while one batch is read."""
_AFTERWARDS = 0.9
"""Share of the bound that is left once room was made, so that it is not made for every block."""
_FRESH_S = 10.0
"""Seconds within which another read of a block is not noted."""
_ABANDONED_S = 3600.0
"""Seconds after which a hidden file is of a process that was killed."""
_CHECK = 4
"""Bytes of the CRC-32."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class BlockStore:
    """Blocks by name; picklable, and shared by every process that names the same folder.

    Args:
        folder: made when the first block is written.
        capacity: bytes that the blocks may take.
        block_bytes: of a whole block; the last one of a file is shorter.

    Raises:
        ValueError: a capacity that holds too few blocks.
    """

    folder: Path
    capacity: int
    block_bytes: int = 256 * 1024

    def __post_init__(self) -> None:
        if self.capacity < LEAST * self.block_bytes:
            raise ValueError(
                f"the block cache in {self.folder} must hold {LEAST} blocks of {self.block_bytes} bytes, that is "
                f"{LEAST * self.block_bytes / 1e9:.3g} GB; got {self.capacity / 1e9:.3g} GB. Give more "
                "(--policy.stream_cache_gb)."
            )

    def read(self, name: str) -> bytes | None:
        """A block; None where it is not here, or is damaged, which removes it."""
        path = self.folder / name
        try:
            with open(path, "rb") as file:
                written = os.fstat(file.fileno()).st_mtime
                content = file.read()
        except FileNotFoundError:
            return None
        data = content[_CHECK:]
        if content[:_CHECK] != _check(data):
            logger.warning("%s is damaged; it is fetched again.", path)
            path.unlink(missing_ok=True)
            return None
        if time.time() - written > _FRESH_S:
            # Another process may have made room with it meanwhile, or it is another user's.
            with suppress(FileNotFoundError, PermissionError):
                os.utime(path)
        return data

    def write(self, name: str, data: bytes) -> bool:
        """Keep a block; False where the disk has no room for it even without the others.

        Raises:
            OSError: the folder cannot be written to, for another reason than being full.
        """
        path = self.folder / name
        hidden = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        size = _CHECK + len(data)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock():
                if not self._make_room(size):
                    self._warn_of_full_disk()
                    return False
                with open(hidden, "wb") as file:
                    # Who counts meanwhile counts it whole.
                    file.truncate(size)
            with open(hidden, "r+b") as file:
                file.write(_check(data))
                file.write(data)
            os.replace(hidden, path)
        except OSError as error:
            if error.errno not in _FULL:
                error.add_note(f"while writing the block cache in {self.folder} (--policy.stream_cache).")
                raise
            self._warn_of_full_disk()
            return False
        finally:
            with suppress(FileNotFoundError, NotADirectoryError):
                hidden.unlink()
        return True

    def used(self) -> int:
        """Bytes that the blocks take now, counted."""
        return sum(size for _, size, _ in self._blocks())

    @contextmanager
    def _lock(self) -> Iterator[None]:
        # The file is polled often, for it is held for microseconds except while room is made: by one thread a process.
        with _this_process.lock, FileLock(self.folder / "lock", poll_interval=0.002):
            yield

    def _make_room(self, size: int) -> bool:
        """Count `size` bytes in, removing the oldest blocks where they do not fit; under the lock."""
        used = self._noted()
        limit = self._limit(used)
        if used + size > limit:
            blocks = sorted(self._blocks())
            used = sum(one for _, one, _ in blocks)
            limit = self._limit(used)
            wanted = _AFTERWARDS * limit - size if used + size > limit else used
            for _, one, path in blocks:
                if used <= wanted:
                    break
                path.unlink(missing_ok=True)
                used -= one
        fits = used + size <= limit
        (self.folder / "used").write_text(str(used + size if fits else used), encoding="ascii")
        return fits

    def _limit(self, used: int) -> int:
        """Bytes that the blocks may take: the bound, or less on a disk that is nearly full."""
        return min(self.capacity, used + shutil.disk_usage(self.folder).free - KEPT_FREE)

    def _noted(self) -> int:
        try:
            return int((self.folder / "used").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return sum(size for _, size, _ in self._blocks())

    def _blocks(self) -> Iterator[tuple[float, int, Path]]:
        """When each was read last, its size, and where it is; files that a killed process left are removed."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                if path.parent == self.folder or path.suffix == ".json":
                    continue
                try:
                    found = path.stat()
                    if name.startswith(".") and time.time() - found.st_mtime > _ABANDONED_S:
                        path.unlink()
                        continue
                except FileNotFoundError:
                    continue
                # A block that is being written is the last that may go.
                yield (float("inf") if name.startswith(".") else found.st_mtime), found.st_size, path

    def _warn_of_full_disk(self) -> None:
        free = shutil.disk_usage(self.folder).free if self.folder.exists() else 0
        logger.warning(
            "the disk of the block cache is full: %d bytes are free in %s, %d of them to be left alone. Blocks are "
            "used without being kept, and so are fetched again. Free some space, or name another folder "
            "(--policy.stream_cache).",
            *(free, self.folder, KEPT_FREE),
        )


class _ThisProcess:
    """One thread at a time; a forked process begins anew, for a thread it does not have may have held the lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self.lock = threading.Lock()


_this_process = _ThisProcess()


def _check(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECK, "little")
