# SPDX-License-Identifier: Apache-2.0
"""The merged dataset against LeRobotDataset, item by item."""

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from torch.utils.data import DataLoader

from lerobot_ambient.core.mixing import Ambient, Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))
FPS = 10


def recipe(**kwargs):
    return MixtureRecipe(**{"schedule": SCHEDULE, "mixing": Ambient(None), "action_mode": "MIN_MAX"} | kwargs)


def stock(root, repo_id, **kwargs):
    deltas = {"action": OPTIONS.action_deltas} | dict.fromkeys(
        ("observation.state", "observation.environment_state"), OPTIONS.observation_deltas
    )
    if kwargs.pop("image", False):
        deltas["observation.images.cam"] = OPTIONS.observation_deltas
    timestamps = {key: [i / FPS for i in value] for key, value in deltas.items()}
    return LeRobotDataset(repo_id, root=root, delta_timestamps=timestamps, return_uint8=True, **kwargs)


def assert_same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert ours[key].dtype == value.dtype, key
            assert torch.equal(ours[key], value), key
        else:
            assert ours[key] == value, key


@pytest.mark.parametrize("episodes", [None, [0, 2]])
def test_the_identity_merge_equals_lerobot_item_by_item(target_root, episodes):
    config = Source("me/target", root=str(target_root), episodes=episodes)
    merged = make_mixture(config, [], OPTIONS, recipe(mixing=Cotrain())).dataset
    theirs = stock(target_root, "me/target", episodes=episodes)
    assert len(merged) == len(theirs)
    for i in range(len(theirs)):
        item = merged[i]
        assert item.pop("info") == {GROUP_KEY: 0}
        assert_same(item, theirs[i])


def test_a_source_under_other_keys_reads_the_same_numbers(target_root, source_root, tmp_path, write_dataset):
    keys = {"action": "actions", "observation.state": "state", "observation.environment_state": "goal"}
    other = write_dataset(tmp_path / "other", "me/other", [14, 11], seed=5, keys=keys)
    plain = write_dataset(tmp_path / "plain", "me/plain", [14, 11], seed=5)
    rename = {value: key for key, value in keys.items()}
    mixture = make_mixture(
        Source("me/target", root=str(target_root)),
        [
            Source("me/sim", root=str(source_root), sigma_min=0.3),
            Source("me/other", root=str(other), sigma_min=0.5, rename=rename),
        ],
        OPTIONS,
        recipe(),
    )
    merged = mixture.dataset
    assert len(merged) == 44 + 85 + 25
    expected = stock(plain, "me/plain")
    for i in range(25):
        item, theirs = merged[44 + 85 + i], expected[i]
        assert item["info"] == {GROUP_KEY: 2}
        assert item["index"] == theirs["index"] + 44 + 85
        assert item["episode_index"] == theirs["episode_index"] + 3 + 4
        for key in ("action", "action_is_pad", "observation.state", "observation.state_is_pad", "timestamp"):
            assert torch.equal(item[key], theirs[key]), key
    assert merged[50]["task"] == "wander"
    assert int(merged[50]["task_index"]) == 1
    assert mixture.meta.tasks.loc["wander", "task_index"] == 1


def test_every_index_of_the_merge_is_unique(target_root, source_root):
    mixture = make_mixture(
        Source("me/target", root=str(target_root), episodes=[1]),
        [
            Source("me/target", root=str(target_root), episodes=[0, 2], sigma_min=0.3),
            Source("me/sim", root=str(source_root), sigma_min=0.3),
        ],
        OPTIONS,
        recipe(),
    )
    index = [int(mixture.dataset[i]["index"]) for i in range(len(mixture.dataset))]
    assert len(set(index)) == len(index)
    assert [source.name for source in mixture.sources] == ["me/target#0", "me/target#1", "me/sim"]


@pytest.mark.usefixtures("preloaded_commands")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_is_the_collated_items_in_order(target_root, source_root, workers):
    mixture = make_mixture(
        Source("me/target", root=str(target_root)),
        [Source("me/sim", root=str(source_root), sigma_min=0.3)],
        OPTIONS,
        recipe(drop_n_last_frames=2),
    )
    context = "spawn" if workers else None
    sampler = mixture.sampler(seed=0)
    order = list(mixture.sampler(seed=0))
    loader = DataLoader(
        mixture.dataset, batch_size=16, sampler=sampler, num_workers=workers, multiprocessing_context=context
    )
    position = 0
    for batch in loader:
        for row in range(len(batch["index"])):
            item = mixture.dataset[order[position]]
            position += 1
            assert batch["info"][GROUP_KEY][row] == item["info"][GROUP_KEY]
            assert batch["task"][row] == item["task"]
            for key in ("index", "action", "action_is_pad", "observation.state"):
                assert torch.equal(batch[key][row], item[key]), key
    assert position == len(order)


