# SPDX-License-Identifier: Apache-2.0
"""Which episodes are held out together, and the chunks a classifier is trained on and judged by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet, nothing_moves
from lerobot_ambient.annotate.chunks.cosines import cosine_transform

GATHER = 8192
"""Chunks gathered at once."""
_SAME = 1e-5
"""Normalised actions whose range is below do not move; single precision resolves 1e-7."""
_FOLD_STREAM, _SAMPLE_STREAM = 1, 2


@dataclass(frozen=True, eq=False)
class ChunkSample:
    """Chunks drawn from a dataset, in random order.

    Args:
        name: of the dataset.
        index: (n,) int64 positions in the dataset.
        x_0: (n, D) float32, the compared dimensions of each chunk, flattened.
        episode: (n,) int64.
        fold: (n,) int64 in [0, K).
    """

    name: str
    index: NDArray[np.int64]
    x_0: Tensor
    episode: NDArray[np.int64]
    fold: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.index)

    def head(self, count: int) -> ChunkSample:
        """The first `count` chunks, themselves a random sample."""
        return ChunkSample(self.name, self.index[:count], self.x_0[:count], self.episode[:count], self.fold[:count])


def fold_of_chunks(chunks: ChunkSet, folds: int, seed: int) -> NDArray[np.int64]:
    """(N,) the fold of each chunk's episode; folds differ by at most one episode.

    Datasets with the same episode numbers get the same folds, so a copy of the target never meets, in training, the
    original of what it is scored on.

    Raises:
        ValueError: fewer episodes than folds.
    """
    names, position = np.unique(chunks.episode, return_inverse=True)
    if len(names) < folds:
        raise ValueError(
            f"'{chunks.name}' has {len(names)} episodes, too few for {folds} folds: chunks are scored by a model that "
            f"never saw their episode. Use --folds={max(len(names), 2)}"
            + (" and a second episode." if len(names) < 2 else " or more episodes.")
        )
    rng = np.random.default_rng(np.random.SeedSequence([seed, _FOLD_STREAM]))
    return (rng.permutation(len(names)) % folds)[position]


def drawn(count: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Positions of the chunks that `draw_chunks` takes of `count`, in its order; reads none of them."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, _SAMPLE_STREAM]))
    return rng.permutation(count)[:limit]


def draw_chunks(chunks: ChunkSet, dims: Tensor, fold: NDArray[np.int64], limit: int, seed: int) -> ChunkSample:
    """A uniform sample of chunks without replacement.

    Args:
        chunks: of a dataset.
        dims: (A,) bool, the action dimensions to compare.
        fold: (N,) of each chunk.
        limit: chunks at most.
        seed: of the draw.

    Raises:
        ValueError: every chunk runs beyond its episode, or nothing moves.
    """
    index = drawn(len(chunks), limit, seed)
    parts, padded = [], []
    for some in np.split(index, range(GATHER, len(index), GATHER)):
        x_0, is_pad = chunks.gather(torch.from_numpy(some))
        parts.append(cosine_transform(x_0[:, :, dims]).flatten(1))
        padded.append(is_pad.any(1))
    x_0 = torch.cat(parts)
    if bool(torch.cat(padded).all()):
        raise ValueError(
            f"'{chunks.name}': every chunk of {chunks.horizon} actions runs beyond its episode, so most of it is "
            f"copy-padding; use a shorter {chunks.axes.length_option} or longer episodes."
        )
    if not bool(torch.isfinite(x_0).all()):
        raise ValueError(f"'{chunks.name}': normalised actions are not finite; check its action column and statistics.")
    if float((x_0.amax(0) - x_0.amin(0)).max()) < _SAME:
        raise nothing_moves(chunks.name, int(dims.sum()))
    return ChunkSample(chunks.name, index, x_0, chunks.episode[index], fold[index])
