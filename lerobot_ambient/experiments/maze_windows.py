# SPDX-License-Identifier: Apache-2.0
"""Estimated windows for the maze's source: `lerobot-ambient annotate` as a stage of the experiment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.data.windows_file import read_windows
from lerobot_ambient.experiments.maze import WINDOW_METHODS, Choices, make_arm, render_yaml, train_config, windows_path
from lerobot_ambient.experiments.stages import Stage, stock_command


def window_stages(
    methods: tuple[str, ...], folder: Path, data_root: Path, inputs: Mapping[str, Any]
) -> dict[str, Stage]:
    """A stage per method that leaves a windows file of the source.

    Args:
        methods: names in `WINDOW_METHODS`.
        folder: of all of them; they keep what classifiers learnt in its `work`, which all granularities share.
        data_root: parent folder of `target` and `source`.
        inputs: what else the result depends on.
    """
    # Whatever window the arm declares is ignored by annotate.
    arm = make_arm("ambient", Choices())
    stages = {}
    for method in methods:
        words = list(WINDOW_METHODS[method])
        here = folder / method
        command = [
            *stock_command("lerobot-ambient", "lerobot_ambient.cli"),
            *["annotate", f"--config_path={here / 'train.yaml'}", *words, f"--windows-dir={here / 'run'}", "--json"],
        ]
        if "--method=classifier" in words:
            command.append(f"--work-dir={folder / 'work'}")
        stages[method] = Stage(
            here,
            {**inputs, "annotate": words, "config": train_config(arm, "DATA", seed=0)},
            command,
            files={"train.yaml": render_yaml(train_config(arm, str(data_root), seed=0))},
            product=f"run/{windows_path('', method).name}",
        )
    return stages


def describe_windows(path: Path) -> dict[str, Any]:
    """Median and spread of the windows in a file, and the confidence with which the data set's is known.

    Args:
        path: of the windows file.
    """
    table = read_windows(path, curves=False)
    low, middle, high = np.quantile(table.sigma_min, [0.05, 0.5, 0.95]).tolist()
    described = {
        "sigma_min": round(middle, 5),
        "sigma_max": round(float(np.median(table.sigma_max)), 5),
        "sigma_min_quantiles": [round(low, 5), round(high, 5)],
        "method": table.method,
        "granularity": table.granularity,
    }
    log = path.parent.parent / "log.txt"
    interval = _interval(log)
    return described if interval is None else {**described, "interval": interval}


def _interval(log: Path) -> list[float] | None:
    """The 95 % interval of the data set's sigma_min that annotate printed into its log."""
    text = log.read_text(encoding="utf-8") if log.is_file() else ""
    start = text.rfind("\n[\n")
    if start < 0:
        return None
    findings, _ = json.JSONDecoder().raw_decode(text[start + 1 :])
    return [round(float(edge), 5) for edge in findings[0]["interval"]]
