# SPDX-License-Identifier: Apache-2.0
"""Draws frames by the plan's P(g): exact counts, no repeats inside a group, pure in (seed, epoch, position).

How an epoch of L draws is laid out
    counts     systematic rounding: c_g = floor(L F_g + u) - floor(L F_{g-1} + u) with F the cumulative law and
               u uniform per epoch. Each count is within one of L P(g), they add up to L, and their
               expectation is exact.
    order      slots [0, L) belong to the groups consecutively; a keyed permutation of [0, L) shuffles them.
    frames     the k-th draw a group ever makes (over all epochs, in order of time) is entry k mod n_g of its
               (k div n_g)-th shuffle, so no frame comes twice before every frame of its group came once.

Memory is O(groups + runs); nothing is materialised per frame. Resuming inside an epoch counts the groups of
the positions before (some millions a second).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.permutation import IntArray, derive_key, permute

_CHUNK = 1 << 16
_ORDER, _FRAMES, _ROUNDING = 1, 2, 3


class GroupedFrames:
    """Which frames belong to which group, as runs of consecutive frames.

    Args:
        runs: per group, (starts, stops) int64 arrays of half-open, non-overlapping runs of frame positions.

    Raises:
        ValueError: a group without frames.
    """

    def __init__(self, runs: Sequence[tuple[IntArray, IntArray]]) -> None:
        counts = np.array([int((stops - starts).sum()) for starts, stops in runs], dtype=np.int64)
        if (counts <= 0).any():
            raise ValueError(f"group {int(np.flatnonzero(counts <= 0)[0])} has no frames.")
        self.counts: IntArray = counts
        self._group_start = np.concatenate([[0], np.cumsum(counts)[:-1]])
        starts = np.concatenate([starts for starts, _ in runs]).astype(np.int64)
        lengths = np.concatenate([stops - starts for starts, stops in runs]).astype(np.int64)
        self._run_start = starts
        self._run_rank = np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def __len__(self) -> int:
        return len(self.counts)

    def frame(self, group: IntArray, rank: IntArray) -> IntArray:
        """(N,) frame position of the rank-th frame of each group."""
        virtual = self._group_start[group] + rank
        run = np.searchsorted(self._run_rank, virtual, side="right") - 1
        return self._run_start[run] + virtual - self._run_rank[run]


class MixtureSampler:
    """Sampler with the surface of LeRobot's EpisodeAwareSampler (state_dict, set_epoch, len).

    Args:
        frames: the groups' frames.
        group_law: (G,) probabilities P(g), summing to 1.
        seed: of the run; every draw is a pure function of (seed, epoch, position).
        epoch_size: draws in an epoch; the number of frames in drawable groups when None.

    Raises:
        ValueError: a law that does not fit the groups or does not sum to 1.
    """

    def __init__(
        self,
        frames: GroupedFrames,
        group_law: NDArray[np.float64],
        *,
        seed: int = 0,
        epoch_size: int | None = None,
    ) -> None:
        law = np.asarray(group_law, dtype=np.float64)
        if law.shape != (len(frames),):
            raise ValueError(f"group law has shape {law.shape}, the mixture has {len(frames)} groups.")
        if (law < 0).any() or abs(law.sum() - 1.0) > 1e-6:
            raise ValueError(f"group law must be non-negative and sum to 1, its sum is {law.sum():.6f}.")
        self.frames = frames
        self.seed = seed
        self._length = int(frames.counts[law > 0].sum()) if epoch_size is None else epoch_size
        if self._length < 1:
            raise ValueError(f"an epoch must have at least one draw, got {self._length}.")
        self._cumulative = np.minimum(np.cumsum(law) / law.sum(), 1.0)
        # Groups after the last drawable one must not gain a draw from rounding.
        self._cumulative[np.flatnonzero(law > 0)[-1] :] = 1.0
        self._epoch = 0
        self._loaded_epoch = 0
        self._start_index = 0
        self._offset_epoch = 0
        self._offset: IntArray = np.zeros(len(frames), dtype=np.int64)

    def __len__(self) -> int:
        return self._length

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch, counted from the loaded state.

        accelerate calls this at the start of every pass with its own count, which begins at 0 in each process.
        Taken as absolute (as LeRobot 0.6.1's sampler does), a resumed run would fall back to the first epoch.
        """
        self._epoch = self._loaded_epoch + epoch

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self._epoch, "start_index": self._start_index}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._epoch = self._loaded_epoch = state["epoch"]
        self._start_index = state["start_index"]

    def counts(self, epoch: int) -> IntArray:
        """(G,) draws of each group in an epoch: within one of len(self) * P(g), adding up to len(self)."""
        return np.diff(self._boundaries(epoch), prepend=0)

    def __iter__(self) -> Iterator[int]:
        # The epoch advances on the call, not on first consumption: LeRobot's sampler does the same.
        epoch, start = self._epoch, self._start_index
        self._epoch += 1
        self._start_index = 0
        return self._iterate(epoch, start)

    def _iterate(self, epoch: int, start: int) -> Iterator[int]:
        boundaries = self._boundaries(epoch)
        seen = self._drawn_before(epoch).copy()
        for low in range(0, start, _CHUNK):
            seen += self._count(self._groups(epoch, boundaries, low, min(low + _CHUNK, start)))
        for low in range(start, self._length, _CHUNK):
            group = self._groups(epoch, boundaries, low, min(low + _CHUNK, self._length))
            size = self.frames.counts[group]
            lap, rank = np.divmod(seen[group] + _occurrence(group), size)
            rank = permute(rank, size, derive_key(self.seed, _FRAMES, group, lap))
            seen += self._count(group)
            yield from self.frames.frame(group, rank).tolist()

    def _groups(self, epoch: int, boundaries: IntArray, low: int, high: int) -> IntArray:
        """(high - low,) the group drawn at each of these positions."""
        position = np.arange(low, high, dtype=np.int64)
        slot = permute(position, self._length, derive_key(self.seed, _ORDER, epoch))
        return np.searchsorted(boundaries, slot, side="right")

    def _count(self, group: IntArray) -> IntArray:
        return np.bincount(group, minlength=len(self.frames))

    def _boundaries(self, epoch: int) -> IntArray:
        """(G,) last slot + 1 of each group."""
        words = np.random.SeedSequence([self.seed, _ROUNDING, epoch]).generate_state(1, dtype=np.uint64)
        u = float(words[0]) / 2**64
        boundaries = np.floor(self._length * self._cumulative + u).astype(np.int64)
        return np.minimum(boundaries, self._length)

    def _drawn_before(self, epoch: int) -> IntArray:
        """(G,) draws of each group in all epochs before this one; epochs are walked once."""
        if epoch < self._offset_epoch:
            self._offset_epoch, self._offset = 0, np.zeros(len(self.frames), dtype=np.int64)
        while self._offset_epoch < epoch:
            self._offset = self._offset + self.counts(self._offset_epoch)
            self._offset_epoch += 1
        return self._offset


def _occurrence(group: IntArray) -> IntArray:
    """(N,) how many earlier entries are equal to each entry."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    first = np.maximum.accumulate(np.where(fresh, np.arange(len(group)), 0))
    occurrence = np.empty(len(group), dtype=np.int64)
    occurrence[order] = np.arange(len(group)) - first
    return occurrence
