# SPDX-License-Identifier: Apache-2.0
"""A reader of computed frames that writes down what it decodes; and, run as a script, a build.

In a file of its own because spawned processes import it by name.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

if __name__ in ("__main__", "__mp_main__"):
    # The package's root imports LeRobot: five seconds for each process, and a build needs none of it.
    sys.modules["lerobot_ambient"] = importlib.util.module_from_spec(importlib.util.find_spec("lerobot_ambient"))

from lerobot_ambient.data.cameras.frame_cache import CacheJob, open_frame_cache
from lerobot_ambient.data.cameras.frame_cache_build import EpisodeFrames

LENGTHS = (70, 3, 130, 20, 10)
"""Of the episodes; those of 70 and 130 frames take several blocks."""


def pattern(places: Tensor, shape: Sequence[int]) -> Tensor:
    """Another frame for each place in the dataset."""
    pixels = torch.arange(torch.Size(shape).numel())
    return ((places.unsqueeze(1) * 37 + pixels * 11) % 251).to(torch.uint8).view(len(places), *shape)


@dataclass(frozen=True)
class PatternReader:
    """Reads `pattern(places[rows])` and logs the first and last place of every call.

    `wait_at`: a place at which it makes the file `gate`.reached and waits for the file `gate`.
    `break_at`, `die_at`: a place at which it raises, or ends its process.
    """

    places: Tensor
    log: Path
    shape: tuple[int, int, int] = (3, 4, 5)
    name: str = "'me/data' observation.images.front"
    wait_at: int | None = None
    gate: str | None = None
    break_at: int | None = None
    die_at: int | None = None

    def read(self, rows: Tensor) -> Tensor:
        places = self.places[rows].tolist()
        with open(self.log, "ab", buffering=0) as log:
            log.write(f"{places[0]} {places[-1]}\n".encode())
        if self.wait_at in places and self.gate is not None:
            Path(f"{self.gate}.reached").touch()
            wait_for(Path(self.gate).exists)
        if self.break_at in places:
            raise RuntimeError("invalid data found when processing input")
        if self.die_at in places:
            os._exit(3)
        return pattern(self.places[rows], self.shape)


def wait_for(condition) -> None:
    deadline = time.monotonic() + 120.0
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited for two minutes")
        time.sleep(0.01)


def make_job(
    log: Path,
    selected: Sequence[int] | None = None,
    lengths: Sequence[int] = LENGTHS,
    identity: str = "me/data",
    **reader: object,
) -> CacheJob:
    """A job over some episodes of a dataset with episodes of these lengths."""
    starts = [sum(lengths[:episode]) for episode in range(len(lengths))]
    episodes, places = [], []
    for episode in range(len(lengths)) if selected is None else selected:
        episodes.append(EpisodeFrames(episode, len(places), starts[episode], lengths[episode]))
        places += range(starts[episode], starts[episode] + lengths[episode])
    return CacheJob(PatternReader(torch.tensor(places), log, **reader), {"repo_id": identity}, sum(lengths), episodes)


if __name__ == "__main__":
    folder, log, processes, episodes, options = sys.argv[1:]
    job = make_job(Path(log), json.loads(episodes), **json.loads(options))
    open_frame_cache(Path(folder), [job], processes=int(processes))
