# SPDX-License-Identifier: Apache-2.0
"""Whether a machine was too busy with something else for a time that was measured on it to be believed."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

LEAST_SHARE = 0.9
"""Of a core, that undisturbed work on the processor gets; below it something else ran in between."""
_MOST_SPREAD = 0.5
"""Of the median, by which the fastest and the slowest of equal calls may differ."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_average() -> float | None:
    """Processes that wanted a core in the last minute, on average; None where the system does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


@dataclass
class Stopwatch:
    """Adds up the wall time and the processor time of what is measured within `with`."""

    wall: float = 0.0
    processor: float = 0.0
    _began: tuple[float, float] = field(default=(0.0, 0.0), repr=False)

    def __enter__(self) -> Stopwatch:
        self._began = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall += time.perf_counter() - self._began[0]
        self.processor += time.process_time() - self._began[1]

    @property
    def share(self) -> float:
        """Processor seconds a second: about 1 for one undisturbed thread, more for several."""
        return self.processor / self.wall


def spread(seconds: Sequence[float]) -> float:
    """By how much of the median the fastest and the slowest differ."""
    return (max(seconds) - min(seconds)) / statistics.median(seconds)


def doubts(load: float | None, available: int, share: float | None, spread: float) -> list[str]:
    """Return why a measurement is not to be believed, in words; empty if nothing speaks against it.

    Args:
        load: `load_average()` before the measurement began; what is measured wants a core too.
        available: `cores()`.
        share: of a core that the measured calls got; None where they wait for a GPU.
        spread: of the repeated calls.
    """
    found = []
    if load is not None and load > available - 0.5:
        found.append(f"{load:.1f} processes wanted the {available} cores in the minute before")
    if share is not None and share < LEAST_SHARE:
        found.append(f"the measured calls got {100 * share:.0f} % of a core")
    if spread > _MOST_SPREAD:
        found.append(f"the fastest and the slowest of equal calls differ by {100 * spread:.0f} % of their median")
    return found
