# SPDX-License-Identifier: Apache-2.0
"""The camera type `video_file`: LeRobot's OpenCV camera on a file, for a robot without a camera."""

from __future__ import annotations

import time
from typing import Any

import cv2
from lerobot.cameras.opencv import OpenCVCamera
from numpy.typing import NDArray

from lerobot_ambient.testing.video_camera.config_camera import VideoFileCameraConfig


class VideoFileCamera(OpenCVCamera):
    """LeRobot's OpenCV camera, which plays a file at the configured rate, over and over.

    Raises:
        ValueError: no frame rate, or the file's frames have another size than the configuration says (at `connect`).
    """

    def __init__(self, config: VideoFileCameraConfig) -> None:
        super().__init__(config)
        if config.fps is None or config.fps <= 0:
            raise ValueError(f"camera video_file {config.index_or_path}: fps is {config.fps}; give frames a second.")
        self._due = 0.0

    def _configure_capture_settings(self) -> None:
        """Check what LeRobot would set: a file has the size it has."""
        assert self.videocapture is not None
        found = tuple(
            round(self.videocapture.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        wanted = (self.capture_width, self.capture_height)
        if found != wanted:
            raise ValueError(
                f"camera video_file {self.index_or_path}: width and height are {wanted}, the file's are {found}; "
                "set them to the file's."
            )
        self._due = time.perf_counter()

    def _read_from_hardware(self) -> NDArray[Any]:
        assert self.videocapture is not None and self.fps is not None
        time.sleep(max(0.0, self._due - time.perf_counter()))
        # A process that had to wait goes on at the same rate; it does not catch up.
        self._due = max(self._due, time.perf_counter() - 1.0) + 1.0 / self.fps
        read, frame = self.videocapture.read()
        if not read:
            self.videocapture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            read, frame = self.videocapture.read()
        if not read:
            raise RuntimeError(f"camera video_file {self.index_or_path}: no frame can be read.")
        return frame
