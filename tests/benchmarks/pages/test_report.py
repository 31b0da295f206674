# SPDX-License-Identifier: Apache-2.0
"""The page, the results JSON and the figures, from made-up rollouts."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lerobot_ambient.benchmarks.engine.crossed import Trainings
from lerobot_ambient.benchmarks.engine.estimated_windows import windows_json
from lerobot_ambient.benchmarks.engine.kept_rollouts import Kept
from lerobot_ambient.benchmarks.engine.outcome import FinalRun, Outcome, SweepPoint
from lerobot_ambient.benchmarks.engine.study import no_figures, options_for
from lerobot_ambient.benchmarks.engine.trajectories import Trajectory
from lerobot_ambient.benchmarks.pages.figures import (
    _least_crowded,
    draw_comparison,
    draw_scaling,
    draw_shares,
    draw_sweeps,
)
from lerobot_ambient.benchmarks.pages.report import markdown, results_json, trainings_of
from lerobot_ambient.benchmarks.pages.study_report import write_report
from lerobot_ambient.benchmarks.studies.maze import ACCELERATION, STUDY, claims
from lerobot_ambient.benchmarks.studies.maze_figures import draw_trajectories
from lerobot_ambient.core.proportions import wilson_interval
from lerobot_ambient.integration.commands.results import SUCCESS, Rollouts


def rollouts(successes: int, trials: int, acceleration: float) -> Rollouts:
    spread = np.linspace(0.5, 1.5, trials)
    values = acceleration * spread / spread[:successes].mean()
    return Rollouts(np.arange(trials) < successes, -values, 100.0 * values)


def both(successes: int, acceleration: float) -> Trainings:
    return Trainings({seed: rollouts(successes, 300, acceleration) for seed in (1, 2)})


def kept(name: str, found: Rollouts, windows: list[dict[str, Any]], *, reused: bool = False) -> Kept:
    return Kept(name, f"key of {name}", found, 300.0, 60.0, ("one",), windows, reused)


@pytest.fixture
def outcome(tmp_path):
    for kind in ("target", "source"):
        (tmp_path / kind / "meta").mkdir(parents=True)
        info = {"total_episodes": 50, "total_frames": 2020}
        (tmp_path / kind / "meta" / "info.json").write_text(json.dumps(info))
    conditions = {condition.name: condition for condition in STUDY.conditions(STUDY.defaults, STUDY.full)}
    windows = {
        name: windows_json(STUDY.task, condition, tmp_path)
        for name, condition in conditions.items()
        if condition.windows is None
    }
    runs = [
        FinalRun(conditions[name], seed, kept(f"{name}-{seed}", rollouts(successes, 300, acceleration), windows[name]))
        for name, successes, acceleration in (("target_only", 150, 4.1), ("cotrain", 295, 4.0), ("ambient", 294, 1.5))
        for seed in (1, 2)
    ]
    (sweep,) = (sweep for sweep in STUDY.sweeps if sweep.parameter == "sigma_min")
    tried = rollouts(190, 200, 2.0)
    sweeps = [
        SweepPoint(sweep, sweep.condition(s), s, kept(f"sweep-{s}", tried, []), s == 0.16) for s in (0.074, 0.16, 0.3)
    ]
    roots = {"": {kind: tmp_path / kind for kind in ("target", "source")}}
    return Outcome(STUDY, options_for(STUDY, tmp_path), roots, STUDY.defaults, sweeps, runs)


def test_the_results_keep_the_public_contract(outcome):
    results = json.loads(json.dumps(results_json(outcome, "lerobot-ambient reproduce maze", 3600.0, ["one", "two"])))
    assert results["experiment"] == "maze"
    assert results["command"] == "lerobot-ambient reproduce maze"
    assert results["machine"] == "one; two"
    assert {"date", "arms"} <= set(results)
    ambient = {condition["arm"]: condition for condition in results["arms"]}["ambient"]
    assert ambient["mixing"] == "ambient"
    assert ambient["train_seeds"] == [1, 2]
    assert (ambient["trials"], ambient["successes"]) == (600, 588)
    assert ambient["wilson95"] == pytest.approx(wilson_interval(588, 600), abs=1e-5)
    assert ambient["metrics"]["mean_squared_acceleration"] == pytest.approx(1.5, abs=1e-5)
    assert ambient["metrics"]["mean_squared_jerk"] == pytest.approx(150.0, abs=1e-3)
    low, high = ambient["metrics"]["mean_squared_jerk95"]
    assert low < 150.0 < high
    assert results["data"] == {"default": {kind: {"episodes": 50, "frames": 2020} for kind in ("target", "source")}}
    # The schedule has no level 0.16; the first above it is what the source really gets.
    assert ambient["windows"] == [
        {
            "source": "ambient/maze_source",
            "sigma_min": 0.16,
            "sigma_max": 0.0,
            "first_level_used": 0.16705,
            "last_level_used": None,
        }
    ]
    assert [one["chosen"] for one in results["sweeps"]] == [False, True, False]


def test_the_claims_are_judged_by_the_numbers(outcome):
    conditions = trainings_of(outcome)
    assert [claim.held for claim in claims(conditions)] == [True, True, True, True]
    assert "ratio 0.38" in claims(conditions)[2].measured
    # 0.6 is the floor for accelerations, 0.45 the talk's for jerks.
    rough = {**conditions, "ambient": both(294, 2.0)}
    assert [claim.held for claim in claims(rough)] == [True, True, True, False]
    poor = {**conditions, "ambient": both(220, 1.5)}
    assert [claim.verdict for claim in claims(poor)] == ["refuted", "not shown", "shown", "shown"]
    assert claims({"soft": conditions["ambient"]}) == []


def test_the_page_holds_the_numbers_and_says_what_was_missed(outcome):
    results = results_json(outcome, "lerobot-ambient reproduce maze", 3600.0, ["one"])
    page = markdown(outcome, results, [("maze-comparison.png", "A caption.")])
    (row,) = [line for line in page.splitlines() if line.startswith("| **ambient**")]
    assert "98.0 % [9" in row
    assert "| 2 x 300 |" in row
    assert "99.5 % / 31.0 " in row
    assert "![A caption.](maze-comparison.png)" in page
    assert page.count("| shown |") == 4
    assert "**Question.** Many jagged paths know the maze" in page
    assert (
        "**Design.** 5 trainings an arm, each with a seed and a draw of the target's demonstrations of its own" in page
    )
    assert "3 values of sigma_min were tried with one training each" in page
    assert "## What this does not show" in page
    (row,) = [
        line
        for line in page.partition("## Differences")[2].partition("## Promised")[0].splitlines()
        if line.startswith("| ambient |")
    ]
    assert row.startswith("| ambient | +48.0 [")
    assert "**" not in page.partition("## Promised")[2]
    assert "rolled out by earlier calls" not in page
    outcome.runs[-1] = FinalRun(
        outcome.runs[-1].condition, 2, kept("ambient-2", rollouts(30, 300, 1.5), [], reused=True)
    )
    page = markdown(outcome, results_json(outcome, "c", 1.0, ["one"]), [])
    assert page.count("**not shown**") + page.count("**refuted**") == 2
    assert "1 of 9 policies were rolled out by earlier calls with the same settings." in page
    for table in page.split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1


def test_the_time_of_a_policy_that_arms_share_counts_once(outcome, tmp_path):
    one = kept("ambient-1", rollouts(30, 300, 1.5), [], reused=True)
    runs = [FinalRun(run.condition, 1, replace(one, name=run.condition.name)) for run in outcome.runs[::2]]
    shared = replace(outcome, study=replace(STUDY, draw=no_figures), sweeps=[], runs=runs)
    assert write_report(shared, "c", tmp_path / "docs").results["stage_seconds"] == 360.0


def test_the_figures_are_drawn_and_repeat_exactly(outcome, tmp_path):
    line = np.stack([np.linspace(0.5, 3.5, 20), np.linspace(0.5, 1.5, 20)], axis=1).astype(np.float32)
    some = [Trajectory(line, line[-1], True), Trajectory(line[:9], line[-1], False)]
    conditions = trainings_of(outcome)
    # A condition without a success has no place on the smoothness axis, and must not break the figure.
    conditions["soft"] = Trainings.of_one(Rollouts(np.zeros(9, dtype=bool), np.ones(9)))
    # So has a front, as a line through the values of a sweep.
    conditions |= {"cotrain:0.2": conditions["cotrain"], "cotrain:0.9": conditions["ambient"]}
    first, second = [], []
    for folder, files in ((tmp_path / "a", first), (tmp_path / "b", second)):
        folder.mkdir()
        shown = dict.fromkeys(conditions, some)
        files.append(draw_trajectories({"target": some, "source": some}, shown, conditions, ACCELERATION, folder / "t"))
        files.append(draw_comparison(conditions, ACCELERATION, folder / "c"))
        files.append(draw_sweeps(outcome.sweeps, (ACCELERATION,), folder / "s"))
        files.append(draw_shares(conditions, (SUCCESS, SUCCESS), folder / "h"))
        lines = {
            "cotrain:by-size": [(500, conditions["cotrain"]), (4000, conditions["ambient"])],
            "soft": [(500, conditions["soft"])],
        }
        files.append(draw_scaling(lines, conditions["target_only"], folder / "n"))
    for one, other in zip(first, second, strict=True):
        assert one.stat().st_size < 300_000
        assert Image.open(one).width > 300
        assert one.read_bytes() == other.read_bytes()
        assert one.with_suffix(".svg").read_bytes() == other.with_suffix(".svg").read_bytes()


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ((0.2, 0.5, 0.8, 0.9, 0.95, 0.98), "logit"),
        ((0.01, 0.02, 0.05, 0.1), "log"),
        ((0.0, 0.3, 0.6), "linear"),
        ((0.5,), "linear"),
    ],
)
def test_values_of_a_sweep_that_lie_close_are_drawn_apart(values, scale):
    assert _least_crowded(values) == scale
