# SPDX-License-Identifier: Apache-2.0
"""Intervals over trainings and layouts against exact theory, and their coverage where the truth is known."""

import numpy as np
import pytest
from scipy import stats

from lerobot_ambient.benchmarks.engine.claims import against_all, points_above, ratio_at_most
from lerobot_ambient.benchmarks.engine.crossed import Trainings, difference, estimate, ratio, variance_of_mean
from lerobot_ambient.core.proportions import wilson_interval
from lerobot_ambient.integration.commands.results import SUCCESS, Measure, Rollouts, acceleration_measure

ACCELERATION = acceleration_measure("m²/s⁴")


def policies(successes: np.ndarray, accelerations: np.ndarray | None = None) -> Trainings:
    """(I, J) successes and accelerations."""
    values = np.ones(successes.shape) if accelerations is None else accelerations
    return Trainings(
        {seed: Rollouts(row, -value) for seed, (row, value) in enumerate(zip(successes, values, strict=True), 1)}
    )


def crossed(rng, mean, of_trainings, of_layouts, rest, shape):
    trainings, layouts = shape
    return (
        mean
        + of_trainings * rng.standard_normal((trainings, 1))
        + of_layouts * rng.standard_normal((1, layouts))
        + rest * rng.standard_normal(shape)
    )


def test_the_variance_is_that_of_the_two_way_table():
    rng = np.random.default_rng(0)
    table = crossed(rng, 0.0, 1.0, 3.0, 0.5, (5, 40))
    rows, columns = table.shape
    by_row, by_column = table.mean(axis=1), table.mean(axis=0)
    of_a = columns * by_row.var(ddof=1)
    of_b = rows * by_column.var(ddof=1)
    of_e = (table - by_row[:, None] - by_column + table.mean()).var() * table.size / ((rows - 1) * (columns - 1))
    variance, freedom = variance_of_mean(table)
    assert variance == pytest.approx((of_a + of_b - of_e) / table.size)
    assert rows - 1 <= freedom < rows + columns


def test_without_an_effect_of_layouts_it_is_the_t_interval_over_trainings():
    table = np.repeat(np.array([[0.1], [0.5], [0.4], [0.9], [0.2]]), 30, axis=1)
    variance, freedom = variance_of_mean(table)
    assert (variance, freedom) == (pytest.approx(table[:, 0].var(ddof=1) / 5), 4)
    assert variance_of_mean(table[:, :1]) == (pytest.approx(table[:, 0].var(ddof=1) / 5), 4)


def test_one_training_leaves_the_doubt_of_the_layouts():
    row = np.random.default_rng(1).standard_normal((1, 50))
    assert variance_of_mean(row) == (pytest.approx(row.var(ddof=1) / 50), 49)


@pytest.mark.parametrize(
    ("of_trainings", "of_layouts", "rest"), [(0.0, 1.0, 1.0), (0.3, 0.0, 2.0), (0.3, 1.0, 1.0), (1.0, 0.0, 0.1)]
)
def test_ninety_five_of_a_hundred_intervals_hold_the_truth(of_trainings, of_layouts, rest):
    rng, inside, over_rollouts, draws = np.random.default_rng(2), 0, 0, 1500
    for _ in range(draws):
        table = crossed(rng, 1.0, of_trainings, of_layouts, rest, (5, 60))
        variance, freedom = variance_of_mean(table)
        inside += abs(table.mean() - 1.0) <= stats.t.ppf(0.975, freedom) * np.sqrt(variance)
        over_rollouts += abs(table.mean() - 1.0) <= 1.96 * table.std(ddof=1) / np.sqrt(table.size)
    # Not below by more than the noise of the count; where a part is barely there the interval is a little wide.
    assert 0.935 <= inside / draws <= 0.99
    if of_trainings:
        assert over_rollouts / draws < 0.90, "what an interval over rollouts claims"


def test_a_difference_is_paired_by_training_and_layout():
    """What both sides share, a hard layout or a poor draw of the data, cancels."""
    rng = np.random.default_rng(3)
    hard = rng.random((1, 200)) < 0.4
    poor = rng.random((5, 1)) < 0.5
    other = np.broadcast_to(~(hard | poor), (5, 200)).copy()
    ours = other.copy()
    ours[:, ::20] = True
    found = difference(SUCCESS, policies(ours), policies(other))
    alone = estimate(SUCCESS, policies(other))
    assert found.value == pytest.approx(ours.mean() - other.mean())
    assert found.high - found.low < 0.4 * (alone.high - alone.low)
    back = difference(SUCCESS, policies(other), policies(ours))
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_policies_that_agree_everywhere_leave_the_doubt_of_one_rollout():
    same = policies(np.ones((5, 200), dtype=bool))
    found = difference(SUCCESS, same, same)
    assert found.value == 0.0
    assert 0.001 < found.high < 0.01
    assert found.low == -found.high


def test_a_ratio_has_its_inverse_and_its_law():
    rng = np.random.default_rng(4)
    ones = np.ones((5, 300), dtype=bool)
    ours, other = (policies(ones, rng.gamma(4.0, scale, (5, 300))) for scale in (0.5, 1.0))
    found, back = ratio(ACCELERATION, ours, other), ratio(ACCELERATION, other, ours)
    assert found.value == pytest.approx(ACCELERATION.of(ours.pooled) / ACCELERATION.of(other.pooled))
    assert (back.low, back.high) == pytest.approx((1 / found.high, 1 / found.low))
    # Independent rollouts: relative variances add, and each gamma's squared coefficient of variation is 1/4.
    half = 1.96 * np.sqrt(2 * 0.25 / 1500)
    assert 0.7 * half < np.log(found.high / found.low) / 2 < 2.0 * half


