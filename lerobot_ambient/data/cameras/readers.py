# SPDX-License-Identifier: Apache-2.0
"""Frames of one camera of one dataset: decoded by LeRobot's decoders, fitted to the target's size, or absent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import av
import PIL.Image
import torch
from lerobot.datasets.io_utils import pil_to_chw_tensor
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.video_utils import FrameTimestampError
from torch import Tensor
from torchvision.transforms.v2 import functional as tvf

from lerobot_ambient.data.cameras.stored_pictures import StoredPictures
from lerobot_ambient.data.cameras.video_files import timestamp_error, timestamp_fix
from lerobot_ambient.data.cameras.video_sources import VideoSource
from lerobot_ambient.data.files.camera_specs import LEAVE_OUT, camera_shape, other_size, picture_misfit
from lerobot_ambient.data.remote.pinned_repo import RemoteReadError

Size = tuple[int, int]

SAME_ASPECT = 0.01
"""Relative difference up to which two aspect ratios count as one: crops to odd sizes stay below it."""


class FrameReader(Protocol):
    """Frames of one camera by row; rows are frames of the selected episodes of one dataset.

    Attributes:
        name: for messages.
        shape: (C, H, W) of a frame.
        dtype: uint8, or float32 in [0, 1].
        is_remote: whether frames are fetched as they are read, so that it pays to announce them.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: torch.dtype

    @property
    def is_remote(self) -> bool: ...

    def read(self, rows: Tensor) -> Tensor:
        """(T,) int64 rows to (T, C, H, W)."""
        ...

    def places(self, rows: Tensor) -> list[str] | None:
        """What decoding each row occupies: rows of different places can be decoded side by side. None where reading
        is cheap."""
        ...

    def prefetch(self, rows: Tensor) -> None:
        """Begin to bring what reading these rows takes; nothing where it is at hand."""
        ...


