# SPDX-License-Identifier: Apache-2.0
"""Writes an experiment's numbers, page and figures to their folder."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.engine.kept_rollouts import kept_file, write_kept
from lerobot_ambient.benchmarks.engine.outcome import Outcome
from lerobot_ambient.benchmarks.pages.figures import draw_comparison, draw_sweeps
from lerobot_ambient.benchmarks.pages.report import markdown, results_json, trainings_of
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.integration.commands.machine import machine


@dataclass(frozen=True)
class Report:
    """Where the report lies and what it says.

    Args:
        results: the results JSON.
        table: the page up to its first sub-heading.
        page: the whole page.
        numbers: the results JSON's file.
        figures: the PNG files; each has an SVG beside it.
        kept: the file of rollouts, where policies were rolled out.
    """

    results: dict[str, Any]
    table: str
    page: Path
    numbers: Path
    figures: list[Path]
    kept: Path | None = None


def write_report(outcome: Outcome, command: str, results_dir: Path | None = None) -> Report:
    """Write NAME.json, NAME.md, NAME-*.png/.svg and NAME-rollouts.json to `results_dir` (default: `results` in the
    output folder), and the numbers once more as `results.json` in the output folder."""
    output, name = outcome.options.output_dir, outcome.study.name
    folder = results_dir if results_dir is not None else output / "results"
    folder.mkdir(parents=True, exist_ok=True)
    stages = [json.loads(file.read_text()) for file in _finished_stages(output)]
    # Arms may share a policy, whose time counts once.
    reused = {one.key: one for one in outcome.kept if one.reused}.values()
    seconds = sum(stage["seconds"] for stage in stages) + sum(one.train_seconds + one.eval_seconds for one in reused)
    # Stages that an older version finished do not say where.
    ran_on = [stage.get("machine", machine()) for stage in stages] + [name for one in reused for name in one.machines]
    machines = [name for name, _ in Counter(ran_on).most_common()]
    results = results_json(outcome, command, seconds, machines)

    conditions, begin = trainings_of(outcome), folder / name
    figures = [*outcome.study.draw(outcome, begin)]
    measure = outcome.study.measures[0]
    if measure.unit != "%" and any(measure.of(one.pooled) is not None for one in conditions.values()):
        caption = f"Success against {measure.label} of the successful rollouts, with 95 % intervals. Best: top left."
        figures.append((draw_comparison(conditions, measure, begin.with_name(f"{name}-comparison")), caption))
    if outcome.sweeps:
        shown = [one for one in outcome.study.measures if any(one.of(point.rollouts) for point in outcome.sweeps)]
        caption = f"The sweeps: success, {', '.join(one.label for one in shown)}, with 95 % intervals. Ring: chosen."
        figures.append((draw_sweeps(outcome.sweeps, shown, begin.with_name(f"{name}-sweeps")), caption))

    page = markdown(outcome, results, [(file.name, caption) for file, caption in figures])
    text = json.dumps(results, indent=2) + "\n"
    for path, content in (
        (folder / f"{name}.md", page),
        (folder / f"{name}.json", text),
        (output / "results.json", text),
    ):
        replace_file(path, content.encode())
    kept = kept_file(folder, name)
    write_kept(kept, name, outcome.kept)
    table = page.partition("\n## Each training seed")[0]
    return Report(results, table, folder / f"{name}.md", folder / f"{name}.json", [file for file, _ in figures], kept)


def _finished_stages(output: Path) -> list[Path]:
    patterns = ("data/*/*/done.json", "windows/*/*/done.json", "sweep/*/*/done.json", "final/*/*/done.json")
    return [file for pattern in patterns for file in output.glob(pattern) if ".old-" not in file.parent.name]
