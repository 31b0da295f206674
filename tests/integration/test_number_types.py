# SPDX-License-Identifier: Apache-2.0
"""Every type and shape that LeRobot's writer accepts is trained on and annotated, or refused by name."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.utils.feature_utils import dataset_to_policy_features
from torch.utils.data import DataLoader

from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of
from lerobot_ambient.annotate.spectra.spectrum import spectral_window
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.integration.training.configured_mixture import recipe_of
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.policy.diffusion.processor_ambient_diffusion import make_ambient_diffusion_pre_post_processors
from lerobot_ambient.policy.options.mixing import CotrainConfig

from .conftest import SMALL_POLICY

TYPES = (
    *(f"float{bits}" for bits in (16, 32, 64)),
    *(f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")),
    "bool",
)
EXTRAS = {"observation.extra": (1,), "observation.table": (2, 2)}
SMALL = {
    "device": "cpu",
    "push_to_hub": False,
    "horizon": 8,
    "n_action_steps": 4,
    "drop_n_last_frames": 2,
    "down_dims": (8, 16),
    "n_groups": 4,
    "diffusion_step_embed_dim": 8,
    "num_inference_steps": 1,
    "mlp_width": 8,
    "mlp_depth": 1,
}

CONFIG = AmbientDiffusionConfig(**SMALL, mixing=CotrainConfig())


def write(root, dtype, shape=(3,), *, action_shape=None, extras=True, seed=0, fps=10, lengths=(34, 34)):
    """Slow sines in the type's range, or two values of a bool; also observations that no policy reads."""
    features = {
        "action": {"dtype": dtype, "shape": action_shape or shape, "names": None},
        "observation.state": {"dtype": dtype, "shape": shape, "names": None},
        "observation.words": {"dtype": "string", "shape": (1,), "names": None},
        **({key: {"dtype": dtype, "shape": extra, "names": None} for key, extra in EXTRAS.items()} if extras else {}),
    }
    dataset = LeRobotDataset.create(f"me/{root.name}", fps, features, root=root, use_videos=False)
    rng = np.random.default_rng(seed)
    for length in lengths:
        phase = rng.uniform(0, 6)
        for i in range(length):
            wave = 60 + 50 * np.sin(phase + i / 4)
            frame = {
                key: (wave + 5 * np.arange(np.prod(spec["shape"])).reshape(spec["shape"])).astype(dtype)
                if dtype != "bool"
                else np.full(spec["shape"], wave > 60)
                for key, spec in features.items()
                if spec["dtype"] != "string"
            }
            dataset.add_frame({**frame, "observation.words": "a", "task": "t"})
        dataset.save_episode()
    dataset.finalize()
    return Source(f"me/{root.name}", root=str(root))


def mix(config, target, source):
    options = ReadOptions(config.observation_delta_indices, config.action_delta_indices)
    return make_mixture(target, [source], options, recipe_of(config))


