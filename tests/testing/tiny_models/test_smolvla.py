# SPDX-License-Identifier: Apache-2.0
"""The tiny checkpoint of SmolVLA: LeRobot's own, the same whoever writes it."""

from __future__ import annotations

import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from safetensors.torch import load_file

from lerobot_ambient.testing.tiny_models.smolvla import write_tiny_smolvla

TOP = "observation.images.top"


def test_it_is_a_checkpoint_of_lerobots_smolvla_and_always_the_same(tmp_path):
    pytest.importorskip("transformers")
    torch.manual_seed(1)
    first = write_tiny_smolvla(tmp_path / "first", cameras=(TOP,), chunk_size=50)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(1)), "the global generator is left as it was"
    torch.manual_seed(2)
    again = write_tiny_smolvla(tmp_path / "again", cameras=(TOP,), chunk_size=50)

    config = PreTrainedConfig.from_pretrained(first)
    assert (config.type, config.chunk_size, list(config.image_features)) == ("smolvla", 50, [TOP])
    policy = get_policy_class("smolvla").from_pretrained(first, config=config)
    assert sum(one.numel() for one in policy.parameters()) < 200_000
    weights = [load_file(folder / "model.safetensors") for folder in (first, again)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
