# SPDX-License-Identifier: Apache-2.0
"""Errors of means over chunks, with episodes as the unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from lerobot_ambient.annotate.classifier.held_out import episode_mean, widening


def test_the_mean_is_over_chunks_not_over_episodes():
    values = np.array([[1.0], [1.0], [1.0], [5.0]])
    assert episode_mean(values, np.array([7, 7, 7, 9])).mean == 2.0


@given(st.integers(2, 8), st.integers(1, 6), st.integers(0, 1000))
def test_influences_sum_to_zero_and_say_what_an_episode_adds(episodes, per_episode, seed):
    values = np.random.default_rng(seed).normal(size=(episodes * per_episode, 3))
    found = episode_mean(values, np.repeat(np.arange(episodes), per_episode))
    np.testing.assert_allclose(found.influence.sum(0), 0.0, atol=1e-12)
    # Equally long episodes: what is left of a mean without its first episode.
    without = values[per_episode:].mean(0)
    weight = episodes / (episodes - 1)
    np.testing.assert_allclose(found.mean - weight * found.influence[0], without, atol=1e-9)


def test_equal_episodes_have_the_textbook_variance():
    values = np.random.default_rng(0).normal(size=(12, 2))
    np.testing.assert_allclose(episode_mean(values, np.arange(12)).variance, values.var(0, ddof=1) / 12)


def test_chunks_of_an_episode_that_repeat_each_other_are_one_observation():
    """Twenty copies per episode must not look like twenty times the data."""
    one = np.random.default_rng(0).normal(size=(10, 1))
    alone = episode_mean(one, np.arange(10))
    copied = episode_mean(np.repeat(one, 20, axis=0), np.repeat(np.arange(10), 20))
    np.testing.assert_allclose(copied.variance, alone.variance)


def test_the_standard_error_is_the_scatter_of_means_over_fresh_data():
    rng = np.random.default_rng(0)
    means, claimed = [], []
    for _ in range(400):
        sizes = rng.integers(1, 10, size=40)
        episode = np.repeat(np.arange(40), sizes)
        values = rng.normal(size=40)[episode] + rng.normal(size=len(episode))
        found = episode_mean(values[:, None], episode)
        means.append(found.mean[0])
        claimed.append(found.variance[0])
    assert np.mean(claimed) == pytest.approx(np.var(means), rel=0.2)


def test_a_single_episode_has_an_infinite_error():
    assert np.isinf(episode_mean(np.ones((5, 2)), np.zeros(5, dtype=int)).variance).all()


@pytest.mark.parametrize("freedom", [1, 2, 9, 49])
@pytest.mark.parametrize("errors", [1.0, 1.96, 2.0])
def test_widening_is_the_ratio_of_student_and_normal_quantiles(freedom, errors):
    assert widening(freedom, errors) == pytest.approx(t.ppf(norm.cdf(errors), freedom) / errors)


def test_widening_is_one_for_many_episodes_and_infinite_for_none_to_spare():
    assert widening(10**6) == pytest.approx(1.0, abs=1e-3)
    assert widening(1) == pytest.approx(7.0, abs=0.1)
    assert widening(0) == np.inf
