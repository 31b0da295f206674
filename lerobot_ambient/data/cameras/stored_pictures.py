# SPDX-License-Identifier: Apache-2.0
"""The pictures that a dataset keeps in its parquet files, row by row beside the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pyarrow.dataset as pa_ds
import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.utils.utils import SuppressProgressBars
from numpy.typing import NDArray

from lerobot_ambient.data.files.dataset_format import owner_of
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.parquet_rows import to_numpy


@dataclass(frozen=True, eq=False)
class StoredPictures:
    """What a LeRobotDataset offers of its pictures.

    Args:
        meta: of the dataset.
        hf_dataset: (N) rows, a column a camera.
    """

    meta: LeRobotDatasetMetadata
    hf_dataset: datasets.Dataset


def stored_pictures(
    meta: LeRobotDatasetMetadata, episodes: Sequence[int], places: NDArray[np.int64] | None, rows: int
) -> StoredPictures:
    """The pictures of some episodes.

    Unlike LeRobotDataset this opens no file of other episodes and reads no other column, so that what is damaged
    there does not matter.

    Args:
        meta: of the dataset.
        episodes: which of its episodes.
        places: (N,) where each row lies among the rows of these episodes in the files; None where as they lie.
        rows: N, how many rows of numbers these episodes have.

    Raises:
        ValueError: the files hold another number of rows, so that pictures would stand beside numbers of other frames.
    """
    files = [Path(meta.root) / path for path in EpisodeTable(meta).files_in_order(episodes)]
    schema = pq.read_schema(files[0])
    keys = [key for key in meta.image_keys if key in schema.names]
    # Some converters store counters as lists, by which parquet files cannot be filtered as they are read.
    nested = bool(schema.field("episode_index").type.num_fields)
    with SuppressProgressBars():
        table = datasets.Dataset.from_parquet(
            [str(path) for path in files],
            columns=keys,
            features=datasets.Features({key: datasets.Image() for key in keys}),
            filters=None if nested else pa_ds.field("episode_index").isin(list(episodes)),
        )
    if nested:
        numbers = [to_numpy(pq.read_table(path, columns=["episode_index"])["episode_index"], (1,)) for path in files]
        table = table.select(np.flatnonzero(np.isin(np.concatenate(numbers).reshape(-1), list(episodes))))
    if len(table) != rows:
        raise ValueError(
            f"{owner_of(meta.repo_id, meta.root)}: data/ holds {len(table)} rows of the selected episodes, and "
            f"{rows} of them are in the files that meta/episodes names. Take away the rows that an interrupted "
            "recording or copy left in the file of another episode, or copy the dataset again."
        )
    return StoredPictures(meta, table if places is None else table.select(places))
