# SPDX-License-Identifier: Apache-2.0
"""Statistics in stats.json that do not describe the data: computed anew, with a warning, never trained on."""

import json
import logging
import shutil

import numpy as np
import pytest

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture

from ..small_recipe import OPTIONS, RECIPE

CAMERA = "observation.images.cam"


@pytest.fixture(scope="session")
def pictured(tmp_path_factory, write_dataset):
    root = tmp_path_factory.mktemp("statistics") / "pictured"
    return write_dataset(root, "me/pictured", [12, 9], seed=6, image=(6, 8))


@pytest.fixture
def root(pictured, tmp_path):
    shutil.copytree(pictured, tmp_path / "copy")
    return tmp_path / "copy"


def change(root, key, values):
    path = root / "meta/stats.json"
    stats = json.loads(path.read_text())
    stats[key] = {**stats[key], **values} if values else {}
    path.write_text(json.dumps(stats))


def made(root):
    return make_mixture(Source("me/pictured", root=str(root)), [], OPTIONS, RECIPE)


def require_right(stats, sound):
    for key, entry in sound.items():
        if not key.startswith(("observation", "action")):
            continue
        for name in ("min", "max", "mean", "std"):
            given, right = np.asarray(stats[key][name]), np.asarray(entry[name])
            assert given.shape == right.shape, (key, name)
            assert np.allclose(given, right, atol=1e-2 if key == CAMERA else 1e-3), (key, name)


@pytest.mark.parametrize(
    "values",
    [
        {"max": [float("nan"), 1.0]},
        {"std": [float("inf"), 1.0]},
        {"min": [None, 0.0]},
        {"mean": ["a", "b"]},
        {"min": [[0.0], [1.0, 2.0]]},
        {"min": [0.0]},
        {},
    ],
)
@pytest.mark.parametrize("key", ["action", CAMERA])
def test_statistics_that_are_no_numbers_are_computed_anew(root, pictured, key, values, caplog):
    sound = json.loads((pictured / "meta/stats.json").read_text())
    if key == CAMERA:
        values = {name: [[[x]] for x in (value * 3)[:2]] for name, value in values.items()}
    change(root, key, values)
    with caplog.at_level(logging.WARNING):
        stats = made(root).meta.stats
    require_right(stats, sound)
    assert f"{key}: stats.json " in caplog.text


@pytest.mark.parametrize("shape", ["a pixel", "flat", "0 to 255"])
def test_statistics_of_cameras_in_other_layouts(root, pictured, shape, caplog):
    sound = json.loads((pictured / "meta/stats.json").read_text())
    values = {name: np.asarray(sound[CAMERA][name]) for name in ("min", "max", "mean", "std")}
    forms = {
        "a pixel": lambda value: np.broadcast_to(value.reshape(1, 1, 3), (6, 8, 3)),
        "flat": lambda value: value.reshape(3),
        "0 to 255": lambda value: 255.0 * value,
    }
    change(root, CAMERA, {name: forms[shape](value).tolist() for name, value in values.items()})
    with caplog.at_level(logging.WARNING):
        stats = made(root).meta.stats
    require_right(stats, sound)
    said = {
        "a pixel": "has a min of shape (6, 8, 3), not a number for each of 3 channels; computed from 21 of its frames",
        "flat": "is not (channels, 1, 1); brought to it",
        "0 to 255": "is not of images in [0, 1]; computed from 21",
    }
    assert said[shape] in caplog.text


def test_sound_statistics_of_cameras_keep_their_bits_and_say_nothing(pictured, caplog):
    sound = json.loads((pictured / "meta/stats.json").read_text())[CAMERA]
    with caplog.at_level(logging.WARNING):
        stats = made(pictured).meta.stats[CAMERA]
    assert caplog.text == ""
    assert {name: np.asarray(value).tolist() for name, value in stats.items()} == sound
