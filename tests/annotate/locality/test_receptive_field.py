# SPDX-License-Identifier: Apache-2.0
"""How far the denoiser looks, and sigma_max by locality, against processes whose answers are known."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.locality.by_moments import LocalityOptions, locality_window
from lerobot_ambient.annotate.locality.crop_powers import extreme_directions
from lerobot_ambient.annotate.locality.crops import Crops, crop_starts
from lerobot_ambient.annotate.locality.receptive_field import (
    crop_lengths,
    denoising_loss,
    nearest_enough,
    receptive_field,
)

LEVELS = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])


def gaussian_chunks(covariance, episodes, per_episode, seed, name="source"):
    """Independent chunks of a covariance (A, H, A, H)."""
    dims, horizon = covariance.shape[:2]
    power, vectors = np.linalg.eigh(covariance.reshape(dims * horizon, -1))
    root = vectors * np.sqrt(np.maximum(power, 0))
    x_0 = np.random.default_rng(seed).normal(size=(episodes * per_episode, dims * horizon)) @ root.T
    x_0 = torch.from_numpy(x_0.reshape(-1, dims, horizon).transpose(0, 2, 1).astype(np.float32))
    return ArrayChunks(name, x_0, np.repeat(np.arange(episodes), per_episode))


def stationary(kernel, horizon):
    """(1, H, 1, H)."""
    return kernel(np.abs(np.subtract.outer(np.arange(horizon), np.arange(horizon))))[None, :, None]


def ar1(rho, horizon=16):
    return stationary(lambda lag: rho**lag, horizon)


def in_turn(delay, texture=0.0, width=1, horizon=24, motion=6):
    """Two dimensions of one short motion, the second `delay` steps after the first (before it if negative).

    Each has a texture of its own besides, of `texture` times the motion's variance and `width` steps.
    """
    lag = np.subtract.outer(np.arange(horizon), np.arange(horizon))
    covariance = np.empty((2, horizon, 2, horizon))
    for a in range(2):
        for b in range(2):
            covariance[a, :, b] = np.maximum(0.0, 1 - np.abs(lag + delay * (b - a)) / motion)
        covariance[a, :, a] += texture * np.maximum(0.0, 1 - np.abs(lag) / width)
    return covariance


# The loss of a crop


@pytest.mark.parametrize("rho", [0.5, 0.9])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 0.9])
def test_the_loss_of_the_whole_chunk_tends_to_the_closed_form_of_wiener(rho, sigma):
    """AR(1) in white noise: the mean of S sigma^2 / (a^2 S + sigma^2) over the circle is an elementary integral."""
    a2, s2 = 1 - sigma**2, sigma**2
    constant, cosine = a2 * (1 - rho**2) + s2 * (1 + rho**2), 2 * s2 * rho
    exact = s2 * (1 - rho**2) / np.sqrt(constant**2 - cosine**2)
    inner = denoising_loss(ar1(rho, 400), ar1(rho, 400), 400, np.array([sigma]))[0]
    assert inner == pytest.approx(exact, rel=0.05)


@given(st.floats(0.1, 0.99), st.floats(0.05, 0.95), st.integers(1, 15))
def test_the_loss_of_a_crop_is_the_kalman_smoothers(rho, sigma, length):
    """AR(1) is Markov: what lies left and right of a step tells of it through two scalar recursions."""
    a2, s2 = 1 - sigma**2, sigma**2

    def precision_of_one_side(steps):
        # Information about the next state from `steps` noisy states before it, beyond the stationary prior's.
        variance = 1.0
        for _ in range(steps):
            variance = 1 / (1 / variance + a2 / s2)
            variance = rho**2 * variance + 1 - rho**2
        return 1 / variance - 1.0

    horizon = 16
    expected = 0.0
    for h in range(horizon):
        start = min(max(h - (length - 1) // 2, 0), horizon - length)
        left, right = h - start, start + length - 1 - h
        expected += 1 / (1 + a2 / s2 + precision_of_one_side(left) + precision_of_one_side(right)) / horizon
    found = denoising_loss(ar1(rho), ar1(rho), length, np.array([sigma]))[0]
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_wrong_denoiser_is_no_better_than_the_right_one():
    right, wrong = (denoising_loss(ar1(rho), ar1(0.9), 8, LEVELS) for rho in (0.9, 0.2))
    assert (right < wrong).all()


# The receptive field


def field_of(covariance, excess=0.05):
    lengths = crop_lengths(covariance.shape[1])
    losses = np.stack([denoising_loss(covariance, covariance, int(length), LEVELS) for length in lengths])
    variance = np.einsum("ahah->", covariance) / covariance[..., 0, 0].size
    return nearest_enough(lengths, losses, variance, excess)


def test_white_noise_needs_no_neighbours():
    assert (field_of(ar1(0.0)) == 1).all()


def test_what_never_changes_within_a_chunk_needs_all_of_it():
    assert (field_of(ar1(1.0)) > 14).all()


def test_the_field_grows_with_noise_and_with_smoothness():
    rough, smooth = field_of(ar1(0.7)), field_of(ar1(0.99))
    assert (np.diff(rough) >= 0).all() and rough[0] <= 3 and rough[-1] > 6
    assert (smooth >= rough).all() and (smooth > rough).any()


def test_a_dimension_that_tells_of_another_is_looked_at():
    together = in_turn(12)
    apart = together.copy()
    apart[0, :, 1] = apart[1, :, 0] = 0.0
    level = int(np.searchsorted(LEVELS, 0.7))
    assert field_of(together)[level] >= 13 > field_of(apart)[level]


def test_lengths_are_dense_where_it_matters_and_end_with_the_chunk():
    assert crop_lengths(16).tolist() == list(range(1, 17))
    lengths = crop_lengths(64)
    assert lengths[-1] == 64 and (np.diff(lengths) <= np.maximum(1, lengths[:-1] // 8)).all()


@pytest.mark.parametrize(("episodes", "off"), [(40, 2), (400, 1)])
def test_it_is_found_from_data(episodes, off):
    covariance = ar1(0.95)
    found = receptive_field(gaussian_chunks(covariance, episodes, 8, seed=0), LEVELS)
    exact = field_of(covariance)
    assert np.abs(found.steps - exact).max() <= off
    assert (found.low <= found.steps).all() and (found.steps <= found.high).all()
    assert ((found.low <= exact) & (exact <= found.high)).mean() > 0.8


def test_few_episodes_are_not_believed_to_know_every_step():
    """Judged on what it was fitted to, the covariance of 8 chunks would make the whole chunk look indispensable."""
    covariance = ar1(0.7)
    few = gaussian_chunks(covariance, 8, 1, seed=0)
    x = few.x_0.numpy()[..., 0].astype(np.float64)
    in_sample = np.cov(x.T, bias=True)[None, :, None]
    found = receptive_field(few, LEVELS)
    assert field_of(in_sample)[2] >= 10 > found.steps[2]
    assert found.shrinkage > 0.3


def test_wide_chunks_are_reduced_to_what_moves_most():
    rng = np.random.default_rng(0)
    x_0 = torch.from_numpy((rng.normal(size=(60, 64, 8)) * np.arange(1, 9)).astype(np.float32))
    found = receptive_field(ArrayChunks("wide", x_0, np.repeat(np.arange(12), 5)), np.array([0.5]))
    assert found.dims.tolist() == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("sigmas", "excess", "message"),
    [
        ([0.2, 0.1], 0.05, r"levels must ascend strictly within \(0, 1\)"),
        ([0.0, 0.1], 0.05, "levels must ascend"),
        ([0.5, 1.0], 0.05, "levels must ascend"),
        ([0.5], 0.0, "excess = 0.0 must be positive"),
    ],
)
def test_levels_and_excess_out_of_range_are_refused(sigmas, excess, message):
    with pytest.raises(ValueError, match=message):
        receptive_field(gaussian_chunks(ar1(0.9), 10, 5, 0), np.array(sigmas), excess=excess)


def test_constant_actions_and_too_few_chunks_are_refused():
    few = gaussian_chunks(ar1(0.9), 2, 3, 0, name="tiny")
    with pytest.raises(ValueError, match=r"'tiny': 2 episodes with 6 complete chunks .* give 5 episodes"):
        receptive_field(few, LEVELS)
    with pytest.raises(ValueError, match=r"'tiny': its actions never change.*leave it out"):
        receptive_field(dataclasses.replace(few, x_0=torch.ones_like(few.x_0)), LEVELS)


# Crops


def test_crops_are_parts_of_their_chunks():
    chunks = gaussian_chunks(in_turn(12), 4, 3, seed=0)
    crops = Crops(chunks, 5, (0, 7, 19))
    assert (len(crops), crops.horizon, crops.dims, crops.name) == (36, 5, 2, "source")
    x_0, is_pad = crops.gather(torch.tensor([0, 1, 5, 35]))
    for row, (chunk, start) in enumerate([(0, 0), (0, 7), (1, 19), (11, 19)]):
        assert torch.equal(x_0[row], chunks.x_0[chunk, start : start + 5])
    assert is_pad.shape == (4, 5)
    assert crops.episode.tolist() == np.repeat(chunks.episode, 3).tolist()


def test_padding_of_the_chunk_is_padding_of_the_crop():
    class Padded(ArrayChunks):
        def gather(self, index):
            x_0, is_pad = super().gather(index)
            is_pad[:, -2:] = True
            return x_0, is_pad

    chunks = Padded("padded", torch.zeros(3, 8, 1), np.arange(3))
    _, is_pad = Crops(chunks, 4, (0, 3, 4)).gather(torch.arange(3))
    assert is_pad.sum(1).tolist() == [0, 1, 2]


@given(st.integers(1, 64), st.integers(1, 5), st.data())
def test_starts_stay_inside_and_reach_both_ends(horizon, places, data):
    length = data.draw(st.integers(1, horizon))
    starts = crop_starts(horizon, length, places)
    assert starts[0] == 0 and starts[-1] <= horizon - length and len(starts) <= places
    assert places == 1 or starts[-1] == horizon - length


@pytest.mark.parametrize(("length", "starts"), [(0, (0,)), (9, (0,)), (4, (5,)), (4, (-1,)), (4, ())])
def test_crops_that_leave_the_chunk_are_refused(length, starts):
    with pytest.raises(ValueError, match="leave a chunk of 8; use a length from 1 to 8"):
        Crops(gaussian_chunks(ar1(0.5, 8), 2, 2, 0), length, starts)


def test_extreme_directions_have_the_extreme_ratios():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(2, 6, 9))
    g_p, g_q = (root @ root.T for root in roots)
    found = extreme_directions(g_p, g_q, 4)
    ratios = np.sort(np.linalg.eigvals(np.linalg.solve(g_p, g_q)).real)
    np.testing.assert_allclose(np.einsum("fk,fg,gk->k", found, g_p, found), 1.0, rtol=1e-9)
    np.testing.assert_allclose(np.einsum("fk,fg,gk->k", found, g_q, found), ratios[[0, 1, -2, -1]], rtol=1e-9)


# sigma_max


def exact_sigma_max(target, source, excess=0.05, min_ratio=2.0):
    """From the covariances themselves: the last level below the first where a direction has another power."""
    horizon = target.shape[1]
    for i, (sigma, length) in enumerate(zip(LEVELS, field_of(target, excess), strict=True)):
        for start in crop_starts(horizon, int(length), 3):
            crop = slice(start, start + length)
            noised = [
                (1 - sigma**2) * c[:, crop, :, crop].reshape(2 * length, -1) + sigma**2 * np.eye(2 * length)
                for c in (target, source)
            ]
            ratios = np.linalg.eigvals(np.linalg.solve(*noised)).real
            if ratios.max() > min_ratio or ratios.min() < 1 / min_ratio:
                return float(LEVELS[i - 1]) if i else 0.0
    return 1.0


@pytest.mark.parametrize(("texture", "width", "exact"), [(0.4, 1, 0.5), (0.2, 1, 0.3), (0.4, 3, 0.2)])
@pytest.mark.parametrize("episodes", [(50, 200), (400, 400)])
def test_planted_locality_is_recovered(texture, width, exact, episodes):
    """The same two motions, one after the other, in the other order: alone they look the same."""
    target, source = in_turn(12, texture, width), in_turn(-12, texture, width)
    assert exact_sigma_max(target, source) == exact
    evidence = locality_window(
        gaussian_chunks(target, episodes[0], 20, 0), gaussian_chunks(source, episodes[1], 20, 1), LEVELS
    )
    # With 50 episodes the widest texture leaves a difference that hardly shows: then it says so, and `shown` is right.
    level = evidence.shown if evidence.weak else evidence.sigma_max
    assert abs(np.searchsorted(LEVELS, level) - np.searchsorted(LEVELS, exact)) <= 1
    assert not evidence.weak or episodes[0] == 50
    # Crops too short to hold both motions have one law, exactly.
    short = evidence.field.high <= 12 - 6
    assert short.any() and not evidence.parted[short].any()
    if episodes[0] == 400:
        assert evidence.alike[short].all()


@pytest.mark.parametrize("jitter", [0.05, 0.2])
def test_planted_jitter_leaves_nothing_below(jitter):
    smooth = stationary(lambda lag: np.exp(-((lag / 8.0) ** 2)), 16)
    shaken = smooth + jitter**2 * stationary(lambda lag: lag == 0, 16)
    evidence = locality_window(gaussian_chunks(smooth, 60, 20, 0), gaussian_chunks(shaken, 200, 20, 1), LEVELS)
    assert evidence.sigma_max == 0.0
    assert not evidence.weak
    assert evidence.ratio[0] > 2.0


def test_the_same_law_twice_admits_every_level():
    levels = LEVELS[::3]
    found = [
        locality_window(gaussian_chunks(ar1(0.9), 50, 8, 2 * s), gaussian_chunks(ar1(0.9), 100, 8, 2 * s + 1), levels)
        for s in range(20)
    ]
    assert sum(evidence.sigma_max == 1.0 for evidence in found) >= 19


def test_too_little_data_is_called_weak():
    few, many = (
        locality_window(gaussian_chunks(ar1(0.9), n, 8, 0), gaussian_chunks(ar1(0.9), n, 8, 1), LEVELS)
        for n in (10, 1000)
    )
    assert few.sigma_max == 1.0 and few.weak and few.shown < 1.0
    assert any("Weak evidence" in note for note in few.notes)
    assert many.sigma_max == many.shown == 1.0 and not many.weak


def test_stretches_of_two_episodes_show_nothing_to_be_alike():
    evidence = locality_window(gaussian_chunks(ar1(0.9), 2, 300, 0), gaussian_chunks(ar1(0.9), 2, 300, 1), LEVELS)
    assert evidence.weak and evidence.shown == 0.0
    assert any("stretches" in note for note in evidence.notes)


def test_directions_across_dimensions_are_seen():
    """Equal spectra in every dimension; only which of them move together differs."""
    pairs = [
        gaussian_chunks(np.einsum("ab,hg->ahbg", np.array([[1, c], [c, 1]]), ar1(0.9)[0, :, 0]), 100, 10, seed)
        for seed, c in enumerate((0.9, -0.9))
    ]
    assert locality_window(*pairs, LEVELS).sigma_max == 0.0


def test_more_features_than_fit_are_reduced():
    rng = np.random.default_rng(0)
    slow = np.cumsum(rng.normal(size=(600, 32, 12)), axis=1) / 6
    sets = []
    for half, jitter in ((slow[:300], 0.0), (slow[300:], 0.3)):
        x_0 = torch.from_numpy((half + jitter * rng.normal(size=half.shape)).astype(np.float32))
        sets.append(ArrayChunks("wide", x_0, np.repeat(np.arange(60), 5)))
    evidence = locality_window(*sets, LEVELS[::4], LocalityOptions())
    assert evidence.sigma_max < 0.3
