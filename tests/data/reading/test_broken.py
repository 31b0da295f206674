# SPDX-License-Identifier: Apache-2.0
"""Datasets that are damaged, old or odd: each is named episode by episode, and can be used without what is broken."""

import importlib.util
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))
RECIPE = MixtureRecipe(schedule=SCHEDULE, mixing=Cotrain(), action_mode="MIN_MAX")
HANDS = {"actions": "action", "state": "observation.state", "image": "observation.images.front"}


def make(target, *sources):
    return make_mixture(target, list(sources), OPTIONS, RECIPE)


@pytest.fixture
def target(target_root):
    return Source("me/target", root=str(target_root))


@pytest.fixture
def sim(source_root, tmp_path):
    """A private copy of me/sim: 4 episodes of 30, 12, 25 and 18 frames in one parquet file."""
    root = tmp_path / "sim"
    shutil.copytree(source_root, root)
    return root


@pytest.fixture
def hands(shared_data, tmp_path):
    """A private copy of bimanual_hands, one video and one parquet file an episode."""
    root = tmp_path / "hands"
    shutil.copytree(shared_data / "bimanual_hands", root)
    return root


def source(root, **kwargs):
    return Source("me/sim", root=str(root), sigma_min=0.3, **kwargs)


def rewrite_actions(root, change):
    (path,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(path)
    values = np.stack(table["action"].to_pylist()).astype(np.float32)
    change(values)
    column = pa.array(values.tolist(), type=table.schema.field("action").type)
    field = table.schema.field("action")
    pq.write_table(table.set_column(table.schema.get_field_index("action"), field, column), path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_named_with_their_place(target, sim, value):
    rewrite_actions(sim, lambda values: values.__setitem__((30 + 12 + 5, 1), value))
    message = rf"(?s)'me/sim': 1 of its episodes cannot be read:\n  episode 2: action\[1\] is {value} at frame 5\n"
    with pytest.raises(ValueError, match=message + r".*`episodes: \[0, 1, 3\]`, or with `skip_broken: true`"):
        make(target, source(sim))


def test_skip_broken_leaves_them_out_and_says_so(target, sim, caplog):
    rewrite_actions(sim, lambda values: values.__setitem__((30 + 12 + 5, 1), float("nan")))
    with caplog.at_level(logging.WARNING):
        mixture = make(target, source(sim, skip_broken=True))
    assert mixture.sources[1].episodes == [0, 1, 3]
    assert len(mixture.sources[1]) == 30 + 12 + 18
    assert "'me/sim': 1 of its episodes are left out:\n  episode 2: action[1] is nan" in caplog.text
    assert torch.isfinite(mixture.dataset.gather(list(range(len(mixture.dataset))))["action"]).all()


def test_a_selection_without_the_broken_episode_needs_nothing(target, sim):
    rewrite_actions(sim, lambda values: values.__setitem__((0, 0), float("nan")))
    assert make(target, source(sim, episodes=[1, 3])).sources[1].episodes == [1, 3]


def test_of_the_target_the_option_is_named(sim):
    rewrite_actions(sim, lambda values: values.__setitem__((0, 0), float("nan")))
    with pytest.raises(ValueError, match=r"`--dataset\.episodes=\[1, 2, 3\]`\.$"):
        make(Source("me/sim", root=str(sim)))


def test_a_truncated_parquet_file_takes_down_its_episodes_only(target, hands):
    path = hands / "data/chunk-000/file-003.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    state_only = {key: value for key, value in HANDS.items() if key != "image"}
    config = Source("x/hands", root=str(hands), rename=state_only)
    with pytest.raises(
        ValueError, match=r"(?s)1 of its episodes cannot be read:\n  episode 3: data/chunk-000/file-003"
    ):
        make(config)
    config.episodes = [0, 1, 4]
    assert make(config).sources[0].episodes == [0, 1, 4]


def test_a_missing_parquet_file_and_all_of_them(target, hands):
    (hands / "data/chunk-000/file-005.parquet").unlink()
    config = Source("x/hands", root=str(hands), rename={"actions": "action", "state": "observation.state"})
    with pytest.raises(ValueError, match=r"episode 5: data/chunk-000/file-005.parquet is missing"):
        make(config)
    shutil.rmtree(hands / "data")
    with pytest.raises(ValueError, match="'x/hands': none of the selected episodes can be read"):
        make(config)


def test_missing_and_empty_videos(hands, caplog):
    (hands / "videos/image/chunk-000/file-002.mp4").unlink()
    (hands / "videos/image/chunk-000/file-006.mp4").write_bytes(b"")
    target = Source("x/hands", root=str(hands), rename=HANDS, episodes=[0])
    config = Source("x/hands", root=str(hands), rename=HANDS, sigma_min=0.3, episodes=[1, 2, 6, 7])
    with pytest.raises(ValueError) as refused:
        make(target, config)
    for line in (
        "'x/hands#1': 2 of its episodes cannot be read:",
        "  episode 2: videos/image/chunk-000/file-002.mp4 is missing",
        "  episode 6: videos/image/chunk-000/file-006.mp4 is empty",
        "`episodes: [1, 7]`",
    ):
        assert line in str(refused.value)
    config.skip_broken = True
    assert make(target, config).sources[1].episodes == [1, 7]


def test_a_video_that_breaks_while_decoding_is_named(hands):
    path = hands / "videos/image/chunk-000/file-001.mp4"
    path.write_bytes(b"not a video" * 1000)
    mixture = make(Source("x/hands", root=str(hands), rename=HANDS, episodes=[0, 1]))
    with pytest.raises(ValueError, match=r"^'x/hands' observation.images.front, episode 1 \(.*cannot be decoded"):
        mixture.dataset[429 + 3]
    assert mixture.dataset[3]["observation.images.front"].shape == (2, 3, 480, 640)


def test_frames_that_the_metadata_promises_and_the_file_lacks(target, sim):
    (path,) = (sim / "data").rglob("*.parquet")
    pq.write_table(pq.read_table(path).slice(0, 80), path)
    with pytest.raises(ValueError, match=r"episode 3: 13 of its 18 frames are in data/chunk-000/file-000\.parquet"):
        make(target, source(sim))


def test_v21_gets_the_exact_command(target, sim):
    info = json.loads((sim / "meta/info.json").read_text()) | {"codebase_version": "v2.1"}
    (sim / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"format v2\.1") as refused:
        make(target, source(sim))
    command = str(refused.value).splitlines()[-1].split()
    assert command[:2] == ["python", "-m"]
    # The command is LeRobot's: the module is there and knows the options.
    module = importlib.util.find_spec(command[2])
    text = Path(module.origin).read_text()
    assert [option.split("=")[0] for option in command[3:]] == ["--repo-id", "--root", "--push-to-hub"]
    assert all(f'"{option.split("=")[0]}"' in text for option in command[3:])
    assert f"--root={sim}" in command


def test_an_empty_task_string_is_a_task(target, tmp_path, write_dataset):
    root = write_dataset(tmp_path / "mute", "me/mute", [12], task="")
    mixture = make(target, Source("me/mute", root=str(root), sigma_min=0.3))
    assert mixture.dataset[44 + 3]["task"] == ""
    assert mixture.dataset[3]["task"] == "go"
    assert mixture.dataset.tasks == ["go", ""]
