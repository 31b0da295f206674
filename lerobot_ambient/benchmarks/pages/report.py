# SPDX-License-Identifier: Apache-2.0
"""An experiment as results JSON and as a page: a table, the sweeps, and what was promised against measured."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.engine.claims import percent
from lerobot_ambient.benchmarks.engine.crossed import Trainings, estimate
from lerobot_ambient.benchmarks.engine.estimated_windows import windows_text
from lerobot_ambient.benchmarks.engine.outcome import FinalRun, Outcome, SweepPoint
from lerobot_ambient.benchmarks.engine.study_data import Kind
from lerobot_ambient.benchmarks.pages.comparison import SWEPT, decided, design, differences, pooled, trainings_of
from lerobot_ambient.figures.markdown import markdown_table
from lerobot_ambient.integration.commands.results import SUCCESS, Interval, Measure

_VERDICTS = {"shown": "shown", "not shown": "**not shown**", "refuted": "**refuted**"}


def results_json(outcome: Outcome, command: str, stage_seconds: float, machines: Sequence[str]) -> dict[str, Any]:
    """The machine-readable results; a public contract, see docs.

    Args:
        outcome: what was run.
        command: that repeats it.
        stage_seconds: wall time of all stages added up.
        machines: on which the stages ran, that of most of them first.
    """
    study, sizes, conditions = outcome.study, outcome.options.sizes, trainings_of(outcome)
    promised = study.quick_claims if outcome.options.quick and study.quick_claims else study.claims
    return {
        "experiment": study.name,
        "command": command,
        "machine": "; ".join(machines),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "data": {pair or "default": _data_summary(roots) for pair, roots in outcome.data.items()},
        "training": {"steps": sizes.steps, "batch_size": sizes.batch_size},
        "stage_seconds": round(stage_seconds, 1),
        "reused": sum(one.reused for one in outcome.kept),
        "arms": [_condition_json(outcome, name, runs, conditions[name]) for name, runs in pooled(outcome.runs).items()],
        "sweeps": [_sweep_json(outcome, point) for point in outcome.sweeps],
        "claims": [
            {"claim": one.promise, "measured": one.measured, "verdict": one.verdict, "held": one.held}
            for one in promised(conditions)
        ],
    }


def markdown(outcome: Outcome, results: dict[str, Any], figures: Sequence[tuple[str, str]]) -> str:
    """The results as a page.

    Args:
        outcome: what was run.
        results: of `results_json`.
        figures: (file name beside the page, caption).
    """
    study = outcome.study
    measures = [
        one
        for one in study.measures
        if any(one.of(condition.pooled) is not None for condition in trainings_of(outcome).values())
    ]
    lines = [
        f"# {study.title}",
        *(["", f"**Question.** {study.question}"] if study.question else []),
        "",
        f"**Design.** {design(outcome)}",
        "",
        f"`{results['command']}`  ",
        f"{results['date']}, {results['machine']}; the stages' times add up to {results['stage_seconds'] / 60:.0f} "
        "minutes, each with one thread." + _reused(results["reused"], len(outcome.kept)),
        "",
        *_data_table(results["data"]),
        "",
        "## Arms",
        "",
        *markdown_table(
            [
                "arm",
                "success (95 %)",
                *(_heading(one) for one in measures),
                "trainings x layouts",
                "source's window",
                *study.published,
            ],
            [
                [
                    _label(condition),
                    _rate(condition["successes"] / condition["trials"], condition["success95"]),
                    *(_measured(one, condition["metrics"]) for one in measures),
                    f"{len(condition['train_seeds'])} x {condition['trials'] // len(condition['train_seeds'])}",
                    _windows(condition),
                    *(column.get(condition["arm"], "–") for column in study.published.values()),
                ]
                for condition in results["arms"]
            ],
        ),
    ]
    for note in study.notes:
        lines += ["", note]
    lines += differences(outcome)
    if results["claims"]:
        kept = [[one["claim"], one["measured"], _VERDICTS[one["verdict"]]] for one in results["claims"]]
        lines += ["", "## Promised and measured", "", *markdown_table(["promise", "measured", ""], kept), ""]
        lines.append(decided(outcome))
    if study.limits:
        lines += ["", "## What this does not show", "", *(f"- {limit}" for limit in study.limits)]
    lines += [
        "",
        "## Each training seed",
        "",
        *markdown_table(
            [
                "arm",
                "seed",
                "success",
                *(_heading(one) for one in measures),
                "source's window",
                "training",
                "evaluation",
            ],
            [_run_cells(outcome, run, measures) for run in outcome.runs],
        ),
    ]
    if outcome.sweeps:
        swept = [one for one in measures if any(one.of(point.rollouts) is not None for point in outcome.sweeps)]
        lines += [
            "",
            "## Sweeps",
            "",
            SWEPT,
            "",
            *markdown_table(
                ["arm", "value", "success (95 %)", *(_heading(one) for one in swept), "trials", ""],
                [_sweep_cells(outcome, point, swept) for point in outcome.sweeps],
            ),
        ]
    for file, caption in figures:
        lines += ["", f"![{caption}]({file})", "", f"*{caption}*"]
    return "\n".join(lines) + "\n"


def _run_cells(outcome: Outcome, run: FinalRun, measures: Sequence[Measure]) -> list[str]:
    metrics = _rollouts_json(outcome, Trainings.of_one(run.rollouts))["metrics"]
    return [
        run.condition.name,
        str(run.seed),
        percent(run.rollouts.rate),
        *(_measured(one, metrics) for one in measures),
        windows_text([dict(window) for window in run.kept.windows]),
        f"{run.kept.train_seconds:.0f} s",
        f"{run.kept.eval_seconds:.0f} s",
    ]


def _sweep_cells(outcome: Outcome, point: SweepPoint, measures: Sequence[Measure]) -> list[str]:
    metrics = _rollouts_json(outcome, Trainings.of_one(point.rollouts))["metrics"]
    return [
        point.condition.name,
        f"{point.sweep.parameter} = {point.value:g}",
        _rate(point.rollouts.rate, point.rollouts.wilson95),
        *(_measured(one, metrics) for one in measures),
        str(point.rollouts.trials),
        "chosen" if point.chosen else "",
    ]


def _rate(rate: float, interval: Sequence[float]) -> str:
    return f"{percent(rate)} [{percent(interval[0])}, {percent(interval[1])}]"


def _reused(reused: int, policies: int) -> str:
    return (
        f" {reused} of {policies} policies were rolled out by earlier calls with the same settings." if reused else ""
    )


def _condition_json(outcome: Outcome, name: str, runs: Sequence[FinalRun], trainings: Trainings) -> dict[str, Any]:
    condition = runs[0].condition
    return {
        "arm": name,
        "mixing": condition.mixing["type"],
        "mixing_parameters": {key: value for key, value in condition.mixing.items() if key != "type"},
        "data": condition.data or "default",
        "train_seeds": [run.seed for run in runs],
        **_rollouts_json(outcome, trainings),
        "windows": [dict(window) for window in runs[0].kept.windows],
        "per_seed": [
            {
                "seed": run.seed,
                **_rollouts_json(outcome, Trainings.of_one(run.rollouts)),
                "windows": [dict(window) for window in run.kept.windows],
                "train_seconds": run.kept.train_seconds,
                "eval_seconds": run.kept.eval_seconds,
            }
            for run in runs
        ],
    }


def _sweep_json(outcome: Outcome, point: SweepPoint) -> dict[str, Any]:
    return {
        "arm": point.condition.name,
        "parameter": point.sweep.parameter,
        "value": point.value,
        **_rollouts_json(outcome, Trainings.of_one(point.rollouts)),
        "windows": [dict(window) for window in point.kept.windows],
        "chosen": point.chosen,
    }


def _rollouts_json(outcome: Outcome, trainings: Trainings) -> dict[str, Any]:
    metrics = {}
    for measure in outcome.study.measures:
        found = estimate(measure, trainings)
        metrics[measure.key] = None if found is None else _rounded(found.value)
        metrics[f"{measure.key}95"] = None if found is None else _rounded((found.low, found.high))
    success, rollouts = estimate(SUCCESS, trainings), trainings.pooled
    assert success is not None
    return {
        "trials": rollouts.trials,
        "successes": rollouts.count,
        "wilson95": _rounded(rollouts.wilson95),
        "success95": _rounded((success.low, success.high)),
        "metrics": metrics,
    }


def _data_summary(roots: Mapping[Kind, Path]) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for kind, root in roots.items():
        info = json.loads((root / "meta" / "info.json").read_text())
        summary[kind] = {"episodes": info["total_episodes"], "frames": info["total_frames"]}
        record = root / "meta" / "ambient_make_data.json"
        if record.is_file():
            made = json.loads(record.read_text())
            summary[kind]["seed"] = made["arguments"]["seed"]
            known = ("root", "repo_id", "episodes", "frames")
            summary[kind] |= {
                key: _rounded(value) if isinstance(value, float) else value
                for key, value in made["summary"].items()
                if key not in known
            }
    return summary


def _data_table(data: dict[str, Any]) -> list[str]:
    keys = list(dict.fromkeys(key for pair in data.values() for one in pair.values() for key in one))
    several = len(data) > 1
    rows = [
        [
            *([pair] if several else []),
            kind,
            *(f"{value:.4g}" if isinstance(value := one.get(key, "–"), float) else str(value) for key in keys),
        ]
        for pair, kinds in data.items()
        for kind, one in kinds.items()
    ]
    return markdown_table([*(["data"] if several else []), "", *(key.replace("_", " ") for key in keys)], rows)


def _windows(condition: dict[str, Any]) -> str:
    """The window of an arm; where each training estimated its own, that of the first is an example."""
    text = windows_text(condition["windows"])
    several = any(one["windows"] != condition["windows"] for one in condition["per_seed"])
    return f"each its own, e.g. {text}" if several else text


def _label(condition: dict[str, Any]) -> str:
    # Named as a configuration would say it.
    given = condition["mixing_parameters"].items()
    parameters = ", ".join(f"{key} {'null' if value is None else value}" for key, value in given)
    return f"**{condition['arm']}**" + (f" ({parameters})" if parameters else "")


def _heading(measure: Measure) -> str:
    return f"{measure.label} (95 %)" if measure.unit == "%" else f"{measure.label}, {measure.unit} (95 %)"


def _measured(measure: Measure, metrics: dict[str, Any]) -> str:
    value, interval = metrics[measure.key], metrics[f"{measure.key}95"]
    if value is None:
        return "–"

    def shown(number: float) -> str:
        return percent(number) if measure.unit == "%" else f"{number:.2f}"

    known = interval and None not in interval
    return shown(value) + (f" [{shown(interval[0])}, {shown(interval[1])}]" if known else "")


def _rounded(value: float | Interval | None) -> Any:
    if value is None:
        return None
    if isinstance(value, tuple):
        return [_rounded(one) for one in value]
    # One rollout alone has no interval.
    return round(value, 5) if math.isfinite(value) else None
