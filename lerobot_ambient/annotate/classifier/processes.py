# SPDX-License-Identifier: Apache-2.0
"""The processes that annotate together, as `accelerate launch` starts them; they meet in a shared work folder.

Nothing is sent from one to another: each makes its share of the shards, waits for the rest, and reads them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import torch

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
