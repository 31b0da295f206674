# SPDX-License-Identifier: Apache-2.0
import json
import math

import numpy as np

from lerobot_ambient.integration.monitoring.metrics_file import MetricsFile, read_metrics


def test_lines_come_back_and_what_is_no_number_is_null(tmp_path):
    path = tmp_path / "run" / "metrics.jsonl"
    file = MetricsFile(path, 0)
    file.append(2, "train", {"loss": 0.5, "grad_norm": math.inf})
    file.append(2, "eval", {"eval_loss": np.float32(0.25)})
    assert read_metrics(path) == [
        {"step": 2, "mode": "train", "loss": 0.5, "grad_norm": None},
        {"step": 2, "mode": "eval", "eval_loss": 0.25},
    ]


def test_a_resumed_run_takes_back_later_lines_and_a_cut_one(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = [json.dumps({"step": step, "mode": "train", "loss": 1.0}) + "\n" for step in (2, 4, 6)]
    path.write_text("".join(whole) + '{"step": 8, "mod')
    MetricsFile(path, 4)
    assert path.read_text() == "".join(whole[:2])
    before = path.stat().st_ino
    MetricsFile(path, 4)
    assert path.stat().st_ino == before, "nothing to take back, so the file is left alone"
    # A line cut at its end, of a step that stays, must not be continued by the next one.
    path.write_text("".join(whole[:1]) + whole[1].rstrip("\n"))
    MetricsFile(path, 4).append(4, "train", {"loss": 2.0})
    assert [line["loss"] for line in read_metrics(path)] == [1.0, 2.0]
