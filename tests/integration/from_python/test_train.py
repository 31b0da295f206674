# SPDX-License-Identifier: Apache-2.0
"""`la.train` is lerobot-train with the options it was given, and says in a ValueError what does not fit."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

import lerobot_ambient as la

from ..conftest import SMALL_POLICY

SMALL = {"device": "cpu", "denoiser": "mlp", "mlp_width": 32, "mlp_depth": 1, "horizon": 8, "n_action_steps": 4}
RUN = {"batch_size": 16, "num_workers": 0, "env_eval_freq": 0, "log_freq": 2}


@pytest.fixture
def mix(roots):
    target, sim = (str(root) for root in roots)
    sources = [la.Source("me/sim", root=sim, sigma_min=0.4)]
    mixing = la.Ambient(alpha=0.5)
    return la.Mixture.open(la.Source("me/target", root=target), sources, mixing=mixing, drop_n_last_frames=2, **SMALL)


def test_the_weights_are_those_of_the_command(mix, roots, tmp_path, lerobot_train):
    target, sim = roots
    sources = json.dumps([{"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.4}])
    places = ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={sources}"]
    run = [f"--output_dir={tmp_path / 'typed'}", "--steps=3", "--batch_size=16", "--log_freq=2"]
    lerobot_train([*places, "--policy.mixing.alpha=0.5", *run, *SMALL_POLICY])
    here = la.train(mix, tmp_path / "called", steps=3, dataloader_multiprocessing_context=None, **RUN)
    assert here == tmp_path / "called" / "checkpoints" / "last" / "pretrained_model"
    ours = load_file(here / "model.safetensors")
    typed = load_file(tmp_path / "typed" / "checkpoints" / "last" / "pretrained_model" / "model.safetensors")
    assert ours.keys() == typed.keys()
    assert all(torch.equal(ours[key], typed[key]) for key in ours)
    assert mix.config.policy.mixture_fingerprint is None
    assert mix.config.steps == 100_000


def test_a_run_is_resumed_on_the_mixture_of_its_checkpoint(mix, tmp_path):
    la.train(mix, tmp_path / "run", steps=2, **RUN)
    with pytest.raises(ValueError, match=r"open it with la.Mixture.from_config\(") as refused:
        la.train(mix, tmp_path / "run", steps=4, resume=True, **RUN)
    file = str(refused.value).split('"')[1]
    again = la.Mixture.from_config(file)
    last = la.train(again, tmp_path / "run", steps=4, resume=True)
    assert last.resolve().parent.name == "000004"
    with pytest.raises(ValueError, match="the mixture is not the one this run was started with"):
        la.train(again.with_windows({"me/sim": la.Window(0.9)}), tmp_path / "run", steps=5, resume=True)


def test_nested_options_change_what_they_name_only(mix, tmp_path):
    made = la.train(mix, tmp_path / "run", steps=1, policy={"optimizer_lr": 0.5}, wandb={"project": "p"}, **RUN)
    said = json.loads((made / "train_config.json").read_text())
    assert said["policy"]["optimizer_lr"] == 0.5
    assert said["policy"]["mixing"] == {"type": "ambient", "alpha": 0.5}
    assert said["wandb"]["project"] == "p"
    assert said["wandb"]["enable"] is False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batchsize": 4}, r"batchsize is no option of lerobot-train; did you mean batch_size\?"),
        ({"dataset": {"repo_id": "x"}}, r"dataset is no option of lerobot-train.*The datasets are the mixture's"),
        ({"batch_size": "many"}, "batch_size"),
        ({"policy": {"mlp_width": 0}}, "policy.mlp_width and mlp_depth must be positive"),
        ({"resume": True}, "there is no checkpoint to resume in"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
    ],
)
def test_what_does_not_fit_is_a_value_error(mix, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        la.train(mix, tmp_path / "run", **{"steps": 1, **options})
    assert not (tmp_path / "run").exists()


def test_a_rule_of_ones_own_opens_but_no_checkpoint_can_hold_it(mix, tmp_path):
    class Half(la.MixingRule):
        identity = "Half()"

        def shares(self, groups, schedule):
            return torch.full((len(groups), len(schedule)), 1 / len(groups), dtype=torch.float64)

    own = la.Mixture.open(mix.target, mix.sources, mixing=Half(), drop_n_last_frames=2, **SMALL)
    assert own.plan.group_law.tolist() == [0.5, 0.5]
    with pytest.raises(
        ValueError, match=r"a checkpoint cannot hold the mixing rule Half.*register_subclass\(\"half\"\)"
    ):
        la.train(own, tmp_path / "run", steps=1)
