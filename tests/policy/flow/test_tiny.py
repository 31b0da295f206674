# SPDX-License-Identifier: Apache-2.0
"""LeRobot's own policies learn and act with the tiny models, offline, in this process and in another."""

import os
import subprocess

import draccus
import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from safetensors.torch import load_file

from .tiny import JOINTS, as_arguments, observation, random_batch, statistics, stir, tiny_smolvla
from .tiny_pi import write_plugin

CASES = {
    "multi_task_dit": {},
    "multi_task_dit diffusion": {"objective": "diffusion"},
    "smolvla": {},
    "pi0": {},
    "pi05": {},
    "eo1": {},
    "groot": {},
    "vla_jepa": {},
    "wall_x": {},
    "molmoact2": {},
    "xvla": {},
    "fastwam": {},
}


@pytest.mark.parametrize("case", CASES)
def test_a_tiny_stock_policy_learns_and_acts(case, tiny_config):
    config = tiny_config(case.split()[0], **CASES[case])
    assert config.type == case.split()[0]
    policy = get_policy_class(config.type)(config)
    stir(policy)
    assert sum(parameter.numel() for parameter in policy.parameters()) < 1_000_000
    preprocess, postprocess = make_pre_post_processors(config, dataset_stats=statistics(config))

    loss, _ = policy.train().forward(preprocess(random_batch(config)))
    loss.backward()
    gradients = [parameter.grad for parameter in policy.parameters() if parameter.grad is not None]
    assert loss.ndim == 0 and torch.isfinite(loss)
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(gradient.abs().max() > 0 for gradient in gradients) > len(gradients) / 2

    policy.eval()
    policy.reset()
    action = postprocess(policy.select_action(preprocess(observation(config))))
    assert action.shape == (1, JOINTS) and torch.isfinite(action).all()


@pytest.mark.parametrize("case", CASES)
def test_the_arguments_make_the_same_configuration(case, tiny_config):
    config = tiny_config(case.split()[0], **CASES[case])
    again = draccus.parse(TrainPipelineConfig, args=["--dataset.repo_id=me/target", *as_arguments(config)]).policy
    again.input_features, again.output_features = config.input_features, config.output_features
    assert type(again) is type(config) and again == config


def test_different_tasks_are_different_tokens(tiny_config):
    config = tiny_config("smolvla")
    preprocess, _ = make_pre_post_processors(config, dataset_stats=statistics(config))
    tokens = preprocess(random_batch(config))["observation.language.tokens"]
    assert len({tuple(row.tolist()) for row in tokens}) == len(tokens)


def test_the_weights_are_the_same_wherever_they_are_written(tiny_config, tmp_path):
    before = torch.random.get_rng_state()
    written = tiny_smolvla(tmp_path).vlm_model_name
    assert torch.equal(torch.random.get_rng_state(), before)
    ours, theirs = (load_file(f"{path}/model.safetensors") for path in (written, tiny_config("smolvla").vlm_model_name))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("family", ["smolvla", "pi0"])
def test_a_stock_training_in_another_process(
    family, tiny_config, tiny_folder, tmp_path, write_dataset, preloaded_python
):
    target = write_dataset(tmp_path / "target", "me/target", (6,), dims=JOINTS, env_state=False, image=(32, 32))
    run = ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--output_dir={tmp_path / 'run'}"]
    run += ["--steps=1", "--batch_size=2", "--num_workers=0"]
    environment = dict(os.environ)
    if family == "pi0":
        environment |= {"PYTHONPATH": str(tmp_path), "HF_HUB_CACHE": str(tiny_folder / "hub")}
        run.append(f"--policy.discover_packages_path={write_plugin(tmp_path)}")
    words = [*as_arguments(tiny_config(family)), *run]
    train = [str(preloaded_python.with_name("lerobot-train")), *words]
    done = subprocess.run(train, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    saved = tmp_path / "run" / "checkpoints" / "000001" / "pretrained_model"
    assert PreTrainedConfig.from_pretrained(saved).type == family
    assert (saved / "model.safetensors").stat().st_size < 2**21