def test_tails_are_dropped_per_episode_of_every_source(target_root, source_root):
    mixture = make_mixture(
        Source("me/target", root=str(target_root)),
        [Source("me/sim", root=str(source_root), sigma_min=0.3)],
        OPTIONS,
        recipe(drop_n_last_frames=9),
    )
    # Target episodes of 20, 9 and 15 frames keep 11, 0 and 6; source episodes of 30, 12, 25, 18 keep 21, 3, 16, 9.
    assert [group.count for group in mixture.plan.groups] == [17, 49]
    drawn = set(mixture.sampler(seed=0))
    assert drawn <= {*range(11), *range(29, 35), *range(44, 65), *range(74, 77), *range(86, 102), *range(111, 120)}


def test_cameras_come_from_lerobot(tmp_path, write_dataset):
    roots = [
        write_dataset(tmp_path / name, f"me/{name}", lengths, seed=seed, image=(24, 32))
        for name, lengths, seed in (("a", [8, 6], 1), ("b", [7], 2))
    ]
    mixture = make_mixture(
        Source("me/a", root=str(roots[0])),
        [Source("me/b", root=str(roots[1]), sigma_min=0.3)],
        OPTIONS,
        recipe(),
    )
    for root, name, first in ((roots[0], "me/a", 0), (roots[1], "me/b", 14)):
        theirs = stock(root, name, image=True)
        for i in range(len(theirs)):
            item = mixture.dataset[first + i]
            for key in ("observation.images.cam", "observation.images.cam_is_pad", "action"):
                assert torch.equal(item[key], theirs[i][key]), key
    batch = next(iter(DataLoader(mixture.dataset, batch_size=21)))
    assert batch["observation.images.cam"].shape == (21, 2, 3, 24, 32)
    assert mixture.meta.camera_keys == ["observation.images.cam"]


def test_positions_outside_are_refused(target_root):
    merged = make_mixture(Source("me/target", root=str(target_root)), [], OPTIONS, recipe()).dataset
    with pytest.raises(IndexError, match="position 44 is outside the mixture of 44 frames"):
        merged[44]
    assert torch.equal(merged[-1]["action"], merged[43]["action"])


@given(
    episodes=st.sets(st.integers(0, 3), min_size=1),
    steps=st.integers(1, 3),
    horizon=st.integers(1, 40),
    drop=st.integers(0, 11),
    data=st.data(),
)
@settings(max_examples=25, deadline=None)
def test_any_selection_and_horizon_equals_lerobot(source_root, episodes, steps, horizon, drop, data):
    options = ReadOptions(
        observation_deltas=list(range(1 - steps, 1)), action_deltas=list(range(1 - steps, 1 - steps + horizon))
    )
    config = Source("me/sim", root=str(source_root), episodes=sorted(episodes))
    mixture = make_mixture(config, [], options, recipe(mixing=Cotrain(), drop_n_last_frames=drop))
    deltas = {"action": options.action_deltas, "observation.state": options.observation_deltas}
    theirs = LeRobotDataset(
        "me/sim",
        root=source_root,
        episodes=sorted(episodes),
        delta_timestamps={key: [i / FPS for i in value] for key, value in deltas.items()},
    )
    assert len(mixture.dataset) == len(theirs)
    position = data.draw(st.integers(0, len(theirs) - 1))
    ours, item = mixture.dataset[position], theirs[position]
    for key in (*deltas, "action_is_pad", "observation.state_is_pad", "index", "episode_index", "timestamp"):
        assert torch.equal(ours[key], item[key]), key
    lengths = {0: 30, 1: 12, 2: 25, 3: 18}
    assert mixture.plan.groups[0].count == sum(lengths[episode] - drop for episode in episodes)


@pytest.mark.parametrize("image", [None, (240, 320)])
def test_a_batch_that_a_worker_sends_arrives_as_it_was(image, tmp_path, write_dataset):
    root = write_dataset(tmp_path / "t", "me/t", [9, 7], image=image)
    dataset = make_mixture(Source("me/t", root=str(root)), [], OPTIONS, recipe(mixing=Cotrain())).dataset
    order = [list(range(5)), [15, 3, 3]]
    here, there = (list(DataLoader(dataset, batch_sampler=order, num_workers=workers)) for workers in (0, 1))
    for ours, theirs in zip(here, there, strict=True):
        assert type(theirs) is dict
        assert list(theirs) == list(ours)
        assert torch.equal(theirs["info"][GROUP_KEY], ours["info"][GROUP_KEY])
        for key, value in ours.items():
            if isinstance(value, torch.Tensor):
                assert theirs[key].dtype == value.dtype
                assert torch.equal(theirs[key], value), key
            elif key != "info":
                assert theirs[key] == value
