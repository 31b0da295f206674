# SPDX-License-Identifier: Apache-2.0
"""Frames of the cameras as JPEG, read by the readers that training reads them by, at the policy's size or smaller."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

from lerobot_ambient.data.cameras.readers import to_uint8
from lerobot_ambient.integration.viewing.shown import ShownEpisode, View

LIVE_WIDTH, WRITTEN_WIDTH = 640, 320
"""Pixels, at most."""
_QUALITY = 82
_KEPT = 512


class Pictures:
    """Makes JPEGs of the frames of a view.

    Args:
        view: what is shown.
        width: pixels that a picture has at most.
    """

    def __init__(self, view: View, width: int = LIVE_WIDTH) -> None:
        self._view, self._width = view, width
        # The decoders keep files open and are not made for several threads at once.
        self._lock = threading.Lock()
        self._made = lru_cache(maxsize=_KEPT)(self._make)

    def jpeg(self, one: ShownEpisode, frame: int, camera: str) -> bytes:
        """The picture of a frame, counted from the episode's first.

        Raises:
            ValueError: no such frame or camera, or one that cannot be decoded.
        """
        if camera not in self._view.cameras or not 0 <= frame < one.frames:
            raise ValueError(f"episode {one.episode} has no frame {frame} of '{camera}'.")
        if not self._view.has_camera(one.dataset, camera):
            raise ValueError(f"'{self._view.sources[one.dataset].name}' has no camera '{camera}'.")
        return self._made(one.dataset, self._view.rows(one).start + frame, camera)

    def pixels(self, one: ShownEpisode, frame: int, camera: str) -> NDArray[np.uint8]:
        """(H, W, 3) of a frame, as `jpeg` has it before it is coded."""
        return np.asarray(self._picture(one.dataset, self._view.rows(one).start + frame, camera))

    def _make(self, dataset: int, row: int, camera: str) -> bytes:
        content = io.BytesIO()
        self._picture(dataset, row, camera).save(content, "jpeg", quality=_QUALITY)
        return content.getvalue()

    def _picture(self, dataset: int, row: int, camera: str) -> PIL.Image.Image:
        reader = self._view.opened.mixture.dataset.cameras[dataset][camera]
        with self._lock:
            frame = reader.read(torch.tensor([row]))[0]
        values = frame if frame.dtype == torch.uint8 else to_uint8(frame.clamp(0.0, 1.0))
        picture = PIL.Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())
        if picture.width > self._width:
            size = (self._width, max(1, round(picture.height * self._width / picture.width)))
            picture = picture.resize(size, PIL.Image.Resampling.BILINEAR)
        return picture


def spread_pictures(view: View, episodes: list[ShownEpisode], most: int) -> Mapping[ShownEpisode, list[int]]:
    """Which frames of each episode are written, where only so many pictures are: evenly spaced, alike for all.

    Args:
        view: what is shown.
        episodes: that are written, the worst first.
        most: pictures of all cameras and episodes together; where this is less than one each, the first episodes get
            one each and the others none.
    """
    cameras = {one: sum(view.has_camera(one.dataset, key) for key in view.cameras) for one in episodes}
    wanted = sum(cameras.values())
    each, left = most // wanted if wanted else 0, most
    frames: dict[ShownEpisode, list[int]] = {}
    for one in episodes:
        shown = view.rows(one)
        length = shown.stop - shown.start
        count = min(max(each, 1), length) if 0 < cameras[one] <= left else 0
        frames[one] = np.linspace(0, length - 1, count).round().astype(int).tolist()
        left -= count * cameras[one]
    return frames
