# SPDX-License-Identifier: Apache-2.0
"""The knots of soft ambient from distances that are known."""

import dataclasses

import draccus
import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.classifier.distance import TotalVariation
from lerobot_ambient.annotate.classifier.evidence import gather_evidence
from lerobot_ambient.annotate.classifier.fits import cross_fits
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.mixing.soft_shares import MAX_KNOTS, falling_distance, few_knots, soft_shares
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.policy.options.mixing import MixingConfig, SoftConfig

SIGMAS = np.sin(np.linspace(0.025, np.pi / 2 - 1e-3, 32))
SCHEDULE = NoiseSchedule(torch.from_numpy(SIGMAS))
OPTIONS = ClassifierOptions(folds=2, steps=120, width=32, blocks=1, levels=32, draws=4)


def shifted(name, shift, episodes, seed, per_episode=5):
    """Chunks (4, 1) of white Gaussian noise about a mean, of length `shift`."""
    noise = np.random.default_rng(seed).normal(size=(episodes * per_episode, 4, 1)) + shift / 2
    x_0 = torch.from_numpy(noise.astype(np.float32))
    return ArrayChunks(name, x_0, np.repeat(np.arange(episodes), per_episode))


def exact_distance(shift):
    """(L,) the total variation of Gaussians `shift` standard deviations apart, noised."""
    return 2 * ndtr(np.sqrt(1 - SIGMAS**2) * shift / 2) - 1


def evidence_of(*shifts, episodes=200):
    target = shifted("target", 0.0, 200, 0)
    sources = [shifted(f"source {i}", shift, episodes, i + 1) for i, shift in enumerate(shifts)]
    fits = cross_fits(target, sources, SCHEDULE, OPTIONS)
    return [gather_evidence(fits, i) for i in range(len(shifts))]


@pytest.fixture(scope="module")
def near_and_far():
    """Evidence of a source a standard deviation off, and of one that is elsewhere."""
    return evidence_of(1.0, 12.0)


def with_distance(evidence, separation, error=0.0):
    """The evidence as if the classifiers had found this."""
    levels = len(SIGMAS)
    distance = TotalVariation(SIGMAS, np.broadcast_to(separation, levels), np.full(levels, error), 100)
    return dataclasses.replace(evidence, distance=distance)


def test_equal_laws_give_plain_concatenation(near_and_far):
    same = with_distance(near_and_far[0], 0.0)
    for alone_above in (0.1, 1.0):
        soft = soft_shares([same], n_target=50, n_sources=[200], alone_above=alone_above)
        np.testing.assert_allclose(soft.shares, 0.2)
        assert (soft.sigmas, soft.clean_shares) == ([0.025, 1.0], [0.2, 0.2])


def test_equal_data_give_nearly_plain_concatenation():
    (same,) = evidence_of(0.0)
    soft = soft_shares([same], n_target=200, n_sources=[200], alone_above=1.0)
    np.testing.assert_allclose(soft.shares, 0.5, atol=0.05)
    assert soft.rule.clean_share(torch.tensor([1.0])).item() == pytest.approx(0.5, abs=0.02)


def test_disjoint_data_leave_the_target_alone_until_noise_merges_them(near_and_far):
    soft = soft_shares(near_and_far[1:], n_target=200, n_sources=[200], alone_above=0.25)
    assert (soft.shares[exact_distance(12.0) > 0.35] == 1.0).all()
    assert soft.shares[SIGMAS < 0.95].min() == 1.0 and soft.shares[-1] < 0.7
    assert (np.diff(soft.shares) <= 0.0).all()


def test_the_distance_is_a_lower_bound_that_comes_close(near_and_far):
    soft = soft_shares(near_and_far[:1], n_target=200, n_sources=[200], alone_above=0.5)
    exact = exact_distance(1.0)
    np.testing.assert_allclose(soft.distance, exact, atol=0.1)
    assert soft.distance.mean() < exact.mean() + 0.03
    assert (np.diff(soft.distance) <= 0.0).all()


def test_the_target_is_alone_exactly_from_the_distance_that_was_asked_for(near_and_far):
    falls = with_distance(near_and_far[0], np.linspace(0.6, 0.0, len(SIGMAS)))
    soft = soft_shares([falls], n_target=50, n_sources=[2000], alone_above=0.25)
    assert ((soft.shares == 1.0) == (soft.distance >= 0.25)).all()
    assert (soft.shares[soft.distance < 0.25] < 1.0).all() and soft.shares[-1] == pytest.approx(50 / 2050)


def test_at_a_quarter_the_target_is_alone_where_sigma_min_would_leave_it():
    """tau = 0.05 means Delta = 0.1; between close Gaussians that is a total variation of a quarter."""
    x = np.linspace(-12, 12, 100_001)

    def density(mean):
        return np.exp(-((x - mean) ** 2) / 2) / np.sqrt(2 * np.pi)

    def distances(shift):
        p, q = density(0.0), density(shift)
        step = x[1] - x[0]
        return ((p - q) ** 2 / (p + q)).sum() * step / 2, np.abs(p - q).sum() * step / 2

    deltas, variations = np.array([distances(shift) for shift in np.linspace(0.1, 3, 30)]).T
    assert np.interp(0.1, deltas, variations) == pytest.approx(0.25, abs=0.02)
    assert (deltas <= variations).all() and (variations <= np.sqrt(deltas)).all()


