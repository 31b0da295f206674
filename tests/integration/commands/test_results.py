# SPDX-License-Identifier: Apache-2.0
"""Intervals, reading of LeRobot's eval_info.json, and the choice from a sweep."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lerobot_ambient.integration.commands.results import (
    SUCCESS,
    Rollouts,
    acceleration_measure,
    highest,
    jerk_measure,
    read_eval_info,
    smoothest_of_the_best,
    wilson_interval,
)

ACCELERATION = acceleration_measure("m²/s⁴")


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair):
    k, n = pair
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)
    low, high = wilson_interval(k, n)
    assert 0.0 <= low <= k / n <= high <= 1.0


@pytest.mark.parametrize(("k", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_refuses_what_is_no_proportion(k, n):
    with pytest.raises(ValueError, match=f"got {k} of {n}"):
        wilson_interval(k, n)


def rollouts(successes: int, failures: int, acceleration: float = 1.0) -> Rollouts:
    flags = np.arange(successes + failures) < successes
    # Failures move wildly: they must never enter the smoothness.
    return Rollouts(flags, -np.where(flags, acceleration, 1e6))


def eval_info(path, successes, sums):
    metrics = {"sum_rewards": sums, "max_rewards": sums, "successes": successes, "video_paths": []}
    path.write_text(json.dumps({"per_task": [{"task_group": "ambient_maze", "task_id": 0, "metrics": metrics}]}))
    return path


def test_reading_an_evaluation(tmp_path):
    one = read_eval_info(eval_info(tmp_path / "a.json", [True, False, True], [-2.0, -50.0, -4.0]))
    assert (one.count, one.trials) == (2, 3)
    assert one.returns.tolist() == [-2.0, -50.0, -4.0]
    assert ACCELERATION.of(one) == 3.0


def test_a_motionless_rollout_has_no_negative_zero(tmp_path):
    one = read_eval_info(eval_info(tmp_path / "a.json", [True], [0.0]))
    assert str(ACCELERATION.of(one)) == "0.0"


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"overall": {}}')
    with pytest.raises(ValueError, match=r"a\.json is not an eval_info\.json"):
        read_eval_info(tmp_path / "a.json")
    with pytest.raises(ValueError, match="1 successes and 2 sum_rewards"):
        read_eval_info(eval_info(tmp_path / "b.json", [True], [-1.0, -2.0]))
    with pytest.raises(ValueError, match="0 successes"):
        read_eval_info(eval_info(tmp_path / "c.json", [], []))


def test_pooling_weighs_every_rollout_alike():
    both = Rollouts.pool([rollouts(1, 0, 1.0), rollouts(3, 4, 5.0)])
    assert (both.count, both.trials) == (4, 8)
    assert ACCELERATION.of(both) == 4.0


def test_without_success_there_is_no_smoothness():
    none = rollouts(0, 5)
    assert ACCELERATION.of(none) is None


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        # clearly more successful, though rougher
        ([rollouts(198, 2, 5.0), rollouts(100, 100, 1.0)], 0),
        # within the interval of the best: the smoother
        ([rollouts(198, 2, 5.0), rollouts(196, 4, 1.0)], 1),
        # just outside: lower Wilson bound of 200 of 200 is 0.981
        ([rollouts(200, 0, 5.0), rollouts(196, 4, 1.0)], 0),
        ([rollouts(10, 0, 1.0), rollouts(10, 0, 1.0)], 0),
        ([rollouts(0, 10), rollouts(0, 10)], 0),
        ([rollouts(0, 3), rollouts(1, 2)], 1),
    ],
)
def test_choosing_from_a_sweep(candidates, best):
    assert smoothest_of_the_best(candidates, ACCELERATION) == best


def test_an_empty_sweep_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        smoothest_of_the_best([], ACCELERATION)
    with pytest.raises(ValueError, match="at least one"):
        highest([], SUCCESS)


def test_the_highest_is_chosen_and_the_first_of_equals():
    assert highest([rollouts(3, 7), rollouts(8, 2), rollouts(8, 2)], SUCCESS) == 1
    assert highest([rollouts(0, 3), rollouts(1, 2, 9.0)], ACCELERATION) == 1


def test_jerk_is_there_only_where_every_path_was_recorded():
    jerk = jerk_measure("m²/s⁶")
    flags = np.array([True, False, True])
    recorded = Rollouts(flags, np.zeros(3), np.array([2.0, 99.0, 4.0]))
    assert jerk.of(recorded) == 3.0
    assert jerk.of(Rollouts.pool([recorded, recorded])) == 3.0
    assert jerk.of(rollouts(3, 0)) is None
    assert Rollouts.pool([recorded, rollouts(3, 0)]).jerks is None
    with pytest.raises(ValueError, match=r"one success and one jerk each, got shapes \(3,\) and \(2,\)"):
        Rollouts(flags, np.zeros(3), np.zeros(2))
