# SPDX-License-Identifier: Apache-2.0
"""The maze experiment as results JSON and as a page: a table, the sweeps, and what was promised against measured."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_ambient.experiments.maze_run import FinalRun, MazeOutcome, SweepPoint
from lerobot_ambient.experiments.maze_windows import windows_json, windows_text
from lerobot_ambient.experiments.results import Interval, Rollouts, acceleration_ratio

FLOOR_POINTS, FLOOR_RATIO = 25.0, 0.6


@dataclass(frozen=True)
class Published:
    """A figure from the literature: success in percent, and the smoothness measure it came with."""

    success: float
    smoothness: float


PAPER = {
    "target_only": Published(57.5, 31.9),
    "cotrain": Published(99.4, 62.2),
    "ambient": Published(99.5, 31.0),
    "exclusive": Published(99.0, 29.9),
}
"""Wei et al., "Ambient Diffusion Policy", arXiv 2606.12365: 50 + 5000 trajectories, 1000 trials; mean squared
acceleration of the successes. Its maze, units and network are others; only the ratios compare."""
TALK = {
    "target_only": Published(50.0, 7.5e3),
    "source_only": Published(100.0, 17e3),
    "cotrain": Published(91.0, 14.5e3),
    "ambient": Published(98.0, 5.5e3),
}
"""A. Wei, "Learning From Bad Data In Robotics", 24 Sept 2025: 100 + 5000 trajectories, 100 trials; mean squared
jerk."""


@dataclass(frozen=True)
class Claim:
    """A promise of the experiment and what was measured."""

    promise: str
    measured: str
    held: bool


def pooled(runs: Sequence[FinalRun]) -> dict[str, list[FinalRun]]:
    """The final runs by arm, in the order given."""
    arms: dict[str, list[FinalRun]] = {}
    for run in runs:
        arms.setdefault(run.arm.name, []).append(run)
    return arms


def arm_rollouts(outcome: MazeOutcome) -> dict[str, Rollouts]:
    """All final roll-outs of each arm, over its training seeds."""
    return {name: Rollouts.pool([run.rollouts for run in runs]) for name, runs in pooled(outcome.runs).items()}


def claims(arms: dict[str, Rollouts]) -> list[Claim]:
    """The floor the experiment set itself, as far as the arms are there."""
    found = []
    ambient, cotrain, target = arms.get("ambient"), arms.get("cotrain"), arms.get("target_only")
    if ambient and cotrain:
        low, high = ambient.wilson95
        found.append(
            Claim(
                "ambient succeeds at least as often as co-training, within the interval: co-training's rate does not "
                "exceed the upper end of ambient's Wilson 95 % interval",
                f"{_percent(ambient.rate)} [{_percent(low)}, {_percent(high)}] against {_percent(cotrain.rate)}",
                cotrain.rate <= high,
            )
        )
    if ambient and target:
        points = 100.0 * (ambient.rate - target.rate)
        found.append(
            Claim(
                f"ambient succeeds at least {FLOOR_POINTS:g} points more often than the target alone",
                f"{_percent(ambient.rate)} against {_percent(target.rate)}: {points:+.1f} points",
                points >= FLOOR_POINTS,
            )
        )
    ratio = acceleration_ratio(ambient, cotrain) if ambient and cotrain else None
    if ratio:
        value, (low, high) = ratio
        found.append(
            Claim(
                f"ambient's mean squared acceleration is at most {FLOOR_RATIO:g} of co-training's",
                f"ratio {value:.2f} [{low:.2f}, {high:.2f}]",
                value <= FLOOR_RATIO,
            )
        )
    return found


def results_json(outcome: MazeOutcome, command: str, stage_seconds: float) -> dict[str, Any]:
    """The machine-readable results; a public contract, see docs.

    Args:
        outcome: what was run.
        command: that repeats it.
        stage_seconds: wall time of all stages added up.
    """
    arms = arm_rollouts(outcome)
    return {
        "experiment": outcome.options.name,
        "command": command,
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "data": _data_summary(outcome.data_root),
        "training": {"steps": outcome.options.steps, "batch_size": outcome.options.batch_size},
        "stage_seconds": round(stage_seconds, 1),
        "arms": [
            _arm_json(name, runs, arms[name], outcome.options.windows_root)
            for name, runs in pooled(outcome.runs).items()
        ],
        "sweeps": [_sweep_json(point) for point in outcome.sweeps],
        "claims": [{"claim": one.promise, "measured": one.measured, "held": one.held} for one in claims(arms)],
    }


def markdown(outcome: MazeOutcome, results: dict[str, Any], figures: Sequence[tuple[str, str]]) -> str:
    """The results as a page.

    Args:
        outcome: what was run.
        results: of `results_json`.
        figures: (file name beside the page, caption).
    """
    options = outcome.options
    lines = [
        "# Maze: windows that were estimated, beside one that was swept"
        if options.windows
        else "# Maze: motion planning from few smooth and many jagged demonstrations",
        "",
        f"`{results['command']}`  ",
        f"{results['date']}, {results['machine']}; {options.steps} steps of batch {options.batch_size} a run; all "
        f"stages together {results['stage_seconds'] / 60:.0f} minutes of one core.  ",
        _data_line(results["data"]),
        "",
        "| arm | success (Wilson 95 %) | mean squared acceleration (95 %) | trials | training seeds | source's window |"
        " paper: success / acceleration | talk: success / jerk² |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for arm in results["arms"]:
        name, low_high = arm["arm"], arm["wilson95"]
        rate = arm["successes"] / arm["trials"]
        lines.append(
            f"| {_label(name, arm)} | {_percent(rate)} [{_percent(low_high[0])}, {_percent(low_high[1])}] "
            f"| {_measure(arm['metrics']['mean_squared_acceleration'], arm['metrics']['mean_squared_acceleration95'])} "
            f"| {arm['trials']} | {', '.join(map(str, arm['train_seeds']))} | {windows_text(arm['windows'])} "
            f"| {_published(PAPER.get(name))} | {_published(TALK.get(name))} |"
        )
    lines += [
        "",
        "Mean squared acceleration is that of the successful roll-outs, in cells²/s⁴; its interval is a bootstrap over "
        "roll-outs, so it does not hold the spread between training seeds (below). The published mazes, units and "
        "networks are others: compare ratios, not values. Paper: arXiv 2606.12365, 50 + 5000 trajectories, 1000 "
        'trials. Talk: "Learning From Bad Data In Robotics", 24 Sept 2025, 100 + 5000 trajectories, 100 trials.',
    ]
    if options.windows:
        lines += [
            "",
            "`ambient` took its window from roll-outs, by the sweep below. The arms with a suffix took theirs from the "
            "data alone, with `lerobot-ambient annotate`, before any policy was trained; so did the rows of buckets "
            "(32 clusters of like chunks) and data points, which have many windows.",
        ]
    if results["claims"]:
        lines += ["", "## Promised and measured", "", "| promise | measured | |", "|---|---|---|"]
    for one in results["claims"]:
        lines.append(f"| {one['claim']} | {one['measured']} | {'held' if one['held'] else '**missed**'} |")
    lines += [
        "",
        "## Each training seed",
        "",
        "| arm | seed | success | mean squared acceleration | training | evaluation |",
        "|---|---|---|---|---|---|",
    ]
    for run in outcome.runs:
        lines.append(
            f"| {run.arm.name} | {run.seed} | {_percent(run.rollouts.rate)} "
            f"| {_measure(run.rollouts.mean_squared_acceleration, run.rollouts.acceleration95)} "
            f"| {run.train_seconds:.0f} s | {run.eval_seconds:.0f} s |"
        )
    if outcome.sweeps:
        lines += [
            "",
            "## Sweeps",
            "",
            "On training seed 0 and evaluation seeds of their own. Chosen for both arms by one rule: the smoothest of "
            "those whose success reaches the lower Wilson bound of the highest.",
            "",
            "| arm | value | success (Wilson 95 %) | mean squared acceleration (95 %) | trials | |",
            "|---|---|---|---|---|---|",
        ]
        for point in outcome.sweeps:
            low, high = point.rollouts.wilson95
            lines.append(
                f"| {point.arm.name} | {point.parameter} = {point.value:g} "
                f"| {_percent(point.rollouts.rate)} [{_percent(low)}, {_percent(high)}] "
                f"| {_measure(point.rollouts.mean_squared_acceleration, point.rollouts.acceleration95)} "
                f"| {point.rollouts.trials} | {'chosen' if point.chosen else ''} |"
            )
    for file, caption in figures:
        lines += ["", f"![{caption}]({file})", "", f"*{caption}*"]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Processor and cores, without the machine's name."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def _arm_json(name: str, runs: Sequence[FinalRun], rollouts: Rollouts, windows_root: Path) -> dict[str, Any]:
    arm = runs[0].arm
    return {
        "arm": name,
        "mixing": arm.mixing["type"],
        "mixing_parameters": {key: value for key, value in arm.mixing.items() if key != "type"},
        "train_seeds": [run.seed for run in runs],
        **_rollouts_json(rollouts),
        "windows": windows_json(arm, windows_root),
        "per_seed": [
            {
                "seed": run.seed,
                **_rollouts_json(run.rollouts),
                "train_seconds": run.train_seconds,
                "eval_seconds": run.eval_seconds,
            }
            for run in runs
        ],
    }


def _sweep_json(point: SweepPoint) -> dict[str, Any]:
    return {
        "arm": point.arm.name,
        "parameter": point.parameter,
        "value": point.value,
        **_rollouts_json(point.rollouts),
        "windows": windows_json(point.arm, Path()),
        "chosen": point.chosen,
    }


def _rollouts_json(rollouts: Rollouts) -> dict[str, Any]:
    return {
        "trials": rollouts.trials,
        "successes": rollouts.count,
        "wilson95": _rounded(rollouts.wilson95),
        "metrics": {
            "mean_squared_acceleration": _rounded(rollouts.mean_squared_acceleration),
            "mean_squared_acceleration95": _rounded(rollouts.acceleration95),
        },
    }


def _data_summary(root: Path) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    for kind in ("target", "source"):
        info = json.loads((root / kind / "meta" / "info.json").read_text())
        summary[kind] = {"episodes": info["total_episodes"], "frames": info["total_frames"]}
        record = root / kind / "meta" / "ambient_make_data.json"
        if record.is_file():
            made = json.loads(record.read_text())
            summary[kind]["seed"] = made["arguments"]["seed"]
            measured = made["summary"]["mean_squared_acceleration"]
            summary[kind]["mean_squared_acceleration"] = _rounded(measured)
    return summary


def _data_line(data: dict[str, Any]) -> str:
    parts = []
    for kind, planner in (("target", "graph of convex sets"), ("source", "RRT")):
        one = data[kind]
        smoothness = one.get("mean_squared_acceleration")
        measured = "" if smoothness is None else f", mean squared acceleration {smoothness:.2f}"
        parts.append(f"{kind} {one['episodes']} paths ({planner}; {one['frames']} frames{measured})")
    return f"Data: {'; '.join(parts)}."


def _label(name: str, arm: dict[str, Any]) -> str:
    parameters = ", ".join(f"{key} {value}" for key, value in arm["mixing_parameters"].items())
    return f"**{name}**" + (f" ({parameters})" if parameters else "")


def _published(figure: Published | None) -> str:
    return "–" if figure is None else f"{figure.success:g} % / {figure.smoothness:g}"


def _measure(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _rounded(value: float | Interval | None) -> Any:
    if value is None:
        return None
    if isinstance(value, tuple):
        return [_rounded(one) for one in value]
    assert math.isfinite(value)
    return round(value, 5)
