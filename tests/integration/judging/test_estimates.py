# SPDX-License-Identifier: Apache-2.0
"""Intervals whose unit is the episode: they cover what they claim, and bound nothing with a single one."""

import numpy as np
import pytest

from lerobot_ambient.integration.judging.estimates import Estimate, estimate, estimates


def log_ratio(a, b):
    return 0.5 * np.log(a / b)


@pytest.mark.parametrize("episodes", [5, 20])
def test_intervals_cover_the_truth(episodes):
    # Episodes differ by more than their frames do: the law of their energies is lognormal, and both sides share it.
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        easy = np.exp(0.8 * rng.normal(size=episodes))
        ours = 1.5 * easy * np.exp(0.3 * rng.normal(size=episodes))
        theirs = easy * np.exp(0.3 * rng.normal(size=episodes))
        found = estimate([ours, theirs], log_ratio)
        hits += found.low <= 0.5 * np.log(1.5) <= found.high
    assert hits >= 270


def test_pairing_is_what_makes_them_narrow():
    rng = np.random.default_rng(2)
    easy = np.exp(rng.normal(size=12))
    ours, theirs = 1.1 * easy, easy
    paired = estimate([ours, theirs], log_ratio)
    assert paired.value == pytest.approx(0.5 * np.log(1.1))
    assert paired.high - paired.low < 1e-9
    alone = estimate([ours], lambda a: 0.5 * np.log(a))
    assert alone.high - alone.low > 0.5


def test_one_episode_bounds_nothing():
    found = estimate([np.array([2.0]), np.array([1.0])], log_ratio)
    assert found.includes_zero
    assert found.to_dict() == {"value": pytest.approx(0.5 * np.log(2)), "low": None, "high": None}


def test_what_one_episode_holds_alone_is_not_bounded():
    found = estimate([np.array([2.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0])], log_ratio)
    assert found.value == pytest.approx(0.5 * np.log(4.0))
    assert (found.low, found.high) == (-np.inf, np.inf)


def test_what_is_not_a_number_is_none():
    assert estimate([np.zeros(3), np.zeros(3)], log_ratio) is None


def test_a_vector_has_an_interval_each():
    rng = np.random.default_rng(3)
    sums = rng.uniform(1.0, 2.0, size=(6, 4))
    value, low, high = estimates([sums], np.log)
    assert value.shape == low.shape == high.shape == (4,)
    for at in range(4):
        one = estimate([sums[:, at]], np.log)
        assert (one.value, one.low, one.high) == pytest.approx((value[at], low[at], high[at]))


def test_another_scale_keeps_the_order():
    assert Estimate(0.0, -1.0, 1.0).through(np.exp) == Estimate(1.0, np.exp(-1.0), np.exp(1.0))