class VideoReader:
    """RGB frames of a camera stored as video.

    Args:
        name: for messages.
        shape: (C, H, W).
        files: video file of each selected episode.
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
        files: Sequence[VideoSource],
        offsets: Tensor,
        starts: Tensor,
        timestamps: Tensor,
        episode_ids: Tensor,
        tolerance_s: float,
        backend: str | None,
    ) -> None:
        self.name, self.shape = name, shape
        self.files = list(files)
        self.offsets, self.starts, self.timestamps, self.episode_ids = offsets, starts, timestamps, episode_ids
        self.tolerance_s, self.backend = tolerance_s, backend

    @property
    def is_remote(self) -> bool:
        return any(file.is_remote for file in self.files)

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
            return [f"{self.files[episode].name} {i}" for i, episode in enumerate(episodes)]
        return [self.files[episode].name for episode in episodes]

    def prefetch(self, rows: Tensor) -> None:
        episodes = torch.searchsorted(self.starts, rows, right=True) - 1
        for episode in episodes.unique().tolist():
            seconds = float(self.offsets[episode]) + self.timestamps[rows[episodes == episode]].double()
            self.files[episode].prefetch(float(seconds.min()), float(seconds.max()))

    def first(self) -> Tensor:
        """(1, C, H, W) the first frame, by PyAV, which keeps no file open that loader workers would share."""
        return self._decode(0, self.starts[:1], "pyav")

    def _decode(self, episode: int, rows: Tensor, backend: str | None = None) -> Tensor:
        file, begin = self.files[episode], float(self.offsets[episode])
        where = f"{self.name}, episode {int(self.episode_ids[episode])} ({file.name})"
        wanted = [begin + timestamp for timestamp in self.timestamps[rows].tolist()]
        try:
            frames = file.decode(wanted, self.tolerance_s, backend or self.backend)
        except FrameTimestampError as error:
            raise ValueError(f"{where}: {self._off(episode)}") from error
        except (av.FFmpegError, IndexError) as error:
            raise ValueError(f"{where}: the video cannot be decoded ({error}). {LEAVE_OUT}") from error
        except RemoteReadError as error:
            error.add_note(f"while decoding {where}.")
            raise
        except Exception as error:
            error.add_note(f"while decoding {where}. {LEAVE_OUT}")
            raise
        if frames.shape[1:] != self.shape:
            raise ValueError(f"{where}: the video {other_size(frames.shape, self.shape)}")
        return frames

    def _off(self, episode: int) -> str:
        stop = int(self.starts[episode + 1]) if episode + 1 < len(self.starts) else len(self.timestamps)
        wanted = float(self.offsets[episode]) + self.timestamps[int(self.starts[episode]) : stop].double().numpy()
        error, frame = timestamp_error(self.files[episode].opened(), wanted)
        return (
            f"its timestamps are up to {error:.4g} s off the video's, and tolerance_s is {self.tolerance_s:g}; "
            f"{timestamp_fix(error, frame)}. `lerobot-ambient doctor` measures every episode."
        )


class StoredImageReader:
    """Pictures stored in the parquet files, with the values LeRobot gives them: float32 in [0, 1], or uint8.

    Grey pictures are repeated to three channels, which is what the image encoder takes.

    Args:
        name, shape: as above; the shape has three channels.
        dataset: with the pictures of the selected episodes, in the order of the rows.
        key: the camera's key in that dataset.
        starts, episode_ids: as above.
        as_uint8: give uint8; exact for the 8-bit images LeRobot stores.
    """

    is_remote = False

    def __init__(
        self,
        name: str,
        shape: tuple[int, int, int],
        dataset: LeRobotDataset | StoredPictures,
        key: str,
        starts: Tensor,
        episode_ids: Tensor,
        as_uint8: bool,
    ) -> None:
        self.name, self.shape = name, shape
        self.dtype = torch.uint8 if as_uint8 else torch.float32
        self.starts, self.episode_ids = starts, episode_ids
        self._channels, *size = camera_shape(dataset.meta.features[key])
        self._size = (size[0], size[1])
        # Without LeRobot's own transform: a tensor no longer tells grey from a palette or from sixteen bits.
        self._table = dataset.hf_dataset.select_columns([key]).with_format(None)
        self._key = key

    def read(self, rows: Tensor) -> Tensor:
        numbers = rows.tolist()
        try:
            pictures = self._table[numbers][self._key]
        except Exception:  # Which of them it was is found by decoding them one by one.
            pictures = [self._decode(row) for row in numbers]
        frames = torch.stack([self._frame(row, picture) for row, picture in zip(numbers, pictures, strict=True)])
        frames = frames if self.dtype == torch.float32 else to_uint8(frames)
        return frames.expand(-1, *self.shape)

    def first(self) -> Tensor:
        """(1, C, H, W) the first picture."""
        return self.read(self.starts[:1])

    def places(self, rows: Tensor) -> list[str] | None:
        return None

    def prefetch(self, rows: Tensor) -> None:
        """Nothing."""

    def _decode(self, row: int) -> PIL.Image.Image | None:
        try:
            picture: PIL.Image.Image | None = self._table[row][self._key]
        except Exception as error:  # Every image format has exceptions of its own.
            raise ValueError(f"{self._where(row)} cannot be decoded ({error}). {LEAVE_OUT}") from error
        return picture

    def _frame(self, row: int, picture: PIL.Image.Image | None) -> Tensor:
        problem = picture_misfit(picture, self._channels, self._size)
        if problem is not None:
            raise ValueError(f"{self._where(row)} {problem}")
        return pil_to_chw_tensor(picture)

    def _where(self, row: int) -> str:
        episode = int(torch.searchsorted(self.starts, row, right=True)) - 1
        frame = row - int(self.starts[episode])
        return f"{self.name}, episode {int(self.episode_ids[episode])}: the picture of frame {frame}"


class AbsentReader:
    """A camera the source lacks: one grey image.

    Args:
        name, shape: as above.
        fill: brightness in [0, 1].
        dtype: the other datasets' dtype.
    """

    is_remote = False

    def __init__(self, name: str, shape: tuple[int, int, int], fill: float, dtype: torch.dtype) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype
        value = torch.tensor(fill)
        self._frame = (to_uint8(value) if dtype == torch.uint8 else value.to(dtype)).expand(shape)

    def read(self, rows: Tensor) -> Tensor:
        return self._frame.expand(len(rows), *self.shape)

    def places(self, rows: Tensor) -> list[str] | None:
        return None

    def prefetch(self, rows: Tensor) -> None:
        """Nothing."""


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
        self.is_remote = inner.is_remote

    def read(self, rows: Tensor) -> Tensor:
        return fit_images(self.inner.read(rows), self.size, self.aspect, self.fit)

    def places(self, rows: Tensor) -> list[str] | None:
        return self.inner.places(rows)

    def prefetch(self, rows: Tensor) -> None:
        self.inner.prefetch(rows)


class SwappedReader:
    """Another reader's frames with red and blue swapped back.

    Args:
        inner: the reader, of three channels.
    """

    def __init__(self, inner: FrameReader) -> None:
        self.inner = inner
        self.name, self.dtype, self.shape, self.is_remote = inner.name, inner.dtype, inner.shape, inner.is_remote

    def read(self, rows: Tensor) -> Tensor:
        return self.inner.read(rows).flip(1)

    def places(self, rows: Tensor) -> list[str] | None:
        return self.inner.places(rows)

    def prefetch(self, rows: Tensor) -> None:
        self.inner.prefetch(rows)


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


def to_uint8(values: Tensor) -> Tensor:
    """[0, 1] to 0 .. 255, rounded."""
    return (values * 255.0).round().to(torch.uint8)
