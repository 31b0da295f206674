# SPDX-License-Identifier: Apache-2.0
"""The moving picture: paths grow, failures end in a cross, and it comes to rest on the last frame."""

import numpy as np
import pytest
from PIL import Image, ImageColor

from lerobot_ambient.benchmarks.engine.trajectories import Trajectory
from lerobot_ambient.benchmarks.pages.maze_animation import FAILED, FAILED_END, draw_animation
from lerobot_ambient.figures.families import colour
from lerobot_ambient.figures.style import SOURCE, TARGET


def path_of(length: int, *, success: bool = True) -> Trajectory:
    points = np.stack([np.linspace(0.3, 0.3 + 0.03 * length, length), np.full(length, 0.5)], axis=1).astype(np.float32)
    return Trajectory(points, points[-1], success)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("animation")
    demonstrations = {"target": [path_of(30)], "source": [path_of(60)]}
    rollouts = {"cotrain": [path_of(40)], "ambient": [path_of(20), path_of(45, success=False)]}
    made = draw_animation(demonstrations, rollouts, folder / "maze")
    assert made == folder / "maze.gif"
    assert made.stat().st_size < 400_000
    with Image.open(made) as opened:
        pictures = []
        for number in range(opened.n_frames):
            opened.seek(number)
            pictures.append((np.asarray(opened.convert("RGB"), dtype=int), opened.info["duration"]))
        return pictures, opened.info["loop"]


def ink(picture: np.ndarray, shade: str) -> int:
    """Pixels below the titles that are a third of that colour or more, on white."""
    drawn, wanted = 255 - picture[60:], 255 - np.array(ImageColor.getrgb(shade))
    part = drawn @ wanted / (wanted @ wanted)
    other = np.abs(drawn - part[..., None] * wanted).max(-1)
    return int(((part > 0.33) & (part < 1.1) & (other < 20)).sum())


def test_paths_grow_for_as_long_as_they_took(frames):
    pictures, _ = frames
    target = [ink(picture, TARGET) for picture, _ in pictures]
    source = [ink(picture, SOURCE) for picture, _ in pictures]
    middle = len(pictures) // 2
    assert target[2] < target[middle]
    # The target's path of 30 steps is whole in the middle of 60; the source's grows to the end.
    assert target[middle + 1] == target[-1]
    assert source[middle + 1] < 0.8 * source[-1]


def test_a_failure_is_grey_and_ends_in_a_cross(frames):
    pictures, _ = frames
    assert ink(pictures[len(pictures) // 2][0], FAILED_END) == 0
    assert ink(pictures[-1][0], FAILED_END) > 0
    assert ink(pictures[-1][0], FAILED) > ink(pictures[3][0], FAILED) > 0
    assert ink(pictures[-1][0], colour("ambient")) > 0


def test_it_plays_three_times_and_rests_on_the_whole(frames):
    pictures, loop = frames
    assert loop == 2
    assert 30 <= len(pictures) <= 50
    assert pictures[-1][1] == 3000
    assert {duration for _, duration in pictures[:-1]} == {80}


def test_the_same_paths_give_the_same_bytes(tmp_path):
    some = {"target": [path_of(8)], "source": [path_of(9)]}
    first, second = (draw_animation(some, {}, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert first == second
