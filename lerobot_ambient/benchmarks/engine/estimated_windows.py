# SPDX-License-Identifier: Apache-2.0
"""The windows of a source: estimated ones as a stage of an experiment, and all of them for its report."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.benchmarks.engine import score_selection as score_selection
from lerobot_ambient.benchmarks.engine.common_conditions import target_only
from lerobot_ambient.benchmarks.engine.condition import AMBIENT_ALPHA, Condition
from lerobot_ambient.benchmarks.engine.recipe import NOWHERE, Places, Task, render_yaml, train_config, windows_path
from lerobot_ambient.benchmarks.engine.score_selection import SELECTIONS
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.windows.windows_file import read_windows
from lerobot_ambient.integration.commands.stages import Stage, stock_command

WINDOW_METHODS: dict[str, tuple[str, ...]] = {
    "spectral": ("--method=spectral",),
    "classifier-dataset": ("--method=classifier",),
    "classifier-bucket": ("--method=classifier", "--granularity=bucket", "--bucket=clusters:32"),
    "classifier-episode": ("--method=classifier", "--granularity=bucket", "--bucket=episode"),
    "classifier-datapoint": ("--method=classifier", "--granularity=datapoint"),
    "classifier-datapoint-locality": ("--method=classifier", "--granularity=datapoint", "--locality"),
    "heldout": ("--method=heldout", f"--shares={AMBIENT_ALPHA:g}", "--steps=1500"),
}
"""Ways to estimate the source's windows: the options of `lerobot-ambient annotate`. The held-out map judges the share
of the target that is trained with."""

SELECTED = {f"classifier-{selection}": selection for selection in SELECTIONS}
"""Ways to keep a part of the source by the scores of the method `SCORES`."""
SCORES = "classifier-datapoint"

TRUSTED, AS_ESTIMATED = "--accept-full-trust", "--take=estimate"
"""Experiments measure what the estimates are worth, including those that trust everything; of the held-out map they
take the safe end, as users do."""


def window_stage(
    task: Task, method: str, folder: Path, places: Places, inputs: Mapping[str, Any], *, batch_size: int = 128
) -> Stage:
    """A stage that leaves a windows file of the source.

    Args:
        task: whose source it is.
        method: a name in `WINDOW_METHODS`.
        folder: of all methods; they keep what classifiers learnt in its `work`, which all granularities share.
        places: of the datasets.
        inputs: what else the result depends on.
        batch_size: of the study's trainings, which the held-out map's own trainings have, too.
    """
    # Whatever window the condition declares is ignored by annotate.
    condition = Condition("ambient", "", {"type": "ambient", "alpha": AMBIENT_ALPHA}, {"sigma_min": 0.3})
    words = [*WINDOW_METHODS[method], *([TRUSTED] if method == "heldout" else [AS_ESTIMATED, TRUSTED])]
    here = folder / method
    sizes = {"seed": 0, "steps": 1000, "batch_size": batch_size}
    command = [
        *stock_command("lerobot-ambient", "lerobot_ambient.cli"),
        *["annotate", f"--config_path={here / 'train.yaml'}", *words, f"--windows-dir={here / 'run'}", "--json"],
    ]
    if "--method=spectral" not in words:
        command.append(f"--work-dir={folder / ('work' if '--method=classifier' in words else 'work-heldout')}")
    return Stage(
        here,
        {**inputs, "annotate": words, "config": train_config(task, condition, NOWHERE, **sizes)},
        command,
        files={"train.yaml": render_yaml(task, train_config(task, condition, places, **sizes))},
        product=f"run/{windows_path(task, '', method).name}",
    )


def selection_stage(task: Task, method: str, folder: Path, scores: Stage) -> Stage:
    """A stage that leaves a windows file of the part of the source that a selection keeps.

    Args:
        task: whose source it is.
        method: a name in `SELECTED`.
        folder: of all methods.
        scores: the stage of `SCORES`.
    """
    here, product = folder / method, windows_path(task, "", method).name
    assert scores.product is not None
    words = [score_selection.__name__, SELECTED[method]]
    command = [sys.executable, "-m", *words, str(scores.folder / scores.product), str(here / "run" / product)]
    return Stage(here, {"scores": scores.key, "selection": words}, command, product=f"run/{product}")


def with_numbers(task: Task, condition: Condition, places: Places) -> Condition:
    """A condition whose window was estimated once with that window in numbers, as a sweep would have left it.

    A file of windows belongs to the normalisation of the target that it was estimated on, and is refused by others. Of
    windows that are still to be estimated, before which nothing is trained, nothing is known yet. Where `annotate`
    recommends no window the target is trained with alone: where nothing is admitted, and where chunks alone show no
    difference, so that everything would be.
    """
    if not condition.windows_once:
        return condition
    assert condition.windows is not None
    path = windows_path(task, places.windows, condition.windows)
    if not path.is_file():
        return condition
    found = describe_windows(path)
    assert found["granularity"] == "dataset", "one window can be a number"
    window = Window(**{bound: found[bound] for bound in ("sigma_min", "sigma_max")})
    admits_all = bool(window.admits(squared_cosine_schedule().sigmas).all())
    if window.is_nothing or (admits_all and found["method"] != "heldout"):
        return replace(condition, mixing=target_only().mixing, source=None, windows=None, windows_once=False)
    source = {**(condition.source or {}), "sigma_min": window.sigma_min, "sigma_max": window.sigma_max}
    return replace(condition, source=source, windows=None, windows_once=False)


def describe_windows(path: Path) -> dict[str, Any]:
    """Median and spread of the windows in a file, and the 95 % interval of the dataset's own.

    Args:
        path: of the windows file.
    """
    table = read_windows(path, curves=False)
    low, middle, high = np.quantile(table.sigma_min, [0.05, 0.5, 0.95]).tolist()
    if table.method.endswith(SELECTIONS):
        kept = round(float((table.sigma_min == 0.0).mean()), 4)
        return {"sigma_min": 0.0, "sigma_max": 0.0, "kept": kept, "method": table.method}
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


def _printed_findings(log: Path) -> list[dict[str, Any]]:
    """The last JSON list in a log, which `annotate --json` prints, an entry for each source; empty if there is none."""
    text = log.read_text(encoding="utf-8") if log.is_file() else ""
    start = text.rfind("\n[\n")
    if start < 0:
        return []
    findings: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text[start + 1 :])[0]
    return findings


def printed_windows(log: Path, keys: Sequence[str]) -> list[dict[str, Any]]:
    """These keys of the findings in the log of a finished `annotate --json`."""
    findings = _printed_findings(log)
    assert findings, f"{log} ends with what annotate found"
    return [{key: one[key] for key in keys} for one in findings]


def _interval(log: Path) -> list[float] | None:
    """The 95 % interval of the dataset's sigma_min that annotate printed into its log."""
    findings = _printed_findings(log)
    return [round(float(edge), 5) for edge in findings[0]["interval"]] if findings else None


