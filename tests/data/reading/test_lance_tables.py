# SPDX-License-Identifier: Apache-2.0
"""A dataset in Lance's tables gives what the same dataset gives in LeRobot's own layout."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from lerobot.configs import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading import lance_tables

from ..small_recipe import OPTIONS, RECIPE

CAM = "observation.images.cam"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """me/filmed: 2 episodes of 9 frames with a 48x64 camera."""
    root = tmp_path_factory.mktemp("lance") / "filmed"
    vector = {"dtype": "float32", "shape": (2,), "names": ["a", "b"]}
    camera = {"dtype": "video", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    features = {"action": vector, "observation.state": vector, CAM: camera}
    encoder = RGBEncoderConfig(vcodec="h264")
    dataset = LeRobotDataset.create("me/filmed", 10, features, root=root, use_videos=True, rgb_encoder=encoder)
    rng = np.random.default_rng(0)
    for _ in range(2):
        for i in range(9):
            numbers = {key: rng.normal(size=2).astype(np.float32) for key in ("action", "observation.state")}
            dataset.add_frame(numbers | {CAM: np.full((48, 64, 3), 20 * i, np.uint8), "task": "go"})
        dataset.save_episode()
    dataset.finalize()
    return root


@pytest.fixture(scope="module")
def converted(recorded, tmp_path_factory):
    """The same as lerobot-lancedb converts it."""
    convert = pytest.importorskip(
        "lerobot_lancedb.convert",
        reason="LEROBOT-LANCEDB IS NOT INSTALLED, so reading Lance's tables is not checked: pip install -e '.[lance]'",
    )
    out = tmp_path_factory.mktemp("lance") / "tables"
    convert.convert(out, root=recorded)
    return out


def mixture(root, **config):
    options = replace(OPTIONS, video_backend="pyav")
    return make_mixture(Source("me/filmed", root=str(root), **config), [], options, RECIPE)


@pytest.mark.parametrize("episodes", [None, [1]])
def test_batches_are_those_of_lerobots_layout(recorded, converted, episodes):
    ours, theirs = (mixture(root, episodes=episodes).dataset for root in (converted, recorded))
    rows = list(range(len(theirs)))
    batch, expected = ours.gather(rows), theirs.gather(rows)
    assert batch.keys() == expected.keys()
    for key in (*ours.keys, "action_is_pad"):
        assert torch.equal(batch[key], expected[key]), key


def test_the_mixture_is_the_same(recorded, converted):
    assert mixture(converted).fingerprint == mixture(recorded).fingerprint


def test_a_forked_worker_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lance_tables, "_opened_by", os.getpid() + 1)
    with pytest.raises(
        RuntimeError, match=r"cannot be read in a forked process.*dataloader_multiprocessing_context=sp"
    ):
        lance_tables._open(str(tmp_path), "videos", os.getpid())


def test_a_lost_video_is_named(converted, tmp_path):
    root = shutil.copytree(converted, tmp_path / "lost")
    shutil.rmtree(root / "videos.lance")
    with pytest.raises(ValueError, match=r"videos\.lance has no row of it"):
        mixture(root)


def test_what_is_missing_is_named_without_the_library(recorded, tmp_path, monkeypatch):
    root = shutil.copytree(recorded, tmp_path / "stamped")
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | {"storage_format": "lance"}))
    with pytest.raises(ValueError, match=r"kept as Lance's tables, and .*/stamped has no frames\.lance"):
        mixture(root)
    (root / "frames.lance").mkdir()
    monkeypatch.setitem(__import__("sys").modules, "lerobot_lancedb", None)
    with pytest.raises(ValueError, match=r"need the package lerobot-lancedb: pip install .*\[lance\]"):
        mixture(root)
