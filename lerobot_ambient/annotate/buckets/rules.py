# SPDX-License-Identifier: Apache-2.0
"""How a user names buckets: `episode`, `task`, `column:NAME`, `clusters:K` or `stretch:N`.

rule = parse_bucket_rule("column:operator")
buckets = rule(mixture, index, chunks)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.buckets.partition import Buckets, by_cluster, by_column, by_episode, by_stretch, by_task
from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
from lerobot_ambient.annotate.classifier.options import split_bucket_rule
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.reading.column_reader import read_columns
from lerobot_ambient.data.reading.open_dataset import OpenedDataset

_EPISODE = "episode_index"


class BucketRule(Protocol):
    """A way to divide the chunks of any dataset of a mixture. `str` gives the form it was read from."""

    def __call__(self, mixture: AssembledMixture, index: int, chunks: Chunks) -> Buckets:
        """The buckets of a dataset.

        Args:
            mixture: it belongs to.
            index: of the dataset in the mixture, 0 for the target.
            chunks: of that dataset.
        """


@dataclass(frozen=True)
class EpisodeRule:
    """A bucket per episode."""

    def __call__(self, mixture: AssembledMixture, index: int, chunks: Chunks) -> Buckets:
        return by_episode(chunks.episode)

    def __str__(self) -> str:
        return "episode"


@dataclass(frozen=True)
class TaskRule:
    """A bucket per task."""

    def __call__(self, mixture: AssembledMixture, index: int, chunks: Chunks) -> Buckets:
        return by_task(chunks.task, [str(task) for task in mixture.meta.tasks.index])

    def __str__(self) -> str:
        return "task"


@dataclass(frozen=True)
class ColumnRule:
    """A bucket per value of a column of the dataset's frames, under the name it has in that dataset.

    Args:
        column: its name; it holds one number or one string per frame.
    """

    column: str

    def __call__(self, mixture: AssembledMixture, index: int, chunks: Chunks) -> Buckets:
        local = chunks.rows.numpy() - int(mixture.dataset.offsets[index])
        return by_column(read_user_column(mixture.sources[index], self.column)[local], self.column)

    def __str__(self) -> str:
        return f"column:{self.column}"


@dataclass(frozen=True)
class ClusterRule:
    """Buckets of like motion.

    Args:
        count: of clusters.
        seed: of k-means.
    """

    count: int
    seed: int = 0

    def __call__(self, mixture: AssembledMixture, index: int, chunks: Chunks) -> Buckets:
        return by_cluster(chunks, self.count, seed=self.seed)

    def __str__(self) -> str:
        return f"clusters:{self.count}"


@dataclass(frozen=True)
class StretchRule:
    """Buckets of successive chunks of an episode.

    Args:
        length: chunks in a bucket.
    """

    length: int

    def __call__(self, mixture: AssembledMixture, index: int, chunks: Chunks) -> Buckets:
        return by_stretch(chunks.episode, self.length)

    def __str__(self) -> str:
        return f"stretch:{self.length}"


def parse_bucket_rule(text: str, *, seed: int = 0) -> BucketRule:
    """The rule a user named.

    Args:
        text: one of `classifier.options.BUCKET_FORMS`.
        seed: of clusters.

    Raises:
        ValueError: none of the forms, or a number below 1.
    """
    kind, value = split_bucket_rule(text)
    match kind:
        case "episode":
            return EpisodeRule()
        case "task":
            return TaskRule()
        case "column":
            return ColumnRule(value)
        case "clusters":
            return ClusterRule(int(value), seed)
        case _:
            return StretchRule(int(value))


def read_user_column(source: OpenedDataset, column: str) -> NDArray[Any]:
    """(frames,) one column of a dataset's parquet files, in the order of its frames.

    Args:
        source: the dataset.
        column: under the dataset's own name, whatever it was renamed to.

    Raises:
        ValueError: no such column, not one number or string per frame, or missing values.
    """
    features = source.meta.features
    single = sorted(key for key, spec in features.items() if _is_single(spec))
    if column not in single:
        what = (
            f"holds {features[column]['dtype']} of shape {tuple(features[column]['shape'])}"
            if column in features
            else "is not there"
        )
        raise ValueError(
            f"'{source.name}': column '{column}' {what}; buckets need one number or one string per frame: "
            f"{', '.join(single)}."
        )
    # With frame_index, by which rows that lie out of order are sorted here as they are in the mixture.
    shapes = dict.fromkeys({column, _EPISODE, "frame_index"}, (1,))
    read = read_columns(source.meta, source.episodes, shapes, finite=[column], texts=True)
    if read.broken:
        episode, reason = next(iter(read.broken.items()))
        raise ValueError(
            f"'{source.name}': column '{column}' cannot be read in {len(read.broken)} episodes; episode {episode}: "
            f"{reason}."
        )
    if column not in read.columns:
        raise ValueError(f"'{source.name}': meta/info.json promises '{column}', but no parquet file has such a column.")
    assert np.array_equal(read.columns[_EPISODE], source.columns[_EPISODE]), "the frames are in another order"
    return read.columns[column]


def _is_single(spec: dict[str, Any]) -> bool:
    return spec["dtype"] not in ("image", "video", "language") and tuple(spec["shape"]) in ((), (1,))
