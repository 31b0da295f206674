# SPDX-License-Identifier: Apache-2.0
"""The rows of a parquet file under data/, or of another table: columns as arrays, frames of an episode in their order,
and which episodes have a row that cannot be used.

A sound file costs one conversion a column. Rows are looked at one by one only where that conversion fails.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Array = NDArray[Any]

COUNTERS = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass
class FileRows:
    """What one file holds.

    Attributes:
        columns: (N, ...) by key, in the order of the file.
        broken: episodes with a row that cannot be used, with the reason.
    """

    columns: dict[str, Array]
    broken: dict[int, str] = field(default_factory=dict)


def read_rows(
    path: Path, shapes: Mapping[str, Sequence[int]], needed: Sequence[str], *, texts: bool = False
) -> FileRows:
    """Read columns of a file.

    Args:
        path: of the file.
        shapes: feature shape of each column by meta/info.json; a column that the file lacks is left out.
        needed: columns that a bad row breaks an episode in. Others are left out as a whole.
        texts: a column may hold strings; it gives objects.

    Raises:
        ValueError: a column that can be used in no row, or a counter that is not there; the message names it.
        OSError, pa.ArrowException: no parquet file.
    """
    with pq.ParquetFile(path, memory_map=True) as file:
        names = [name for name in shapes if name in file.schema_arrow.names]
        table = file.read(columns=names).select(names)
    return rows_of(table, shapes, needed, texts=texts)


def rows_of(
    table: pa.Table, shapes: Mapping[str, Sequence[int]], needed: Sequence[str], *, texts: bool = False
) -> FileRows:
    """The columns of a table; see `read_rows`.

    Raises:
        ValueError: as there.
    """
    names = table.column_names
    for counter in COUNTERS:
        if counter in shapes and counter not in names:
            raise ValueError(f"it lacks the column '{counter}'")
    columns: dict[str, Array] = {}
    bad: dict[str, dict[int, str]] = {}
    for name in names:
        try:
            columns[name] = _read(table.column(name), name, shapes[name], texts=texts)
        except (ValueError, pa.ArrowException):
            if name in needed or name in COUNTERS:
                columns[name], bad[name] = _row_by_row(table.column(name), name, shapes[name], texts=texts)
    return FileRows(columns, _by_episode(columns, bad))


def to_numpy(column: pa.ChunkedArray, shape: Sequence[int], *, texts: bool = False) -> Array:
    """An arrow column as (N, *shape), or (N,) for scalars; floats as float32, integers as int64, as LeRobot has them.

    Raises:
        ValueError: nulls, rows of another length than the shape, or what is not numbers.
    """
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    nested = False
    while pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        nested = True
        # Rows of different lengths could add up to the right number of values, each in a wrong place.
        if not pa.types.is_fixed_size_list(array.type) and len(np.unique(np.diff(array.offsets.to_numpy()))) > 1:
            raise ValueError("its rows hold different numbers of values")
        array = array.flatten()
    if array.null_count:
        raise ValueError(f"{array.null_count} values are null")
    values: Array = array.to_numpy(zero_copy_only=False)
    if np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float32, copy=False)
    elif np.issubdtype(values.dtype, np.integer):
        values = values.astype(np.int64, copy=False)
    elif values.dtype != np.bool_ and not (texts and pa.types.is_string(array.type)):
        raise ValueError(f"it holds {array.type}, which are not numbers")
    if not nested and prod(shape) != 1:
        raise ValueError(f"it holds one number a frame, meta/info.json says shape {list(shape)}")
    return values.reshape(len(column), *shape) if nested else values


def episode_order(episode: NDArray[np.int64], frame: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """(N,) the rows by (episode, frame); None where each episode's frames follow each other as they are.

    Args:
        episode, frame: (N,) episode_index and frame_index.
    """
    same = episode[1:] == episode[:-1]
    runs = 1 + int((~same).sum())
    if (frame[1:] > frame[:-1])[same].all() and runs <= len(np.unique(episode)):
        return None
    return np.lexsort((frame, episode))


def _read(column: pa.ChunkedArray, name: str, shape: Sequence[int], *, texts: bool) -> Array:
    values = to_numpy(column, shape, texts=texts)
    # Some converters store a counter as a list of one.
    return values.reshape(len(values)) if name in COUNTERS else values


def _row_by_row(
    column: pa.ChunkedArray, name: str, shape: Sequence[int], *, texts: bool
) -> tuple[Array, dict[int, str]]:
    """A column with zeros in the rows that cannot be used, and what is wrong with each of those.

    Raises:
        ValueError: that is every row.
    """
    if texts and pa.types.is_string(column.type):
        nulls = {i: f"{name} is null" for i, valid in enumerate(column.is_valid().to_pylist()) if not valid}
        return column.fill_null("").to_numpy(), nulls
    wanted = 1 if name in COUNTERS else prod(shape)
    rows = [_numbers(value) for value in column.to_pylist()]
    bad: dict[int, str] = {}
    for i, row in enumerate(rows):
        if row is None:
            bad[i] = f"{name} is not a number" if column[i].is_valid else f"{name} is null"
        elif len(row) != wanted:
            bad[i] = f"{name} holds {len(row)} numbers, meta/info.json says shape {list(shape)},"
        elif any(value is None for value in row):
            bad[i] = f"{name} is null" if wanted == 1 else f"{name}[{row.index(None)}] is null"
    if len(bad) == len(rows):
        raise ValueError(f"in every frame {next(iter(bad.values())).rstrip(',')}")
    whole = np.array([[0.0] * wanted if i in bad else rows[i] for i in range(len(rows))])
    if name in COUNTERS and name != "timestamp":
        return whole.reshape(-1).astype(np.int64), bad
    scalar = name in COUNTERS or (tuple(shape) == (1,) and not isinstance(column[0].as_py(), list))
    kind = np.float32 if whole.dtype.kind == "f" else whole.dtype
    return whole.astype(kind).reshape(len(rows), *(() if scalar else shape)), bad


def _numbers(value: Any) -> list[float | None] | None:
    """The numbers of one cell, a null inside a list as None; None for a null cell and what is not numbers."""
    if isinstance(value, list):
        parts = [[None] if part is None else _numbers(part) for part in value]
        return None if any(part is None for part in parts) else [x for part in parts for x in part or ()]
    return [value] if isinstance(value, int | float) else None


def _by_episode(columns: Mapping[str, Array], bad: Mapping[str, Mapping[int, str]]) -> dict[int, str]:
    """The first reason of each episode with a bad row; rows of no known episode become episode -1."""
    episode, frame = columns["episode_index"], columns.get("frame_index")
    for row in bad.get("episode_index", {}):
        episode[row] = -1
    broken: dict[int, str] = {}
    for reasons in bad.values():
        for row, reason in reasons.items():
            place = row if frame is None or row in bad.get("frame_index", {}) else int(frame[row])
            broken.setdefault(int(episode[row]), f"{reason} at frame {place}")
    broken.pop(-1, None)
    return broken
