# SPDX-License-Identifier: Apache-2.0
"""LeRobot's metadata of a dataset, every file under meta/ read so that damage is named with its file.

What cannot be done without is refused. Statistics can: they are computed from the data where their file fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.utils import DEFAULT_TASKS_PATH, EPISODES_DIR, STATS_PATH
from numpy.typing import NDArray

from lerobot_ambient.data.files.dataset_format import owner_of
from lerobot_ambient.data.files.info_file import INFO, copy_again, read_info, read_json

Stats = dict[str, dict[str, NDArray[Any]]]

_COUNTERS = ("episode_index", "length", "data/chunk_index", "data/file_index")
_PLACES = ("dataset_from_index", "dataset_to_index")


class MissingFileError(FileNotFoundError):
    """A file under meta/ that is not there; LeRobot asks the Hub for it first."""


class CheckedMetadata(LeRobotDatasetMetadata):
    """LeRobot's metadata with its files checked.

    Args:
        repo_id, root, revision: as LeRobot's.
        fps: frames per second that a person declared, used where meta/info.json has none.

    Attributes:
        notes: what was replaced or left out, a line each.

    Raises:
        ValueError: a file that cannot be read or does not hold what it must; the message names dataset, file and fix.
        MissingFileError: a file that is neither here nor on the Hub.
    """

    def __init__(
        self, repo_id: str, root: str | None = None, revision: str | None = None, *, fps: float | None = None
    ) -> None:
        self.notes: list[str] = []
        self._declared_fps = fps
        self._was_checked = False
        super().__init__(repo_id, root=root, revision=revision)
        if not self._was_checked:
            raise RuntimeError(
                "this LeRobot reads a dataset's meta/ in another way than 0.6, so that nothing of it was checked; "
                "pip install 'lerobot>=0.6.1,<0.7'."
            )

    def _load_metadata(self) -> None:
        root = Path(self.root)
        if not (root / INFO).is_file() and (root / "meta").is_dir():
            raise MissingFileError(_missing(self.repo_id, root, INFO))
        self.info, self.notes = read_info(root, self.repo_id, self._declared_fps)
        self.tasks = _read_tasks(root, self.repo_id, promised=self.info.total_tasks)
        self.episodes = _read_episodes(root, self.repo_id, promised=self.info.total_episodes)
        self.stats, problems = _read_stats(root, self.repo_id)
        self.notes += problems
        self._settle_totals()
        self._was_checked = True

    def _settle_totals(self) -> None:
        """The tables' own totals, where those of meta/info.json are others. More episodes promised than the table
        holds stay promised: they were lost, and who opens the dataset must decide."""
        info, table = self.info, self.episodes
        if table is None:
            return
        held = {"total_episodes": len(table), "total_frames": int(table.data.column("length").to_numpy().sum())}
        held["total_tasks"] = 0 if self.tasks is None else len(self.tasks)
        lost = info.total_episodes > held["total_episodes"]
        for name, count in held.items():
            said = getattr(info, name)
            if said == count or (lost and name != "total_tasks"):
                continue
            if said >= 0:
                self.notes.append(f"{INFO}: {name} is {said}, the tables hold {count}; {count} is used.")
            setattr(info, name, count)
        if lost and info.total_frames < held["total_frames"]:
            info.total_frames = held["total_frames"]


def _read_tasks(root: Path, repo_id: str, *, promised: int) -> pd.DataFrame | None:
    """meta/tasks.parquet: task_index by task string; None for a dataset without tasks.

    Args:
        root, repo_id: of the dataset.
        promised: number of tasks by meta/info.json, -1 where it does not say.
    """
    path, what = root / DEFAULT_TASKS_PATH, f"{owner_of(repo_id, root)}: {DEFAULT_TASKS_PATH}"
    if not path.is_file():
        if promised == 0:
            return None
        raise MissingFileError(_missing(repo_id, root, DEFAULT_TASKS_PATH))
    try:
        table = pd.read_parquet(path)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ValueError(_damaged(what, error, root)) from error
    # LeRobot keeps the strings as the index; other writers as a column, which pandas' own index name also becomes.
    for column in ("task", "__index_level_0__"):
        if column in table.columns:
            table = table.set_index(column)
            break
    strings = all(isinstance(task, str) for task in table.index)
    if "task_index" not in table.columns or not strings:
        held = [str(name) for name in (table.index.name, *table.columns) if name is not None]
        raise ValueError(
            f"{what} must hold a task string (column 'task') and its number (column 'task_index') in every row; it has "
            f"the columns {held}. {copy_again(root)}"
        )
    table.index.name = "task"
    numbers = pd.to_numeric(table["task_index"], errors="coerce")
    if numbers.isna().any() or (numbers < 0).any() or numbers.duplicated().any() or (numbers % 1 != 0).any():
        raise ValueError(
            f"{what}: task_index must number the tasks, each with its own whole number; it holds "
            f"{table['task_index'].tolist()[:10]}. {copy_again(root)}"
        )
    table["task_index"] = numbers.astype(np.int64)
    return table


def _read_episodes(root: Path, repo_id: str, *, promised: int) -> datasets.Dataset | None:
    """meta/episodes/*/*.parquet without its statistics, counters as int64; None for a dataset without episodes.

    Args:
        root, repo_id: of the dataset.
        promised: number of episodes by meta/info.json, -1 where it does not say.
    """
    paths = sorted((root / EPISODES_DIR).glob("*/*.parquet"))
    if not paths:
        if promised == 0:
            return None
        raise MissingFileError(_missing(repo_id, root, f"{EPISODES_DIR}/chunk-000/file-000.parquet"))
    tables = [_episode_file(path, f"{owner_of(repo_id, root)}: {path.relative_to(root)}", root) for path in paths]
    what = f"{owner_of(repo_id, root)}: {EPISODES_DIR}"
    try:
        table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise ValueError(f"{what}: its files hold different columns ({error}). {copy_again(root)}") from error
    if not len(table):
        return None
    numbers, lengths = (table[name].to_numpy() for name in ("episode_index", "length"))
    unique, counts = np.unique(numbers, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{what} lists the episodes {unique[counts > 1][:10].tolist()} twice. {copy_again(root)}")
    # Named, so that it is not hashed: nothing is cached under its name.
    return datasets.Dataset(_with_places(table, lengths), fingerprint=uuid4().hex)


def _read_stats(root: Path, repo_id: str) -> tuple[Stats | None, list[str]]:
    """meta/stats.json as arrays, as LeRobot has them, and a line for what cannot be used of it."""
    if not (root / STATS_PATH).is_file():
        return None, [f"{STATS_PATH} is missing; the statistics are computed from the data."]
    try:
        values = read_json(root / STATS_PATH, STATS_PATH)
    except ValueError as error:
        return None, [f"{str(error).split('. Copy')[0]}; the statistics are computed from the data."]
    if not isinstance(values, dict):
        return None, [f"{STATS_PATH} is not an object of features; the statistics are computed from the data."]
    stats: Stats = {}
    strange = []
    for key, entry in values.items():
        kept = {name: _array(value) for name, value in entry.items()} if isinstance(entry, dict) else {}
        stats[key] = {name: value for name, value in kept.items() if value is not None}
        strange += [f"{key}.{name}" for name in kept if name not in stats[key]] or ([] if kept else [key])
    note = f"{STATS_PATH}: {', '.join(strange[:10])} are not numbers; what is needed of them is computed from the data."
    return stats, [note] if strange else []


def _episode_file(path: Path, what: str, root: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if not name.startswith("stats/")]
            # Other columns are lists of structures in some writers' tables, whose leaves parquet names apart.
            table = file.read(columns=names).select(names).replace_schema_metadata(None)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ValueError(_damaged(what, error, root)) from error
    for name in _COUNTERS:
        if name not in table.column_names:
            raise ValueError(f"{what} lacks the column '{name}' (it has {table.column_names}). {copy_again(root)}")
        numbers = _counter(table[name])
        least = 1 if name == "length" else 0
        if numbers is None or (len(numbers) and numbers.min() < least):
            raise ValueError(
                f"{what}: the column '{name}' must hold whole numbers from {least} on; it holds "
                f"{table[name].to_pylist()[:10]}. {copy_again(root)}"
            )
        table = table.set_column(table.column_names.index(name), name, pa.array(numbers))
    return table


def _counter(column: pa.ChunkedArray) -> NDArray[np.int64] | None:
    """A column of whole numbers, or of lists of one, as int64; None for anything else."""
    if pa.types.is_integer(column.type) and not column.null_count:
        return column.to_numpy().astype(np.int64)
    values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in column.to_pylist()]
    whole = all(isinstance(value, int | float) and not isinstance(value, bool) and value % 1 == 0 for value in values)
    return np.array(values, dtype=np.int64) if whole else None


