# SPDX-License-Identifier: Apache-2.0
"""`bench flow-step`: what it says of the built-in networks, of a checkpoint, and of what has no ambient form."""

import json

import pytest
import torch
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.factory import get_policy_class

from lerobot_ambient.benchmarks.speed import flow_step
from lerobot_ambient.cli.__main__ import main

from ...policy.flow.tiny import tiny_smolvla

pytest.importorskip("transformers")


def measured(capsys, *options):
    capsys.readouterr()  # SmolVLA says how many layers it leaves out.
    code = main(["bench", "flow-step", "--pairs=2", "--batch-size=2", "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def test_the_built_in_network_takes_both_steps(monkeypatch, capsys):
    monkeypatch.setattr(flow_step, "BUILT_IN", {"tiny": flow_step.BUILT_IN["tiny"]})
    code, (one,) = measured(capsys)
    assert code == 0
    assert one["equal"] is True
    assert one["model"] == "multi_task_dit, tiny"
    assert min(one["stock_ms"], one["ours_ms"]) > 0
    assert len(one["ratio"]["rounds"]) == 2
    low, high = one["ratio"]["interval95"]
    assert low <= one["ratio"]["median"] <= high
    assert one["ours_peak"] == pytest.approx(one["stock_peak"], rel=0.05)


def test_a_stock_checkpoint_is_timed_as_it_is(tmp_path, capsys):
    config = tiny_smolvla(tmp_path)
    policy = get_policy_class("smolvla")(config)
    policy.save_pretrained(tmp_path / "checkpoint")
    code, (one,) = measured(capsys, f"--path={tmp_path / 'checkpoint'}")
    assert (code, one["equal"]) == (0, True)
    assert one["parameters"] == sum(p.numel() for p in policy.parameters())


def test_unequal_losses_are_an_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(flow_step, "BUILT_IN", {"tiny": flow_step.BUILT_IN["tiny"]})
    monkeypatch.setattr(torch, "equal", lambda *pair: False)
    assert main(["bench", "flow-step", "--pairs=1", "--batch-size=1"]) == 1
    text = capsys.readouterr().out
    assert "loss NOT EQUAL to stock's, bit for bit" in text
    assert "added a step" in text


def test_what_has_no_ambient_flow_form_is_refused(tmp_path, capsys):
    ACTConfig(device="cpu", push_to_hub=False)._save_pretrained(tmp_path)
    assert main(["bench", "flow-step", f"--path={tmp_path}"]) == 2
    assert "the checkpoint is of type act; only LeRobot's flow policies are compared" in capsys.readouterr().err
    assert main(["bench", "flow-step", "--pairs=0"]) == 2
    assert "--pairs must be at least 1, got 0" in capsys.readouterr().err
