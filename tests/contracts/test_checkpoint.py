# SPDX-License-Identifier: Apache-2.0
"""A checkpoint that was trained before (`make_checkpoint.py`): it loads, acts, is resumed and has its card."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lerobot_ambient.data.declared.sources import Source

from .make_checkpoint import SAVED, STEPS
from .recordings import ENVIRONMENT, STATE, values
from .surfaces import command, configuration, fresh_policy, merged, train, trained_policy

CHECKPOINT = Path(__file__).with_name("checkpoint")
GOLDEN = Path(__file__).with_name("golden")


@pytest.fixture
def run(root_of, tmp_path, monkeypatch):
    """The folder in which the run was begun, as it was when the checkpoint was written; the working folder."""
    (tmp_path / "data").mkdir()
    for name in ("target", "sim"):
        (tmp_path / "data" / name).symlink_to(root_of(name))
    checkpoints = tmp_path / "outputs" / "run" / "checkpoints"
    shutil.copytree(CHECKPOINT, checkpoints / f"{SAVED:06d}")
    (checkpoints / "last").symlink_to(f"{SAVED:06d}")
    monkeypatch.chdir(tmp_path)
    return checkpoints / "last" / "pretrained_model"


def actions(folder: Path) -> torch.Tensor:
    """(6, 2) what it does for six observations in a row: two chunks."""
    policy, before, after = trained_policy(folder)
    policy.reset()
    torch.manual_seed(0)
    done = []
    for frame in range(6):
        seen = {STATE: values(1, 5, frame, 2), ENVIRONMENT: values(51, 5, 0, 2)}
        done.append(
            after(policy.select_action(before({key: torch.from_numpy(one)[None] for key, one in seen.items()})))
        )
    return torch.cat(done)


def arithmetic() -> str:
    """What this machine's torch makes of layers like the denoiser's, to the last bit."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(32, 16), nn.LayerNorm(16), nn.Mish(), nn.SiLU(), nn.Linear(16, 16))
    with torch.no_grad():
        made = torch.cat([layers(torch.randn(n, 32)).flatten() for n in (1, 2, 8)]).softmax(0).exp().sin()
    return hashlib.sha256(made.numpy().tobytes()).hexdigest()[:16]


def test_it_acts_as_it_did(contract, updating, run):
    made = {"torch": torch.__version__, "arithmetic": arithmetic(), "actions": actions(run).tolist()}
    if not updating:
        then = json.loads((GOLDEN / "actions.json").read_text())
        if (then["torch"], then["arithmetic"]) != (made["torch"], made["arithmetic"]):
            # Another torch or processor rounds otherwise; the last bits are not ours.
            assert torch.allclose(torch.tensor(then["actions"]), torch.tensor(made["actions"]), rtol=1e-5, atol=1e-6)
            return
    contract("actions.json", made)


def test_its_configuration_is_read_and_written_alike(run, tmp_path):
    policy, *_ = trained_policy(run)
    policy.config.save_pretrained(tmp_path / "again")
    then, now = (json.loads((folder / "config.json").read_text()) for folder in (run, tmp_path / "again"))
    # Options that were added since are at their defaults, those of a source too.
    for source, before in zip(now["sources"], then["sources"], strict=True):
        added = {name: source.pop(name) for name in source.keys() - before.keys()}
        assert added == {name: getattr(Source("any"), name) for name in added}
    assert {name: now[name] for name in then} == then
    added = {name: value for name, value in now.items() if name not in then}
    assert added == {name: getattr(type(policy.config), name) for name in added}
    policy.save_pretrained(tmp_path / "again")
    then, now = (load_file(folder / "model.safetensors") for folder in (run, tmp_path / "again"))
    assert then.keys() == now.keys()
    assert all(torch.equal(then[name], now[name]) for name in then)


def test_it_is_resumed_with_the_same_frames(contract, run):
    seen = train([f"--config_path={run}/train_config.json", "--resume=true"])
    assert len(seen) == STEPS - SAVED
    drawn = {name: [step[name] for step in seen] for name in ("frames", "timesteps")}
    contract("resumed.json", drawn)
    contract("resumed_losses.json", [step["loss"] for step in seen], tolerance=1e-4)


def test_its_frames_are_those_of_a_run_that_was_never_stopped(run, contract):
    config = json.loads((run / "train_config.json").read_text())
    words = [f"--config_path={run}/train_config.json", "--output_dir=outputs/whole", "--save_checkpoint=false"]
    assert config["steps"] == STEPS
    whole = [step["frames"] for step in train(words)]
    assert whole[SAVED:] == json.loads((GOLDEN / "resumed.json").read_text())["frames"]


def test_its_card_is_written_without_its_data(run, capsys):
    for name in ("target", "sim"):
        Path("data", name).unlink()
    assert command()(["card", str(run), "--json"]) == 0
    written = [str(run / name) for name in ("README.md", "ambient_plan.png")]
    assert json.loads(capsys.readouterr().out) == {"written": written, "url": None}
    card = (run / "README.md").read_text()
    *of_data, _ = json.loads((run / "config.json").read_text())["mixture_fingerprint"]
    assert all(line in card for line in of_data)
    assert "| `me/sim` | [0, 0.125) U (0.5, 1] |" in card


@pytest.mark.parametrize("denoiser", ["mlp", "unet"])
def test_weights_keep_their_names_and_shapes(denoiser, contract, root_of):
    more = {"denoiser": denoiser, "ema_decay": 0.9, "relative_actions": True, "down_dims": [8], "n_groups": 4}
    cfg = configuration(root_of("target"), (), {**more, "diffusion_step_embed_dim": 8})
    policy, _ = fresh_policy(cfg, merged(cfg))
    contract(
        f"weights_{denoiser}.json",
        {name: f"{str(tensor.dtype)[6:]} {list(tensor.shape)}" for name, tensor in policy.state_dict().items()},
    )
