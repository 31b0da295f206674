# SPDX-License-Identifier: Apache-2.0
"""p(sigma), the monotone curve closest to it, and the crossing that is called sigma_min."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from lerobot_ambient.annotate.classifier.calibration import Calibration, calibrate
from lerobot_ambient.annotate.classifier.curves import (
    CROSSINGS,
    Curve,
    curve_reach,
    data_set_curve,
    first_crossing,
    isotonic,
    isotonic_crossing,
    last_crossing,
    sigma_min_interval,
    sigma_min_of,
)
from lerobot_ambient.annotate.classifier.held_out import HeldOutLogits, Scores, episode_mean

SIGMAS = np.array([0.1, 0.2, 0.4, 0.7, 0.9])
FLAT = np.full(5, 0.45)


def scores_of(target, source, per_episode=4, cross_fitted=True, sigmas=SIGMAS):
    """Scores of logits (n, L, draws), episodes of `per_episode` chunks."""
    parts = [
        HeldOutLogits(np.arange(len(x)), np.arange(len(x)) // per_episode, np.arange(len(x)) % 2, x.astype(np.float32))
        for x in (target, source)
    ]
    return Scores("target", "source", sigmas, *parts, cross_fitted)


def curve_of(p, spread, episodes=20, seed=0):
    """A curve whose episodes scatter by `spread`, by the same amount at every level."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(2):
        values = np.repeat(rng.normal(size=(episodes, 1)), len(p), axis=1)
        values = spread * (values - values.mean(0)) / values.std(0)
        parts.append(episode_mean(p + values, np.arange(episodes)))
    return Curve(np.asarray(SIGMAS), np.asarray(p), np.asarray(p), *parts)


@given(st.lists(st.lists(st.floats(0, 1), min_size=7, max_size=7), min_size=1, max_size=5))
def test_the_monotone_curve_is_the_one_of_pool_adjacent_violators(curves):
    curves = np.array(curves)
    expected = np.stack([isotonic_regression(curve) for curve in curves])
    np.testing.assert_allclose(isotonic(curves), expected, atol=1e-12)


def test_more_curves_than_fit_in_a_block_are_all_made_monotone():
    curves = np.random.default_rng(0).uniform(size=(20_000, 5))
    assert (np.diff(isotonic(curves), axis=1) >= 0).all()
    np.testing.assert_allclose(isotonic(curves)[-1], isotonic_regression(curves[-1]))
    each = [sigma_min_of(SIGMAS, curves[i : i + 1], 0.05)[0] for i in (0, 16_383, 16_384, 19_999)]
    np.testing.assert_array_equal(sigma_min_of(SIGMAS, curves, 0.05)[[0, 16_383, 16_384, 19_999]], each)


@pytest.mark.parametrize("rule", CROSSINGS.values(), ids=CROSSINGS)
def test_a_monotone_curve_crosses_where_the_line_between_two_levels_does(rule):
    curve = np.array([[0.1, 0.3, 0.4, 0.5, 0.5]])
    # 0.45 lies half-way between the values at 0.4 and 0.7.
    assert sigma_min_of(SIGMAS, curve, 0.05, rule) == pytest.approx(0.55)


@pytest.mark.parametrize("rule", CROSSINGS.values(), ids=CROSSINGS)
@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.45 - 1e-12, 1.0), (0.45, 1.0), (0.45 + 1e-12, 0.0)],
    ids=["just below", "at the bound", "just above"],
)
def test_only_above_the_bound_counts(rule, value, expected):
    """The bound itself is not above; above at the first level means everything, above at none means nothing."""
    assert sigma_min_of(SIGMAS, np.full((1, 5), value), 0.05, rule) == expected


@pytest.mark.parametrize("rule", CROSSINGS.values(), ids=CROSSINGS)
def test_above_at_the_last_level_only_ends_just_below_it(rule):
    curve = np.array([[0.2, 0.2, 0.2, 0.2, 0.5]])
    assert 0.7 < float(sigma_min_of(SIGMAS, curve, 0.05, rule)[0]) < 0.9


def test_the_rules_differ_on_a_curve_that_falls_back_below():
    curve = np.array([[0.3, 0.5, 0.3, 0.5, 0.5]])
    first, last = first_crossing(SIGMAS, curve, 0.45)[0], last_crossing(SIGMAS, curve, 0.45)[0]
    # The closest monotone curve is 0.3, 0.4, 0.4, 0.5, 0.5.
    assert first == pytest.approx(0.175)
    assert last == pytest.approx(0.4 + 0.75 * 0.3)
    assert isotonic_crossing(SIGMAS, curve, 0.45)[0] == pytest.approx(0.55)


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.floats(0.01, 0.49))
def test_the_first_crossing_is_never_after_the_last(curve, tau):
    curve = np.array([curve])
    first, last = (sigma_min_of(SIGMAS, curve, tau, rule)[0] for rule in (first_crossing, last_crossing))
    assert 0.0 <= first <= last <= 1.0


@given(st.lists(st.floats(0, 1), min_size=5, max_size=5), st.floats(0.01, 0.24))
def test_a_wider_margin_admits_more(curve, tau):
    curve = np.array([curve])
    for rule in CROSSINGS.values():
        assert sigma_min_of(SIGMAS, curve, 2 * tau, rule) <= sigma_min_of(SIGMAS, curve, tau, rule)


