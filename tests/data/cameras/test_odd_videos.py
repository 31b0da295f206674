# SPDX-License-Identifier: Apache-2.0
"""Videos that are not what the metadata says: refused by name when the mixture is opened, or not needed at all."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.cameras.video_files import timestamp_error
from lerobot_ambient.data.declared.alignment import CameraConfig
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)), video_backend="pyav")
RECIPE = MixtureRecipe(schedule=SCHEDULE, mixing=Cotrain(), action_mode="MIN_MAX")
CAM = "observation.images.cam"
FPS, LENGTH = 10, 8


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """me/filmed: 2 episodes of 8 frames with a 48x64 camera, in one video file."""
    root = tmp_path_factory.mktemp("odd") / "filmed"
    vector = {"dtype": "float32", "shape": (2,), "names": ["a", "b"]}
    camera = {"dtype": "video", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    features = {"action": vector, "observation.state": vector, CAM: camera}
    dataset = LeRobotDataset.create("me/filmed", FPS, features, root=root, use_videos=True)
    rng = np.random.default_rng(0)
    for _ in range(2):
        for i in range(LENGTH):
            numbers = {key: rng.normal(size=2).astype(np.float32) for key in ("action", "observation.state")}
            dataset.add_frame(numbers | {CAM: np.full((48, 64, 3), 30 * i, np.uint8), "task": "go"})
        dataset.save_episode()
    dataset.finalize()
    return root


@pytest.fixture(scope="module")
def blind(tmp_path_factory, write_dataset):
    """me/blind: the same numbers' names, no camera."""
    root = tmp_path_factory.mktemp("odd") / "blind"
    return write_dataset(root, "me/blind", [12], names=["a", "b"], env_state=False)


@pytest.fixture
def odd(recorded, tmp_path):
    return shutil.copytree(recorded, tmp_path / "odd")


def declare(root, shape):
    path = root / "meta/info.json"
    info = json.loads(path.read_text())
    info["features"][CAM]["shape"] = shape
    path.write_text(json.dumps(info))


def edit_episodes(root, edit):
    (path,) = (root / "meta/episodes").rglob("*.parquet")
    pq.write_table(edit(pq.read_table(path)), path)


def shift(root, episode, seconds):
    """The frames of an episode are looked for so much later in the video."""

    def edit(table):
        name = f"videos/{CAM}/from_timestamp"
        begins = table[name].to_numpy().copy()
        begins[episode] += seconds
        return table.set_column(table.column_names.index(name), name, pa.array(begins))

    edit_episodes(root, edit)


def config(root, repo_id="me/odd", **kwargs):
    return Source(repo_id, root=str(root), **kwargs)


def make(target, *sources, options=OPTIONS):
    return make_mixture(target, list(sources), options, RECIPE)


def test_another_size_is_refused_when_it_is_opened(odd, recorded):
    declare(odd, [24, 32, 3])
    message = (
        rf"'me/odd' {CAM}, episode 0 \(.*file-000.mp4\): the video has \(height, width, channels\) \[48, 64, 3\], "
        r"meta/info.json says \[24, 32, 3\]\. If all are like this, correct"
    )
    with pytest.raises(ValueError, match=message):
        make(config(odd))
    # A source's frames are resized: what they are resized from must be true, too.
    with pytest.raises(ValueError, match=message):
        make(config(recorded, "me/filmed"), config(odd, sigma_min=0.3))


def test_a_grey_video_has_three_equal_channels(odd, recorded):
    declare(odd, [48, 64, 1])
    grey, stock = make(config(odd)), make(config(recorded, "me/filmed"))
    assert grey.meta.features[CAM]["shape"] == (48, 64, 3)
    assert torch.equal(grey.dataset[5][CAM], stock.dataset[5][CAM])
    mixed = make(config(recorded, "me/filmed"), config(odd, sigma_min=0.3))
    assert torch.equal(mixed.dataset[2 * LENGTH + 5][CAM], stock.dataset[5][CAM])


def test_the_tolerance_to_write_is_measured_and_is_enough(odd):
    shift(odd, 0, 0.0123)
    with pytest.raises(ValueError, match=rf"'me/odd' {CAM}, episode 0 .* up to 0\.0123 s off") as refused:
        make(config(odd))
    (number,) = re.findall(r"`--tolerance_s=([\d.e-]+)`", str(refused.value))
    assert 0.0123 < float(number) <= 0.0136
    images = make(config(odd), options=replace(OPTIONS, tolerance_s=float(number))).dataset[5][CAM]
    assert (images.float().mean((1, 2, 3)) - torch.tensor([120.0, 150.0])).abs().max() < 5


def test_more_than_half_a_frame_is_no_matter_of_tolerance(odd):
    shift(odd, 1, 0.06)
    mixture = make(config(odd))
    with pytest.raises(ValueError, match=r"episode 1 .*that is half a frame \(0\.05 s\) or more") as refused:
        mixture.dataset[LENGTH + 3]
    assert "--tolerance_s" not in str(refused.value)


def test_distances_are_measured_without_decoding(recorded):
    path = next((recorded / "videos").rglob("*.mp4"))
    wanted = np.arange(2 * LENGTH) / FPS
    assert timestamp_error(path, wanted) == (pytest.approx(0.0, abs=1e-9), pytest.approx(0.1))
    assert timestamp_error(path, wanted[3:9] + 0.03)[0] == pytest.approx(0.03)
    assert timestamp_error(path, np.array([2.0]))[0] == pytest.approx(0.5)


def test_videos_that_nobody_needs_may_be_absent(odd, blind):
    shutil.rmtree(odd / "videos")
    mixture = make(config(blind, "me/blind"), config(odd, sigma_min=0.3, skip_broken=True))
    assert len(mixture.dataset) == 12 + 2 * LENGTH
    assert mixture.meta.camera_keys == []


def lose_files(root):
    shutil.rmtree(root / "videos")


def lose_columns(root):
    edit_episodes(root, lambda table: table.drop_columns([n for n in table.column_names if n.startswith("videos/")]))


@pytest.mark.parametrize("lose", [lose_files, lose_columns])
def test_a_camera_without_frames_is_named_with_the_line_to_write(odd, recorded, lose):
    lose(odd)
    with pytest.raises(ValueError, match=rf"declares cameras of which there is no frame:\n  {CAM}: ") as refused:
        make(config(odd))
    assert f"--policy.target_rename='{{{CAM}: unused.cam}}'" in str(refused.value)
    assert make(config(odd, rename={CAM: "unused.cam"})).meta.camera_keys == []

    target = config(recorded, "me/filmed")
    with pytest.raises(ValueError, match=rf"cameras: {{{CAM}: {{fill: 0.0}}}}"):
        make(target, config(odd, sigma_min=0.3))
    filled = make(target, config(odd, sigma_min=0.3, cameras={CAM: CameraConfig(fill=0.0)}))
    assert (filled.dataset[2 * LENGTH + 3][CAM] == 0).all()
