# SPDX-License-Identifier: Apache-2.0
"""What a sweep makes of its numbers: ranking, front, pruning, chance."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_ambient.sweep.report import expected_best, pareto_front, rank
from lerobot_ambient.sweep.trial import (
    MIN_PEERS,
    Evaluation,
    Goal,
    is_behind_median,
    is_outside_best_third,
)

LESS = Goal("mean_squared_acceleration", "minimize")
MORE = Goal("avg_sum_reward", "maximize")


def evaluations(*pairs: tuple[int, float | None], episodes: int = 100) -> list[Evaluation]:
    return [Evaluation(1, successes, episodes, second) for successes, second in pairs]


def test_success_decides_alone_without_a_second_metric():
    assert rank(evaluations((50, None), (90, None), (70, None), (90, None)), None) == [1, 3, 2, 0]
    assert rank([], None) == []


def test_the_second_metric_decides_among_those_that_the_best_does_not_clearly_beat():
    # Wilson's lower bound of 95 of 100 is 0.888.
    found = evaluations((95, 30.0), (90, 10.0), (89, 20.0), (88, 1.0), (10, None))
    assert rank(found, LESS) == [1, 2, 0, 3, 4]
    assert rank(found, MORE) == [0, 2, 1, 3, 4]


def test_a_policy_without_a_success_has_no_smoothness_and_comes_last():
    assert rank(evaluations((0, None), (0, None)), LESS) == [0, 1]
    assert rank(evaluations((2, None), (2, 5.0)), LESS) == [1, 0]


def test_the_front_of_a_small_example():
    found = evaluations((90, 30.0), (80, 10.0), (85, 40.0), (80, 12.0), (0, None), (90, 30.0))
    assert pareto_front(found, LESS) == [0, 5, 1]
    assert pareto_front(found, MORE) == [0, 5, 2]


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 5))), min_size=1, max_size=12))
def test_the_front_is_what_nobody_beats_and_the_best_lies_on_it(pairs):
    found = evaluations(*[(k, None if value is None else float(value)) for k, value in pairs], episodes=5)
    front = pareto_front(found, LESS)

    def cost(one: Evaluation) -> float:
        return np.inf if one.second is None else one.second

    def beats(a: Evaluation, b: Evaluation) -> bool:
        return a.rate >= b.rate and cost(a) <= cost(b) and (a.rate > b.rate or cost(a) < cost(b))

    assert front
    assert not any(beats(one, found[index]) for index in front for one in found)
    assert all(any(beats(one, found[index]) for one in found) for index in set(range(len(found))) - set(front))
    best = rank(found, LESS)[0]
    assert best in front


@pytest.mark.parametrize(("rate", "episodes", "trials"), [(0.8, 50, 20), (0.5, 10, 3), (0.97, 100, 40), (0.3, 1, 2)])
def test_the_expected_best_is_that_of_a_simulation(rate, episodes, trials):
    rng = np.random.default_rng(0)
    simulated = rng.binomial(episodes, rate, size=(200_000, trials)).max(1) / episodes
    error = simulated.std() / np.sqrt(len(simulated))
    assert abs(expected_best(rate, episodes, trials) - simulated.mean()) < 4 * error


def test_the_expected_best_of_one_is_its_rate():
    assert expected_best(0.4, 30, 1) == pytest.approx(0.4)
    assert expected_best(0.0, 30, 9) == 0.0
    assert expected_best(1.0, 30, 9) == 1.0


def test_the_median_rule_asks_for_evidence():
    peers = [(50, 100)] * MIN_PEERS
    # Wilson's upper bound of 40 of 100 is 0.498, of 41 of 100 it is 0.508.
    assert is_behind_median((40, 100), peers)
    assert not is_behind_median((41, 100), peers)
    assert not is_behind_median((40, 100), peers[:-1])
    assert not is_behind_median((4, 10), peers)


def test_halving_keeps_the_best_third():
    ranked = [(k, 10) for k in range(9)]
    assert not is_outside_best_third((6, 10), ranked[:6] + ranked[7:])
    assert is_outside_best_third((5, 10), ranked[:5] + ranked[6:])
    # The first comes through, and ties do.
    assert not is_outside_best_third((0, 10), [])
    assert not is_outside_best_third((5, 10), [(5, 10)])
    assert is_outside_best_third((5, 10), [(6, 10)])


@pytest.mark.parametrize("text", ["avg_sum_reward", "avg_sum_reward:up", "speed:minimize", ":minimize"])
def test_an_unknown_goal_is_refused(text):
    with pytest.raises(ValueError, match=r"write NAME:minimize or NAME:maximize; environment pusht offers avg_sum"):
        Goal.read(text, "pusht")


def test_smoothness_belongs_to_the_maze():
    assert Goal.read("mean_squared_acceleration:minimize", "ambient_maze") == LESS
    with pytest.raises(ValueError, match="environment pusht offers avg_sum_reward, avg_max_reward"):
        Goal.read("mean_squared_acceleration:minimize", "pusht")


def test_metrics_are_read_from_what_lerobot_leaves(tmp_path):
    from lerobot_ambient.sweep.trial import METRICS

    file = tmp_path / "eval_info.json"
    metrics = {"successes": [True, False, True], "sum_rewards": [-10.0, -99.0, -20.0], "max_rewards": [0.0, -1.0, -2.0]}
    overall = {"avg_sum_reward": -43.0, "avg_max_reward": -1.0, "pc_success": 66.7}
    file.write_text(json.dumps({"per_task": [{"metrics": metrics}], "overall": overall}))
    read = {name: reader(file) for name, (reader, _) in METRICS.items()}
    assert read == {"mean_squared_acceleration": 15.0, "avg_sum_reward": -43.0, "avg_max_reward": -1.0}
