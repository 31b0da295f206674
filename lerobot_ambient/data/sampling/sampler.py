# SPDX-License-Identifier: Apache-2.0
"""Draws frames by the plan's P(g): exact counts, no repeats inside a group, pure in (seed, epoch, position).

How an epoch of L draws is laid out
    counts     systematic rounding: c_g = floor(L F_g + u) - floor(L F_{g-1} + u) with F the cumulative law and
               u uniform per epoch. Each count is within one of L P(g), they add up to L, and their
               expectation is exact.
    order      slots [0, L) belong to the groups consecutively; a keyed permutation of [0, L) shuffles them.
    frames     the k-th draw a group ever makes (over all epochs, in order of time) is entry k mod n_g of its
               (k div n_g)-th shuffle, so no frame comes twice before every frame of its group came once.

Memory is O(groups) beyond the index of the frames. Resuming inside an epoch counts the groups of the positions
before (some ten millions a second).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.sampling.permutation import IntArray, derive_key, permute
from lerobot_ambient.data.sampling.upcoming import with_upcoming

_CHUNK_BITS = 16
_CHUNK = 1 << _CHUNK_BITS
_SMALL_GROUP = 1 << 20
_ORDER, _FRAMES, _ROUNDING = 1, 2, 3


class FrameRuns:
    """One group, made of runs of consecutive frames: a whole dataset without the ends of its episodes.

    Args:
        starts, stops: int64 half-open, non-overlapping runs of frame positions in the mixture.
    """

    def __init__(self, starts: IntArray, stops: IntArray) -> None:
        lengths = stops - starts
        self.counts: IntArray = np.array([lengths.sum()], dtype=np.int64)
        self._starts = starts.astype(np.int64)
        self._first = np.cumsum(lengths) - lengths
        # Looking a place up beats searching for its run; a large group is not worth the memory.
        small = int(self.counts[0]) <= _SMALL_GROUP
        self._table = np.repeat(self._starts - self._first, lengths) + np.arange(lengths.sum()) if small else None

    def at(self, place: IntArray) -> IntArray:
        """(N,) positions of the frames at these places of the group, counted from 0."""
        if self._table is not None:
            return self._table[place]
        run = np.searchsorted(self._first, place, side="right") - 1
        return self._starts[run] + place - self._first[run]


@dataclass(frozen=True, eq=False)
class FrameIndex:
    """The groups of one dataset, as an index of its frames (`WindowGroups.order` and `.counts`).

    Args:
        order: (sum of counts,) unsigned positions inside the dataset, group after group; any NumPy array, so
            a read-only memory map that several processes share will do.
        counts: (g,) int64 frames of each group.
        offset: position of the dataset's first frame in the mixture.

    Raises:
        ValueError: counts that do not add up to the index.
    """

    order: NDArray[Any]
    counts: IntArray
    offset: int

    def __post_init__(self) -> None:
        if int(self.counts.sum()) != len(self.order):
            raise ValueError(f"frame index: counts add up to {self.counts.sum()}, the index has {len(self.order)}.")

    def at(self, place: IntArray) -> IntArray:
        """(N,) positions in the mixture of these places of the index."""
        return self.order[place].astype(np.int64) + self.offset


class GroupedFrames:
    """Which frames belong to which group.

    Args:
        parts: the groups in order. A `FrameIndex` holds all groups of a dataset; a pair (starts, stops) is one
            group made of runs, see `FrameRuns`.

    Raises:
        ValueError: a group without frames.
    """

    def __init__(self, parts: Sequence[FrameIndex | tuple[IntArray, IntArray]]) -> None:
        self._parts = [part if isinstance(part, FrameIndex) else FrameRuns(*part) for part in parts]
        sizes = [len(part.counts) for part in self._parts]
        self.counts: IntArray = np.concatenate([part.counts for part in self._parts]).astype(np.int64)
        if (self.counts <= 0).any():
            raise ValueError(f"group {int(np.flatnonzero(self.counts <= 0)[0])} has no frames.")
        self._part = np.repeat(np.arange(len(sizes), dtype=np.min_scalar_type(len(sizes))), sizes)
        # Place of each group's first frame in its part.
        self._first = np.concatenate([np.cumsum(part.counts) - part.counts for part in self._parts])

    def __len__(self) -> int:
        return len(self.counts)

    def frame(self, group: IntArray, rank: IntArray) -> IntArray:
        """(N,) frame position of the rank-th frame of each group."""
        part, place = self._part[group], self._first[group] + rank
        by_part = np.argsort(part, kind="stable")
        ends = np.cumsum(np.bincount(part, minlength=len(self._parts)))
        frames = np.empty(len(group), dtype=np.int64)
        for number in np.unique(part):
            rows = by_part[ends[number - 1] if number else 0 : ends[number]]
            frames[rows] = self._parts[number].at(place[rows])
        return frames


class MixtureSampler:
    """Sampler with the surface of LeRobot's EpisodeAwareSampler (state_dict, set_epoch, len).

    Args:
        frames: the groups' frames.
        group_law: (G,) probabilities P(g), summing to 1.
        seed: of the run; every draw is a pure function of (seed, epoch, position).
        epoch_size: draws in an epoch; the number of frames in drawable groups when None.
        look_ahead: how many draws later a frame is that a draw tells of (`Draw`), so that it can be fetched before;
            0 yields bare positions.

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
        look_ahead: int = 0,
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
        self._look_ahead = look_ahead
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
        stream = chain.from_iterable(self._chunks(epoch, start))
        if not self._look_ahead:
            return stream
        return with_upcoming(stream, chain.from_iterable(self._chunks(epoch + 1, 0)), self._look_ahead)

    def _chunks(self, epoch: int, start: int) -> Iterator[list[int]]:
        boundaries = self._boundaries(epoch)
        seen = self._drawn_before(epoch).copy()
        for low in range(0, start, _CHUNK):
            group, _ = self._groups(epoch, boundaries, low, min(low + _CHUNK, start))
            seen += np.bincount(group, minlength=len(self.frames))
        for low in range(start, self._length, _CHUNK):
            group, position = self._groups(epoch, boundaries, low, min(low + _CHUNK, self._length))
            first = np.flatnonzero(np.diff(group, prepend=-1))
            draws = np.diff(first, append=len(group))
            occurrence = np.arange(len(group)) - np.repeat(first, draws)
            size = self.frames.counts[group]
            lap, rank = np.divmod(seen[group] + occurrence, size)
            rank = permute(rank, size, derive_key(self.seed, _FRAMES, group, lap))
            seen[group[first]] += draws
            frames = np.empty(len(group), dtype=np.int64)
            frames[position] = self.frames.frame(group, rank)
            yield frames.tolist()

    def _groups(self, epoch: int, boundaries: IntArray, low: int, high: int) -> tuple[IntArray, IntArray]:
        """The groups drawn at positions [low, high), sorted, and the position - low of each, ascending in a group."""
        position = np.arange(low, high, dtype=np.int64)
        slot = permute(position, self._length, derive_key(self.seed, _ORDER, epoch))
        # Looking up sorted slots is cheap on the cache.
        slot, order = _sort_pairs(slot, position - low)
        return _sort_pairs(np.searchsorted(boundaries, slot, side="right"), order)

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


class FramesInOrder:
    """Sampler of the same frames in every pass, for those that are held out.

    Args:
        indices: positions in the mixture.
    """

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)


def _sort_pairs(key: IntArray, position: IntArray) -> tuple[IntArray, IntArray]:
    """Both arrays sorted by (key, position); position < 2^16, 0 <= key < 2^47.

    One sort of plain integers, which NumPy does with vector instructions: ten times faster than argsort.
    """
    packed = np.sort((key << _CHUNK_BITS) | position)
    return packed >> _CHUNK_BITS, packed & ((1 << _CHUNK_BITS) - 1)
