# SPDX-License-Identifier: Apache-2.0
"""Reads the low-dimensional columns of a dataset straight from its parquet files, and finds what is broken.

Each file is read once into one array, and a file that cannot be read takes down its own episodes only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.parquet_rows import FileRows, episode_order, read_rows

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
        places: (N,) where each row lies among the rows of these episodes in the files; None where as here.
        notes: what was sorted or looks odd, a line each.
    """

    columns: dict[str, Array]
    episode_ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    broken: dict[int, str] = field(default_factory=dict)
    places: NDArray[np.int64] | None = None
    notes: list[str] = field(default_factory=list)


def read_columns(
    meta: LeRobotDatasetMetadata,
    episodes: Sequence[int],
    shapes: Mapping[str, Sequence[int]],
    finite: Sequence[str] = (),
    *,
    texts: bool = False,
    table: tuple[str, Callable[[], FileRows]] | None = None,
) -> ReadColumns:
    """Read columns of the given episodes.

    Args:
        meta: of the dataset.
        episodes: which of its episodes.
        shapes: feature shape of each column to read; scalars have shape (1,) and give (N,).
        finite: columns that a policy may read: nan, infinity or null breaks an episode.
        texts: a column may hold strings; it gives objects.
        table: name and reader of the one table that holds all episodes, in the place of the parquet files.

    Returns:
        Columns as float32, int64, bool; episodes with anything wrong are in `broken` and not in the columns.
    """
    known = EpisodeTable(meta)
    rows = known.rows(episodes)
    broken = {int(e): "meta/episodes does not know it" for e in np.asarray(episodes)[rows < 0]}
    wanted, number, length = np.sort(rows[rows >= 0]), known.number, known.length

    parts: list[_Part] = []
    notes: list[str] = []
    for relative, here in [(table[0], wanted)] if table is not None else _files(meta, known, wanted):
        expected = {int(number[row]): int(length[row]) for row in here}
        try:
            if table is not None:
                read = table[1]()
            else:
                read = read_rows(Path(meta.root) / relative, shapes, finite, texts=texts)
        except FileNotFoundError:
            broken |= dict.fromkeys(expected, f"{relative} is missing")
            continue
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            broken |= dict.fromkeys(expected, f"{relative} is truncated or damaged ({reason})")
            continue
        except ValueError as error:
            broken |= dict.fromkeys(expected, f"{relative} cannot be used: {error}")
            continue
        bad = _broken_episodes(read.columns, expected, finite, relative)
        bad |= {episode: reason for episode, reason in read.broken.items() if episode in expected}
        part, said = _part_of(relative, read.columns, [episode for episode in expected if episode not in bad], bad)
        broken |= bad
        notes += said
        parts.append(part)
    parts = _with_one_set_of_columns(parts, finite, broken)
    lengths = [count for part in parts for count in part.lengths]
    columns = {key: _join([part.columns[key] for part in parts]) for key in parts[0].columns} if lengths else {}
    starts = np.cumsum([0, *lengths[:-1]], dtype=np.int64) if lengths else np.empty(0, np.int64)
    ids = [episode for part in parts for episode in part.episodes]
    return ReadColumns(columns, np.array(ids, dtype=np.int64), starts, broken, _places(parts), notes)


def _files(
    meta: LeRobotDatasetMetadata, known: EpisodeTable, wanted: NDArray[np.int64]
) -> list[tuple[str, NDArray[np.int64]]]:
    """Each parquet file, relative to the root, and the rows of the episode table whose frames are in it."""
    files = np.stack([known.column(f"data/{part}_index") for part in ("chunk", "file")], axis=1).astype(np.int64)
    return [
        (
            meta.data_path.format(chunk_index=chunk, file_index=file),
            wanted[(files[wanted] == (chunk, file)).all(1)],
        )
        for chunk, file in np.unique(files[wanted], axis=0).tolist()
    ]


@dataclass
class _Part:
    """The usable episodes of one file, frames in their order; `order` (n,) is where each row lay among them."""

    path: str
    columns: dict[str, Array]
    episodes: list[int]
    lengths: list[int]
    order: NDArray[np.int64] | None