@pytest.mark.parametrize("tau", [0.0, 0.5, -0.1, float("nan")])
def test_a_margin_that_admits_all_or_nothing_is_refused(tau):
    with pytest.raises(ValueError, match=r"tau = .* must lie in \(0, 0.5\)"):
        sigma_min_of(SIGMAS, FLAT[None], tau)


@pytest.mark.parametrize("tau", [1e-9, 0.5 - 1e-9])
def test_margins_next_to_the_bounds_are_taken(tau):
    assert sigma_min_of(SIGMAS, np.full((1, 5), 0.6), tau) == 0.0


def test_curves_that_do_not_fit_the_levels_are_refused():
    with pytest.raises(ValueError, match=r"curves of shape \(1, 4\) do not fit 5 noise levels"):
        sigma_min_of(SIGMAS, np.zeros((1, 4)))


def test_p_of_a_perfect_classifier_is_the_mean_of_c_and_twice_its_brier_score():
    """Logits of N(+-m, 2 m) on each side are log ratios of their own law, so calibration leaves them."""
    rng = np.random.default_rng(0)
    m = 1.0
    target = rng.normal(m, np.sqrt(2 * m), (20000, 1, 4))
    source = rng.normal(-m, np.sqrt(2 * m), (20000, 1, 4))
    scores = scores_of(target, source, sigmas=np.array([0.5]))
    curve = data_set_curve(scores, calibrate(scores))
    mean_c = (1 / (1 + np.exp(-source))).mean()
    assert curve.p[0] == pytest.approx(mean_c, abs=0.01)
    assert curve.as_seen[0] == pytest.approx(mean_c, abs=0.01)
    assert curve.target.mean[0] + curve.source.mean[0] == pytest.approx(mean_c, abs=0.01)


def test_the_band_holds_the_curve_and_narrows_with_episodes():
    few, many = (curve_of([0.2, 0.3, 0.4, 0.48, 0.5], 0.05, episodes) for episodes in (5, 500))
    for curve in (few, many):
        low, high = curve.band()
        assert (low <= curve.p).all() and (curve.p <= high).all() and (low < high).all()
    assert np.ptp(many.band(), axis=0).max() < 0.2 * np.ptp(few.band(), axis=0).max()


def test_the_interval_holds_the_estimate_and_shrinks_with_the_scatter():
    p = np.array([0.2, 0.3, 0.4, 0.48, 0.5])
    (estimate,) = sigma_min_of(SIGMAS, p[None])
    widths = []
    for spread in (0.05, 0.005):
        low, high = sigma_min_interval(curve_of(p, spread))
        assert low <= estimate <= high
        widths.append(high - low)
    assert 0 < widths[1] < 0.3 * widths[0]


@pytest.mark.parametrize("tau", [0.02, 0.05, 0.2])
def test_the_lowered_curve_crosses_at_the_upper_end_of_the_interval(tau):
    """But for the interpolation between two levels, and at every threshold: that is what files keep it for."""
    for seed in range(10):
        curve = curve_of(np.linspace(0.1, 0.5, len(SIGMAS)), 0.1, seed=seed)
        _, high = sigma_min_interval(curve, tau)
        (safe,) = sigma_min_of(SIGMAS, curve.p[None], tau, reach=curve_reach(curve))
        assert abs(safe - high) < np.diff(SIGMAS).max()


def test_the_interval_is_pure_in_its_seed():
    curve = curve_of([0.2, 0.3, 0.4, 0.48, 0.5], 0.05)
    found = sigma_min_interval(curve, seed=3)
    np.random.seed(1)
    assert sigma_min_interval(curve, seed=3) == found
    assert sigma_min_interval(curve, seed=4) != found


def test_the_interval_covers_as_often_as_it_says():
    """Curves that scatter about the truth by their own standard error: about 95 of 100 intervals hold it."""
    true_p = np.array([0.2, 0.3, 0.4, 0.48, 0.5])
    truth = float(sigma_min_of(SIGMAS, true_p[None])[0])
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        parts = [episode_mean(0.05 * rng.normal(size=(30, 1)) + np.zeros(5), np.arange(30)) for _ in range(2)]
        p = true_p + parts[0].mean + parts[1].mean
        low, high = sigma_min_interval(Curve(SIGMAS, p, p, *parts))
        held += low <= truth <= high
    assert 180 <= held <= 198


def test_a_single_episode_says_nothing():
    p = np.array([0.2, 0.3, 0.4, 0.48, 0.5])
    parts = [episode_mean(p[None] + np.zeros((3, 5)), np.zeros(3, dtype=int)) for _ in range(2)]
    assert sigma_min_interval(Curve(SIGMAS, p, p, *parts)) == (0.0, 1.0)
    assert sigma_min_of(SIGMAS, p[None], reach=curve_reach(Curve(SIGMAS, p, p, *parts))) == 1.0


def test_a_softened_calibration_moves_the_curve_towards_one_half():
    rng = np.random.default_rng(0)
    scores = scores_of(rng.normal(1, 1, (40, 5, 4)), rng.normal(-1, 1, (40, 5, 4)))
    zeros, ones = np.zeros(5), np.ones(5)
    full, soft, none = (
        data_set_curve(scores, Calibration(scale * ones, zeros, ones, ones)).p for scale in (1.0, 0.3, 0.0)
    )
    assert (full < soft).all() and (soft < 0.5).all()
    np.testing.assert_array_equal(none, 0.5)
