# SPDX-License-Identifier: Apache-2.0
"""The logical merge: several datasets behind one index, nothing copied or re-encoded.

An item is what LeRobotDataset would return under the target's keys, plus `info["ambient_group"]`, the group whose
P(t | g) draws its timestep; `info` is the one carrier that LeRobot's preprocessor lets through.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, RandomSampler, get_worker_info
from torch.utils.data.distributed import DistributedSampler

from lerobot_ambient.data.batches.columns import Columns, take
from lerobot_ambient.data.batches.transport import GatheredBatch
from lerobot_ambient.data.cameras.readers import FrameReader
from lerobot_ambient.data.sampling.upcoming import Draw

GROUP_KEY = "ambient_group"
_MAX_DECODERS = 8


@dataclass(frozen=True, eq=False)
class FrameTags:
    """Group of each frame of a dataset with a window per frame.

    Args:
        tags: (n,) unsigned, the group counted within the dataset; may be a memory map.
        no_group: the tag of a frame that starts no sample.
        first_group: number of the dataset's first group in the plan.
    """

    tags: NDArray[Any]
    no_group: int
    first_group: int

    def group(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) group of each frame, -1 for none."""
        tags = self.tags[rows].astype(np.int64)
        return np.where(tags == self.no_group, -1, tags + self.first_group)