def windows_json(task: Task, condition: Condition, windows_root: Path) -> list[dict[str, Any]]:
    """The source's window, and the outermost of the schedule's few levels that lie in it, which are what takes effect.

    Args:
        task: whose source it is.
        condition: that declares the window or names the method that estimates it.
        windows_root: folder of the estimated windows of the condition's data.
    """
    if condition.source is None:
        return []
    if condition.windows is not None:
        return [{"source": task.source, **describe_windows(windows_path(task, str(windows_root), condition.windows))}]
    if not {"sigma_min", "sigma_max"} & set(condition.source):
        return []
    window = Window(condition.source.get("sigma_min", 0.0), condition.source.get("sigma_max", 0.0))
    above, below = window.effective(squared_cosine_schedule())
    used = {
        "first_level_used": None if above is None else round(above, 5),
        "last_level_used": None if below is None else round(below, 5),
    }
    return [{"source": task.source, "sigma_min": window.sigma_min, "sigma_max": window.sigma_max, **used}]


def squared_cosine_schedule() -> NoiseSchedule:
    """The 100 levels of the recipe's DDPM schedule, as diffusers builds them."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    scheduler = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    return NoiseSchedule.from_alphas_cumprod(scheduler.alphas_cumprod)


def windows_text(windows: Sequence[dict[str, Any]]) -> str:
    """`windows_json` in a cell of a table."""
    return "; ".join(map(_window, windows)) or "–"


def _window(window: dict[str, Any]) -> str:
    if "kept" in window:
        return f"all levels, {window['kept']:.0%} of chunks"
    if "sigma_min_quantiles" not in window:
        return " and ".join(
            text
            for text, level in (
                (
                    f"σ < {window['sigma_max']:g} (up to {window['last_level_used'] or 0:.3f})",
                    window["last_level_used"],
                ),
                (
                    f"σ > {window['sigma_min']:g} (from {window['first_level_used'] or 0:.3f})",
                    window["first_level_used"],
                ),
            )
            if level is not None
        )
    low, high = window["sigma_min_quantiles"]
    if Window(window["sigma_min"], window["sigma_max"]).is_nothing:
        return "nothing: the target alone"
    if low >= 1.0:
        return f"σ < {window['sigma_max']:.3f}"
    text = f"σ > {window['sigma_min']:.3f}"
    if low < high:
        text += f" (median), {low:.3f} to {high:.3f} for 90 % of windows"
    if "interval" in window:
        text += f" (dataset: {window['interval'][0]:.3f} to {window['interval'][1]:.3f})"
    if window["sigma_max"] > 0.0:
        text += f", and σ < {window['sigma_max']:.3f}"
    return text
