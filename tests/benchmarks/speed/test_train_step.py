# SPDX-License-Identifier: Apache-2.0
"""`bench train-step`: what it times, of which policies. No time is asserted."""

from __future__ import annotations

import json

import pytest

from lerobot_ambient.benchmarks.speed.train_step import PARTS
from lerobot_ambient.cli.__main__ import main

SMALL = (
    *("--policy.type=ambient_diffusion", "--policy.push_to_hub=false", "--policy.device=cpu", "--batch_size=4"),
    *("--policy.horizon=8", "--policy.n_action_steps=4", "--policy.drop_n_last_frames=2", "--policy.ema_decay=0.9"),
    *("--policy.denoiser=mlp", "--policy.mlp_width=8", "--policy.mlp_depth=1", "--dataset.use_imagenet_stats=false"),
)


@pytest.fixture
def words(tmp_path, write_dataset):
    root = write_dataset(tmp_path / "target", "me/target", [30, 30])
    return [f"--dataset.root={root}", "--dataset.repo_id=me/target", *SMALL]


def measured(capsys, *words):
    assert main(["bench", "train-step", "--pairs=2", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_three_kinds_of_step_by_their_parts(words, capsys):
    found = measured(capsys, *words)
    assert list(found["ms"]) == list(found["parts"]) == ["ours", "plain Adam", "stock"]
    assert all(list(parts) == list(PARTS) for parts in found["parts"].values())
    assert all(value >= 0 for parts in found["parts"].values() for value in parts.values())
    assert all(value > 0 for value in found["ms"].values())
    assert list(found["ratios"]) == ["plain Adam", "stock"]
    assert len(found["ratios"]["stock"]["rounds"]) == 2


def test_a_flow_has_no_stock_policy_and_the_table_is_read_by_people(words, capsys):
    assert main(["bench", "train-step", "--pairs=1", *words, "--policy.objective=flow"]) == 0
    text = capsys.readouterr().out
    assert "ours  plain Adam\n" in text
    assert "ours / plain Adam: " in text and "stock" not in text


def test_bad_input(words, capsys):
    assert main(["bench", "train-step", "--pairs=0", *words]) == 2
    assert "--pairs must be at least 1, got 0" in capsys.readouterr().err
    assert main(["bench", "train-step", *words[:2], "--policy.type=ambient_multi_task_dit"]) == 2
    assert "for flow policies there is lerobot-ambient bench flow-step" in capsys.readouterr().err


def test_pictures_come_as_lerobots_loop_makes_them(tmp_path, write_dataset, capsys):
    root = write_dataset(tmp_path / "target", "me/target", [20, 20], image=(32, 32), env_state=False)
    words = [f"--dataset.root={root}", "--dataset.repo_id=me/target", *SMALL, "--policy.vision_encoder=cnn"]
    assert list(measured(capsys, *words)["ms"]) == ["ours", "plain Adam", "stock"]
