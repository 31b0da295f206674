# SPDX-License-Identifier: Apache-2.0
"""Writes the maze experiment's numbers, page and figures to their folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_ambient.data.replace_file import replace_file
from lerobot_ambient.experiments.figures import draw_comparison, draw_sweeps, draw_trajectories
from lerobot_ambient.experiments.maze_run import MazeOutcome
from lerobot_ambient.experiments.report import arm_rollouts, markdown, results_json
from lerobot_ambient.experiments.trajectories import read_demonstrations, read_recordings


@dataclass(frozen=True)
class Report:
    """Where the report lies and what it says.

    Args:
        results: the results JSON.
        table: the page up to its first sub-heading.
        page: the whole page.
        numbers: the results JSON's file.
        figures: the PNG files; each has an SVG beside it.
    """

    results: dict[str, Any]
    table: str
    page: Path
    numbers: Path
    figures: list[Path]


def write_report(outcome: MazeOutcome, command: str, results_dir: Path | None = None) -> Report:
    """Write maze.json, maze.md and maze-*.png/.svg to `results_dir` (default: `results` in the output folder), and
    the numbers once more as `results.json` in the output folder. With estimated windows the name is maze-windows."""
    output, name = outcome.options.output_dir, outcome.options.name
    folder = results_dir if results_dir is not None else output / "results"
    folder.mkdir(parents=True, exist_ok=True)
    seconds = sum(json.loads(file.read_text())["seconds"] for file in _finished_stages(output))
    results = results_json(outcome, command, seconds)

    arms = arm_rollouts(outcome)
    paths = {run.arm.name: read_recordings(run.recordings) for run in outcome.runs if run.recordings is not None}
    demonstrations = {kind: read_demonstrations(outcome.data_root / kind) for kind in ("target", "source")}
    figures = [
        (
            draw_trajectories(demonstrations, paths, arms, folder / f"{name}-trajectories"),
            "Twenty demonstrations of each data set, and the same twenty tasks rolled out by each arm. Dot: start; "
            "grey with a cross: failed. MSA: mean squared acceleration of all successful roll-outs.",
        ),
        (
            draw_comparison(arms, folder / f"{name}-comparison"),
            "Success against mean squared acceleration of successful roll-outs, with 95 % intervals. Best: top left.",
        ),
    ]
    if outcome.sweeps:
        caption = "The sweeps: success and mean squared acceleration, with 95 % intervals. Ring: chosen."
        figures.append((draw_sweeps(outcome.sweeps, folder / f"{name}-sweeps"), caption))

    page = markdown(outcome, results, [(file.name, caption) for file, caption in figures])
    text = json.dumps(results, indent=2) + "\n"
    for path, content in (
        (folder / f"{name}.md", page),
        (folder / f"{name}.json", text),
        (output / "results.json", text),
    ):
        replace_file(path, content.encode())
    table = page.partition("\n## Each training seed")[0]
    return Report(results, table, folder / f"{name}.md", folder / f"{name}.json", [file for file, _ in figures])


def _finished_stages(output: Path) -> list[Path]:
    found = [
        output / "data" / "done.json",
        *output.glob("windows/*/done.json"),
        *output.glob("sweep/*/*/done.json"),
        *output.glob("final/*/*/done.json"),
    ]
    return [file for file in found if file.is_file() and ".old-" not in file.parent.name]
