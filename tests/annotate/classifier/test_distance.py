# SPDX-License-Identifier: Apache-2.0
"""The classifiers' accuracy as a lower bound of the total variation, against closed forms."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.special import erf

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.classifier.distance import total_variation
from lerobot_ambient.annotate.classifier.fits import annotate_classifier
from lerobot_ambient.annotate.classifier.held_out import HeldOutLogits, Scores
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.core.noise_levels import NoiseSchedule

SCHEDULE = NoiseSchedule(torch.sin(torch.linspace(0.02, math.pi / 2 - 0.004, 100, dtype=torch.float64)))


def gaussians(shift, scale, episodes, seed, per_episode=10):
    """Independent chunks N(shift, scale^2) of 4 steps, the shift along the first."""
    x_0 = scale * torch.randn(episodes * per_episode, 4, 1, generator=torch.Generator().manual_seed(seed))
    x_0[:, 0] += shift
    return ArrayChunks(f"at {shift}", x_0, np.repeat(np.arange(episodes), per_episode))


def exact(shift, scale, sigmas):
    """d_TV of two Gaussians of one covariance: 2 Phi(distance / 2) - 1 in units of the noised deviation."""
    alpha2 = 1 - sigmas**2
    return erf(np.sqrt(alpha2) * shift / np.sqrt(8 * (alpha2 * scale**2 + sigmas**2)))


def scores_of(target, source, cross_fitted=True):
    """Scores of logits (n, L, draws) whose episodes are pairs of chunks."""
    parts = [
        HeldOutLogits(np.arange(len(x)), np.arange(len(x)) // 2, np.arange(len(x)) % 2, np.asarray(x, np.float32))
        for x in (target, source)
    ]
    return Scores("target", "source", np.linspace(0.2, 0.8, parts[0].logits.shape[1]), *parts, cross_fitted)


@pytest.fixture(scope="module")
def of_a_pair():
    options = ClassifierOptions(folds=2, steps=250, levels=10, draws=4, width=32, blocks=1, batch=256)
    (found,) = annotate_classifier(
        gaussians(0.0, 0.3, 100, 0), [gaussians(0.6, 0.3, 100, 1)], SCHEDULE, options, progress=False
    )
    return found


def test_it_lies_below_the_distance_of_two_gaussians_and_close_to_it(of_a_pair):
    found = total_variation(of_a_pair)
    truth = exact(0.6, 0.3, found.sigmas)
    low, high = found.band()
    assert (low <= truth).all()
    np.testing.assert_allclose(found.separation, truth, atol=0.06)
    assert (low <= found.separation).all() and (found.separation <= high).all()
    assert (high - low).max() < 0.15


def test_scores_of_seen_chunks_bound_nothing(of_a_pair):
    with pytest.raises(ValueError, match="bounds no distance; train with --folds=2 or more"):
        total_variation(dataclasses.replace(of_a_pair, cross_fitted=False))


def test_the_separation_is_the_balanced_accuracy():
    # Of the target three of four signs are right, of the source all.
    target = np.array([1.0, 2.0, -1.0, 5.0]).reshape(4, 1, 1)
    found = total_variation(scores_of(target, -np.ones((8, 1, 1))))
    assert found.separation[0] == pytest.approx(2 * (0.75 + 1.0) / 2 - 1)


def test_logits_of_zero_say_nothing():
    found = total_variation(scores_of(np.zeros((6, 2, 4)), np.zeros((6, 2, 4))))
    np.testing.assert_array_equal(found.separation, 0.0)
    np.testing.assert_array_equal(found.band()[1], 0.0)


def test_a_classifier_that_errs_on_purpose_claims_nothing():
    found = total_variation(scores_of(-np.ones((8, 1, 4)), np.ones((8, 1, 4))))
    assert found.separation[0] == -1.0
    assert found.band() == (0.0, 0.0)


def test_the_lower_edge_is_a_lower_bound_as_often_as_it_says():
    """Signs that are right with probability 0.6, alike within an episode: d_TV may be as small as 0.2."""
    rng = np.random.default_rng(0)
    above = 0
    for _ in range(400):
        parts = [np.repeat(np.where(rng.random(30) < 0.6, 1.0, -1.0), 2).reshape(60, 1, 1) for _ in "pq"]
        above += total_variation(scores_of(parts[0], -parts[1])).band()[0][0] > 0.2
    # 2.5 % are expected, 10 of 400.
    assert above <= 22


def test_few_episodes_make_a_wider_band_of_the_same_errors():
    rng = np.random.default_rng(0)
    reach = []
    for episodes in (4, 40):
        found = total_variation(scores_of(*(rng.normal(sign, 1, (2 * episodes, 1, 100)) for sign in (1, -1))))
        assert found.freedom == episodes - 1
        low, _ = found.band()
        reach.append(float((found.separation - low)[0] / found.standard_error[0]))
    # Quantiles of Student's t, 3 and 39 degrees of freedom.
    assert reach == pytest.approx([3.18, 2.02], abs=0.01)
