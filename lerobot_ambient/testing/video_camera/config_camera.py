# SPDX-License-Identifier: Apache-2.0
"""Configuration of the camera type `video_file`, which LeRobot's commands take as `type: video_file`."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.cameras import CameraConfig
from lerobot.cameras.opencv import OpenCVCameraConfig


@CameraConfig.register_subclass("video_file")
@dataclass
class VideoFileCameraConfig(OpenCVCameraConfig):
    """A video file in place of a camera, played at `fps` and from the beginning again at its end.

    `index_or_path` is the file; `width` and `height` are those of its frames. LeRobot's type `opencv` cannot be used: a
    robot demands width, height and fps of its cameras, and OpenCV refuses to set any of them on a file.
    """