def _part_of(
    path: str, columns: Mapping[str, Array], usable: Sequence[int], bad: dict[int, str]
) -> tuple[_Part, list[str]]:
    """The rows of the usable episodes, sorted where they need to be, and what to say of it.

    Episodes whose order cannot be known are added to `bad`.
    """
    while True:
        inside = np.isin(columns[_EPISODE], np.array(usable, dtype=np.int64))
        kept = dict(columns) if inside.all() else {key: value[inside] for key, value in columns.items()}
        episode = kept[_EPISODE]
        order = None if "frame_index" not in kept else episode_order(episode, kept["frame_index"])
        if order is not None:
            kept = {key: value[order] for key, value in kept.items()}
        unclear = _unclear_orders(kept, moved=_moved(episode, order))
        if not unclear:
            break
        bad |= unclear
        usable = [number for number in usable if number not in unclear]
    numbers = kept[_EPISODE]
    firsts = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1])) if len(numbers) else np.empty(0, np.int64)
    lengths = np.diff(np.append(firsts, len(numbers))).tolist()
    notes = []
    if order is not None:
        named = ", ".join(map(str, sorted(_moved(episode, order))[:10]))
        notes.append(f"{path}: the rows of episodes {named} lie out of order; they are sorted by frame_index.")
    gaps = _gaps(kept)
    if gaps:
        listed = ", ".join(f"{number} (from {low} to {high})" for number, (low, high) in list(gaps.items())[:10])
        notes.append(f"{path}: frame_index jumps in episodes {listed}; their frames are taken as following each other.")
    return _Part(path, kept, numbers[firsts].tolist(), lengths, order), notes


def _moved(episode: NDArray[np.int64], order: NDArray[np.int64] | None) -> set[int]:
    """Episodes whose frames do not lie one after the other."""
    if order is None:
        return set()
    return set(episode[order][1:][(np.diff(order) != 1) & (np.diff(episode[order]) == 0)].tolist())


def _unclear_orders(columns: Mapping[str, Array], moved: set[int]) -> dict[int, str]:
    """Episodes, sorted by now, of which a frame is there twice, or whose timestamps contradict the sorting."""
    if "frame_index" not in columns:
        return {}
    episode, frame, time = columns[_EPISODE], columns["frame_index"], columns.get("timestamp")
    same = episode[1:] == episode[:-1]
    twice = same & (frame[1:] == frame[:-1])
    unclear = {int(episode[i]): f"frame_index {int(frame[i])} is there twice" for i in np.flatnonzero(twice)[::-1]}
    if moved and time is not None:
        back = same & (time[1:] < time[:-1]) & np.isin(episode[1:], list(moved))
        both = "its rows are out of order, and frame_index and timestamp order them differently"
        unclear |= dict.fromkeys(episode[1:][back].tolist(), both)
    return unclear


def _gaps(columns: Mapping[str, Array]) -> dict[int, tuple[int, int]]:
    """Episodes in which frame_index does not advance evenly, with the first jump."""
    if "frame_index" not in columns or not len(columns[_EPISODE]):
        return {}
    episode, frame = columns[_EPISODE], columns["frame_index"]
    same = episode[1:] == episode[:-1]
    jumps = np.flatnonzero(same & (np.diff(frame) != 1))
    found: dict[int, tuple[int, int]] = {}
    for number in dict.fromkeys(episode[jumps].tolist()):
        frames = frame[episode == number]
        steps = np.diff(frames)
        # An even stride is a recording at a lower rate.
        if (steps != steps[0]).any():
            first = int(np.flatnonzero(steps != np.min(steps))[0])
            found[number] = (int(frames[first]), int(frames[first + 1]))
    return found


def _with_one_set_of_columns(parts: Sequence[_Part], needed: Sequence[str], broken: dict[int, str]) -> list[_Part]:
    """Parts that all have the same columns: a needed one that only some files have breaks the episodes of the others.

    What no file has is no column; what is not needed is left out where a file lacks it.
    """
    filled = [part for part in parts if part.episodes]
    anywhere = {key for part in filled for key in part.columns}
    usable = []
    for part in filled:
        lacking = [key for key in needed if key in anywhere and key not in part.columns]
        if lacking:
            reason = f"{part.path} lacks the column '{lacking[0]}', which other files have"
            broken |= dict.fromkeys(part.episodes, reason)
        else:
            usable.append(part)
    everywhere = set.intersection(*(set(part.columns) for part in usable)) if usable else set()
    for part in usable:
        part.columns = {key: value for key, value in part.columns.items() if key in everywhere}
    return usable


def _places(parts: Sequence[_Part]) -> NDArray[np.int64] | None:
    """(N,) where each row lies among the rows of these episodes in the files; None where nothing was moved."""
    if all(part.order is None for part in parts):
        return None
    sizes = [len(part.columns[_EPISODE]) for part in parts]
    orders = [np.arange(size) if part.order is None else part.order for part, size in zip(parts, sizes, strict=True)]
    return np.concatenate([order + start for order, start in zip(orders, np.cumsum([0, *sizes]), strict=False)])


def _broken_episodes(
    columns: Mapping[str, Array], expected: Mapping[int, int], finite: Sequence[str], path: str
) -> dict[int, str]:
    """Episodes of one file that are incomplete or hold NaN or infinity."""
    broken: dict[int, str] = {}
    episode = columns[_EPISODE]
    found = dict(zip(*(part.tolist() for part in np.unique(episode, return_counts=True)), strict=True))
    for number, length in expected.items():
        if found.get(number, 0) != length:
            broken[number] = f"{found.get(number, 0)} of its {length} frames are in {path}"
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
