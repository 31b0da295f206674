# SPDX-License-Identifier: Apache-2.0
"""Held-out logits to probabilities: centring, underconfident and over-confident logits, evidence, errors of draws."""

import numpy as np
import pytest

from lerobot_ambient.annotate.classifier.calibration import (
    Calibration,
    average_draws,
    calibrate,
    calibrate_as_seen,
    centring_shift,
    chunk_scores,
)
from lerobot_ambient.annotate.classifier.held_out import HeldOutLogits, Scores, sigmoid


def logits_of(mean, episodes=200, per_episode=10, levels=2, draws=4, error=0.0, factor=1.0, shift=0.0, seed=0):
    """Logits whose law is that of a perfect classifier, N(+-mean, 2 mean), then spoilt.

    `error` is added noise, `factor` scales, `shift` moves them.
    """
    rng = np.random.default_rng(seed)
    n = episodes * per_episode
    parts = []
    for sign in (1.0, -1.0):
        exact = rng.normal(sign * mean, np.sqrt(2 * mean), (n, levels, draws))
        spoilt = factor * (exact + error * rng.normal(size=exact.shape)) + shift
        index = np.arange(n)
        parts.append(HeldOutLogits(index, index // per_episode, index % 2, spoilt.astype(np.float32)))
    return Scores("target", "source", np.linspace(0.2, 0.8, levels), *parts, True)


def p_of(scores, calibration):
    return chunk_scores(scores.source, calibration).mean.mean(0, dtype=np.float64)


def perfect_p(mean):
    """E_source[c] of logits N(-mean, 2 mean), on a fine grid."""
    x = np.linspace(-30, 30, 60001)
    density = np.exp(-((x + mean) ** 2) / (4 * mean)) / np.sqrt(4 * np.pi * mean)
    return np.trapezoid(sigmoid(x) * density, x)


@pytest.mark.parametrize("shift", [-2.0, 0.0, 3.0])
@pytest.mark.parametrize("find", [calibrate, calibrate_as_seen])
def test_c_of_target_and_source_sum_to_one(find, shift):
    scores = logits_of(0.5, shift=shift)
    calibration = find(scores)
    sums = calibration(scores.target.logits).mean((0, 2)) + calibration(scores.source.logits).mean((0, 2))
    np.testing.assert_allclose(sums, 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "spoilt",
    [{}, {"shift": 2.0}, {"factor": 0.3}, {"factor": 0.3, "shift": -1.0}],
    ids=["perfect", "wrong prior", "underconfident", "underconfident and wrong prior"],
)
def test_a_wrong_prior_and_underconfident_logits_do_not_move_p(spoilt):
    scores = logits_of(1.0, **spoilt)
    np.testing.assert_allclose(p_of(scores, calibrate(scores)), perfect_p(1.0), atol=0.01)


def test_over_confident_logits_of_a_weak_difference_are_not_softened():
    """Near the threshold p follows the mean logit, which errors of the classifier do not move."""
    scores = logits_of(0.1, error=0.7, episodes=800)
    calibration = calibrate(scores)
    assert (calibration.slope < 0.5).all()
    truth = perfect_p(0.1)
    taken = p_of(scores, calibration)
    softened = p_of(
        scores, Calibration(calibration.slope, centring_shift(scores, calibration.slope), *[np.ones(2)] * 2)
    )
    assert np.abs(taken - truth).max() < 0.005
    assert (softened - truth).min() > 0.015


def test_the_slope_is_the_factor_that_was_taken_from_the_logits():
    np.testing.assert_allclose(calibrate(logits_of(1.0, factor=0.5)).slope, 2.0, rtol=0.1)


def test_logits_that_say_nothing_get_no_weight():
    rng = np.random.default_rng(3)
    index = np.arange(400)
    parts = [
        HeldOutLogits(index, index // 10, index % 2, rng.normal(size=(400, 3, 4)).astype(np.float32)) for _ in "pq"
    ]
    scores = Scores("target", "source", np.array([0.2, 0.5, 0.8]), *parts, True)
    calibration = calibrate(scores)
    np.testing.assert_array_equal(calibration.evidence, 0.0)
    np.testing.assert_allclose(p_of(scores, calibration), 0.5, atol=1e-6)


def test_logits_that_point_the_wrong_way_get_no_weight():
    scores = logits_of(1.0, factor=-1.0)
    np.testing.assert_array_equal(calibrate(scores).scale, 0.0)


def test_the_evidence_is_that_of_episodes():
    """Few episodes of many equal chunks are weak evidence, the same chunks in episodes of their own strong."""
    scores = logits_of(0.2, episodes=400, per_episode=1)
    alone = calibrate(scores).evidence
    grouped = [
        HeldOutLogits(part.index, part.index // 100, part.fold, np.repeat(part.logits[::100], 100, axis=0))
        for part in (scores.target, scores.source)
    ]
    few = calibrate(Scores("target", "source", scores.sigmas, *grouped, True)).evidence
    assert (alone > 0.9).all() and (few < alone).all() and (few < 0.5).all()


def test_separated_labels_keep_a_finite_slope():
    scores = logits_of(50.0, episodes=20)
    assert np.isfinite(calibrate(scores).slope).all()
    assert (p_of(scores, calibrate(scores)) < 1e-3).all()


def test_calibration_keeps_the_shape_and_precision_of_logits():
    calibration = Calibration(np.array([1.0, 0.0]), np.array([0.0, 0.0]), np.ones(2), np.ones(2))
    c = calibration(np.zeros((3, 2, 4), dtype=np.float32))
    assert c.shape == (3, 2, 4) and c.dtype == np.float32
    np.testing.assert_array_equal(c, 0.5)


def test_pairs_of_opposite_draws_are_averaged_before_their_error_is_taken():
    # What is odd in the noise cancels within a pair and is no error.
    odd = np.array([[[0.1, 0.9, 0.3, 0.7]]], dtype=np.float32)
    mean, error = average_draws(odd)
    assert mean == pytest.approx(0.5) and error == pytest.approx(0.0, abs=1e-7)
    # Pair means 0.2 and 0.6: their standard deviation is 0.4 / sqrt(2), of the mean of two 0.2.
    mean, error = average_draws(np.array([[[0.2, 0.2, 0.6, 0.6]]], dtype=np.float32))
    assert mean == pytest.approx(0.4) and error == pytest.approx(0.2)


def test_the_error_of_draws_is_the_scatter_over_fresh_draws():
    c = np.random.default_rng(0).random((4000, 1, 8)).astype(np.float32)
    mean, error = average_draws(c)
    assert np.sqrt((error**2).mean()) == pytest.approx(mean.std(), rel=0.1)


def test_the_sigmoid_takes_logits_of_any_size():
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0.0, 0.5, 1.0])
