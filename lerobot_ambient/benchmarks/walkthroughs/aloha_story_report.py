# SPDX-License-Identifier: Apache-2.0
"""What the story on gym-aloha found: the data, the replay in the stock environment, the window, the rollouts."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.engine.estimated_windows import printed_windows
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import RECORD
from lerobot_ambient.benchmarks.walkthroughs.aloha_story import EVAL_SEED, AlohaStoryOptions
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.figures.markdown import markdown_table
from lerobot_ambient.integration.commands.machine import machine
from lerobot_ambient.integration.commands.results import read_eval_info
from lerobot_ambient.integration.commands.stages import Stage

_DATA = ("episodes", "frames", "attempts", "mean_squared_acceleration")
_STEPS = ("nothing", "right gripper on the cube", "lifted", "left gripper on it too", "handed over")
"""What the environment's rewards 0 to 4 mean; an episode's highest is how far it came."""
_READING = (
    "The replay proves the path of the 14 dimensions: the stock environment, as LeRobot makes it, gets nothing but the "
    "seed of a reset and the recorded actions, and must end the episode with a success. An attempt of the demonstrator "
    "that fails is drawn again, so its success rate is episodes by attempts. Training and evaluation show that the "
    "commands work together, from pictures and without a display; the training is far too short for a good policy, "
    "and its successes are reported as they came out."
)


def results_of(options: AlohaStoryOptions, stages: Sequence[Stage], command: str) -> dict[str, Any]:
    """Read the finished stages.

    Returns:
        `stages`, seconds by name; `data`, by kind; `replay`, episodes by kind; `training`; `evaluation`, with how many
        rollouts came how far; and `arms` as in every result of this project.
    """
    at = {stage.folder.name: stage for stage in stages}
    records = {kind: _read(at["data"].run_folder / kind / RECORD)["summary"] for kind in ("target", "source")}
    evaluated = at["eval"].run_folder / "eval_info.json"
    rollouts = read_eval_info(evaluated)
    best = [round(reward) for task in _read(evaluated)["per_task"] for reward in task["metrics"]["max_rewards"]]
    arm = {
        "arm": "ambient",
        "mixing": "ambient",
        "train_seeds": [0],
        "trials": rollouts.trials,
        "successes": rollouts.count,
        "wilson95": [round(bound, 4) for bound in rollouts.wilson95],
        "metrics": {},
        "windows": printed_windows(at["windows"].log, ("source", "method", "sigma_min", "sigma_max")),
    }
    return {
        "experiment": "aloha",
        "command": command,
        "machine": machine(),
        "date": datetime.date.today().isoformat(),
        "stages": {stage.folder.name: stage.seconds for stage in stages},
        "data": {kind: {key: record[key] for key in _DATA} for kind, record in records.items()},
        "replay": _read(at["replay"].run_folder / "replay.json"),
        "training": {"steps": options.steps, "batch_size": options.batch_size},
        "evaluation": {
            "first_seed": EVAL_SEED,
            "episode_length": options.episode_length,
            "came_to": {step: best.count(reward) for reward, step in enumerate(_STEPS)},
        },
        "arms": [arm],
    }


def text_of(results: dict[str, Any]) -> str:
    """The results as lines."""
    lines = [f"{'stage':10s} seconds"]
    lines += [f"{name:10s} {seconds:7.0f}" for name, seconds in results["stages"].items()]
    lines += [f"{'together':10s} {sum(results['stages'].values()):7.0f}", ""]
    lines += [" ".join(f"{word:>10s}" for word in row) for row in _table(results)]
    (arm,) = results["arms"]
    lines += [
        "",
        *(f"sigma_min of {one['source']}: {one['sigma_min']:.3f} ({one['method']})" for one in arm["windows"]),
    ]
    low, high = (100 * bound for bound in arm["wilson95"])
    lines.append(f"rollouts: {arm['successes']} of {arm['trials']} succeed, 95 % interval [{low:.1f}, {high:.1f}] %")
    lines.append(f"how far they came: {_came_to(results)}")
    return "\n".join(lines)


def write_page(results: dict[str, Any], folder: Path) -> list[Path]:
    """Write aloha.md and aloha.json to `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    (arm,) = results["arms"]
    low, high = (100 * bound for bound in arm["wilson95"])
    head, *rows = _table(results)
    windows = ", ".join(f"sigma_min {one['sigma_min']:.3f} ({one['method']})" for one in arm["windows"])
    training = f"{results['training']['steps']} steps of {results['training']['batch_size']} frames"
    seconds = [[name, f"{value:.0f}"] for name, value in results["stages"].items()]
    page = [
        "# ALOHA's cube transfer, through LeRobot's own commands",
        f"Command: `{results['command']}` ({results['date']}, {results['machine']}).",
        "\n".join(markdown_table(head, rows)),
        _READING,
        f"Window of the source: {windows}. Training: {training}. `lerobot-eval --env.type=aloha`: "
        f"{arm['successes']} of {arm['trials']} rollouts succeed, 95 % interval [{low:.1f}, {high:.1f}] %, seeds from "
        f"{results['evaluation']['first_seed']}, at most {results['evaluation']['episode_length']} steps each. "
        f"How far they came: {_came_to(results)}.",
        "## Where the time goes",
        "\n".join(markdown_table(["stage", "seconds"], seconds)),
        "The numbers: [aloha.json](aloha.json).",
    ]
    files = [folder / "aloha.md", folder / "aloha.json"]
    replace_file(files[0], ("\n\n".join(page) + "\n").encode())
    replace_file(files[1], (json.dumps(results, indent=2, ensure_ascii=False) + "\n").encode())
    return files


def _came_to(results: dict[str, Any]) -> str:
    return ", ".join(f"{step} {count}" for step, count in results["evaluation"]["came_to"].items())


def _table(results: dict[str, Any]) -> list[list[str]]:
    """What was recorded and how its replay went, a row each dataset."""
    rows = [["dataset", "episodes", "attempts", "frames", "rad^2/s^4", "replayed", "succeed"]]
    for kind, one in results["data"].items():
        played = results["replay"][kind]
        wins = sum(episode["success"] for episode in played)
        acceleration = f"{one['mean_squared_acceleration']:.0f}"
        rows.append(
            [
                kind,
                *(str(one[key]) for key in ("episodes", "attempts", "frames")),
                *(acceleration, str(len(played)), str(wins)),
            ]
        )
    return rows


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
