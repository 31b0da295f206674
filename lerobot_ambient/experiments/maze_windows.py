# SPDX-License-Identifier: Apache-2.0
"""The windows of the maze's source: estimated ones as a stage of the experiment, and all of them for the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.windows_file import read_windows
from lerobot_ambient.experiments.maze import (
    SOURCE,
    WINDOW_METHODS,
    Arm,
    Choices,
    make_arm,
    render_yaml,
    train_config,
    windows_path,
)
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


def windows_json(arm: Arm, windows_root: Path) -> list[dict[str, Any]]:
    """The source's window, and the first of the schedule's few levels that lies in it: that is the one in force."""
    if arm.windows is not None:
        return [{"source": SOURCE, **describe_windows(windows_path(str(windows_root), arm.windows))}]
    if arm.sigma_min is None:
        return []
    first, _ = Window(sigma_min=arm.sigma_min).effective(squared_cosine_schedule())
    used = {"first_level_used": None if first is None else round(first, 5)}
    return [{"source": SOURCE, "sigma_min": arm.sigma_min, "sigma_max": 0.0, **used}]


def squared_cosine_schedule() -> NoiseSchedule:
    """The 100 levels of the recipe's DDPM schedule, as diffusers builds them."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    return NoiseSchedule.from_alphas_cumprod(scheduler.alphas_cumprod)


def windows_text(windows: Sequence[dict[str, Any]]) -> str:
    """`windows_json` in a cell of a table."""
    return "; ".join(map(_window, windows)) or "–"


def _window(window: dict[str, Any]) -> str:
    if window.get("first_level_used") is not None:
        return f"σ > {window['sigma_min']:g} (from {window['first_level_used']:.3f})"
    low, high = window["sigma_min_quantiles"]
    text = f"σ > {window['sigma_min']:.3f}"
    if low < high:
        text += f" in the median, {low:.3f} to {high:.3f} for nine in ten"
    if "interval" in window:
        text += f" (data set: {window['interval'][0]:.3f} to {window['interval'][1]:.3f})"
    return text
