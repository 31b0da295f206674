# SPDX-License-Identifier: Apache-2.0
"""Cameras of other sizes, absent cameras, other frame rates: what the merged images are."""

from dataclasses import replace

import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from torch.utils.data import DataLoader

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.cameras.readers import camera_shape, fit_images, to_uint8
from lerobot_ambient.data.declared.alignment import CameraConfig, DimensionConfig
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)
OPTIONS = ReadOptions(observation_deltas=[-1, 0], action_deltas=list(range(-1, 7)))
RECIPE = MixtureRecipe(schedule=SCHEDULE, mixing=Cotrain(), action_mode="MIN_MAX")
CAM = "observation.images.cam"
HANDS = {"actions": "action", "state": "observation.state", "image": "observation.images.front"}


def make(target, *sources, options=OPTIONS):
    return make_mixture(target, list(sources), options, RECIPE)


@pytest.fixture(scope="module")
def seeing(tmp_path_factory, write_dataset):
    """me/seeing: 2 episodes with a 12x16 camera stored as images."""
    root = write_dataset(tmp_path_factory.mktemp("cameras") / "seeing", "me/seeing", [8, 6], image=(12, 16))
    return Source("me/seeing", root=str(root))


def other(tmp_path, write_dataset, image, fps=10, **kwargs):
    root = write_dataset(tmp_path / "other", "me/other", [7, 5], seed=3, image=image, fps=fps)
    return Source("me/other", root=str(root), sigma_min=0.3, **kwargs)


def test_another_size_of_the_same_shape_is_resized(seeing, tmp_path, write_dataset):
    config = other(tmp_path, write_dataset, (24, 32))
    item = make(seeing, config).dataset[14 + 2]
    assert item[CAM].shape == (2, 3, 12, 16)
    stock = LeRobotDataset("me/other", root=config.root)
    expected = fit_images(torch.stack([stock[1][CAM], stock[2][CAM]]), (12, 16), (12, 16), "stretch")
    torch.testing.assert_close(item[CAM], expected)


def test_another_aspect_ratio_has_to_be_declared(seeing, tmp_path, write_dataset):
    config = other(tmp_path, write_dataset, (20, 20))
    with pytest.raises(
        ValueError, match=rf"{CAM}: target is 12x16, source 20x20, another aspect ratio; choose cameras"
    ):
        make(seeing, config)
    for fit in ("stretch", "pad", "crop"):
        config.cameras = {CAM: CameraConfig(fit=fit)}
        assert make(seeing, config).dataset[15][CAM].shape == (2, 3, 12, 16)


def test_red_and_blue_are_swapped_back_where_they_were_recorded_so(seeing, tmp_path, write_dataset):
    config = other(tmp_path, write_dataset, (12, 16))
    straight, swapped = make(seeing, config), make(seeing, replace(config, bgr=[CAM]))
    for cache in (None, tmp_path / "frames"):
        options = replace(OPTIONS, frame_cache=cache)
        made = [make(seeing, replace(config, bgr=bgr), options=options).dataset[15][CAM] for bgr in (None, [CAM])]
        assert torch.equal(made[0].flip(1), made[1])
    assert "'me/other': red and blue of observation.images.cam are swapped back (bgr)" in swapped.notes
    assert straight.fingerprint[1] != swapped.fingerprint[1] and straight.fingerprint[0] == swapped.fingerprint[0]
    with pytest.raises(ValueError, match=r"'me/other': bgr names \['top'\], and its cameras are \['observation.images"):
        make(seeing, replace(config, bgr=["top"]))


def test_fits_keep_what_they_promise():
    white = torch.full((1, 3, 20, 20), 255, dtype=torch.uint8)
    padded = fit_images(white, (12, 16), (12, 16), "pad")
    assert padded.shape == (1, 3, 12, 16)
    assert (padded[..., :1] == 0).all()
    assert (padded[..., -1:] == 0).all()
    assert (padded[..., 4:12] == 255).all()
    ramp = torch.arange(20, dtype=torch.uint8)[:, None].expand(1, 3, 20, 20)
    cropped = fit_images(ramp, (15, 20), (12, 16), "crop")
    assert torch.equal(cropped[0, 0, :, 0], torch.arange(2, 17, dtype=torch.uint8))
    assert fit_images(ramp, (10, 10), (12, 16), "stretch").shape == (1, 3, 10, 10)


def test_a_lacking_camera_has_to_be_declared_and_is_grey(seeing, source_root):
    blind = Source("me/sim", root=str(source_root), sigma_min=0.3)
    with pytest.raises(ValueError, match=rf"{CAM}: the source lacks this camera \(it has \[\]\).*{{fill: 0.0}}"):
        make(seeing, blind)
    blind.cameras = {CAM: CameraConfig(fill=0.5)}
    mixture = make(seeing, blind)
    assert (mixture.dataset[14][CAM] == 0.5).all()
    assert mixture.absent_cameras[CAM].tolist() == [False, True]
    assert make(seeing).absent_cameras is None


def test_a_camera_declared_absent_that_is_there_is_refused(seeing, tmp_path, write_dataset):
    config = other(tmp_path, write_dataset, (12, 16), cameras={CAM: CameraConfig(fill=0.0)})
    with pytest.raises(
        ValueError, match=r"cameras says the source lacks it \(fill: 0\), but it has it; remove the fill"
    ):
        make(seeing, config)


