# SPDX-License-Identifier: Apache-2.0
"""The columns of all aligned datasets behind one index.

Rows [0, N) run through the selected frames of the target and then of each source. `index` and `episode_index` are
shifted per dataset so that they stay unique, `task_index` points into the common list of tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lerobot_ambient.data.alignment.align import common_keys
from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.alignment.feature_map import nearest_dimensions
from lerobot_ambient.data.batches.columns import Columns
from lerobot_ambient.data.batches.shared_pages import as_tensor, share
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.data.windows.merged_file import SOURCE, TAGS

_COUNTERS = "counters"


def merge_columns(
    sources: Sequence[AlignedSource], options: ReadOptions, tasks: Sequence[str]
) -> tuple[Columns, list[AlignedSource]]:
    """One `Columns` over all datasets, and the datasets with views of it in place of arrays of their own.

    Args:
        sources: the target first.
        options: how chunks are read.
        tasks: every task string.
    """
    keys = [key for key in common_keys(sources) if key not in TAGS and all(key in source.columns for source in sources)]
    offsets = np.concatenate([[0], np.cumsum([len(source) for source in sources])])
    # Parts of one merged dataset are numbered apart already.
    first = sources[0].meta.root
    inside = [source is sources[0] or (source.meta.root == first and SOURCE in source.columns) for source in sources]
    shifts = {
        "index": _shifts([_room(source, "index", source.meta.total_frames) for source in sources], inside),
        "episode_index": _shifts(
            [_room(source, "episode_index", source.meta.total_episodes) for source in sources], inside
        ),
    }
    whole: dict[str, NDArray[Any]] = {}
    counters: dict[str, NDArray[np.int64]] = {}
    for key in keys:
        parts = [source.columns[key] for source in sources]
        if key in shifts:
            counters[key] = np.concatenate([part + shift for part, shift in zip(parts, shifts[key], strict=True)])
        elif key == "task_index":
            maps = [_task_map(source, tasks) for source in sources]
            counters[key] = np.concatenate([of[part] for part, of in zip(parts, maps, strict=True)])
        elif key == "frame_index":
            counters[key] = np.concatenate(parts)
        else:
            whole[key] = parts[0] if len(parts) == 1 else np.concatenate(parts)
    whole[_COUNTERS] = _table(list(counters.values()))
    store = share(whole)
    if store is not None:
        whole = dict(store)
    sources = [
        replace(source, columns=source.columns | {k: v[low:high] for k, v in whole.items() if k != _COUNTERS})
        for source, low, high in zip(sources, offsets, offsets[1:], strict=False)
    ]
    merged = {key: as_tensor(array) for key, array in whole.items()}
    deltas = options.deltas(common_keys(sources))
    rates = np.concatenate([np.full(len(s.episode_ids), s.fps / sources[0].fps) for s in sources])
    nearest = {}
    if (rates != 1.0).any():
        for key in deltas:
            if key in merged:
                tables = np.stack([_nearest(source, key) for source in sources])
                nearest[key] = torch.from_numpy(tables.reshape(len(sources), *merged[key].shape[1:]))
    counter_table = merged.pop(_COUNTERS)
    columns = Columns(
        merged,
        starts=torch.from_numpy(np.concatenate([s.starts + o for s, o in zip(sources, offsets, strict=False)])),
        stops=torch.from_numpy(np.concatenate([s.stops + o for s, o in zip(sources, offsets, strict=False)])),
        deltas=deltas,
        counters=list(counters),
        counter_table=counter_table,
        store=store,
        rates=torch.from_numpy(rates),
        nearest=nearest,
        kinds=torch.from_numpy(np.repeat(np.arange(len(sources)), [len(s.episode_ids) for s in sources])),
    )
    return columns, sources


def merged_tasks(sources: Sequence[AlignedSource]) -> list[str]:
    """Every task string once, the target's first; an empty string is a task like any other."""
    return list(dict.fromkeys(task for source in sources for task in _task_strings(source)))


def _nearest(source: AlignedSource, key: str) -> NDArray[np.bool_]:
    values = source.columns[key].reshape(len(source), -1)
    feature = source.maps.get(key)
    return np.zeros(values.shape[1], dtype=bool) if feature is None else nearest_dimensions(feature, values)


def _table(counters: Sequence[NDArray[np.int64]]) -> NDArray[Any]:
    """(N, C) of C columns; int32, half the memory, where the numbers fit."""
    small = all(abs(counter).max() < 2**31 for counter in counters)
    return np.stack([counter.astype(np.int32 if small else np.int64) for counter in counters], axis=1)


def _room(source: AlignedSource, counter: str, total: int) -> int:
    """How many numbers a dataset takes up: its total, or more where numbers of removed episodes are left out."""
    return max(total, int(source.columns[counter].max()) + 1) if counter in source.columns else total


def _shifts(totals: Sequence[int], inside: Sequence[bool]) -> list[int]:
    """What is added to the numbers of each dataset: the totals of those before it. `inside`: parts of the first."""
    shifts, end = [], totals[0]
    for total, part in zip(totals, inside, strict=True):
        shifts.append(0 if part else end)
        end += 0 if part else total
    return shifts


def _task_strings(source: AlignedSource) -> list[str]:
    tasks = source.meta.tasks
    return [""] if tasks is None else [str(task) for task in tasks.sort_values("task_index").index]


def _task_map(source: AlignedSource, tasks: Sequence[str]) -> NDArray[np.int64]:
    """(number of tasks of the source,) its task_index to the merged one.

    Raises:
        ValueError: frames of a task that it does not know.
    """
    known = [0] if source.meta.tasks is None else source.meta.tasks["task_index"].tolist()
    unknown = sorted(set(np.unique(source.columns["task_index"]).tolist()).difference(known))
    if unknown:
        raise ValueError(
            f"'{source.name}': frames are of the tasks {unknown[:10]}, but meta/tasks.parquet holds the numbers "
            f"{sorted(known)[:10]}. Copy that file again from where the dataset came from."
        )
    table = source.meta.tasks
    place = {task: i for i, task in enumerate(tasks)}
    if table is None:
        return np.array([place[""]])
    mapping = np.zeros(int(table["task_index"].max()) + 1, dtype=np.int64)
    for task, row in zip(table.index, table["task_index"], strict=True):
        mapping[int(row)] = place[str(task)]
    return mapping
