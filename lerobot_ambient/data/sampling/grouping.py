# SPDX-License-Identifier: Apache-2.0
"""From a window per frame to groups: an index of a few bytes a frame, made by a counting sort in blocks.

Windows are distinguished only as far as the schedule can: frames share a group when no timestep lies between their
bounds, so all of a group admit the same timesteps. T timesteps give at most T + 1 groups when only sigma_min
varies and about T^2 / 2 when sigma_max does too, however many frames there are.

Memory of N frames in G groups: the index takes 4 bytes a frame (N up to 2^32) and the tags 1 (G up to 255) or
2. Making them takes as much again for a moment, plus blocks of fixed size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import Window, admits_everything

_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class WindowGroups:
    """The groups of one dataset. All fields are plain arrays, so they may be memory maps of an `ArrayStore`.

    Args:
        sigma_min, sigma_max: (G,) float32 VP levels, the window of each group; 0 and 0 where it admits everything.
        counts: (G,) int64 frames of each group.
        order: (sum of counts,) unsigned frame positions inside the dataset, group after group, ascending inside
            a group.
        group_of_frame: (N,) unsigned, the group of each frame; `no_group` for frames that start no sample.

    Raises:
        ValueError: arrays that do not belong together.
    """

    sigma_min: NDArray[np.float32]
    sigma_max: NDArray[np.float32]
    counts: NDArray[np.int64]
    order: NDArray[Any]
    group_of_frame: NDArray[Any]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("sigma_min", "sigma_max", "counts")}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"window groups: arrays of different numbers of groups, {lengths}.")
        if int(self.counts.sum()) != len(self.order):
            raise ValueError(f"window groups: counts add up to {self.counts.sum()}, the index has {len(self.order)}.")
        if len(self) > self.no_group:
            raise ValueError(f"window groups: {len(self)} groups do not fit tags of type {self.group_of_frame.dtype}.")

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def no_group(self) -> int:
        """The tag of a frame that starts no sample: the largest value of the tags' type."""
        return int(np.iinfo(self.group_of_frame.dtype).max)

    @property
    def nbytes(self) -> int:
        """Bytes held by the index and the tags."""
        return int(self.order.nbytes + self.group_of_frame.nbytes)

    @cached_property
    def windows(self) -> list[Window]:
        """The window of each group."""
        bounds = zip(self.sigma_min.tolist(), self.sigma_max.tolist(), strict=True)
        return [Window(sigma_min, sigma_max) for sigma_min, sigma_max in bounds]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name: `WindowGroups(**groups.arrays())` is the same thing again."""
        return {name: getattr(self, name) for name in ("sigma_min", "sigma_max", "counts", "order", "group_of_frame")}

    def __repr__(self) -> str:
        frames = len(self.group_of_frame)
        return (
            f"WindowGroups({len(self)} groups, {len(self.order)} of {frames} frames, {self.nbytes / frames:g} B each)"
        )


def split_windows(
    sigma_min: NDArray[np.float32],
    sigma_max: NDArray[np.float32],
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    schedule: NoiseSchedule,
) -> WindowGroups:
    """Group the frames of one dataset by where their windows lie between the timesteps.

    The groups come in ascending order of (number of timesteps up to sigma_min, number of timesteps below
    sigma_max), windows that admit everything first. The window of a group is the narrowest its frames allow: the
    largest sigma_min and the smallest sigma_max, which admit the same timesteps.

    Args:
        sigma_min, sigma_max: (N,) float32 VP levels in [0, 1].
        starts, stops: half-open runs of the frames that may start a sample: ascending, disjoint, inside [0, N).
        schedule: the levels by which windows are distinguished.

    Raises:
        ValueError: columns of different lengths, or runs that leave no frame, overlap or leave [0, N).
    """
    frames = len(sigma_min)
    if len(sigma_max) != frames:
        raise ValueError(f"sigma_min has {frames} frames, sigma_max {len(sigma_max)}; both need one value a frame.")
    kept = _kept(frames, starts, stops)
    lower, upper = schedule.lower.numpy(), schedule.upper.numpy()
    dropped = (len(schedule) + 1) ** 2
    code = np.empty(frames, np.min_scalar_type(dropped))
    histogram = np.zeros(dropped + 1, dtype=np.int64)
    for block in _blocks(frames):
        code[block] = np.where(kept[block], _codes(sigma_min[block], sigma_max[block], lower, upper), dropped)
        histogram += np.bincount(code[block], minlength=dropped + 1)
    present = np.flatnonzero(histogram[:dropped])
    counts = histogram[present]

    tag = np.min_scalar_type(len(present))
    group_of_code = np.full(dropped + 1, np.iinfo(tag).max, dtype=tag)
    group_of_code[present] = np.arange(len(present))
    group_of_frame = np.empty(frames, tag)
    for block in _blocks(frames):
        group_of_frame[block] = group_of_code[code[block]]
    order = _sorted_by_group(group_of_frame, counts)

    first = np.cumsum(counts) - counts
    everything = admits_everything(sigma_min, sigma_max)
    low = np.maximum.reduceat(np.where(everything, np.float32(0), sigma_min)[order], first)
    high = np.minimum.reduceat(np.where(everything, np.float32(0), sigma_max)[order], first)
    return WindowGroups(low, high, counts, order, group_of_frame)


def _codes(
    sigma_min: NDArray[Any], sigma_max: NDArray[Any], lower: NDArray[np.float64], upper: NDArray[np.float64]
) -> NDArray[np.int64]:
    """(N,) which timesteps the bounds lie between, as one integer. Bounds are strict, cells admitted as a whole."""
    low = np.searchsorted(lower, sigma_min.astype(np.float64), side="right")
    high = np.searchsorted(upper, sigma_max.astype(np.float64), side="left")
    return np.where(admits_everything(sigma_min, sigma_max), 0, low * (len(lower) + 1) + high)


def _kept(frames: int, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) whether a frame lies in a run."""
    if len(starts) == 0 or (stops <= starts).any() or (starts[1:] < stops[:-1]).any():
        raise ValueError("runs of frames must be non-empty, ascending and disjoint, at least one of them.")
    if starts[0] < 0 or stops[-1] > frames:
        raise ValueError(f"runs reach from {starts[0]} to {stops[-1]}, but there are {frames} frames.")
    step = np.zeros(frames + 1, dtype=np.int8)
    step[starts] += 1
    step[stops] -= 1
    return np.cumsum(step[:-1], dtype=np.int8, out=step[:-1]).view(np.bool_)


def _sorted_by_group(group_of_frame: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[Any]:
    """The positions of the frames that have a group, by group and then by position."""
    order = np.empty(int(counts.sum()), np.min_scalar_type(len(group_of_frame) - 1))
    cursor = np.cumsum(counts) - counts
    for block in _blocks(len(group_of_frame)):
        tags = group_of_frame[block]
        # Radix sort on tags of up to 16 bits; frames without a group carry the largest tag and come last.
        place = np.argsort(tags, kind="stable")
        tags = tags[place]
        tags = tags[: np.searchsorted(tags, len(counts))]
        inside = np.bincount(tags, minlength=len(counts))
        shift = cursor - (np.cumsum(inside) - inside)
        order[shift[tags] + np.arange(len(tags))] = block.start + place[: len(tags)]
        cursor += inside
    return order


def _blocks(frames: int) -> Iterator[slice]:
    return (slice(low, min(low + _BLOCK, frames)) for low in range(0, frames, _BLOCK))
