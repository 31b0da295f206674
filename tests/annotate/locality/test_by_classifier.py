# SPDX-License-Identifier: Apache-2.0
"""sigma_max by classifiers on crops, against processes whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.classifier.calibration import calibrate
from lerobot_ambient.annotate.classifier.curves import data_set_curve, sigma_min_of
from lerobot_ambient.annotate.classifier.fits import annotate_classifier, fit_shards
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import WorkFolder
from lerobot_ambient.annotate.locality.by_classifier import crop_evidence, crop_fits, crop_windows, grouped_lengths
from lerobot_ambient.annotate.locality.by_moments import locality_window, up_to
from lerobot_ambient.core.noise_levels import NoiseSchedule

LEVELS = np.sin(np.linspace(0.02, 1.4, 8))
SCHEDULE = NoiseSchedule(torch.from_numpy(LEVELS))
OPTIONS = ClassifierOptions(folds=2, steps=100, width=32, blocks=1, levels=8, draws=4, score_chunks=1000)
LONGER = replace(OPTIONS, steps=400, width=48)


def chunks_like(name, x_0, per_episode=20):
    """Independent chunks (N, H, A)."""
    return ArrayChunks(name, torch.from_numpy(x_0.astype(np.float32)), np.arange(len(x_0)) // per_episode)


def gaussian(covariance, count, seed, name="source"):
    """Chunks of a covariance (A, H, A, H)."""
    dims, horizon = covariance.shape[:2]
    x_0 = np.random.default_rng(seed).normal(size=(count, dims * horizon)) @ root(flat(covariance)).T
    return chunks_like(name, x_0.reshape(-1, dims, horizon).transpose(0, 2, 1))


def flat(covariance):
    return covariance.reshape(covariance.shape[0] * covariance.shape[1], -1)


def root(matrix):
    power, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(power, 0))


def stationary(kernel, horizon=16):
    """(1, H, 1, H)."""
    return kernel(np.abs(np.subtract.outer(np.arange(horizon), np.arange(horizon))))[None, :, None]


def in_turn(delay, horizon=24, motion=6, texture=0.4):
    """Two rough dimensions of one short motion, the second `delay` steps after the first (before it if negative)."""
    lag = np.subtract.outer(np.arange(horizon), np.arange(horizon))
    covariance = np.empty((2, horizon, 2, horizon))
    for a in range(2):
        for b in range(2):
            covariance[a, :, b] = np.maximum(0.0, 1 - np.abs(lag + delay * (b - a)) / motion)
        covariance[a, :, a] += texture * (lag == 0)
    return covariance


def exact_scores(target, source, sigmas, lengths):
    """p of the perfect classifier of crops at the chunk's start, by the Gaussians' own log-likelihood ratio."""
    draws = np.random.default_rng(0).normal(size=(20_000, flat(target).shape[0]))
    p = []
    for sigma, r in zip(sigmas, lengths, strict=True):
        noised = [(1 - sigma**2) * flat(c[:, :r, :, :r]) + sigma**2 * np.eye(c.shape[0] * r) for c in (target, source)]
        x = draws[:, : len(noised[1])] @ root(noised[1]).T
        odds = [-0.5 * (x @ np.linalg.inv(g) * x).sum(1) - 0.5 * np.linalg.slogdet(g)[1] for g in noised]
        p.append((1 / (1 + np.exp(odds[1] - odds[0]))).mean())
    return np.array(p)


def windows(target, source, options=OPTIONS, **more):
    (evidence,) = crop_windows(target, [source], SCHEDULE, options, progress=False, **{"places": 1, **more})
    return evidence


@pytest.fixture(scope="module")
def permuted():
    """The same two motions, one after the other, in the other order, and the evidence of their crops."""
    pair = gaussian(in_turn(12), 2000, 0, "target"), gaussian(in_turn(-12), 2000, 1)
    return pair, windows(*pair, LONGER)


def test_planted_locality_is_recovered(permuted):
    _, evidence = permuted
    exact = exact_scores(in_turn(12), in_turn(-12), evidence.sigmas, evidence.length)
    planted = up_to(evidence.sigmas, exact > 0.45)
    assert 0.3 <= planted <= 0.7
    assert abs(np.searchsorted(LEVELS, evidence.sigma_max) - np.searchsorted(LEVELS, planted)) <= 1
    assert not evidence.weak and evidence.shown == evidence.sigma_max
    # It can miss a part of what there is, and finds nothing that is not there.
    assert (evidence.p > exact - 0.03).all() and (evidence.p < exact + 0.12).all()
    # Crops too short to hold both motions have one law.
    assert (evidence.length <= 6).any() and (evidence.p[evidence.length <= 6] > 0.49).all()


def test_whole_chunks_of_a_permuted_order_are_told_apart_until_late(permuted):
    (target, source), evidence = permuted
    (scores,) = annotate_classifier(target, [source], SCHEDULE, LONGER, progress=False)
    curve = data_set_curve(scores, calibrate(scores))
    (sigma_min,) = sigma_min_of(curve.sigmas, curve.p[None])
    assert sigma_min > 0.8 > evidence.sigma_max


def test_planted_jitter_leaves_nothing_below():
    smooth = stationary(lambda lag: np.exp(-((lag / 8.0) ** 2)))
    shaken = smooth + 0.2**2 * stationary(lambda lag: lag == 0)
    evidence = windows(gaussian(smooth, 1500, 0, "target"), gaussian(shaken, 1500, 1))
    assert evidence.sigma_max == evidence.shown == 0.0 and not evidence.weak
    assert evidence.p[0] < 0.1 and (np.diff(evidence.p) > -0.02).all()


def test_the_same_law_twice_admits_every_level():
    rough = stationary(lambda lag: 0.9**lag)
    evidence = windows(gaussian(rough, 2000, 0, "target"), gaussian(rough, 2000, 1), places=2)
    assert evidence.sigma_max == evidence.shown == 1.0 and not evidence.weak
    assert ((evidence.low <= evidence.p) & (evidence.p <= evidence.high)).all()
    assert repr(evidence) == "source: sigma_max 1.000 by classifiers on crops (shown)"


def test_too_little_data_is_called_weak():
    rough = stationary(lambda lag: 0.9**lag)
    pair = gaussian(rough[:, :8, :, :8], 30, 0, "target"), gaussian(rough[:, :8, :, :8], 30, 1)
    few = [ArrayChunks(each.name, each.x_0, np.arange(30) // 5) for each in pair]
    evidence = windows(*few, replace(OPTIONS, steps=200, batch=64))
    assert evidence.weak and evidence.shown < evidence.sigma_max
    assert any("Weak evidence" in note for note in evidence.notes)


def test_classifiers_that_were_hardly_trained_are_held_by_second_moments(permuted):
    pair, _ = permuted
    evidence = windows(*pair, replace(OPTIONS, steps=2))
    assert evidence.shown == 1.0
    moments = locality_window(*pair, LEVELS)
    assert 0.3 < min(evidence.shown, moments.shown) < 0.8


def test_what_differs_beyond_second_moments_is_seen():
    """Steps of +1 or -1 have the moments of Gaussian ones; the field is one step, the comparison blind."""
    rng = np.random.default_rng(0)
    target = chunks_like("target", rng.normal(size=(2000, 8, 1)))
    source = chunks_like("source", rng.choice([-1.0, 1.0], size=(2000, 8, 1)))
    assert locality_window(target, source, LEVELS).sigma_max == 1.0
    evidence = windows(target, source)
    assert (evidence.length == 1).all()
    assert evidence.sigma_max == 0.0 and evidence.p[0] < 0.35


def test_a_difference_at_the_end_of_the_chunk_is_found_only_by_looking_there():
    """As in chunks relative to the current state, whose steps differ in law by place."""
    rng = np.random.default_rng(0)
    target, source = rng.normal(size=(2, 2000, 12, 1))
    source[:, -1] += 2.0
    pair = chunks_like("target", target), chunks_like("source", source)
    assert windows(*pair, places=1).sigma_max == 1.0
    assert windows(*pair, places=2).sigma_max == 0.0


def test_several_sources_share_their_trainings_and_resume_from_their_shards(tmp_path):
    smooth, rough = (stationary(lambda lag, rho=rho: rho**lag, 8) for rho in (0.9, 0.0))
    target = gaussian(smooth, 400, 0, "target")
    sources = [gaussian(smooth, 400, 1, "alike"), gaussian(rough, 400, 2, "other")]
    options = ClassifierOptions(folds=2, steps=60, width=16, blocks=1, draws=4)

    def fits(identity="data", **more):
        return crop_fits(target, sources, SCHEDULE, options, work=WorkFolder(tmp_path, [identity]), **more)

    crops = fits(lengths=2, places=2)
    assert len(crops.fits) == len(crops.crops) <= 4
    fit_shards(crops.fits, progress=False)
    # One folder per length and place, though levels and names are the same.
    assert len(list(tmp_path.iterdir())) == len(crops.crops)
    again = fits(lengths=2, places=2)
    assert all(fit.is_fitted(fold) for fit in again.fits for fold in range(2))
    assert not any(fit.is_fitted(0) for fit in fits("other data", lengths=2, places=2).fits)
    alike, other = crop_evidence(again)
    assert (alike.source, other.source, alike.target) == ("alike", "other", "target")
    # A single step of either has the same law; it takes two to tell a walk from noise.
    assert alike.sigma_max > 0.9 and other.sigma_max < 0.3
    np.testing.assert_array_equal(other.p, crop_evidence(crops)[1].p)
    # Another margin needs no training.
    assert crop_evidence(again, 0.49)[1].sigma_max > other.sigma_max


def test_every_level_is_scored_with_crops_as_long_as_the_field_or_longer(permuted):
    (target, source), evidence = permuted
    np.testing.assert_allclose(evidence.sigmas, LEVELS)
    assert (evidence.length >= evidence.field.high).all()
    assert (np.diff(evidence.length) >= 0).all() and len(np.unique(evidence.length)) <= 4
    with_pure_noise = NoiseSchedule(torch.tensor([0.1, 0.5, 1.0]))
    crops = crop_fits(target, [source], with_pure_noise, OPTIONS)
    assert crops.field.sigmas.tolist() == pytest.approx([0.1, 0.5])


@pytest.mark.parametrize(
    ("lengths", "count", "grouped"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], 1, [8, 8, 8, 8, 8, 8, 8, 8]),
        ([1, 2, 3, 4, 5, 6, 7, 8], 3, [2, 2, 5, 5, 5, 8, 8, 8]),
        ([1, 1, 9, 10], 2, [1, 1, 10, 10]),
        ([3, 3, 5], 4, [3, 3, 5]),
        ([7], 1, [7]),
    ],
)
def test_lengths_are_rounded_up_by_as_little_as_possible(lengths, count, grouped):
    assert grouped_lengths(np.array(lengths), count).tolist() == grouped


def test_bad_input_is_refused():
    target = gaussian(stationary(lambda lag: 0.9**lag), 100, 0, "target")
    short = gaussian(stationary(lambda lag: 0.9**lag, 8), 100, 0, "short")
    with pytest.raises(ValueError, match="there is no source"):
        crop_fits(target, [], SCHEDULE, OPTIONS)
    with pytest.raises(ValueError, match="places = 0 must be at least 1"):
        crop_fits(target, [target], SCHEDULE, OPTIONS, places=0)
    with pytest.raises(ValueError, match="lengths = 0 must be at least 1"):
        crop_fits(target, [target], SCHEDULE, OPTIONS, lengths=0)
    with pytest.raises(ValueError, match=r"tau = 0\.5 must lie in \(0, 0\.5\)"):
        crop_windows(target, [target], SCHEDULE, OPTIONS, tau=0.5)
    with pytest.raises(ValueError, match=r"chunks of 'target' are 16 x 1, those of 'short' 8 x 1"):
        crop_fits(target, [short], SCHEDULE, OPTIONS)
    with pytest.raises(ValueError, match="'source' has 1 episodes, too few for 2 folds"):
        crop_fits(target, [chunks_like("source", target.x_0.numpy(), 100)], SCHEDULE, OPTIONS)
