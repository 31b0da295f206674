# SPDX-License-Identifier: Apache-2.0
"""The loss of the episodes that sources hold out, in a pass of its own beside LeRobot's held-out loss.

LeRobot's loss is over the target's held-out episodes and stays so. Here every source with `holdout` is asked
too: as many frames as the target's loss takes, evenly spread; always the same frames, levels and noise, so that two
points of a curve differ by the policy alone; on draws of its own, so that training goes on as without it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.integration.monitoring.bands import BandSums
from lerobot_ambient.integration.training.step import scaled_pictures
from lerobot_ambient.policy.shared.following import FollowsMixture

Preprocess = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class HeldOutFrames:
    """What of a source is asked.

    Args:
        name: of the source.
        group: one of its groups, by which the policy knows what it lacks.
        positions: (n,) int64 frames, counted in the merged dataset.
    """

    name: str
    group: int
    positions: np.ndarray


def held_out_frames(mixture: AssembledMixture, limit: int) -> list[HeldOutFrames]:
    """The frames of every source that holds out episodes.

    Args:
        mixture: that is trained on.
        limit: most frames of a source.
    """
    found = []
    for index, source in enumerate(mixture.sources):
        rows = mixture.held_out_rows(index) + int(mixture.dataset.offsets[index])
        if not len(rows):
            continue
        if len(rows) > limit:
            rows = rows[((np.arange(limit) + 0.5) * len(rows) / limit).astype(np.int64)]
        group = next(number for number, group in enumerate(mixture.plan.groups) if group.source == index)
        found.append(HeldOutFrames(source.name, group, rows))
    return found


class HeldOutSources:
    """The pass over all sources that hold out episodes.

    Args:
        mixture: that is trained on.
        frames: of `held_out_frames`.
        batch_size: samples at a time.
        seed: of the levels and the noise.
    """

    def __init__(self, mixture: AssembledMixture, frames: list[HeldOutFrames], *, batch_size: int, seed: int) -> None:
        self.frames = frames
        # The rows without the augmentation of training.
        self._dataset = copy.copy(mixture.dataset)
        self._dataset.image_transforms = None
        self._batch_size, self._seed = batch_size, seed

    @torch.no_grad()
    def run(
        self, policy: FollowsMixture, preprocess: Preprocess, device: torch.device, rank: int, world: int
    ) -> dict[str, BandSums]:
        """Ask the policy, which is in evaluation mode.

        Args:
            policy: not wrapped: a pass takes part in nothing that processes do together.
            preprocess: LeRobot's, of the run.
            device: of the policy.
            rank, world: of the processes this one takes every `world`-th frame.

        Returns:
            By source, this process's losses.
        """
        found: dict[str, BandSums] = {}
        watcher, policy.masks_held_out = policy.watcher, True
        try:
            for number, frames in enumerate(self.frames):
                policy.watcher = collected = _Collected()
                found[frames.name] = collected.sums
                mine = frames.positions[rank::world]
                words = np.random.SeedSequence([self._seed, number, rank]).generate_state(1, dtype=np.uint64)
                with _own_draws(int(words[0] >> np.uint64(1)), device):
                    for start in range(0, len(mine), self._batch_size):
                        policy.forward(preprocess(self._batch(frames, mine[start : start + self._batch_size])))
        finally:
            policy.watcher, policy.masks_held_out = watcher, False
        return found

    def _batch(self, frames: HeldOutFrames, positions: np.ndarray) -> dict[str, Any]:
        batch = self._dataset.gather(positions.tolist())
        # Held-out frames are in no group of a source that has a window a frame.
        batch["info"] = {GROUP_KEY: torch.full((len(positions),), frames.group)}
        return scaled_pictures(batch, self._dataset.camera_keys)


class _Collected:
    """Watches one source."""

    def __init__(self) -> None:
        self.sums = BandSums()

    def saw(self, loss: Tensor, sigma: Tensor | None, per_sample: Tensor | None) -> None:
        assert sigma is not None, "every policy on a mixture knows its levels"
        self.sums.add(loss, sigma, per_sample)

    def ended(self) -> None:
        """Nothing: the pass ends before."""


@contextmanager
def _own_draws(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's generators for a while; afterwards they are as they were."""
    kept = torch.mps.get_rng_state() if device.type == "mps" else None
    devices: Mapping[str, Any] = {"devices": [] if device.type in ("cpu", "mps") else [device]}
    kind = {} if device.type in ("cpu", "mps") else {"device_type": device.type}
    with torch.random.fork_rng(**devices, **kind):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            if kept is not None:
                torch.mps.set_rng_state(kept)
