# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as LeRobot saves them, of small policies that were not trained, and the datasets they tell of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

from lerobot_ambient.policy import registered as registered

STATISTICS = {"mean": 0.0, "std": 2.0, "min": -8.0, "max": 8.0, "q01": -6.0, "q99": 6.0}
SMALL = {
    "ambient_diffusion": {"horizon": 8, "n_action_steps": 4, "denoiser": "mlp", "mlp_width": 16, "mlp_depth": 1}
    | {"num_train_timesteps": 10},
    "diffusion": {"horizon": 8, "n_action_steps": 4, "down_dims": (8, 16), "n_groups": 4, "num_train_timesteps": 10},
    "act": {"chunk_size": 6, "n_action_steps": 3, "dim_model": 16, "n_heads": 2, "dim_feedforward": 16}
    | {"n_encoder_layers": 1, "use_vae": False},
}


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory, write_dataset: Callable[..., Path]) -> Path:
    """me/target: six episodes of two joints, the last two of which an eval_split of 0.3 holds out."""
    folder = tmp_path_factory.mktemp("judged")
    return write_dataset(folder / "target", "me/target", [20, 24, 22, 20, 26, 24], seed=3, spread=0.1)


@pytest.fixture
def checkpoint(tmp_path: Path, target: Path) -> Callable[..., Path]:
    """checkpoint(name, kind, **options): a small policy of the type, saved with its processors and train_config.json.

    `seed` makes its weights, `training` is what train_config.json says; None leaves it out.
    """

    def save(
        name: str, kind: str = "ambient_diffusion", *, seed: int = 0, training: Any = "own", **options: Any
    ) -> Path:
        features = {
            "input_features": {
                "observation.state": PolicyFeature(FeatureType.STATE, (2,)),
                "observation.environment_state": PolicyFeature(FeatureType.ENV, (3,)),
            },
            "output_features": {"action": PolicyFeature(FeatureType.ACTION, (2,))},
        }
        made = PreTrainedConfig.get_choice_class(kind)
        config = made(device="cpu", push_to_hub=False, **features, **(SMALL[kind] | options))
        torch.manual_seed(seed)
        policy = get_policy_class(kind)(config)
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter += 0.02 * torch.randn(parameter.shape)
        folder = tmp_path / name / "checkpoints" / "000010" / "pretrained_model"
        policy.save_pretrained(folder)
        sizes = {"observation.state": 2, "observation.environment_state": 3, "action": 2}
        stats = {
            key: {kept: torch.full((size,), value) for kept, value in STATISTICS.items()} for key, size in sizes.items()
        }
        for processor in make_pre_post_processors(config, dataset_stats=stats):
            processor.save_pretrained(folder)
        if training == "own":
            training = {"dataset": {"repo_id": "me/target", "root": str(target), "episodes": None, "eval_split": 0.3}}
        if training is not None:
            (folder / "train_config.json").write_text(json.dumps(training))
        return folder

    return save
