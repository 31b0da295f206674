# SPDX-License-Identifier: Apache-2.0
"""Which chunks of a dataset share a window: buckets of any size from one chunk to the whole dataset.

A window per dataset cannot say that some of its chunks are better than others; a window per chunk rests on a single
observation. Buckets lie between: chunks of one episode, one task, one operator, one kind of motion, one stretch of
time. `windows` gives each bucket its window, and `rules` names the ways to make buckets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet
from lerobot_ambient.annotate.classifier.folds import GATHER
from lerobot_ambient.core.arrays import Ints

FIT_CHUNKS = 20_000
"""Chunks that clusters are fitted to at most, or 20 per cluster where that is more."""
_FIT_PER_CLUSTER = 20
_STREAM = 8


@dataclass(frozen=True, eq=False)
class Buckets:
    """A partition of a dataset's chunks.

    Args:
        labels: (N,) int64, the bucket of each chunk, in [0, B).
        count: B; every bucket holds a chunk.
        describe: the name of a bucket.

    Raises:
        ValueError: labels outside [0, B), an empty bucket.
    """

    labels: Ints
    count: int
    describe: Callable[[int], str]

    def __post_init__(self) -> None:
        inside = len(self.labels) > 0 and self.labels.min() >= 0 and self.labels.max() < self.count
        if not inside:
            raise ValueError(
                f"labels of {len(self.labels)} chunks must lie in [0, {self.count}), the buckets there are."
            )
        empty = np.flatnonzero(self.sizes == 0)
        if len(empty):
            raise ValueError(f"bucket {empty[0]} of {self.count} holds no chunk; number the buckets without gaps.")

    def __len__(self) -> int:
        return self.count

    @cached_property
    def sizes(self) -> Ints:
        """(B,) chunks in each bucket."""
        return np.bincount(self.labels, minlength=self.count)

    @property
    def names(self) -> list[str]:
        """Of all buckets, made when asked for: there may be as many as chunks."""
        return [self.describe(bucket) for bucket in range(self.count)]

    def __repr__(self) -> str:
        sizes = self.sizes
        return f"{self.count} buckets of {sizes.min()} to {sizes.max()} chunks (median {np.median(sizes):g})"


def one_bucket(count: int) -> Buckets:
    """All `count` chunks of a dataset in one bucket."""
    return Buckets(np.zeros(count, dtype=np.int64), 1, lambda _: "all chunks")


def by_episode(episode: Ints) -> Buckets:
    """A bucket per episode; `episode` (N,)."""
    return _by_value(episode, lambda number: f"episode {number}")


def by_task(task: Ints, tasks: Sequence[str]) -> Buckets:
    """A bucket per task; `task` (N,) counts `tasks`."""
    return _by_value(task, lambda number: f"task '{tasks[number]}'")


def by_column(values: NDArray[Any], column: str) -> Buckets:
    """A bucket per value of a column; `values` (N,) are numbers or strings."""
    return _by_value(values, lambda value: f"{column}={value!s}")


def by_stretch(episode: Ints, length: int) -> Buckets:
    """Buckets of `length` successive chunks of an episode; the last one of an episode may be shorter.

    Length 1 gives a bucket per chunk.

    Args:
        episode: (N,), chunks in the order of time, those of an episode side by side.
        length: at least 1.

    Raises:
        ValueError: a length below 1.
    """
    if length < 1:
        raise ValueError(f"stretches of {length} chunks: a stretch has at least 1.")
    position = np.arange(len(episode))
    begins = np.append(True, episode[1:] != episode[:-1])
    within = position - np.maximum.accumulate(np.where(begins, position, 0))
    labels = np.cumsum(within % length == 0) - 1
    first = np.flatnonzero(within % length == 0)
    last = np.append(first[1:], len(episode)) - 1

    def describe(bucket: int) -> str:
        low, high = within[first[bucket]], within[last[bucket]]
        return f"episode {episode[first[bucket]]}, chunk {low}" + (f" to {high}" if high > low else "")

    return Buckets(labels, len(first), describe)


def by_cluster(chunks: ChunkSet, count: int, *, seed: int = 0) -> Buckets:
    """Buckets of like motion: k-means of the normalised chunks, flattened.

    Clusters are fitted to a random sample of chunks and every chunk then joins its nearest, block by block. A cluster
    that no chunk joins is left out, so there may be fewer than `count`.

    Args:
        chunks: of a dataset.
        count: k.
        seed: of the sample and of the first centres.

    Raises:
        ValueError: fewer chunks than clusters, or no cluster.
    """
    if not 1 <= count <= len(chunks):
        raise ValueError(
            f"{count} clusters of the {len(chunks)} chunks of '{chunks.name}': ask for 1 to {len(chunks)}."
        )
    # Imported here: it takes a second that windows per dataset need not wait for.
    from sklearn.cluster import MiniBatchKMeans

    of_sample, of_centres = np.random.SeedSequence([seed, _STREAM]).spawn(2)
    limit = min(len(chunks), max(FIT_CHUNKS, _FIT_PER_CLUSTER * count))
    sample = np.sort(np.random.default_rng(of_sample).choice(len(chunks), limit, replace=False))
    model = MiniBatchKMeans(count, n_init=3, random_state=int(of_centres.generate_state(1)[0]))
    model.fit(np.concatenate([_flat(chunks, some) for some in _blocks(sample)]))
    nearest = np.empty(len(chunks), dtype=np.int64)
    with tqdm(total=len(chunks), unit="chunk", desc=f"cluster {chunks.name}", delay=2.0) as bar:
        for some in _blocks(np.arange(len(chunks))):
            nearest[some] = model.predict(_flat(chunks, some))
            bar.update(len(some))
    return _by_value(nearest, lambda number: f"cluster {number}")


def _by_value(values: NDArray[Any], describe: Callable[[Any], str]) -> Buckets:
    found, labels = np.unique(values, return_inverse=True)
    return Buckets(labels.astype(np.int64), len(found), lambda bucket: describe(found[bucket]))


def _blocks(index: Ints) -> list[Ints]:
    return np.split(index, range(GATHER, len(index), GATHER))


def _flat(chunks: ChunkSet, index: Ints) -> NDArray[np.float32]:
    flat: NDArray[np.float32] = chunks.gather(torch.from_numpy(index))[0].flatten(1).numpy()
    return flat
