# SPDX-License-Identifier: Apache-2.0
"""A small filmed dataset on a Hub on the loopback interface, a client of it, and the mixture of both kinds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lerobot.configs import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import AssembledMixture, make_mixture
from lerobot_ambient.data.remote import blocks, pinned_repo
from lerobot_ambient.data.remote.block_store import BlockStore
from lerobot_ambient.data.remote.options import StreamOptions
from lerobot_ambient.testing.loopback_hub.hub import LoopbackHub
from lerobot_ambient.testing.loopback_hub.store import Repo

from ..small_recipe import OPTIONS, RECIPE

CAM = "observation.images.cam"
BLOCK = 2048
"""Bytes of a block in these tests: the videos are small."""


@pytest.fixture(scope="session")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """me/filmed: 3 episodes of 24 noisy frames of 48x64, in one H.264 file of twenty blocks."""
    root = tmp_path_factory.mktemp("remote") / "filmed"
    vector = {"dtype": "float32", "shape": (2,), "names": ["a", "b"]}
    camera = {"dtype": "video", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    features = {"action": vector, "observation.state": vector, CAM: camera}
    # It decodes in a sixth of the time of LeRobot's default.
    encoder = RGBEncoderConfig(vcodec="h264")
    dataset = LeRobotDataset.create("me/filmed", 10, features, root=root, use_videos=True, rgb_encoder=encoder)
    rng = np.random.default_rng(0)
    for _ in range(3):
        for _ in range(24):
            numbers = {key: rng.normal(size=2).astype(np.float32) for key in ("action", "observation.state")}
            picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            dataset.add_frame(numbers | {CAM: picture, "task": "go"})
        dataset.save_episode()
    dataset.finalize()
    return root


@pytest.fixture(scope="session")
def here(filmed: Path) -> AssembledMixture:
    """The dataset as it lies on this machine."""
    options = replace(OPTIONS, video_backend="pyav")
    return make_mixture(Source("me/filmed", root=str(filmed)), [], options, RECIPE)


@pytest.fixture
def put() -> Callable[..., str]:
    """Commits a folder to main and tags it, as LeRobot's push does: (hub, folder) to the commit's name."""

    def commit(hub: LoopbackHub, root: Path) -> str:
        files = {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.*") if p.is_file()}
        repo = hub.repos.setdefault(("dataset", "me/filmed"), Repo())
        repo.tags["v3.0"] = repo.commit("main", files)
        return repo.tags["v3.0"]

    return commit


@pytest.fixture(scope="session")
def hub() -> Iterator[LoopbackHub]:
    """One Hub for all tests; `remote` empties it."""
    with LoopbackHub() as running:
        yield running


@pytest.fixture(scope="session")
def kept_metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """huggingface_hub's cache of all tests: what was fetched at a commit need not be fetched again."""
    return tmp_path_factory.mktemp("hub")


@pytest.fixture
def remote(hub, kept_metadata, filmed: Path, put, client, monkeypatch, tmp_path):
    """The Hub with me/filmed: `hub`, its `commit`, the name of the one `video`, the folder of the `blocks`, `waits`
    that would have been slept, and `open`, which makes the mixture anew, as another process would."""
    for collection in (hub.repos, hub.faults, hub.requests, hub.addresses):
        collection.clear()
    hub.delay, hub.elsewhere = 0.0, False
    commit = put(hub, filmed)
    waits: list[float] = client(hub, cache=str(kept_metadata))
    monkeypatch.setattr(pinned_repo, "time", SimpleNamespace(sleep=lambda s: waits.append(s) if s else None))

    def open_mixture(gigabytes: float = 0.01, options: dict[str, Any] | None = None, block: int = BLOCK, **config: Any):
        small = lambda self: BlockStore(self.folder, int(self.gigabytes * 1e9), block)  # noqa: E731
        monkeypatch.setattr(StreamOptions, "store", small)
        stream = StreamOptions(tmp_path / "blocks", gigabytes)
        chosen = replace(OPTIONS, video_backend="pyav", stream=stream, **options or {})
        return make_mixture(Source("me/filmed", stream=True, **config), [], chosen, RECIPE)

    (video,) = (path for path in hub.files("me/filmed", "dataset") if path.endswith(".mp4"))
    yield SimpleNamespace(
        hub=hub, commit=commit, video=video, blocks=tmp_path / "blocks", waits=waits, open=open_mixture
    )
    # No thread of this test asks the Hub of the next one.
    blocks.settle()


@pytest.fixture
def copy_of(filmed: Path, tmp_path: Path) -> Path:
    """A copy of the dataset's folder, to be changed."""
    return Path(shutil.copytree(filmed, tmp_path / "copy"))
