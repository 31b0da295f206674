# SPDX-License-Identifier: Apache-2.0
"""Held-out losses under `accelerate launch`: added up over the processes, written by one."""

import json

import pytest

from lerobot_ambient.integration.monitoring.bands import BANDS
from lerobot_ambient.integration.monitoring.metrics_file import read_metrics

from ..conftest import SMALL_POLICY
from ..test_two_processes import two_ranks


def test_two_processes_tell_of_all_held_out_frames(write_dataset, tmp_path, preloaded_python):
    target = write_dataset(tmp_path / "target", "me/target", [14, 12, 16, 16], seed=1)
    sim = write_dataset(tmp_path / "sim", "me/sim", [12] * 10, seed=2)
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.5, "holdout": 0.2}
    words = ["--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={json.dumps([source])}"]
    words += ["--dataset.eval_split=0.4", "--eval_steps=2", "--log_freq=2", "--steps=4", *SMALL_POLICY]
    two_ranks(tmp_path, preloaded_python, *words)
    told = read_metrics(tmp_path / "run/metrics.jsonl")
    assert [(line["step"], line["mode"]) for line in told] == [(2, "train"), (2, "eval"), (4, "train"), (4, "eval")]
    for line in told[1::2]:
        # Two held-out episodes of 16 frames make four batches of 8, two a process.
        assert sum(line.get(f"eval_samples/{band}", 0) for band in BANDS) == 32
        assert sum(line.get(f"eval_samples/me/sim/{band}", 0) for band in BANDS) == 20
        # Of full batches the loss is the mean over the samples.
        parts = [(line[f"eval_loss/{b}"], line[f"eval_samples/{b}"]) for b in BANDS if f"eval_loss/{b}" in line]
        assert line["eval_loss"] == pytest.approx(sum(loss * n for loss, n in parts) / 32, rel=1e-5)
    drawn = told[2]["exposure/me/target"] * (14 + 12 - 4) + told[2]["exposure/me/sim"] * 8 * 10
    assert drawn == pytest.approx(4 * 2 * 8)
