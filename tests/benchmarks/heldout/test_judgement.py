# SPDX-License-Identifier: Apache-2.0
"""Judgements against rollouts: the right correlation, an interval over arms, runs that are found and kept."""

import json

import numpy as np
import pytest

from lerobot_ambient.benchmarks.heldout import judgement
from lerobot_ambient.benchmarks.heldout.judgement import (
    JudgementOptions,
    Point,
    correlation,
    run_judgement,
    write_report,
)


def points(noise, arms=8, seeds=3, acceleration=True):
    rng = np.random.default_rng(0)
    made = []
    for arm in range(arms):
        for seed in range(seeds):
            score = 0.1 + 0.01 * arm
            judged = {
                "score": score,
                "action_error": score,
                "jerk_ratio": 1.0 + arm,
                "seam_ratio": float(rng.uniform(1, 2)),
            }
            success = 0.9 - 5 * (score - 0.1) + noise * rng.standard_normal()
            rough = 2.0 * arm + noise * rng.standard_normal() if acceleration else None
            made.append(Point(f"final/arm{arm}-seed{seed}", f"final/arm{arm}", judged, success, rough, 100))
    return made


def test_a_perfect_judge_is_told_as_one():
    found = correlation(points(0.0), "score", "success")
    assert (found.value, found.low, found.high, found.points) == pytest.approx((-1.0, -1.0, -1.0, 24))
    assert correlation(points(0.0), "jerk_ratio", "acceleration").value == pytest.approx(1.0)


def test_a_judge_that_knows_nothing_has_an_interval_about_zero():
    found = correlation(points(0.0), "seam_ratio", "success")
    assert found.low < 0.0 < found.high


def test_the_interval_is_over_arms():
    """Seeds that say the same thing again do not make it narrower."""
    once = points(0.15, seeds=1)
    few, many = (correlation(some, "score", "success") for some in (once, 6 * once))
    assert (many.low, many.high) == pytest.approx((few.low, few.high), abs=0.02)
    assert many.points == 48


def test_points_without_acceleration_are_left_out(tmp_path):
    found = write_report(points(0.1), JudgementOptions(tmp_path, tmp_path, "me/fresh", tmp_path))
    assert len(json.loads(found.numbers.read_text())["points"]) == 24
    assert "| final/arm0-seed0 | 0.1000 |" in found.page.read_text()


def study(folder, names):
    for name in names:
        (folder / name / "train/run/checkpoints/last/pretrained_model").mkdir(parents=True)
        eval_info = folder / name / "eval/run/eval_info.json"
        eval_info.parent.mkdir(parents=True)
        metrics = {"successes": [True, False], "sum_rewards": [-3.0, -9.0]}
        eval_info.write_text(json.dumps({"per_task": [{"metrics": metrics}]}))


def test_runs_are_judged_once(tmp_path, monkeypatch):
    study(tmp_path / "study", [f"final/ambient-seed{seed}" for seed in range(4)] + ["sweep/sigma_min-0.16"])
    (tmp_path / "study/final/unfinished-seed1").mkdir()
    judged = []

    def judge(paths, words, effort):
        judged.append((paths, words.dataset.repo_id, effort.samples))

    number = {"value": 0.5, "low": 0.4, "high": 0.6}
    chunks = dict.fromkeys(("action_error", "jerk_ratio", "seam_ratio"), number)
    monkeypatch.setattr(judgement, "judge", judge)
    monkeypatch.setattr(
        judgement, "to_dict", lambda _: {"ranking": [{"score": number}], "checkpoints": {"one": {"chunks": chunks}}}
    )
    options = JudgementOptions(tmp_path / "study", tmp_path, "me/fresh", tmp_path / "out", samples=7)
    found = run_judgement(options, progress=False)
    assert [one.arm for one in found] == ["final/ambient"] * 4 + ["sweep/sigma_min-0.16"]
    assert (found[0].success, found[0].acceleration, found[0].trials) == (0.5, 3.0, 2)
    assert len(judged) == 5
    assert judged[0][1:] == ("me/fresh", 7)
    run_judgement(options, progress=False)
    assert len(judged) == 5


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds 0 runs that were trained and rolled out"):
        run_judgement(JudgementOptions(tmp_path, tmp_path, "me/fresh", tmp_path), progress=False)
