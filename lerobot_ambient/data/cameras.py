# SPDX-License-Identifier: Apache-2.0
"""Frames of one camera of one data set: decoded by LeRobot's decoders, fitted to the target's size, or absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.video_utils import decode_video_frames
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

Size = tuple[int, int]

SAME_ASPECT = 0.01
"""Relative difference up to which two aspect ratios count as one: crops to odd sizes stay below it."""


class FrameReader(Protocol):
    """Frames of one camera by row; rows are frames of the selected episodes of one data set.

    Attributes:
        name: for messages.
        shape: (C, H, W) of a frame.
        dtype: uint8, or float32 (RGB in [0, 1], depth in LeRobot's unit).
    """

    name: str
    shape: tuple[int, int, int]
    dtype: torch.dtype

    def read(self, rows: Tensor) -> Tensor:
        """(T,) int64 rows to (T, C, H, W)."""
        ...

    def places(self, rows: Tensor) -> list[str] | None:
        """What decoding each row occupies: rows of different places can be decoded side by side. None where reading
        is cheap."""
        ...


class VideoReader:
    """RGB frames of a camera stored as video.

    Args:
        name: for messages.
        shape: (C, H, W).
        paths: video file of each selected episode.
        offsets: (E,) float64, where each episode begins in its file, in seconds.
        starts: (E,) first row of each episode.
        timestamps: (N,) float32 seconds since the episode's beginning.
        episode_ids: (E,) for messages.
        tolerance_s, backend: as for LeRobotDataset.
    """

    dtype = torch.uint8

    def __init__(
        self,
        name: str,
        shape: tuple[int, int, int],
        paths: Sequence[Path],
        offsets: Tensor,
        starts: Tensor,
        timestamps: Tensor,
        episode_ids: Tensor,
        tolerance_s: float,
        backend: str | None,
    ) -> None:
        self.name, self.shape = name, shape
        self.paths = [str(path) for path in paths]
        self.offsets, self.starts, self.timestamps, self.episode_ids = offsets, starts, timestamps, episode_ids
        self.tolerance_s, self.backend = tolerance_s, backend

    def read(self, rows: Tensor) -> Tensor:
        episodes = torch.searchsorted(self.starts, rows, right=True) - 1
        if bool((episodes == episodes[0]).all()):
            return self._decode(int(episodes[0]), rows)
        frames = torch.empty((len(rows), *self.shape), dtype=torch.uint8)
        for episode in episodes.unique().tolist():
            where = torch.nonzero(episodes == episode).flatten()
            frames[where] = self._decode(episode, rows[where])
        return frames

    def places(self, rows: Tensor) -> list[str] | None:
        episodes = (torch.searchsorted(self.starts, rows, right=True) - 1).tolist()
        if self.backend == "pyav":
            # It opens the file anew for every sample, so no two of them are in each other's way.
            return [f"{self.paths[episode]} {i}" for i, episode in enumerate(episodes)]
        return [self.paths[episode] for episode in episodes]

    def _decode(self, episode: int, rows: Tensor) -> Tensor:
        begin = float(self.offsets[episode])
        wanted = [begin + timestamp for timestamp in self.timestamps[rows].tolist()]
        try:
            return decode_video_frames(self.paths[episode], wanted, self.tolerance_s, self.backend, return_uint8=True)
        except Exception as error:
            error.add_note(
                f"while decoding {self.name}, episode {int(self.episode_ids[episode])} ({self.paths[episode]}). "
                "`lerobot-ambient doctor` with the same options checks every video; leave broken episodes out with "
                "`episodes`, or set `skip_broken: true` on the source."
            )
            raise


class StoredImageReader:
    """RGB images stored in the parquet files, as LeRobot returns them: float32 in [0, 1], or uint8.

    Args:
        name, shape: as above.
        dataset: LeRobot's reader of the selected episodes.
        key: the camera's key in that data set.
        as_uint8: give uint8; exact for the 8-bit images LeRobot stores.
    """

    def __init__(self, name: str, shape: tuple[int, int, int], dataset: LeRobotDataset, key: str, as_uint8: bool):
        self.name, self.shape = name, shape
        self.dtype = torch.uint8 if as_uint8 else torch.float32
        self._table = dataset.hf_dataset.select_columns([key])
        self._key = key

    def read(self, rows: Tensor) -> Tensor:
        frames = torch.stack(list(self._table[rows.tolist()][self._key]))
        return frames if self.dtype == torch.float32 else to_uint8(frames)

    def places(self, rows: Tensor) -> list[str] | None:
        return None


class DepthReader:
    """Depth maps through LeRobotDataset's own items, in its unit. Slow: it decodes every camera of the frame.

    Args:
        name, shape: as above.
        dataset: LeRobot's reader of the selected episodes, without time offsets.
        key: the camera's key in that data set.
    """

    dtype = torch.float32

    def __init__(self, name: str, shape: tuple[int, int, int], dataset: LeRobotDataset, key: str) -> None:
        self.name, self.shape = name, shape
        self._dataset, self._key = dataset, key

    def read(self, rows: Tensor) -> Tensor:
        return torch.stack([self._dataset[row][self._key].float().reshape(self.shape) for row in rows.tolist()])

    def places(self, rows: Tensor) -> list[str] | None:
        return None


class AbsentReader:
    """A camera the source lacks: one grey image.

    Args:
        name, shape: as above.
        fill: brightness in [0, 1].
        dtype: the other data sets' dtype.
    """

    def __init__(self, name: str, shape: tuple[int, int, int], fill: float, dtype: torch.dtype) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype
        value = torch.tensor(fill)
        self._frame = (to_uint8(value) if dtype == torch.uint8 else value.to(dtype)).expand(shape)

    def read(self, rows: Tensor) -> Tensor:
        return self._frame.expand(len(rows), *self.shape)

    def places(self, rows: Tensor) -> list[str] | None:
        return None


class FittedReader:
    """Another reader's frames at another size.

    Args:
        inner: the reader.
        size: (H, W) to give.
        aspect: (H, W) whose ratio the image is brought to first.
        fit: stretch, pad or crop; see CameraConfig.
    """

    def __init__(self, inner: FrameReader, size: Size, aspect: Size, fit: str) -> None:
        self.inner, self.size, self.aspect, self.fit = inner, size, aspect, fit
        self.name, self.dtype = inner.name, inner.dtype
        self.shape = (inner.shape[0], *size)

    def read(self, rows: Tensor) -> Tensor:
        return fit_images(self.inner.read(rows), self.size, self.aspect, self.fit)

    def places(self, rows: Tensor) -> list[str] | None:
        return self.inner.places(rows)


def fit_images(images: Tensor, size: Size, aspect: Size, fit: str) -> Tensor:
    """(T, C, H, W) at (T, C, *size), resized bilinearly with antialiasing, as the policy's own resize does.

    Args:
        images: any dtype.
        size: result.
        aspect: (H, W) whose ratio is wanted before resizing; another ratio is brought to it by `fit`.
        fit: stretch (nothing), pad (black at both sides), crop (about the centre).
    """
    height, width = images.shape[-2:]
    if fit == "pad":
        high = max(height, round(width * aspect[0] / aspect[1]))
        wide = max(width, round(height * aspect[1] / aspect[0]))
        top, left = (high - height) // 2, (wide - width) // 2
        images = tvf.pad(images, [left, top, wide - width - left, high - height - top])
    elif fit == "crop":
        high = min(height, round(width * aspect[0] / aspect[1]))
        wide = min(width, round(height * aspect[1] / aspect[0]))
        images = tvf.center_crop(images, [high, wide])
    return images if tuple(images.shape[-2:]) == size else tvf.resize(images, list(size), antialias=True)


def camera_shape(spec: Mapping[str, Any]) -> tuple[int, int, int]:
    """(C, H, W) of a camera feature; LeRobot's specs are (H, W, C) or (C, H, W) and say so in `names`."""
    shape = tuple(int(n) for n in spec["shape"])
    names = spec.get("names") or []
    last = names[2] if len(names) == 3 else None
    if last in ("channel", "channels") or (last is None and shape[2] in (1, 3) and shape[0] not in (1, 3)):
        return shape[2], shape[0], shape[1]
    return shape[0], shape[1], shape[2]


def to_uint8(values: Tensor) -> Tensor:
    """[0, 1] to 0 .. 255, rounded."""
    return (values * 255.0).round().to(torch.uint8)
