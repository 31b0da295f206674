# SPDX-License-Identifier: Apache-2.0
"""The camera type `video_file`, made as LeRobot's robots make their cameras."""

import time
from itertools import pairwise

import av
import numpy as np
import pytest


@pytest.fixture
def video(tmp_path):
    """Ten frames of 64 x 48, each brighter than the one before."""
    path = tmp_path / "video.avi"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mjpeg", rate=30, width=64, height=48, pix_fmt="yuvj420p")
        for i in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * i, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def camera_of(path, **options):
    from lerobot.cameras import CameraConfig, make_cameras_from_configs

    config = CameraConfig.get_choice_class("video_file")(index_or_path=path, warmup_s=0, **options)
    return make_cameras_from_configs({"front": config})["front"]


def test_it_plays_at_its_rate_and_starts_again(video):
    camera = camera_of(video, fps=50, width=64, height=48)
    camera.connect()
    seen, begun = [], time.perf_counter()
    for _ in range(25):
        seen.append(float(camera.async_read(2000).mean()))
    seconds = time.perf_counter() - begun
    camera.disconnect()
    assert seconds > 0.35
    assert max(seen) - min(seen) > 100
    assert any(b < a - 50 for a, b in pairwise(seen)), "it never started again"


def test_another_size_is_refused_with_both(video):
    with pytest.raises(ValueError, match=r"\(640, 480\), the file's are \(64, 48\)"):
        camera_of(video, fps=30, width=640, height=480).connect()


def test_it_needs_a_rate(video):
    with pytest.raises(ValueError, match="fps is None"):
        camera_of(video, width=64, height=48)


def test_lerobots_opencv_camera_cannot_do_it(video):
    """The reason for the type: when this fails, LeRobot can, and the type may go."""
    from lerobot.cameras.opencv import OpenCVCamera, OpenCVCameraConfig

    camera = OpenCVCamera(OpenCVCameraConfig(index_or_path=video, fps=30, width=64, height=48, warmup_s=0))
    with pytest.raises(RuntimeError, match="failed to set"):
        camera.connect()
