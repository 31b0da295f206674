# SPDX-License-Identifier: Apache-2.0
"""The logical merge: several data sets behind one index, nothing copied or re-encoded.

Positions [0, N) run through the selected frames of the target and then of each source. An item is what
LeRobotDataset would return under the target's keys, plus `info["ambient_group"]`, the group whose P(t | g)
draws its timestep; `info` is the one carrier that LeRobot's preprocessor lets through. `index` and
`episode_index` are shifted per data set so that they stay unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data._utils.collate import default_collate_fn_map

from lerobot_ambient.data.open_source import OpenSource, is_bookkeeping

GROUP_KEY = "ambient_group"


@dataclass
class GatheredBatch:
    """A batch that is already collated; `default_collate` passes it through (see the end of this module)."""

    batch: dict[str, Any]


class MergedDataset(Dataset[dict[str, Any]]):
    """Several opened data sets as one map-style data set.

    Args:
        sources: the target first; already checked for compatibility.
        group_of_frame: per source, its frames' group: an int when they share one, else (n,) int64.
        tasks: every task string; an item's task_index points into it.
    """

    def __init__(
        self, sources: Sequence[OpenSource], group_of_frame: Sequence[int | Tensor], tasks: Sequence[str]
    ) -> None:
        self.sources = list(sources)
        self.group_of_frame = list(group_of_frame)
        self.tasks = list(tasks)
        lengths = [len(source) for source in sources]
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._index_shift = _shifts([source.meta.total_frames for source in sources])
        self._episode_shift = _shifts([source.meta.total_episodes for source in sources])
        self._task_map = [_task_map(source, self.tasks) for source in sources]
        self.keys = _common_keys(sources)
        self._cameras = [key for key in sources[0].camera_keys if key in self.keys]
        # Stored images come as float in [0, 1], decoded video as uint8; a batch needs one kind.
        kinds = {source.features[key]["dtype"] for source in sources for key in self._cameras}
        self._cameras_to_float = len(kinds) > 1

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def __getitem__(self, position: int) -> dict[str, Any]:
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} is outside the mixture of {len(self)} frames.")
        return self._items([position % len(self)])[0]

    def __getitems__(self, positions: list[int]) -> list[Any]:
        """What the DataLoader calls: one gathered batch without cameras, a list of items with them."""
        if self._cameras:
            return self._items(positions)
        return [GatheredBatch(self._gather(positions))]

    def _gather(self, positions: Sequence[int]) -> dict[str, Any]:
        """A collated batch of the low-dimensional features, in the order of `positions`."""
        wanted = torch.as_tensor(positions, dtype=torch.int64)
        owner = torch.from_numpy(np.searchsorted(self.offsets, wanted.numpy(), side="right") - 1)
        parts, order = [], []
        for source in owner.unique().tolist():
            rows = torch.nonzero(owner == source).flatten()
            parts.append(self._gather_source(source, wanted[rows] - int(self.offsets[source])))
            order.append(rows)
        back = torch.cat(order).argsort()
        batch: dict[str, Any] = {key: torch.cat([part[key] for part in parts])[back] for key in parts[0]}
        batch["info"] = {GROUP_KEY: batch.pop(GROUP_KEY)}
        batch["task"] = [self.tasks[i] for i in batch["task_index"].tolist()]
        return batch

    def _gather_source(self, source: int, rows: Tensor) -> dict[str, Tensor]:
        gathered = self.sources[source].frames.gather(rows)
        batch = {key: value for key, value in gathered.items() if key.removesuffix("_is_pad") in self.keys}
        batch["index"] = batch["index"] + self._index_shift[source]
        batch["episode_index"] = batch["episode_index"] + self._episode_shift[source]
        batch["task_index"] = self._task_map[source][batch["task_index"]]
        group = self.group_of_frame[source]
        batch[GROUP_KEY] = group[rows] if isinstance(group, Tensor) else torch.full_like(rows, group)
        return batch

    def _items(self, positions: Sequence[int]) -> list[dict[str, Any]]:
        """Uncollated items; the cameras come from LeRobot's own reader."""
        batch = self._gather(positions)
        group, task = batch.pop("info")[GROUP_KEY], batch.pop("task")
        items = []
        for i, position in enumerate(positions):
            item = {key: value[i] for key, value in batch.items()}
            item["task"], item["info"] = task[i], {GROUP_KEY: group[i]}
            item.update(self._read_cameras(int(position)))
            items.append(item)
        return items

    def _read_cameras(self, position: int) -> dict[str, Tensor]:
        if not self._cameras:
            return {}
        owner = int(np.searchsorted(self.offsets, position, side="right")) - 1
        source = self.sources[owner]
        try:
            item = source.dataset[position - int(self.offsets[owner])]
        except Exception as error:
            error.add_note(f"while reading frame {position - int(self.offsets[owner])} of '{source.name}'")
            raise
        original = {source.config.rename.get(key, key): key for key in source.meta.features}
        images = {}
        for key in self._cameras:
            image = item[original[key]]
            if self._cameras_to_float and image.dtype == torch.uint8:
                image = image.float() / 255.0
            images[key] = image
            images[f"{key}_is_pad"] = item[f"{original[key]}_is_pad"]
        return images


def _common_keys(sources: Sequence[OpenSource]) -> list[str]:
    """Keys that every data set has; what only some have cannot be collated and is left out."""
    return [key for key in sources[0].features if all(key in source.features for source in sources)]


def left_out_keys(sources: Sequence[OpenSource]) -> list[str]:
    """Features that only some data sets have and that the merge therefore drops."""
    common = set(_common_keys(sources))
    return sorted(
        {key for source in sources for key in source.features if key not in common and not is_bookkeeping(key)}
    )


def merged_tasks(sources: Sequence[OpenSource]) -> list[str]:
    """Every task string once, the target's first."""
    return list(dict.fromkeys(task for source in sources for task in _task_strings(source)))


def _task_strings(source: OpenSource) -> list[str]:
    tasks = source.meta.tasks
    return [] if tasks is None else [str(task) for task in tasks.sort_values("task_index").index]


def _task_map(source: OpenSource, tasks: Sequence[str]) -> Tensor:
    """(number of tasks of the source,) its task_index to the merged one."""
    table = source.meta.tasks
    if table is None:
        return torch.zeros(1, dtype=torch.int64)
    mapping = torch.zeros(int(table["task_index"].max()) + 1, dtype=torch.int64)
    for task, row in zip(table.index, table["task_index"], strict=True):
        mapping[int(row)] = tasks.index(str(task))
    return mapping


def _shifts(totals: Sequence[int]) -> list[int]:
    return [int(total) for total in np.concatenate([[0], np.cumsum(totals)[:-1]])]


# PyTorch's documented way to teach default_collate a type; LeRobot's training leaves collate_fn at the default.
default_collate_fn_map[GatheredBatch] = lambda batch, *, collate_fn_map=None: batch[0].batch