def test_caution_gives_the_target_more(near_and_far):
    plain, cautious = (
        soft_shares(near_and_far[:1], n_target=200, n_sources=[200], alone_above=0.5, cautious=c) for c in (False, True)
    )
    assert (cautious.shares >= plain.shares).all() and cautious.shares.mean() > plain.shares.mean() + 0.01
    assert (np.diff(cautious.shares) <= 0.0).all()


def test_a_distance_that_rises_with_noise_is_averaged_or_with_caution_filled_up():
    distance = TotalVariation(np.array([0.1, 0.5, 0.9]), np.array([0.4, 0.1, 0.2]), np.zeros(3), 100)
    np.testing.assert_allclose(falling_distance(distance, False), [0.4, 0.15, 0.15])
    np.testing.assert_allclose(falling_distance(distance, True), [0.4, 0.2, 0.2])
    below = TotalVariation(np.array([0.1, 0.5]), np.array([-0.1, -0.2]), np.zeros(2), 100)
    assert falling_distance(below, False).tolist() == [0.0, 0.0]


def test_several_sources_count_by_their_size(near_and_far):
    near, far = (with_distance(near_and_far[0], a) for a in (0.1, 0.5))
    together = soft_shares([near, far], n_target=50, n_sources=[300, 100], alone_above=0.9)
    np.testing.assert_allclose(together.distance, 0.2)
    as_one = soft_shares([with_distance(near, 0.2)], n_target=50, n_sources=[400], alone_above=0.9)
    np.testing.assert_allclose(together.shares, as_one.shares)
    assert together.sources == ("source 0", "source 0")


def test_the_line_to_write_is_the_mixing(near_and_far):
    soft = soft_shares(near_and_far, n_target=200, n_sources=[200, 200], alone_above=0.6)
    line = soft.yaml()
    assert line.startswith("mixing: {type: soft, sigmas: [0.025, ")
    config = draccus.decode(MixingConfig, yaml.safe_load(line)["mixing"])
    assert isinstance(config, SoftConfig)
    assert (config.sigmas, config.clean_shares) == (soft.sigmas, soft.clean_shares)
    assert repr(soft).startswith(line)


@given(st.data())
def test_knots_stay_within_the_error_they_state(data):
    falls = sorted(data.draw(st.lists(st.floats(0.01, 1.0), min_size=32, max_size=32)), reverse=True)
    rule, error = few_knots(SIGMAS, np.array(falls))
    between = torch.linspace(float(SIGMAS[0]), float(SIGMAS[-1]), 2001, dtype=torch.float64)
    off = np.abs(rule.clean_share(between).numpy() - np.interp(between, SIGMAS, falls)).max()
    assert off <= error + 1e-9
    assert len(rule.sigmas) <= MAX_KNOTS
    assert (np.diff(rule.clean_shares) <= 0.0).all()


def test_a_smooth_curve_needs_few_knots():
    shares = 0.1 + 0.9 / (1 + np.exp((SIGMAS - 0.6) / 0.15))
    rule, error = few_knots(SIGMAS, shares)
    assert error <= 0.01 and len(rule.sigmas) < MAX_KNOTS
    rough, off = few_knots(SIGMAS, shares, most=4)
    assert len(rough.sigmas) == 4 and off > 0.01
    assert all(round(value, 4) == value for value in rule.sigmas)
    assert all(round(value, 3) == value for value in rule.clean_shares)


def test_a_straight_line_needs_its_ends():
    rule, error = few_knots(SIGMAS, 1.0 - 0.5 * SIGMAS)
    assert len(rule.sigmas) == 2 and error < 0.001


@pytest.mark.parametrize("alone_above", [0.0, -0.1, 1.01, float("nan")])
def test_a_distance_out_of_range_is_refused_with_the_line_to_write(near_and_far, alone_above):
    with pytest.raises(ValueError, match=r"alone_above = .* must lie in \(0, 1\].*write --soft-alone-above=0\.25"):
        soft_shares(near_and_far, n_target=5, n_sources=[5, 5], alone_above=alone_above)
    soft_shares(near_and_far, n_target=5, n_sources=[5, 5], alone_above=1.0)


def test_what_does_not_belong_together_is_refused(near_and_far):
    near, far = near_and_far
    sizes = {"n_target": 5, "alone_above": 0.25}
    with pytest.raises(ValueError, match="evidence of 2 sources and sizes of 1"):
        soft_shares([near, far], n_sources=[5], **sizes)
    with pytest.raises(ValueError, match="evidence of 0 sources and sizes of 0"):
        soft_shares([], n_sources=[], **sizes)
    with pytest.raises(ValueError, match="count episodes; each is at least 1"):
        soft_shares([near], n_sources=[0], **sizes)
    elsewhere = dataclasses.replace(far, scores=dataclasses.replace(far.scores, sigmas=SIGMAS / 2))
    with pytest.raises(
        ValueError, match=r"'source 1' was compared with 'target' and 'source 0' with 'target'.*annotate all sources"
    ):
        soft_shares([near, elsewhere], n_sources=[5, 5], **sizes)
    with pytest.raises(ValueError, match="'source 1': no distance is known without cross-fitting"):
        soft_shares([near, dataclasses.replace(far, distance=None)], n_sources=[5, 5], **sizes)
    with pytest.raises(ValueError, match="two noise levels or more"):
        few_knots(np.array([0.5]), np.array([0.5]))
