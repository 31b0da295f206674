# SPDX-License-Identifier: Apache-2.0
"""The held-out oracles: the task and its faults, what a verdict is worth, resuming, and a tiny draw from end to end."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from lerobot_ambient.benchmarks.estimators import kept_cases
from lerobot_ambient.benchmarks.estimators.heldout_case import HeldOutCase, HeldOutSize
from lerobot_ambient.benchmarks.estimators.heldout_laws import FRAMES, Reaching
from lerobot_ambient.benchmarks.estimators.heldout_oracles import (
    KINDS,
    MANY,
    HeldOutOracleOptions,
    HeldOutOracleOutcome,
    case_file,
    cases_of,
    run_held_out_oracles,
)
from lerobot_ambient.benchmarks.estimators.heldout_report import claims, write_report
from lerobot_ambient.benchmarks.estimators.heldout_score import Score
from lerobot_ambient.cli.__main__ import main

TINY = HeldOutSize(target=4, source=6, fresh=5, fresh_chunks=2, folds=2, steps=4, width=8)
LEVELS = 4


def drawn(law, episodes=200):
    """(n, T, 2) actions, (n, 2) goals and (n, 8) numbers that are seen."""
    made = law.draw(episodes, np.random.default_rng(0))
    seen = np.stack([one["observation.environment_state"][0] for one in made])
    return np.stack([one["action"] for one in made]), seen[:, :2], seen[:, 2:]


# The task


def test_the_hand_goes_to_the_goal_on_the_bow_that_is_seen():
    action, goal, seen = drawn(Reaching())
    np.testing.assert_allclose(action[:, -1], goal, atol=1e-6)
    middle = action[:, FRAMES // 2 - 1]
    normal = np.stack([-goal[:, 1], goal[:, 0]], axis=1) / np.linalg.norm(goal, axis=1, keepdims=True)
    bow = ((middle - goal / 2) * normal).sum(1)
    assert np.corrcoef(bow, seen.sum(1))[0, 1] > 0.95


@pytest.mark.parametrize(
    ("law", "of"),
    [
        (Reaching(decides="opposite"), lambda goal: -goal),
        (Reaching(offset=1.0), lambda goal: goal + np.array([1.0, -1.0])),
    ],
)
def test_faults_of_where_it_goes(law, of):
    action, goal, _ = drawn(law)
    np.testing.assert_allclose(action[:, -1], of(goal), atol=1e-5)


def test_permuted_goals_are_goals_that_know_nothing_of_what_is_seen():
    action, goal, _ = drawn(Reaching(decides="any"), 1000)
    end = action[:, -1]
    assert np.linalg.norm(end, axis=1).mean() == pytest.approx(2.0, abs=0.05)
    assert abs((end * goal).sum(1).mean()) < 0.2


@pytest.mark.parametrize(("law", "size"), [(Reaching(jitter=0.3), 0.3), (Reaching(tails=0.03), 0.03)])
def test_noise_is_added_to_the_actions_alone(law, size):
    clean, noisy = Reaching(jitter=1e-9).draw(50, np.random.default_rng(0)), law.draw(50, np.random.default_rng(0))
    del clean[1:], noisy[1:]
    difference = noisy[0]["action"] - clean[0]["action"]
    assert np.median(np.abs(difference)) == pytest.approx(0.75 * size, rel=0.5)
    np.testing.assert_array_equal(noisy[0]["observation.state"], clean[0]["observation.state"])


def test_another_pace_and_another_place():
    assert np.linalg.norm(drawn(Reaching(warp=1.7))[0][:, 3], axis=1).mean() < 0.3
    assert np.abs(drawn(Reaching(elsewhere=True))[0] - 3.0).max() < 0.25
    assert Reaching(warp=1.7).faults == "warp 1.7" and Reaching().faults == "none"
    assert Reaching(elsewhere=True).faults == "elsewhere"


@pytest.mark.parametrize(
    ("given", "said"),
    [({"decides": "well"}, "decides = 'well'"), ({"jitter": -1.0}, "jitter = -1.0"), ({"warp": 0}, "warp = 0")],
)
def test_faults_are_checked(given, said):
    with pytest.raises(ValueError, match=said):
        Reaching(**given)


# Scores


def design(true=-0.5, found=None, half=0.1, level=None, acceleration=0.0):
    """A design whose levels all have one true log ratio, found with an interval of that half width."""
    found = true if found is None else found
    levels = [true] * (LEVELS - 1) + [true if level is None else level]
    return {
        "change": [found, found - half, found + half],
        "true_change": [true, 0.0],
        "position": {
            "true": levels,
            "error": [half / 3] * LEVELS,
            "low": [found - half] * LEVELS,
            "high": [found + half] * LEVELS,
        },
        "acceleration": {
            "true": [acceleration] * LEVELS,
            "error": [half / 3] * LEVELS,
            "low": [-half] * LEVELS,
            "high": [half] * LEVELS,
        },
    }


def score(verdict, everywhere=None, confirmed=None, window=(0.0, 0.0)):
    found = {
        "verdict": verdict,
        "safe": list(window),
        "estimate": [1.0, 0.0],
        "sigmas": [0.1, 0.4, 0.7, 1.0],
        "seconds": 1.0,
    }
    return Score({**found, "everywhere": everywhere or design(), "confirmed": confirmed}, 24)


@pytest.mark.parametrize(
    ("one", "large", "right"),
    [
        (score("helps"), True, True),
        (score("not known"), True, False),
        (score("helps", design(-0.19)), False, True),
        (score("not known", design(-0.19)), False, True),
        (score("helps", design(0.01)), False, False),
        # One level is much worse, though the mean is better: harm.
        (score("helps", design(-0.5, level=0.5)), True, False),
        (score("hurts", design(-0.5, level=0.5)), True, True),
        # Accelerations beyond the tolerance: harm by more than stated, or by less.
        (score("hurts", design(-0.5, acceleration=1.0)), True, True),
        (score("hurts", design(-0.1, acceleration=0.42)), False, True),
        (score("hurts", design(-0.1)), False, False),
        # What counts is the design with the window.
        (score("helps", design(0.5), design(-0.5), (0.5, 0.0)), True, True),
        (score("helps", design(-0.5), design(0.01), (0.5, 0.0)), False, False),
    ],
)
def test_verdicts_are_held_against_the_truth(one, large, right):
    assert (one.large, one.right) == (large, right)


def test_help_is_harmful_where_the_window_makes_it_worse():
    assert score("helps", design(-0.5), design(0.01), (0.5, 0.0)).harmful_help
    assert not score("helps", design(0.5), design(-0.1), (0.5, 0.0)).harmful_help
    assert not score("hurts", design(0.5)).harmful_help


def test_coverage_is_of_the_source_at_every_level():
    one = score("helps", design(-0.5, level=-0.2), design(9.0))
    assert one.covered("position").tolist() == [True] * 3 + [False]
    assert one.covered("acceleration").all() and one.change_covered
    assert not score("helps", design(-0.5, found=-0.3)).change_covered
    assert score("helps").confirmed_covered is None
    assert score("helps", design(-0.3, found=-0.5)).overstated
    assert not score("helps", design(-0.5, found=-0.3)).overstated
    assert not score("helps", design(), design(-0.5, found=-0.3), (0.5, 0.0)).confirmed_covered


def test_windows_are_held_against_each_level():
    one = score("helps", design(-0.5, level=0.5), window=(0.7, 0.0))
    assert one.admits_harm("safe") and not one.admits_harm("estimate")
    assert not score("helps", design(-0.5, level=0.05), window=(0.7, 0.0)).admits_harm("safe")
    assert score("helps", design(-0.5, acceleration=0.6), window=(0.7, 0.0)).admits_harm("safe")


# Running


def options(folder, **given):
    return HeldOutOracleOptions(folder, **{"draws": 1, "many": 1, "size": TINY, **given})


def test_the_full_run_asks_what_it_should(tmp_path):
    cases = cases_of(HeldOutOracleOptions(tmp_path))
    assert Counter(case.label for case in cases) == {label: 100 if label in MANY else 20 for label in KINDS}
    assert [case.label for case in cases[: len(KINDS)]] == list(KINDS)
    assert len({case_file(tmp_path, case) for case in cases}) == len(cases)
    with pytest.raises(ValueError, match="draws = 0 must be at least 1"):
        HeldOutOracleOptions(tmp_path, draws=0)


def test_a_draw_is_found_by_all_that_it_depends_on(tmp_path):
    case = cases_of(options(tmp_path))[0]
    assert case_file(tmp_path, replace(case, group="other")) == case_file(tmp_path, case)
    for change in ({"seed": 1}, {"law": Reaching(jitter=0.2)}, {"size": replace(TINY, steps=5)}, {"copied": True}):
        assert case_file(tmp_path, replace(case, **change)) != case_file(tmp_path, case)


def test_a_tiny_draw_from_end_to_end():
    before = torch.random.get_rng_state()
    case = HeldOutCase("helps", "same", Reaching(), Reaching(), 0, TINY)
    found, again = case.run(), case.run()
    assert torch.equal(torch.random.get_rng_state(), before)
    levels = len(found["sigmas"])
    assert levels == 16
    read = found["everywhere"]["position"]
    assert {len(values) for values in read.values()} == {levels}
    assert read["low"] < read["log"] < read["high"]
    # So short a training has hardly moved: what fresh episodes say is close to what the held-out ones say.
    assert found["everywhere"]["true_change"][0] == pytest.approx(found["everywhere"]["change"][0], abs=0.5)
    assert {**found, "seconds": 0} == {**again, "seconds": 0}
    assert Score(json.loads(json.dumps(found)), TINY.target).verdict in ("helps", "hurts", "not known")


def test_a_copy_teaches_nothing():
    found = HeldOutCase("nothing", "copy", Reaching(), Reaching(), 0, TINY, copied=True).run()
    assert found["verdict"] == "not known"
    assert found["everywhere"]["true_change"] == [0.0, 0.0]


def test_finished_draws_are_not_measured_again(tmp_path, monkeypatch):
    for case in cases_of(options(tmp_path)):
        path = case_file(tmp_path, case)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(score("helps").found))
    monkeypatch.setattr(kept_cases, "ProcessPoolExecutor", None)
    outcome = run_held_out_oracles(options(tmp_path), progress=False)
    assert [found["verdict"] for found in outcome.results] == ["helps"] * len(KINDS)


# Report


WORDS = {"helps": "helps", "harms": "hurts", "nothing": "not known", "tails": "not known"}


def made_up(folder, draws=4):
    """An outcome in which every verdict is right."""
    asked = options(folder, draws=draws, many=draws)
    cases = cases_of(asked)
    true = {"helps": -0.5, "harms": 0.5, "nothing": 0.0, "tails": 0.05}
    results = [score(WORDS[case.group], design(true[case.group])).found for case in cases]
    for case, found in zip(cases, results, strict=True):
        if case.group == "harms":
            found["safe"] = [1.0, 0.0]
        if case.label == "jitter":
            found |= {"safe": [0.5, 0.0], "confirmed": design()}
    return HeldOutOracleOutcome(asked, cases, results)


def test_the_report_says_what_held(tmp_path):
    report = write_report(made_up(tmp_path), "lerobot-ambient reproduce heldout-oracles", tmp_path / "docs")
    assert {path.name for path in (tmp_path / "docs").iterdir()} == {"heldout-oracles.json", "heldout-oracles.md"}
    numbers = json.loads(report.numbers.read_text())
    assert len(numbers["claims"]) == 12 and all(claim["held"] for claim in numbers["claims"])
    assert "28 of 28 [0.88, 1.00]" in report.table and "not held" not in report.table
    assert "| opposite | goes to the opposite of the goal that is seen | 4 | 0 | 0 | 4 |" in report.table
    assert set(numbers["kinds"]) == set(KINDS) and len(numbers["kinds"]["same"]["draws"]) == 4


@pytest.mark.parametrize(
    ("label", "found", "promise"),
    [
        ("same", score("not known").found, "larger than stated"),
        ("tails", score("helps", design(0.05)).found, "elsewhere"),
        ("copy", score("helps", design(0.0)).found, "teaches nothing"),
        ("permuted", score("helps", design(0.5)).found, "permuted: never 'helps'"),
        ("tails", score("hurts", design(-0.1)).found, "elsewhere"),
        ("permuted", score("hurts", design(0.5)).found, "safe window"),
        ("same", score("helps", design(-0.5, found=-0.3)).found, "position"),
        ("same", score("helps", design(-0.5, acceleration=-0.2)).found, "acceleration"),
        ("same", score("helps", design(-0.5, found=-0.3)).found, "intervals of the change"),
        ("jitter", score("helps", design(), design(-0.5, found=-0.3), (0.5, 0.0)).found, "with a window"),
    ],
)
def test_what_was_not_reached_is_said(tmp_path, label, found, promise):
    outcome = made_up(tmp_path, draws=1)
    for number, case in enumerate(outcome.cases):
        if case.label == label:
            outcome.results[number] = found
    missed = [claim.promise for claim in claims(outcome) if not claim.held]
    assert any(promise in claim for claim in missed), missed


def test_the_command_writes_its_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "lerobot_ambient.benchmarks.estimators.heldout_oracles.run_held_out_oracles",
        lambda options, progress: made_up(options.output_dir, options.draws),
    )
    assert main(["reproduce", "heldout-oracles", "--quick", f"--output-dir={tmp_path}"]) == 0
    assert "reproduce heldout-oracles --draws=2 --many=2" in (tmp_path / "results/heldout-oracles.md").read_text()
    assert "numbers:" in capsys.readouterr().out
