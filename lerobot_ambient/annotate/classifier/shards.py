# SPDX-License-Identifier: Apache-2.0
"""Named results that are made once: kept in a folder, where a killed run finds them again, or in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lerobot_ambient.data.array_store import ArrayStore, publish_folder, store_arrays

Arrays = Mapping[str, NDArray[Any]]


class Shards:
    """Arrays by the name of their shard.

    Args:
        folder: where they are kept, each whole or not at all; None keeps them in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._memory: dict[str, Arrays] = {}

    def has(self, name: str) -> bool:
        """Whether the shard is there."""
        return name in self._memory or (self._folder is not None and (self._folder / name).is_dir())

    def get(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """The shard, made where it is missing."""
        if self._folder is None:
            if name not in self._memory:
                self._memory[name] = make()
            return self._memory[name]
        if (self._folder / name).is_dir():
            return ArrayStore(self._folder / name)
        return store_arrays(self._folder / name, make())

    def join(self, name: str, pieces: Sequence[str], count: int) -> None:
        """Put shards that are there one after the other into one of `count` rows, which in a folder may be larger than
        memory."""
        if self._folder is None:
            found = [self._memory.pop(piece) for piece in pieces]
            self._memory[name] = {key: np.concatenate([one[key] for one in found]) for key in found[0]}
            return
        home = self._folder

        def write(folder: Path) -> None:
            written: dict[str, NDArray[Any]] = {}
            row = 0
            for piece in pieces:
                # One at a time: each map takes a file descriptor.
                arrays = ArrayStore(home / piece)
                for key, values in arrays.items():
                    if key not in written:
                        shape = (count, *values.shape[1:])
                        written[key] = open_memmap(folder / f"{key}.npy", "w+", values.dtype, shape)
                    written[key][row : row + len(values)] = values
                row += len(values)

        publish_folder(home / name, write)
