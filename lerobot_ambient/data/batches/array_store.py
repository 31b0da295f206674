# SPDX-License-Identifier: Apache-2.0
"""Arrays in a folder, read as memory maps: processes that open the same folder share the same pages.

A folder appears whole or not at all: it is written under a temporary name beside its place and renamed. Its name
is the caller's to choose and should change with the content (a hash of what the arrays are made from), so that a
folder that exists is never stale and never written again. When two processes make the same folder, the first to
finish wins and the other uses the winner's. A process killed on the way leaves only a folder named
`.<name>.<random>.partial`, which nobody reads and anybody may delete.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ArrayStore(Mapping[str, NDArray[Any]]):
    """The arrays of a folder by name, as read-only memory maps.

    Pickles as its path: a loader worker that is spawned opens the same pages instead of receiving a copy.

    Args:
        folder: written by `store_arrays` or `publish_folder`; each `<name>.npy` in it is an array.

    Raises:
        FileNotFoundError: no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._arrays: dict[str, NDArray[Any]] = {
            path.stem: np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
            for path in sorted(folder.iterdir())
            if path.suffix == ".npy"
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __reduce__(self) -> tuple[type[ArrayStore], tuple[Path]]:
        return ArrayStore, (self.folder,)

    def __repr__(self) -> str:
        listing = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in self.items())
        return f"ArrayStore('{self.folder}': {listing})"


def store_arrays(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> ArrayStore:
    """Write arrays and open them; of a folder that exists already, the arrays there are used.

    Raises:
        OSError: the disk is full or the place not writable; nothing is left behind.
    """

    def write(partial: Path) -> None:
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array, allow_pickle=False)

    publish_folder(folder, write)
    return ArrayStore(folder)


def publish_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Make a folder appear at once with what `write` puts into it; nothing happens when it is there already.

    Args:
        folder: its final place.
        write: fills the empty folder it is given. Arrays larger than memory can be written piece by piece with
            `np.lib.format.open_memmap`.
    """
    if folder.is_dir():
        return
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    partial.mkdir(parents=True)
    try:
        write(partial)
        try:
            os.replace(partial, folder)
        except OSError:
            # A folder cannot be renamed onto one that has files: another process was faster with the same content.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
