# SPDX-License-Identifier: Apache-2.0
"""The motion of each episode in a few numbers, which need no classifier: where it is, how much it moves, how roughly.

Symbols
    y       DCT coefficients of a chunk over its H steps; y_0 / sqrt(H) is the chunk's mean
    m       (A,) mean of y_0 / sqrt(H) over an episode's chunks: where its joints are
    S       log of the mean of y_k^2 summed over joints and k >= 1: how much it moves
    R       (A,) log of the mean of y_k^2 over k >= H / 4, per joint: how roughly it moves

A classifier that told episodes of the target from those of the source knows nothing of an episode like neither; these
numbers do, because they are only held against those of the other episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes, ChunkSet
from lerobot_ambient.annotate.chunks.cosines import cosine_transform
from lerobot_ambient.annotate.chunks.spread import spread_over_episodes
from lerobot_ambient.core.arrays import Floats, Ints

_BLOCK = 4096
_STILL, _SMOOTH = 1e-4, 1e-5
"""Squares of normalised units, added to powers: a hundredth of the range, and less per coefficient, is no motion."""


@dataclass(frozen=True, eq=False)
class EpisodeMotion:
    """The motion of the episodes of one dataset.

    Args:
        episode: (E,) numbers, ascending.
        place: (E, A) m, in normalised units.
        motion: (E,) S.
        roughness: (E, A) R.
        axes: names of the joints.
    """

    episode: Ints
    place: Floats
    motion: Floats
    roughness: Floats
    axes: ActionAxes


def episode_motion(chunks: ChunkSet) -> EpisodeMotion:
    """The motion of every episode, from chunks spread over it; padded ones count only where there are no others."""
    index = spread_over_episodes(chunks.episode)
    horizon, rough = chunks.horizon, max(1, chunks.horizon // 4)
    parts: list[tuple[Floats, Floats, Floats, Floats]] = []
    for start in range(0, len(index), _BLOCK):
        x_0, is_pad = chunks.gather(torch.from_numpy(index[start : start + _BLOCK]))
        y = cosine_transform(x_0.double()).numpy()
        power = y**2
        # A hair of weight, so that an episode of nothing else still has a mean.
        weight = np.where(is_pad.any(1).numpy(), 1e-9, 1.0)
        parts.append((weight, y[:, 0] / np.sqrt(horizon), power[:, 1:].sum((1, 2)), power[:, rough:].mean(1)))
    weight, place, motion, roughness = (np.concatenate(part) for part in zip(*parts, strict=True))
    names, which = np.unique(chunks.episode[index], return_inverse=True)
    total = np.bincount(which, weights=weight)

    def mean(values: Floats) -> Floats:
        """(E, ...) over each episode's chunks."""
        columns = values.reshape(len(values), -1).T
        sums = np.stack([np.bincount(which, weights=weight * column) for column in columns], axis=1)
        return (sums / total[:, None]).reshape(len(names), *values.shape[1:])

    return EpisodeMotion(
        names, mean(place), np.log(mean(motion) + _STILL), np.log(mean(roughness) + _SMOOTH), chunks.axes
    )
