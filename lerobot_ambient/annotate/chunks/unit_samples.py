# SPDX-License-Identifier: Apache-2.0
"""Complete chunks of two datasets in memory, and the units by which their statistics vary.

Chunks that start a frame apart are nearly the same chunk, so N of them are no N observations. What varies
independently, and can be exchanged between datasets of one law, is the episode: it is the unit of every error and
test. A handful of episodes can be exchanged in too few ways for a test; then units are stretches of episodes, a
horizon long or more. Stretches know nothing of what differs from episode to episode: whoever uses them must see to it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from math import comb

import numpy as np
import torch
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet, nothing_moves, shared_dims

_MIN_SPLITS = 200
"""Ways to deal the units to the two datasets, at least: a test at 99 % needs 1 in 100 of them on either side."""
_BATCH = 65536
_CONSTANT = 1e-5
"""A range below is rounding: actions are normalised, single precision resolves 1e-7."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Complete chunks of one dataset.

    Args:
        name: of the dataset.
        x_0: (n, H, A) float32 chunks without padding, unit after unit.
        bounds: (U + 1,) unit u is x_0[bounds[u]:bounds[u + 1]]; none is empty.
        episode: (U,) the episode of each unit, counted from 0.
        counts: (A,) bool, False for dimensions the dataset lacks.
    """

    name: str
    x_0: NDArray[np.float32]
    bounds: NDArray[np.int64]
    episode: NDArray[np.int64]
    counts: NDArray[np.bool_]

    @property
    def units(self) -> int:
        """U."""
        return len(self.bounds) - 1

    @property
    def episodes(self) -> int:
        """How many episodes the units come from."""
        return int(self.episode[-1]) + 1

    @property
    def whole_episodes(self) -> bool:
        """Whether a unit is an episode, or a stretch of one."""
        return self.episodes == self.units

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(U,) chunks per unit."""
        return np.diff(self.bounds)

    def unit(self, u: int) -> NDArray[np.float64]:
        """(n_u, H, A) chunks of a unit."""
        return self.x_0[self.bounds[u] : self.bounds[u + 1]].astype(np.float64)

    def moves(self) -> NDArray[np.bool_]:
        """(A,) whether a dimension changes at all, over all chunks."""
        return self.counts & (np.ptp(self.x_0, axis=(0, 1)) > _CONSTANT)

    def __repr__(self) -> str:
        n, horizon, dims = self.x_0.shape
        kind = "episodes" if self.whole_episodes else f"stretches of {self.episodes} episodes"
        return f"{self.name}: {n} complete chunks of {horizon} x {dims}, {self.units} {kind}"


def draw_sample(chunks: ChunkSet, *, max_episodes: int, max_values: int, seed: int) -> Sample:
    """The complete chunks of a dataset.

    Args:
        chunks: of the dataset.
        max_episodes: episodes drawn from a dataset that has more.
        max_values: numbers held; of a larger dataset a random part of the chunks is taken.
        seed: of what is drawn.

    Raises:
        ValueError: no chunk without padding.
    """
    x_0, episode = _complete(chunks, max_episodes, max_values, np.random.SeedSequence([seed, len(chunks)]))
    bounds = np.append(np.flatnonzero(np.diff(episode, prepend=-1)), len(episode))
    return Sample(chunks.name, x_0, bounds, np.arange(len(bounds) - 1), chunks.counts.numpy())


def draw_samples(
    target: ChunkSet, source: ChunkSet, *, max_episodes: int, max_values: int, seed: int, min_units: int = 2
) -> tuple[Sample, Sample]:
    """The complete chunks of both datasets (as `draw_sample`), in units of one kind, min_units of them or more.

    Raises:
        ValueError: chunks of different shapes, no dimension in common, no chunk without padding, or too little data for
            a test.
    """
    shared_dims(target, source)
    p, q = (
        draw_sample(chunks, max_episodes=max_episodes, max_values=max_values, seed=seed) for chunks in (target, source)
    )
    if not _comparable(p, q, min_units):
        p, q = in_stretches(p), in_stretches(q)
    if not _comparable(p, q, min_units):
        few, horizon = min((p, q), key=lambda sample: sample.units), target.horizon
        raise ValueError(
            f"'{few.name}': {few.episodes} episodes with {len(few.x_0)} complete chunks of {horizon} actions are too "
            f"few to compare with anything; give 5 episodes or more, or 2 of {3 * horizon} complete chunks."
        )
    return p, q


def in_stretches(sample: Sample) -> Sample:
    """The sample with its episodes cut into stretches of H chunks or more, or whole where they are shorter."""
    horizon = sample.x_0.shape[1]
    cuts = [
        np.linspace(start, stop, max(1, (stop - start) // horizon), endpoint=False).astype(np.int64)
        for start, stop in itertools.pairwise(sample.bounds.tolist())
    ]
    episode = np.repeat(sample.episode, [len(cut) for cut in cuts])
    return replace(sample, bounds=np.append(np.concatenate(cuts), len(sample.x_0)), episode=episode)


def fold_of_units(sample: Sample, folds: int) -> NDArray[np.int64]:
    """(U,) neighbours share a fold, so that what drifts from episode to episode is not learnt and judged alike."""
    return np.arange(sample.units) * folds // sample.units


def _comparable(target: Sample, source: Sample, min_units: int) -> bool:
    units = target.units, source.units
    return (
        min(target.episodes, source.episodes) >= 2
        and min(units) >= min_units
        and comb(sum(units), units[0]) >= _MIN_SPLITS
    )


def moving_dims(target: Sample, source: Sample) -> NDArray[np.int64]:
    """The action dimensions both datasets have (`shared_dims`) and that move in at least one.

    Raises:
        ValueError: a dataset whose actions never change.
    """
    common = target.counts & source.counts
    for sample in (target, source):
        if not (sample.moves() & common).any():
            raise nothing_moves(sample.name, int(common.sum()))
    return np.flatnonzero(common & (target.moves() | source.moves()))


def _complete(
    chunks: ChunkSet, max_episodes: int, max_values: int, seed: np.random.SeedSequence
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Chunks (n, H, A) without padding, and (n,) their episodes counted from 0."""
    rng = np.random.default_rng(seed)
    chosen: NDArray[np.int64] = np.arange(len(chunks))
    names = np.unique(chunks.episode)
    if len(names) > max_episodes:
        chosen = np.flatnonzero(np.isin(chunks.episode, rng.choice(names, max_episodes, replace=False)))
    limit = max(1, max_values // (chunks.horizon * chunks.dims))
    if len(chosen) > limit:
        chosen = np.sort(rng.choice(chosen, limit, replace=False))
    parts, kept = [], []
    for some in np.split(chosen, range(_BATCH, len(chosen), _BATCH)):
        x_0, is_pad = chunks.gather(torch.from_numpy(some))
        complete = ~is_pad.any(1).numpy()
        parts.append(x_0.numpy()[complete])
        kept.append(some[complete])
    episode = chunks.episode[np.concatenate(kept)]
    if not len(episode):
        longest = int(np.unique(chunks.episode, return_counts=True)[1].max(initial=0))
        raise ValueError(
            f"'{chunks.name}': no chunk of {chunks.horizon} actions lies within an episode (at most {longest} chunks "
            f"start in one); use a shorter {chunks.axes.length_option} or longer episodes."
        )
    return np.concatenate(parts), np.cumsum(np.diff(episode, prepend=episode[0]) != 0)