def test_images_of_another_frame_rate_come_from_the_nearest_frame(seeing, tmp_path, write_dataset):
    config = other(tmp_path, write_dataset, (12, 16), fps=20)
    item = make(seeing, config).dataset[14 + 4]
    stock = LeRobotDataset("me/other", root=config.root)
    assert torch.equal(item[CAM], torch.stack([stock[2][CAM], stock[4][CAM]]))
    first = make(seeing, config).dataset[14]
    assert first[f"{CAM}_is_pad"].tolist() == [True, False]


def test_a_batch_is_what_the_items_collate_to(seeing, source_root):
    blind = Source("me/sim", root=str(source_root), sigma_min=0.3, cameras={CAM: CameraConfig(fill=0.0)})
    dataset = make(seeing, blind).dataset
    positions = [3, 20, 13, 3, 98]
    (batch,) = DataLoader(dataset, batch_sampler=[positions])
    for i, position in enumerate(positions):
        item = dataset[position]
        for key, value in item.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(batch[key][i], value), key
        assert batch["task"][i] == item["task"]


def test_stored_images_beside_video_become_uint8_exactly(shared_data, tmp_path, write_dataset):
    root = write_dataset(tmp_path / "stills", "me/stills", [5], fps=30, dims=34, image=(480, 640), env_state=False)
    target = Source("x/hands", root=str(shared_data / "bimanual_hands"), rename=HANDS, episodes=[0])
    rename = {CAM: "observation.images.front"}
    names = make(target).sources[0].features["action"]["names"]
    rules = {name: DimensionConfig(take=f"joint_{i}") for i, name in enumerate(names)}
    dimensions = {"action": rules, "observation.state": rules}
    stills = Source("me/stills", root=str(root), sigma_min=0.3, rename=rename, dimensions=dimensions)
    mixture = make(target, stills)
    item = mixture.dataset[429 + 2]["observation.images.front"]
    assert item.dtype == torch.uint8
    stock = LeRobotDataset("me/stills", root=root)
    assert torch.equal(item.float() / 255.0, torch.stack([stock[1][CAM], stock[2][CAM]]))


def test_augmentation_sees_each_sample_alone(seeing):
    calls = []

    def darken(images):
        calls.append(images.shape)
        return images / 2

    options = ReadOptions(OPTIONS.observation_deltas, OPTIONS.action_deltas, image_transforms=darken)
    plain, dark = make(seeing).dataset, make(seeing, options=options).dataset
    batch = dark.gather([1, 2, 3])
    assert calls == [(2, 3, 12, 16)] * 3
    assert torch.equal(batch[CAM], plain.gather([1, 2, 3])[CAM] / 2)


def test_shapes_are_read_as_lerobot_reads_them():
    assert camera_shape({"shape": (12, 16, 3), "names": ["height", "width", "channels"]}) == (3, 12, 16)
    assert camera_shape({"shape": (12, 16, 3), "names": ["height", "width", "channel"]}) == (3, 12, 16)
    assert camera_shape({"shape": (3, 12, 16), "names": ["channels", "height", "width"]}) == (3, 12, 16)
    assert to_uint8(torch.tensor([0.0, 0.5, 1.0])).tolist() == [0, 128, 255]


class TestFrameCache:
    def options(self, tmp_path, size=None):
        return ReadOptions(
            OPTIONS.observation_deltas, OPTIONS.action_deltas, frame_cache=tmp_path / "frames", frame_size=size
        )

    def test_it_gives_the_frames_that_decoding_gives(self, shared_data, tmp_path):
        hands = Source("x/hands", root=str(shared_data / "bimanual_hands"), rename=HANDS, episodes=[5, 6])
        cached, plain = make(hands, options=self.options(tmp_path)).dataset, make(hands).dataset
        key = "observation.images.front"
        for position in (0, 1, 200, len(plain) - 1):
            assert torch.equal(cached[position][key], plain[position][key])

    def test_it_holds_the_policys_own_resolution_once_rounded(self, seeing, tmp_path):
        cached = make(seeing, options=self.options(tmp_path, (6, 8))).dataset
        plain = make(seeing).dataset
        image = cached[5][CAM]
        assert (image.shape, image.dtype) == ((2, 3, 6, 8), torch.uint8)
        expected = fit_images(plain[5][CAM], (6, 8), (12, 16), "stretch")
        assert (image / 255.0 - expected).abs().max() <= 1.01 / 255

    def test_absent_cameras_and_other_sizes_join_it(self, seeing, source_root, tmp_path, write_dataset):
        blind = Source("me/sim", root=str(source_root), sigma_min=0.3, cameras={CAM: CameraConfig(fill=1.0)})
        wide = other(tmp_path, write_dataset, (20, 20), cameras={CAM: CameraConfig(fit="crop")})
        dataset = make(seeing, blind, wide, options=self.options(tmp_path, (6, 8))).dataset
        batch = dataset.gather([0, 20, 14 + 85 + 3])
        assert batch[CAM].shape == (3, 2, 3, 6, 8)
        assert (batch[CAM][1] == 255).all()

    def test_another_selection_decodes_only_what_is_new(self, seeing, tmp_path, caplog):
        folder = tmp_path / "frames"
        one = Source(seeing.repo_id, root=seeing.root, episodes=[1])
        make(one, options=self.options(tmp_path))
        (entry,) = (path for path in folder.iterdir() if path.is_dir())
        assert (entry / "done.txt").read_text().split() == ["1"]
        make(seeing, options=self.options(tmp_path))
        assert (entry / "done.txt").read_text().split() == ["1", "0"]
