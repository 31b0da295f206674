# SPDX-License-Identifier: Apache-2.0
"""Stock lerobot-train of ambient_smolvla: held-out loss, and LoRA on a stock checkpoint."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.rollout.context import _load_pretrained_policy
from lerobot.scripts import lerobot_train as lerobot_train_script
from safetensors.torch import load_file

from lerobot_ambient.cli.__main__ import main

from ...policy.flow.tiny import as_arguments, observation, statistics, stir, tiny_smolvla

CAMERA = "observation.images.cam"


@pytest.fixture(scope="module")
def arms(tmp_path_factory, write_dataset) -> list[str]:
    """The words that name a target of 3 episodes (24 frames) and a source of 2 with a window."""
    folder = tmp_path_factory.mktemp("arms")
    look = {"dims": 6, "env_state": False, "image": (32, 32)}
    target = write_dataset(folder / "target", "me/target", [8, 7, 9], seed=1, **look)
    sim = write_dataset(folder / "sim", "me/sim", [10, 12], seed=2, **look)
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.5}
    return ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={json.dumps([source])}"]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    pytest.importorskip("transformers")
    return tiny_smolvla(tmp_path_factory.mktemp("tiny"), cameras=(CAMERA,))


@pytest.fixture(scope="module")
def stock(config, tmp_path_factory) -> Path:
    """A checkpoint of LeRobot's own SmolVLA."""
    folder = tmp_path_factory.mktemp("stock")
    policy = get_policy_class("smolvla")(config)
    stir(policy)
    policy.save_pretrained(folder)
    for processor in make_pre_post_processors(config, dataset_stats=statistics(config)):
        processor.save_pretrained(folder)
    return folder


def run(output, steps):
    return [f"--output_dir={output}", f"--steps={steps}", "--batch_size=4", "--num_workers=0", "--log_freq=1"]


def test_held_out_loss_is_of_the_target_under_the_stock_law(arms, config, tmp_path, lerobot_train, monkeypatch, capsys):
    seen = {True: [], False: []}
    cls = get_policy_class("ambient_smolvla")
    forward = cls.forward

    def watched(self, batch, *args, **kwargs):
        loss, told = forward(self, batch, *args, **kwargs)
        seen[self.training].append((batch["index"].tolist(), set(told)))
        return loss, told

    monkeypatch.setattr(cls, "forward", watched)
    more = ["--dataset.eval_split=0.3", "--eval_steps=2", "--save_checkpoint=false"]
    lerobot_train([*as_arguments(config, "ambient_smolvla"), *arms, *run(tmp_path / "run", 2), *more])
    # 0.3 of three episodes: one is held out, the last (frames 15 to 23); training never sees it.
    assert [i for indices, _ in seen[False] for i in indices] == list(range(15, 24))
    trained = {i for indices, _ in seen[True] for i in indices}
    assert not trained & set(range(15, 24)) and any(i >= 24 for i in trained)
    assert all("sigma/me/sim" in told for _, told in seen[True])
    assert not any("/" in name for _, told in seen[False] for name in told)
    assert re.search(r"step 2: eval_loss=\d", capsys.readouterr().err)


@pytest.fixture(scope="module")
def tuned(arms, config, stock, tmp_path_factory) -> Path:
    """The run that adapts the stock checkpoint by LoRA on the mixture, two steps."""
    pytest.importorskip("peft")
    output = tmp_path_factory.mktemp("tuned") / "run"
    words = [f"--policy.path={stock}", "--policy.push_to_hub=false", "--peft.method_type=LORA", "--peft.r=2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["lerobot-train", *words, *arms, *run(output, 2)])
        lerobot_train_script.main()
    return output / "checkpoints/000002/pretrained_model"


def test_lora_on_a_stock_checkpoint_is_that_of_stock(config, stock, tuned):
    from peft import get_peft_model_state_dict

    assert PreTrainedConfig.from_pretrained(tuned).type == "ambient_smolvla"
    told = json.loads((tuned / "adapter_config.json").read_text())
    theirs = get_policy_class("smolvla").from_pretrained(stock, config=replace(config, pretrained_path=str(stock)))
    wrapped = theirs.wrap_with_peft(peft_cli_overrides={"method_type": "LORA", "r": 2})
    assert told["base_model_name_or_path"] == str(stock)
    assert told["target_modules"] == wrapped.peft_config["default"].target_modules
    trained, fresh = load_file(tuned / "adapter_model.safetensors"), get_peft_model_state_dict(wrapped)
    assert {name: value.shape for name, value in trained.items()} == {name: v.shape for name, v in fresh.items()}
    assert any(value.abs().max() > 0 for name, value in trained.items() if "lora_B" in name)
    # The base stays as it was: without the adapter the policy is the stock checkpoint.
    ours = _load_pretrained_policy(of_checkpoint(tuned)).base_model.model
    weights = {name.replace(".base_layer", ""): value for name, value in ours.state_dict().items()}
    assert all(torch.equal(weights[name], value) for name, value in load_file(stock / "model.safetensors").items())


def test_lora_resumes(tuned, lerobot_train):
    lerobot_train([f"--config_path={tuned / 'train_config.json'}", "--resume=true", "--steps=3"])
    last = tuned.parents[1] / "000003/pretrained_model"
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (tuned, last))
    assert before.keys() == after.keys()
    assert any(not torch.equal(after[name], before[name]) for name in after)


def test_lora_acts_on_a_robot_and_exported_as_stock(config, tuned, tmp_path):
    assert main(["export", str(tuned), f"--output-dir={tmp_path / 'stock'}"]) == 0
    acted = []
    for folder in (tuned, tmp_path / "stock"):
        loaded = of_checkpoint(folder)
        policy = _load_pretrained_policy(loaded).eval()
        pre, post = make_pre_post_processors(loaded, str(folder))
        torch.manual_seed(0)
        acted.append(post(policy.select_action(pre(observation(config)))))
    assert loaded.type == "smolvla" and torch.isfinite(acted[0]).all() and torch.equal(*acted)


def test_a_class_named_by_an_adapter_s_processors_is_not_called(tuned, tmp_path):
    folder = Path(shutil.copytree(tuned, tmp_path / "adapter"))
    file = folder / "policy_preprocessor.json"
    written = json.loads(file.read_text())
    written["steps"].insert(0, {"class": "subprocess.Popen", "config": {"args": ["true"]}})
    file.write_text(json.dumps(written))
    with pytest.raises(ValueError, match=r"policy_preprocessor.json names the class 'subprocess.Popen'"):
        _load_pretrained_policy(of_checkpoint(folder))


def of_checkpoint(folder: Path) -> PreTrainedConfig:
    config = PreTrainedConfig.from_pretrained(folder)
    config.pretrained_path = folder
    return config
