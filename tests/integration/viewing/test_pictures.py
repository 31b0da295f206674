# SPDX-License-Identifier: Apache-2.0
"""Pictures are the frames they are called, and no more are written than were asked for."""

import io

import numpy as np
import PIL.Image
import pytest

from lerobot_ambient.integration.viewing import shown
from lerobot_ambient.integration.viewing.pictures import Pictures, spread_pictures

from .conftest import CAMERA, shade


def colour_of(jpeg: bytes) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(jpeg)) as opened:
        assert opened.format == "JPEG"
        return np.asarray(opened.convert("RGB"), dtype=np.float64).mean((0, 1))


@pytest.mark.parametrize(("dataset", "episode", "frame"), [(0, 0, 0), (0, 6, 40), (1, 0, 69), (1, 7, 81)])
def test_a_picture_is_the_frame_that_it_is_called(view, dataset, episode, frame):
    jpeg = Pictures(view).jpeg(view.find(dataset, episode), frame, CAMERA)
    assert colour_of(jpeg) == pytest.approx(shade(episode, frame), abs=3)


def test_a_picture_is_made_smaller_and_never_larger(view):
    one = view.find(0, 0)
    for width, expected in ((640, (64, 48)), (32, (32, 24))):
        with PIL.Image.open(io.BytesIO(Pictures(view, width).jpeg(one, 3, CAMERA))) as opened:
            assert opened.size == expected


def test_what_is_not_there_is_refused(view):
    pictures = Pictures(view)
    for frame in (-1, 40):
        with pytest.raises(ValueError, match=f"episode 0 has no frame {frame} of 'observation.images.front'"):
            pictures.jpeg(view.find(0, 0), frame, CAMERA)
    with pytest.raises(ValueError, match=r"has no frame 0 of '\.\./secret'"):
        pictures.jpeg(view.find(0, 0), 0, "../secret")
    with pytest.raises(ValueError, match="'rollouts' has no camera"):
        pictures.jpeg(view.find(2, 0), 0, CAMERA)


def test_pictures_are_spread_over_the_episodes_that_have_a_camera(view):
    frames = spread_pictures(view, view.episodes, 50)
    seen = {one: numbers for one, numbers in frames.items() if numbers}
    # Fifteen episodes have a camera.
    assert {len(numbers) for numbers in seen.values()} == {3}
    assert all(one.dataset != 2 for one in seen)
    assert frames[view.find(0, 0)] == [0, 20, 39]


def test_where_there_are_fewer_pictures_than_episodes_the_worst_get_one(view):
    with_camera = [one for one in view.episodes if one.dataset != 2]
    for most in (0, 1, 14, 15):
        frames = spread_pictures(view, view.episodes, most)
        assert [one for one, numbers in frames.items() if numbers] == with_camera[:most]
        assert all(numbers in ([], [0]) for numbers in frames.values())


def test_no_picture_is_of_a_frame_beyond_those_shown(view, monkeypatch):
    monkeypatch.setattr(shown, "MOST_FRAMES", 10)
    assert spread_pictures(view, view.episodes, 50)[view.find(0, 0)] == [0, 4, 9]
