# SPDX-License-Identifier: Apache-2.0
"""A policy whose weights could not be read is never handed out: not even where LeRobot's own class does so."""

import json
import shutil

import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from safetensors.torch import load_file, save_file

from ..policy.flow.mixtures import ambient_config
from ..policy.flow.tiny import write_cached_repository


def spoil(folder, how):
    file = folder / "model.safetensors"
    if how == "missing":
        file.unlink()
    elif how == "damaged":
        file.write_bytes(file.read_bytes()[:5000])
    elif how == "another policy's":
        save_file({"model.of_another": torch.zeros(3)}, file)
    elif how == "another size":
        weights = load_file(file)
        name = next(name for name in weights if name.endswith("action_in_proj.weight"))
        save_file({**weights, name: torch.zeros(2, 3)}, file)


@pytest.mark.parametrize("family", ["smolvla", "pi0"])
@pytest.mark.parametrize("how", ["missing", "damaged", "another policy's", "another size"])
def test_no_random_weights(family, how, stock_checkpoint):
    folder = stock_checkpoint(family)
    config = ambient_config(PreTrainedConfig.from_pretrained(folder))
    spoil(folder, how)
    with pytest.raises(OSError, match=rf"the weights of '{folder}' were not loaded into Ambient\w+Policy: ") as refused:
        get_policy_class(config.type).from_pretrained(folder, config=config)
    assert "check the checkpoint's model.safetensors" in str(refused.value)
    assert len(str(refused.value)) < 1000


def test_lerobots_pi0_alone_would_go_on(stock_checkpoint):
    """The reason for the check: when this fails, LeRobot raises too."""
    folder = stock_checkpoint("pi0")
    spoil(folder, "missing")
    assert get_policy_class("pi0").from_pretrained(folder) is not None


def test_pi0_reads_the_revision_that_was_asked_for(stock_checkpoint, tiny_folder):
    folder = stock_checkpoint("pi0")
    config = ambient_config(PreTrainedConfig.from_pretrained(folder))
    newest = write_cached_repository(tiny_folder / "hub", "me/pi0")
    older = newest.with_name("1" * 40)
    name = "model.action_in_proj.bias"
    for snapshot, value in ((newest, 1.0), (older, 2.0)):
        shutil.copytree(folder, snapshot, dirs_exist_ok=True)
        weights = load_file(snapshot / "model.safetensors")
        save_file({**weights, name: torch.full_like(weights[name], value)}, snapshot / "model.safetensors")
    policy = get_policy_class("ambient_pi0")
    for revision, value in ((None, 1.0), (older.name, 2.0)):
        read = policy.from_pretrained("me/pi0", config=config, revision=revision).state_dict()[name]
        assert (read == value).all(), revision
    assert json.loads((older / "config.json").read_text())["type"] == "pi0"
