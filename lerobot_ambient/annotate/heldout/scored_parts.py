# SPDX-License-Identifier: Apache-2.0
"""A source in parts of like score: a person's mark, an intervention flag, what a reward model or a linter gave.

Each part is then asked for itself where it helps, so that doubtful episodes keep the noise levels at which they are
worth something instead of being dropped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lerobot_ambient.annotate.buckets.rules import read_user_column
from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.reading.open_dataset import OpenedDataset


def read_score(source: OpenedDataset, column: str) -> NDArray[Any]:
    """(frames,) a score of every frame: a column of the frames, or one of the episodes' table.

    Args:
        source: the dataset.
        column: its name there.

    Raises:
        ValueError: neither has such a column, or it does not hold one number or string.
    """
    episodes = source.meta.episodes
    if column in source.meta.features or column not in episodes.column_names:
        return read_user_column(source, column)
    of_episode = dict(zip(episodes["episode_index"], episodes[column], strict=True))
    values = np.array([of_episode[number] for number in source.columns["episode_index"].tolist()])
    if values.ndim != 1 or values.dtype == object:
        raise ValueError(
            f"'{source.name}': column '{column}' of its episodes holds {type(episodes[column][0]).__name__}; a score "
            "is one number or one string an episode."
        )
    return values


def scored_parts(mixture: AssembledMixture, index: int, chunks: Chunks, column: str, bins: int) -> list[Chunks]:
    """The chunks of a source by score, lowest first: a part for each value, or for each of `bins` quantiles.

    Args:
        mixture: that the source belongs to.
        index: of the source in it.
        chunks: of the source.
        column: of the score.
        bins: parts of a score with more values than that.

    Raises:
        ValueError: no such column, values that are no numbers, or one value for all.
    """
    local = chunks.rows.numpy() - int(mixture.dataset.offsets[index])
    score = read_score(mixture.sources[index], column)[local]
    values = np.unique(score)
    if len(values) < 2:
        raise ValueError(
            f"'{chunks.name}': column '{column}' is {_told(values[0])} for every sample, so it divides nothing; choose "
            "another column, or annotate without --from-column."
        )
    if len(values) <= bins:
        return [_part(chunks, score == value, f"{column} {_told(value)}") for value in values]
    if not np.issubdtype(score.dtype, np.number):
        raise ValueError(
            f"'{chunks.name}': column '{column}' holds {len(values)} different strings; a score is a number, or has "
            f"at most {bins} values (--bins)."
        )
    edges = np.unique(np.quantile(score, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    which = np.searchsorted(edges, score, side="right")
    parts = []
    for mask in (which == number for number in np.unique(which)):
        parts.append(_part(chunks, mask, f"{column} {score[mask].min():.3g} to {score[mask].max():.3g}"))
    return parts


def _part(chunks: Chunks, mask: NDArray[np.bool_], told: str) -> Chunks:
    return replace(
        chunks,
        name=f"{chunks.name}, {told}",
        rows=chunks.rows[torch.from_numpy(mask)],
        episode=chunks.episode[mask],
        frame=chunks.frame[mask],
        task=chunks.task[mask],
    )


def _told(value: Any) -> str:
    return f"{value:g}" if np.issubdtype(type(value), np.floating) else str(value)
