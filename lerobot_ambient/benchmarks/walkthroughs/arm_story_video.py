# SPDX-License-Identifier: Apache-2.0
"""The video that stands for a camera: a table, a block that slides over it, and the light of a day."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 128, 96
SECONDS = 8


def write_video(path: Path, *, fps: int) -> None:
    """Write SECONDS of frames of WIDTH x HEIGHT at `fps` to `path`, unless it is there.

    Raises:
        ValueError: the name does not end like a container that can hold the frames.
    """
    if path.exists():
        return
    if path.suffix.lower() not in (".avi", ".mkv", ".mov"):
        raise ValueError(f"{path}: the video is one of JPEG pictures; let its name end in .avi, .mkv or .mov.")
    partial = path.with_name(f".partial-{path.name}")
    with av.open(str(partial), "w") as file:
        stream = file.add_stream("mjpeg", rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        for number in range(SECONDS * fps):
            frame = av.VideoFrame.from_ndarray(_frame(number / (SECONDS * fps)), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    os.replace(partial, path)


def _frame(phase: float) -> NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3) at `phase` in [0, 1), which closes on itself."""
    light = 1.0 + 0.1 * np.sin(2 * np.pi * phase)
    picture = np.empty((HEIGHT, WIDTH, 3))
    picture[:] = (150.0, 120.0, 90.0)
    picture[: HEIGHT // 4] = (90.0, 110.0, 130.0)
    x, y = int(WIDTH * (0.5 + 0.3 * np.cos(2 * np.pi * phase))), int(HEIGHT * (0.6 + 0.2 * np.sin(2 * np.pi * phase)))
    picture[y - 6 : y + 6, x - 6 : x + 6] = (200.0, 40.0, 40.0)
    return np.clip(picture * light, 0, 255).astype(np.uint8)
