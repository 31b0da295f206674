# SPDX-License-Identifier: Apache-2.0
"""Reads the low-dimensional columns of a data set straight from its parquet files, and finds what is broken.

Each file is read once into one array, and a file that cannot be read takes down its own episodes only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from lerobot_ambient.data.episode_table import EpisodeTable

Array = NDArray[Any]

_EPISODE = "episode_index"


@dataclass
class ReadColumns:
    """What was read.

    Attributes:
        columns: (N, ...) by key, frames of an episode consecutive, episodes in the order of the files.
        episode_ids: (E,) int64 episode numbers in that order.
        starts: (E,) int64 first row of each.
        broken: episodes that cannot be used, with the reason.
    """

    columns: dict[str, Array]
    episode_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    broken: dict[int, str] = field(default_factory=dict)


def read_columns(
    meta: LeRobotDatasetMetadata,
    episodes: Sequence[int],
    shapes: Mapping[str, Sequence[int]],
    finite: Sequence[str] = (),
) -> ReadColumns:
    """Read columns of the given episodes.

    Args:
        meta: of the data set.
        episodes: which of its episodes.
        shapes: feature shape of each column to read; scalars have shape (1,) and give (N,).
        finite: columns in which nan or infinity breaks an episode.

    Returns:
        Columns as float32, int64, bool; episodes with anything wrong are in `broken` and not in the columns.
    """
    table = EpisodeTable(meta)
    rows = table.rows(episodes)
    broken = {int(e): "meta/episodes does not know it" for e in np.asarray(episodes)[rows < 0]}
    wanted, number, length = np.sort(rows[rows >= 0]), table.number, table.length
    files = np.stack([table.column(f"data/{part}_index") for part in ("chunk", "file")], axis=1).astype(np.int64)

    parts: list[dict[str, Array]] = []
    ids: list[int] = []
    lengths: list[int] = []
    for chunk, file in np.unique(files[wanted], axis=0).tolist():
        here = wanted[(files[wanted] == (chunk, file)).all(1)]
        expected = {int(number[row]): int(length[row]) for row in here}
        path = Path(meta.root) / meta.data_path.format(chunk_index=chunk, file_index=file)
        try:
            columns = _read_file(path, shapes)
        except FileNotFoundError:
            broken |= dict.fromkeys(expected, f"{path.relative_to(meta.root)} is missing")
            continue
        except (pa.ArrowException, OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            broken |= dict.fromkeys(expected, f"{path.relative_to(meta.root)} is truncated or damaged ({reason})")
            continue
        bad = _broken_episodes(columns, expected, finite)
        broken |= bad
        keep = np.array([episode for episode in expected if episode not in bad], dtype=np.int64)
        inside = np.isin(columns[_EPISODE], keep)
        parts.append(columns if inside.all() else {key: value[inside] for key, value in columns.items()})
        kept = parts[-1][_EPISODE]
        firsts = np.flatnonzero(np.concatenate([[True], kept[1:] != kept[:-1]])) if len(kept) else np.empty(0, np.int64)
        ids.extend(kept[firsts].tolist())
        lengths.extend(expected[episode] for episode in kept[firsts].tolist())
    columns = {key: _join([part[key] for part in parts]) for key in parts[0]} if ids else {}
    starts = np.cumsum([0, *lengths[:-1]], dtype=np.int64) if lengths else np.empty(0, np.int64)
    return ReadColumns(columns, np.array(ids, dtype=np.int64), starts, broken)


def to_numpy(column: pa.ChunkedArray, shape: Sequence[int]) -> Array:
    """An arrow column as (N, *shape), or (N,) for scalars; floats as float32, integers as int64, as LeRobot has them.

    Raises:
        ValueError: nulls, or rows of another length than the shape.
    """
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    nested = False
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        nested = True
        array = array.flatten()
    if array.null_count:
        raise ValueError(f"{array.null_count} values are null")
    values: Array = array.to_numpy(zero_copy_only=False)
    if np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float32, copy=False)
    elif np.issubdtype(values.dtype, np.integer):
        values = values.astype(np.int64, copy=False)
    return values.reshape(len(column), *shape) if nested else values


def _read_file(path: Path, shapes: Mapping[str, Sequence[int]]) -> dict[str, Array]:
    with pq.ParquetFile(path, memory_map=True) as file:
        names = [name for name in shapes if name in file.schema_arrow.names]
        table = file.read(columns=names)
    return {name: to_numpy(table.column(name), shapes[name]) for name in names}


def _broken_episodes(
    columns: Mapping[str, Array], expected: Mapping[int, int], finite: Sequence[str]
) -> dict[int, str]:
    """Episodes of one file that are incomplete or hold numbers that are none."""
    broken: dict[int, str] = {}
    episode = columns[_EPISODE]
    found = dict(zip(*(part.tolist() for part in np.unique(episode, return_counts=True)), strict=True))
    for number, length in expected.items():
        if found.get(number, 0) != length:
            broken[number] = f"{found.get(number, 0)} of its {length} frames are in its parquet file"
    for key in finite:
        if key not in columns or columns[key].dtype != np.float32 or np.isfinite(columns[key]).all():
            continue
        values = columns[key].reshape(len(episode), -1)
        rows, dims = np.nonzero(~np.isfinite(values))
        for row, dim in zip(rows[::-1].tolist(), dims[::-1].tolist(), strict=True):
            number = int(episode[row])
            if number in expected:
                frame = int(columns["frame_index"][row]) if "frame_index" in columns else row
                broken[number] = f"{key}[{dim}] is {values[row, dim]} at frame {frame}"
    return broken


def _join(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