def _with_places(table: pa.Table, lengths: NDArray[np.int64]) -> pa.Table:
    """The table with where each episode begins and ends in the whole dataset; counted anew where that is not said
    or does not fit the lengths."""
    said = [_counter(table[name]) if name in table.column_names else None for name in _PLACES]
    first, last = said
    if first is not None and last is not None and np.array_equal(last - first, lengths):
        order = np.argsort(first, kind="stable")
        if first.min() >= 0 and (first[order][1:] >= last[order][:-1]).all():
            return table
    stops = np.cumsum(lengths)
    for name, values in zip(_PLACES, (stops - lengths, stops), strict=True):
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, pa.array(values))
    return table


def _array(value: Any) -> NDArray[Any] | None:
    """Numbers as LeRobot has them, at least one axis; None for what is not numbers."""
    try:
        array = np.atleast_1d(np.array(value))
    except ValueError:
        return None
    return array if array.dtype.kind in "fiub" else None


def _missing(repo_id: str, root: Path, name: str) -> str:
    return f"{owner_of(repo_id, root)}: {name} is missing. {copy_again(root)}"


def _damaged(what: str, error: Exception, root: Path) -> str:
    lines: Sequence[str] = str(error).splitlines() or [type(error).__name__]
    return f"{what} is cut or damaged ({lines[0]}). {copy_again(root)}"
