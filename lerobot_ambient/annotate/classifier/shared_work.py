# SPDX-License-Identifier: Apache-2.0
"""Work that is done once: by processes that meet in a folder, in shards that a killed run finds again.

Nothing is sent from one process to another: each makes its share of the shards, waits for the rest, and reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from lerobot_ambient.data.batches.array_store import ArrayStore, publish_folder, store_arrays

_PATIENCE = timedelta(days=7)
"""How long a process waits for the slowest; torch would give up after half an hour."""


def _no_wait() -> None:
    pass


@dataclass(frozen=True)
class Processes:
    """This process among all.

    Args:
        rank: in [0, world).
        world: how many there are.
        device: this one's.
        wait: returns when every process has called it.
    """

    rank: int
    world: int
    device: torch.device
    wait: Callable[[], None] = _no_wait

    @property
    def is_main(self) -> bool:
        """Whether this one prints and writes."""
        return self.rank == 0


def launched_processes(device: str | None = None) -> Processes:
    """The processes of `accelerate launch`, or this one alone.

    Args:
        device: to compute on; by default the GPU that belongs to this process, or the CPU where there is none.

    Raises:
        ValueError: a device that torch does not know or cannot use here.
    """
    if device is not None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            # An AssertionError where torch was built without CUDA.
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"device '{device}' cannot be used here: {reason}. Use cpu, a device that is there, or name none."
            ) from error
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(0, 1, torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu", timeout=_PATIENCE)
    chosen = state.device if device is None else torch.device(device)
    return Processes(state.process_index, state.num_processes, chosen, state.wait_for_everyone)


def lone_process(device: str | None = None) -> Processes:
    """This process, of a notebook or a script that calls `la.annotate`.

    Args:
        device: see `launched_processes`.

    Raises:
        ValueError: several were launched, or a device that cannot be used.
    """
    processes = launched_processes(device)
    if processes.world > 1:
        raise ValueError(
            f"{processes.world} processes run this; they share the work of `lerobot-ambient annotate` only. Run a "
            "script with la.annotate in one process."
        )
    return processes


Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class WorkFolder:
    """Where shards are kept.

    Args:
        path: a folder, made when needed.
        identity: lines that change with the data, a mixture's `fingerprint`.
    """

    path: Path
    identity: Sequence[str]


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
