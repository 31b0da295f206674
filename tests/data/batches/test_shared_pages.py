# SPDX-License-Identifier: Apache-2.0
"""Columns that several processes share: the same batches, one file, no copies in what is pickled."""

import pickle

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.batches import shared_pages
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """Share everything, however small, in a folder of the test's own."""
    monkeypatch.setattr(shared_pages, "SHARED_ABOVE", 0)
    monkeypatch.setattr(shared_pages, "SHARED_FOLDER", tmp_path / "pages")
    return tmp_path / "pages"


@pytest.fixture
def make(target_root, source_root):
    def make():
        return make_mixture(
            Source("me/target", root=str(target_root)),
            [Source("me/sim", root=str(source_root), sigma_min=0.3)],
            OPTIONS,
            MixtureRecipe(schedule=SCHEDULE, mixing=Cotrain(), action_mode="MIN_MAX"),
        )

    return make


def assert_same(ours, theirs):
    for key, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(ours[key], value), key


def test_batches_are_the_same_and_the_second_process_finds_the_file(make, shared, monkeypatch):
    positions = list(range(0, 129, 3))
    with monkeypatch.context() as unshared:
        unshared.setattr(shared_pages, "SHARED_ABOVE", 2**40)
        plain = make().dataset.gather(positions)
    assert_same(make().dataset.gather(positions), plain)
    (entry,) = shared.iterdir()
    written = {path: path.stat().st_mtime_ns for path in entry.iterdir()}
    assert_same(make().dataset.gather(positions), plain)
    assert {path: path.stat().st_mtime_ns for path in entry.iterdir()} == written


def test_a_spawned_worker_maps_the_file_instead_of_getting_a_copy(make, shared):
    columns = make().dataset.columns
    text = pickle.dumps(columns)
    assert len(text) < 20_000 < sum(c.numel() * c.element_size() for c in columns.columns.values()) + 20_000
    assert columns.columns["action"].numpy().tobytes() not in text
    rows = torch.arange(0, 129, 5)
    again = pickle.loads(text)
    assert_same(again.gather(rows), columns.gather(rows))
    assert again.counters == columns.counters


def test_sources_keep_views_of_the_map(make, shared):
    mixture = make()
    action = mixture.sources[1].columns["action"]
    assert not action.flags.writeable
    assert not action.flags.owndata


def test_small_arrays_stay_in_memory(make, tmp_path, monkeypatch):
    monkeypatch.setattr(shared_pages, "SHARED_FOLDER", tmp_path / "pages")
    make()
    assert not (tmp_path / "pages").exists()


def test_a_place_that_cannot_be_written_is_said_and_survived(make, shared, caplog):
    shared.write_text("a file where a folder should be")
    assert len(make().dataset.gather([1, 2])["action"]) == 2
    assert "cannot be shared in" in caplog.text


def test_windows_per_frame_are_shared_too(shared):
    arrays = {"tags": np.arange(10, dtype=np.uint16)}
    store = shared_pages.share(arrays)
    assert store is not None
    assert np.array_equal(store["tags"], arrays["tags"])