def test_a_share_near_one_keeps_its_interval_inside():
    successes = np.ones((5, 200), dtype=bool)
    whole = estimate(SUCCESS, policies(successes))
    assert (whole.value, whole.high) == (1.0, 1.0)
    assert whole.low < wilson_interval(1000, 1000)[0] + 1e-9
    successes[0, :100] = False
    one_bad = estimate(SUCCESS, policies(successes))
    assert one_bad.value == 0.9
    low, high = wilson_interval(900, 1000)
    assert one_bad.low < low - 0.1, "one of five trainings is half as good: a rollout is no independent trial"
    assert high < one_bad.high < 1.0


def test_a_share_of_parts_keeps_its_interval_inside():
    """A measure in percent that is not success: a linear interval would go past one."""
    share = Measure("logic", "right", "%", lambda one: (np.where(one.successes, 3.0, 2.8), np.full(one.trials, 3.0)))
    found = estimate(share, policies(np.arange(40).reshape(2, 20) < 19))
    assert 0.0 < found.low < found.value < found.high <= 1.0


def test_without_a_success_there_is_no_smoothness():
    none, some = policies(np.zeros((2, 3), dtype=bool)), policies(np.ones((2, 3), dtype=bool))
    assert estimate(ACCELERATION, none) is None
    assert ratio(ACCELERATION, none, some) is None
    assert difference(ACCELERATION, some, none) is None
    assert np.isinf(estimate(ACCELERATION, policies(np.ones((1, 1), dtype=bool))).high)


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(ValueError, match=r"same layouts; these have \{1: 2, 2: 3\}"):
        Trainings({1: Rollouts(np.ones(2, bool), np.ones(2)), 2: Rollouts(np.ones(3, bool), np.ones(3))})
    ours, other = policies(np.ones((2, 3), dtype=bool)), policies(np.ones((2, 4), dtype=bool))
    with pytest.raises(ValueError, match="one has 3, the other 4"):
        difference(SUCCESS, ours, other)
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(7,\) share none"):
        difference(SUCCESS, ours, Trainings({7: ours.by_seed[1]}))
    # What only one side has is left out.
    assert difference(SUCCESS, ours, ours.only((2,))).value == 0.0


@pytest.mark.parametrize(
    ("count", "verdict"), [(60, "shown"), (22, "not shown"), (0, "refuted")], ids=["far", "near", "none"]
)
def test_a_claim_has_three_outcomes(count, verdict):
    other = np.zeros((5, 200), dtype=bool)
    ours = other.copy()
    ours[:, :count] = True
    conditions = {"ambient": policies(ours), "cotrain": policies(other)}
    (claim,) = points_above(conditions, "ambient", "cotrain", 10.0)
    assert claim.verdict == verdict
    assert claim.held == (verdict == "shown")
    assert points_above(conditions, "ambient", "omni", 10.0) == []


def test_a_ratio_is_shown_by_its_upper_end_and_refuted_by_its_lower():
    ones, rng = np.ones((5, 200), dtype=bool), np.random.default_rng(5)
    ours, other = (policies(ones, rng.gamma(9.0, scale, (5, 200))) for scale in (0.5, 1.0))
    conditions = {"ambient": ours, "cotrain": other}
    verdicts = [ratio_at_most(conditions, "ambient", "cotrain", bound, ACCELERATION)[0].verdict for bound in (0.6, 0.5)]
    assert verdicts == ["shown", "not shown"]
    assert ratio_at_most(conditions, "ambient", "cotrain", 0.3, ACCELERATION)[0].verdict == "refuted"


def test_a_claim_about_a_whole_front_is_as_doubtful_as_its_worst_point():
    ones, rng = np.ones((5, 200), dtype=bool), np.random.default_rng(6)
    scales = {"ambient": 0.4, "cotrain:0.2": 1.0, "cotrain:0.9": 0.5}
    conditions = {name: policies(ones, rng.gamma(9.0, scale, (5, 200))) for name, scale in scales.items()}
    parts = [
        claim
        for other in ("cotrain:0.2", "cotrain:0.9")
        for claim in ratio_at_most(conditions, "ambient", other, 0.6, ACCELERATION)
    ]
    (whole,) = against_all("smoother than every co-training", parts)
    assert whole.verdict == "refuted"
    assert "cotrain:0.9" in whole.measured
    assert against_all("anything", []) == []


def test_a_handful_of_rollouts_has_a_figure_and_no_interval():
    done = np.zeros((5, 200), dtype=bool)
    done[0, :11] = True
    few = policies(done, np.full((5, 200), 3.0))
    many = policies(np.ones((5, 200), dtype=bool), np.full((5, 200), 8.0))
    found = estimate(ACCELERATION, few)
    assert (found.value, found.low, found.high) == (3.0, -np.inf, np.inf)
    assert ratio(ACCELERATION, few, many).high == np.inf
    # Twelve of one training alone say nothing of another one.
    done[0, :12] = True
    assert ratio(ACCELERATION, policies(done, np.full((5, 200), 3.0)), many).high == np.inf
    done[1, 0] = True
    assert ratio(ACCELERATION, policies(done, np.full((5, 200), 3.0)), many).high < np.inf


def test_a_share_of_all_has_an_interval_with_a_width():
    share = Measure("logic", "right", "%", lambda one: (one.successes.astype(float), np.ones(one.trials)))
    found = estimate(share, policies(np.ones((5, 200), dtype=bool)))
    assert found.value == 1.0 and 0.9 < found.low < 1.0
