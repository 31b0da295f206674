# SPDX-License-Identifier: Apache-2.0
"""A policy goes to the Hub and comes back: stock commands, the same actions, resume."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.testing.loopback_hub.store import metadata_errors

from .conftest import FILES


def observation(seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "observation.state": torch.randn(1, 2, generator=draw),
        "observation.environment_state": torch.randn(1, 3, generator=draw),
    }


def actions(path: str) -> torch.Tensor:
    """(12, 2) what a checkpoint, local or on the Hub, does, from its processors to its processors."""
    from lerobot.policies import make_pre_post_processors

    policy = AmbientDiffusionPolicy.from_pretrained(path)
    pre, post = make_pre_post_processors(policy.config, pretrained_path=path)
    torch.manual_seed(3)
    return torch.cat([post(policy.select_action(pre(observation(step)))) for step in range(12)])


def test_stock_training_pushes_everything_a_policy_needs(pushed):
    files = pushed.hub.files("me/policy")
    assert {path for path in files if not path.startswith("checkpoints/")} == FILES
    assert "Model pushed to " in pushed.log
    last = pushed.output / "checkpoints/last/pretrained_model"
    assert files["model.safetensors"] == (last / "model.safetensors").read_bytes()
    trained = json.loads(files["config.json"])
    assert [record["name"] for record in trained["mixture_record"]] == ["me/target", "me/sim"]
    assert trained["mixture_fingerprint"] == json.loads((last / "config.json").read_text())["mixture_fingerprint"]


def test_the_pulled_policy_acts_bit_equal_to_the_pushed_one(pushed, client):
    local = actions(str(pushed.output / "checkpoints/last/pretrained_model"))
    client(pushed.hub, token="hf_reader")
    before = len(pushed.hub.requests)
    pulled = actions("me/policy")
    assert any("/me/policy/resolve/" in request for request in pushed.hub.requests[before:])
    assert torch.equal(local, pulled)
    assert pulled.unique(dim=0).shape[0] == 12


def test_the_pushed_card_has_a_valid_header_and_names_all_data(pushed):
    text = pushed.hub.files("me/policy")["README.md"].decode()
    assert metadata_errors(text) == []
    header = yaml.safe_load(text.split("---")[1])
    assert header["license"] == "mit"
    assert header["datasets"] == ["me/target", "me/sim"]
    assert header["library_name"] == "lerobot"
    assert {"robotics", "lerobot", "ambient_diffusion"} <= set(header["tags"])
    assert " | source | not stated | cc-by-nc-4.0 | 2 | 43 |" in text
    assert "lerobot-eval --policy.path=me/policy" in text
    assert pushed.hub.files("me/policy")["ambient_plan.png"].startswith(b"\x89PNG")
    assert str(pushed.home) not in text


@pytest.mark.slow
def test_training_resumes_from_the_hub(pushed, lerobot, tmp_path):
    """LeRobot resumes the checkpoints that save_checkpoint_to_hub pushed; the mixture must be the same.

    The one client of a Hub here that is a real process, which reads where the Hub is while it imports.
    """
    there = pushed.hub.files("me/policy")
    assert "checkpoints/000002/training_state/optimizer_state.safetensors" in there
    words = ["--config_path=me/policy", "--resume=true", f"--output_dir={tmp_path / 'on'}", "--steps=4"]
    done = lerobot("lerobot-train", [*words, "--policy.push_to_hub=false"], pushed.hub, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads((tmp_path / "on/checkpoints/last/training_state/training_step.json").read_text())
    assert state["step"] == 4
    assert "Resuming data order at epoch" in done.stderr + done.stdout