def train_a_step(config, mixture):
    """One step as LeRobot's loop makes it."""
    features = dataset_to_policy_features(mixture.meta.features)
    outputs = {"action": features.pop("action")}
    config = replace(config, input_features=features, output_features=outputs)
    policy = AmbientDiffusionPolicy(config, dataset_stats=mixture.meta.stats, dataset_meta=mixture.meta).train()
    preprocess, _ = make_ambient_diffusion_pre_post_processors(config, mixture.meta.stats)
    rows = torch.arange(0, len(mixture.dataset), 11).tolist()
    (batch,) = DataLoader(mixture.dataset, batch_sampler=[rows])
    batch = preprocess(batch)
    for key in ("action", "observation.state"):
        assert batch[key].dtype == torch.float32
        assert batch[key].shape[2:] == tuple(mixture.meta.features[key]["shape"])
    assert all(torch.isfinite(v).all() for v in batch.values() if isinstance(v, torch.Tensor) and v.is_floating_point())
    loss, _ = policy(batch)
    loss.backward()
    assert torch.isfinite(loss)
    state = torch.zeros(1, *mixture.meta.features["observation.state"]["shape"])
    assert policy.eval().select_action({"observation.state": state}).shape == state.shape


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A float32 dataset for each size of action and state."""
    folder = tmp_path_factory.mktemp("good")
    return {size: write(folder / f"good{size}", "float32", (size,), seed=9) for size in (1, 3)}


@pytest.mark.parametrize(
    ("dtype", "size"), [*((dtype, 3) for dtype in TYPES), ("float32", 1), ("int64", 1), ("bool", 1)]
)
def test_every_type_is_trained_on_and_annotated(dtype, size, good, tmp_path):
    odd = write(tmp_path / "odd", dtype, (size,), extras=size == 3)
    for target, source in ((odd, good[size]), (good[size], odd)):
        mixture = mix(CONFIG, target, source)
        for denoiser in ("mlp", "unet"):
            train_a_step(replace(CONFIG, denoiser=denoiser), mixture)
    assert 0 <= spectral_window(*chunks_of(mixture)).sigma_min <= 1


def test_what_the_policy_does_not_read_stays_as_lerobot_has_it(tmp_path):
    odd = write(tmp_path / "odd", "int64", (1,))
    mixture = mix(CONFIG, odd, write(tmp_path / "other", "int64", (1,), seed=1))
    stock = LeRobotDataset("me/odd", root=odd.root, delta_timestamps={"observation.extra": [-0.1, 0.0]})
    ours, theirs = mixture.dataset[7], stock[7]
    assert torch.equal(ours["observation.extra"], theirs["observation.extra"])
    assert ours["observation.extra"].dtype == theirs["observation.extra"].dtype == torch.int64
    assert ours["observation.state"].shape == (2, 1)
    assert torch.equal(ours["observation.state"][-1], theirs["observation.state"].reshape(1).float())
    assert mixture.meta.features["observation.state"]["dtype"] == "float32"


def test_observations_of_two_types_are_left_out_where_the_policy_does_not_read_them(tmp_path, good):
    mixture = mix(CONFIG, write(tmp_path / "odd", "int64", (3,)), good[3])
    assert not any(key.startswith(tuple(EXTRAS)) for key in mixture.dataset.keys)


def test_a_switch_of_another_frame_rate_stays_a_switch(tmp_path):
    target = write(tmp_path / "target", "bool", (1,))
    mixture = mix(CONFIG, target, write(tmp_path / "fast", "bool", (1,), fps=15))
    batch = mixture.dataset.gather(list(range(len(mixture.dataset))))
    for key in ("action", "observation.state", *EXTRAS):
        assert batch[key].unique().tolist() == [0.0, 1.0]
    assert batch["action"].shape[1:] == (8, 1)
    assert batch["observation.extra"].shape[1:] == (2,)


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (16, 3)])
def test_two_axes_are_refused_with_both_shapes(shape, good, tmp_path):
    odd = write(tmp_path / "odd", "float32", (3,), action_shape=shape, extras=False, lengths=(10,))
    size = np.prod(shape)
    what = rf"action: has the shape \({shape[0]}, {shape[1]}\), .*one vector a frame, here \({size},\)\..*reshape\(-1\)"
    with pytest.raises(ValueError, match=rf"^'me/odd': {what}") as refused:
        mix(CONFIG, odd, good[3])
    assert ("value[0]" in str(refused.value)) == (shape == (16, 3))
    with pytest.raises(ValueError, match=rf"(?s)source 'me/odd' does not fit the target 'me/good3':\n  {what}"):
        mix(CONFIG, good[3], odd)


@pytest.mark.parametrize(("dtype", "size"), [("int64", 1), ("bool", 3)])
def test_the_commands_take_them(dtype, size, tmp_path, lerobot_train, capsys):
    """inspect, merge, both annotators, and stock lerobot-train on the parts and on the merge."""
    target = write(tmp_path / "target", dtype, (size,), lengths=(34, 34, 34))
    # Another frame rate and its own statistics: resampled and normalised apart.
    source = write(tmp_path / "sim", "float64", (size,), seed=4, fps=15, lengths=(40, 40, 40))
    policy = [option for option in SMALL_POLICY if option.startswith("--policy")]
    declared = {"repo_id": source.repo_id, "root": source.root, "sigma_min": 0.3}
    own = f"--policy.sources={json.dumps([declared | {'normalization': 'own'}])}"
    whole = [f"--dataset.repo_id={target.repo_id}", f"--dataset.root={target.root}"]
    data = [*policy, *whole, f"--policy.sources={json.dumps([declared])}"]
    assert main(["inspect", *policy, *whole, own]) == 0
    assert main(["annotate", "--method=spectral", *data]) == 0
    assert main(["annotate", "--method=classifier", "--folds=2", "--steps=4", "--levels=3", "--draws=4", *data]) == 0
    assert main(["merge", f"--output={tmp_path / 'merged'}", "--repo-id=me/merged", *data]) == 0
    assert "nan" not in capsys.readouterr().out
    merged = LeRobotDataset("me/merged", root=tmp_path / "merged")
    assert merged.meta.features["action"]["dtype"] == "float32"
    assert set(EXTRAS) & set(merged.meta.features) == (set(EXTRAS) if dtype == "bool" else set())
    steps = ["--steps=1", "--batch_size=4", "--save_checkpoint=false"]
    lerobot_train([*SMALL_POLICY, *whole, own, *steps, f"--output_dir={tmp_path / 'run'}"])
    onto = ["--dataset.repo_id=me/merged", f"--dataset.root={tmp_path / 'merged'}"]
    lerobot_train([*SMALL_POLICY, *onto, *steps, f"--output_dir={tmp_path / 'again'}"])
