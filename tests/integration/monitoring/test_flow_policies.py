# SPDX-License-Identifier: Apache-2.0
"""Held-out losses of flow policies by level, through stock `lerobot-train`, with cameras and with LoRA."""

import json

import pytest

from lerobot_ambient.integration.monitoring.bands import BANDS
from lerobot_ambient.integration.monitoring.metrics_file import read_metrics

from ...policy.flow.tiny import as_arguments

CAMERA = "observation.images.cam"


@pytest.fixture(scope="module")
def arms(tmp_path_factory, write_dataset) -> list[str]:
    """A target of 3 episodes, the last of 9 frames, and a source of 2, of which 12 frames are held out."""
    folder = tmp_path_factory.mktemp("arms")
    look = {"dims": 6, "env_state": False, "image": (32, 32)}
    target = write_dataset(folder / "target", "me/target", [8, 7, 9], seed=1, **look)
    sim = write_dataset(folder / "sim", "me/sim", [10, 12], seed=2, **look)
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.5, "holdout": 0.5}
    return ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={json.dumps([source])}"]


def told(output):
    (line,) = [line for line in read_metrics(output / "metrics.jsonl") if line["mode"] == "eval"]
    return line


def run(output):
    words = [f"--output_dir={output}", "--steps=2", "--batch_size=4", "--num_workers=0", "--log_freq=1"]
    return [*words, "--dataset.eval_split=0.3", "--eval_steps=2", "--save_checkpoint=false"]


@pytest.mark.parametrize("family", ["smolvla", "multi_task_dit"])
def test_each_level_has_its_loss(family, arms, tmp_path, tiny_config, lerobot_train):
    pytest.importorskip("transformers")
    config = tiny_config(family, cameras=(CAMERA,))
    lerobot_train([*as_arguments(config, f"ambient_{family}"), *arms, *run(tmp_path / "run")])
    line = told(tmp_path / "run")
    dropped = getattr(config, "drop_n_last_frames", 0)
    assert sum(line.get(f"eval_samples/{band}", 0) for band in BANDS) == 9
    # No more of a source than of the target.
    assert sum(line.get(f"eval_samples/me/sim/{band}", 0) for band in BANDS) == min(9, 12 - dropped)
    assert line["eval_loss/me/sim"] > 0


def test_an_adapted_policy_is_watched_through_its_wrapper(arms, stock_checkpoint, tmp_path, lerobot_train):
    pytest.importorskip("peft")
    path = stock_checkpoint("smolvla", cameras=(CAMERA,))
    words = [f"--policy.path={path}", "--policy.push_to_hub=false", "--peft.method_type=LORA", "--peft.r=2"]
    lerobot_train([*words, *arms, *run(tmp_path / "run")])
    assert sum(told(tmp_path / "run").get(f"eval_samples/{band}", 0) for band in BANDS) == 9