class MergedDataset(Dataset[dict[str, Any]]):
    """Several aligned datasets as one map-style dataset.

    Args:
        columns: low-dimensional columns of all datasets.
        lengths: number of frames of each dataset.
        cameras: per dataset, a reader of each camera; every dataset has the same keys.
        group_of_frame: per dataset, its frames' group: an int when they share one, else a tag a frame.
        tasks: every task string; an item's task_index points into it.
        image_transforms: augmentation of (T, C, H, W) images, or None.
    """

    def __init__(
        self,
        columns: Columns,
        lengths: Sequence[int],
        cameras: Sequence[dict[str, FrameReader]],
        group_of_frame: Sequence[int | FrameTags],
        tasks: Sequence[str],
        image_transforms: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.columns = columns
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._offsets = torch.from_numpy(self.offsets)
        # Episodes lie inside datasets, so an episode says which dataset and, mostly, which group.
        self._owner = torch.searchsorted(self._offsets, columns.starts, right=True) - 1
        self.cameras = list(cameras)
        self.camera_keys = list(cameras[0])
        one = torch.tensor([group if isinstance(group, int) else -1 for group in group_of_frame])
        self._group_of_episode = one[self._owner]
        self._tagged = {index: tags for index, tags in enumerate(group_of_frame) if isinstance(tags, FrameTags)}
        self.tasks = list(tasks)
        self._task_table = np.array(self.tasks, dtype=object)
        self.image_transforms = image_transforms

    @property
    def keys(self) -> list[str]:
        """Features of an item."""
        return [*self.columns.keys, *self.camera_keys]

    def __len__(self) -> int:
        warn_of_shuffling()
        return int(self.offsets[-1])

    def __getitem__(self, position: int) -> dict[str, Any]:
        frames = int(self.offsets[-1])
        if not -frames <= position < frames:
            raise IndexError(f"position {position} is outside the mixture of {frames} frames.")
        batch = self.gather([position % frames])
        item = {key: value[0] for key, value in batch.items() if key != "info"}
        return item | {"info": {GROUP_KEY: batch["info"][GROUP_KEY][0]}}

    def __getitems__(self, positions: list[int]) -> list[Any]:
        """What the DataLoader calls: one gathered batch; what is drawn later is fetched meanwhile."""
        draws = [position for position in positions if isinstance(position, Draw)]
        if draws:
            self.prefetch([draw for draw in draws if draw.unannounced])
            self.prefetch([draw.upcoming for draw in draws if draw.upcoming is not None])
        return [GatheredBatch(self.gather(positions))]

    def prefetch(self, positions: Sequence[int]) -> None:
        """Begin to bring the camera frames of these positions here, where they are not."""
        if not positions:
            return
        rows = torch.from_numpy(np.array(positions, dtype=np.int64))
        owner = self._owner[self.columns.episode_of(rows)]
        for key in self.camera_keys:
            wanted, _ = self._wanted(key, rows, owner)
            for source, frames in zip(owner.tolist(), wanted, strict=True):
                self.cameras[source][key].prefetch(frames)

    def gather(self, positions: Sequence[int], *, cameras: bool = True) -> dict[str, Any]:
        """A collated batch, in the order of `positions`; without `cameras` no frame is read."""
        # By way of NumPy: torch converts a list number by number.
        rows = torch.from_numpy(np.array(positions, dtype=np.int64))
        episode = self.columns.episode_of(rows)
        batch: dict[str, Any] = self.columns.gather(rows, episode)
        batch["info"] = {GROUP_KEY: self._groups(rows, episode)}
        batch["task"] = self._task_table[batch["task_index"].numpy()].tolist()
        if cameras and self.camera_keys:
            owner = self._owner[episode]
            for key in self.camera_keys:
                batch |= self._images(key, rows, owner)
        return batch

    def _groups(self, rows: Tensor, episode: Tensor) -> Tensor:
        groups = take(self._group_of_episode, episode)
        if not self._tagged:
            return groups
        owner = self._owner[episode]
        for source, tags in self._tagged.items():
            here = torch.nonzero(owner == source).flatten()
            local = rows[here] - self._offsets[source]
            groups[here] = torch.from_numpy(tags.group(local.numpy()))
        return groups

    def _images(self, key: str, rows: Tensor, owner: Tensor) -> dict[str, Tensor]:
        """(B, T, C, H, W) images of one camera, (B, C, H, W) where T is 1, as LeRobot has it; and their padding."""
        wanted, is_pad = self._wanted(key, rows, owner)
        batch: dict[str, Tensor] = {} if is_pad is None else {f"{key}_is_pad": is_pad}
        reader = self.cameras[0][key]
        images = torch.empty((*wanted.shape, *reader.shape), dtype=reader.dtype)
        slow: dict[Any, list[tuple[FrameReader, int]]] = {}
        for source in owner.unique().tolist():
            here = torch.nonzero(owner == source).flatten()
            reader = self.cameras[source][key]
            places = reader.places(wanted[here, 0])
            if places is None:
                frames = reader.read(wanted[here].flatten()).reshape(len(here), *images.shape[1:])
                if len(here) == len(images):
                    images = frames.contiguous()
                else:
                    # NumPy copies rows as wholes; torch's indexed assignment is twenty times slower.
                    images.numpy()[here.numpy()] = frames.numpy()
                continue
            for place, sample in zip(places, here.tolist(), strict=True):
                slow.setdefault(place, []).append((reader, sample))
        _side_by_side([_decode(images, wanted, samples) for samples in slow.values()])
        if self.image_transforms is not None:
            images = torch.stack([self.image_transforms(image) for image in images])
        single = (wanted.shape[1] == 1 and not images.is_floating_point()) or key not in self.columns.deltas
        batch[key] = images.squeeze(1) if single else images
        return batch

    def _wanted(self, key: str, rows: Tensor, owner: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, T) rows of one camera's frames, counted within their datasets, and (B, T) which are padding, if any."""
        is_pad = None
        if key in self.columns.deltas:
            wanted, is_pad = self.columns.nearest_rows(key, rows)
        else:
            wanted = rows.unsqueeze(1)
        return wanted - self._offsets[owner].unsqueeze(1), is_pad


def warn_of_shuffling() -> None:
    """Warn where torch's own shuffling asks a merged dataset for its length; to be called by its `__len__`.

    A dataset is never told which sampler draws from it, and the positions that it gets look alike. But samplers that
    shuffle ask it how long it is, and a plan's sampler does not. So the caller's caller is looked at.
    """
    told = sys._getframe(2).f_locals
    asking = told.get("self")
    # DistributedSampler asks while it is made, before it has kept its arguments.
    shuffles = isinstance(asking, DistributedSampler) and told.get("shuffle", getattr(asking, "shuffle", False))
    if shuffles or isinstance(asking, RandomSampler):
        warnings.warn(
            f"{type(asking).__name__} draws every frame of the merged datasets alike: the plan is skipped, with its "
            "windows and shares. Use `mixture.loader(batch_size=...)`, or `sampler=mixture.sampler(seed)` in place of "
            "`shuffle=True`.",
            UserWarning,
            skip_file_prefixes=(str(Path(torch.__file__).parent), str(Path(__file__).parents[2])),
        )


def _decode(images: Tensor, wanted: Tensor, samples: Sequence[tuple[FrameReader, int]]) -> Callable[[], None]:
    def decode() -> None:
        for reader, sample in samples:
            images[sample] = reader.read(wanted[sample])

    return decode


def _side_by_side(tasks: Sequence[Callable[[], None]]) -> None:
    """Run decoding tasks on the machine's cores; in a loader worker one after the other, the workers are many."""
    threads = 1 if get_worker_info() is not None else min(len(tasks), os.cpu_count() or 1, _MAX_DECODERS)
    if threads <= 1:
        for task in tasks:
            task()
        return
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()
