# SPDX-License-Identifier: Apache-2.0
"""Spectral windows against laws whose spectra are known, and on the real recordings."""

import dataclasses

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.stats
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from hypothesis import given
from hypothesis import strategies as st

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes, ArrayChunks
from lerobot_ambient.annotate.chunks.cosines import dct_matrix, frequencies
from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of
from lerobot_ambient.annotate.spectra.gaussian_classifier import gaussian_scores
from lerobot_ambient.annotate.spectra.power_comparison import CompareOptions
from lerobot_ambient.annotate.spectra.spectrum import sigma_bury, spectral_window
from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

HORIZON, DIMS = 16, 2


def chunks(x_0, per_episode, name="source"):
    episode = np.repeat(np.arange(-(-len(x_0) // per_episode)), per_episode)[: len(x_0)]
    return ArrayChunks(name, torch.from_numpy(np.asarray(x_0, dtype=np.float32)), episode)


def coloured(psd, episodes, per_episode, seed, name="source"):
    """Gaussian chunks of DCT powers psd (H,), the same in every dimension."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(episodes * per_episode, len(psd), DIMS)) * np.sqrt(psd)[:, None]
    return chunks(dct_matrix(len(psd)).T @ y, per_episode, name)


def wandering(episodes, seed, name="source", jitter=0.0, length=40):
    """Sliding chunks of slow paths with an offset and a scale per episode, the scale heavy-tailed."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(np.cumsum(rng.normal(size=(episodes, length, DIMS)), axis=1), axis=1) / length**1.5
    path = np.exp(0.6 * rng.normal(size=(episodes, 1, DIMS))) * steps + 0.3 * rng.normal(size=(episodes, 1, DIMS))
    path += jitter * rng.normal(size=path.shape)
    x_0 = np.lib.stride_tricks.sliding_window_view(path, HORIZON, axis=1).transpose(0, 1, 3, 2)
    return chunks(x_0.reshape(-1, HORIZON, DIMS), length - HORIZON + 1, name)


def power_law(C, alpha, horizon=HORIZON):
    f = frequencies(horizon)
    return C * np.append(2 * f[1], f[1:]) ** -alpha


# The transform


def test_white_noise_of_variance_one_has_power_one_everywhere():
    noise = coloured(np.ones(HORIZON), 400, 10, seed=0)
    evidence = spectral_window(noise, coloured(np.ones(HORIZON), 400, 10, seed=1))
    assert np.abs(np.log(evidence.target.psd)).max() < 0.08


@given(st.floats(1e-6, 1e4))
def test_at_its_burying_level_a_power_equals_the_noise(psd):
    sigma = float(sigma_bury(np.array(psd)))
    assert (1 - sigma**2) * psd == pytest.approx(sigma**2, rel=1e-6)


# The power law


@pytest.mark.parametrize(("C", "alpha"), [(1e-3, 1.5), (1e-5, 3.0)])
def test_a_power_law_is_recovered_within_its_intervals(C, alpha):
    target = coloured(power_law(C, alpha), 60, 10, seed=100)
    fits = [spectral_window(target, coloured(power_law(C, alpha), 60, 10, seed)).source.fit for seed in range(20)]
    for name, truth in (("C", C), ("alpha", alpha)):
        covered = sum(
            getattr(fit, f"{name}_interval")[0] <= truth <= getattr(fit, f"{name}_interval")[1] for fit in fits
        )
        # 95 % nominal; 17 of 20 or more has probability 0.98.
        assert covered >= 17
        assert np.mean([getattr(fit, name) for fit in fits]) == pytest.approx(truth, rel=0.05)
    assert min(fit.r2 for fit in fits) > 0.99


def test_goodness_of_fit_tells_when_it_is_no_power_law():
    bump = power_law(1e-4, 2.0) * np.where(np.arange(HORIZON) == 9, 300.0, 1.0)
    evidence = spectral_window(coloured(power_law(1e-4, 2.0), 60, 10, 0), coloured(bump, 60, 10, 1))
    assert evidence.target.fit.r2 > 0.99
    assert evidence.source.fit.r2 < 0.7


# sigma_min


def test_the_same_law_twice_gives_zero():
    found = [spectral_window(wandering(50, 2 * s), wandering(200, 2 * s + 1)).sigma_min for s in range(20)]
    assert sum(sigma_min == 0.0 for sigma_min in found) >= 19


def test_a_few_episodes_of_the_same_law_give_zero():
    found = [spectral_window(wandering(6, 2 * s), wandering(6, 2 * s + 1)).sigma_min for s in range(20)]
    assert sum(sigma_min == 0.0 for sigma_min in found) >= 19


@pytest.mark.parametrize("jitter", [0.03, 0.1, 0.3])
def test_planted_jitter_is_buried_at_its_own_level(jitter):
    """f* is where the smooth spectrum falls to the jitter's; the source has 1 to 2 times the jitter's power there."""
    evidence = spectral_window(wandering(100, 0), wandering(400, 1, jitter=jitter))
    low, high = (sigma_bury(np.array(times * jitter**2)) for times in (1, 2))
    assert 0.93 * low < evidence.sigma_min < 1.07 * high
    assert evidence.bury_range[0] <= evidence.sigma_min <= evidence.bury_range[1]
    assert evidence.f_star is not None and evidence.f_star > 0


def test_jitter_on_a_steep_spectrum_gives_the_analytic_level():
    """Where the smooth spectrum is far below the jitter from one frequency to the next, the level is exact."""
    steep = np.where(np.arange(HORIZON) < 4, 1.0, 1e-6)
    evidence = spectral_window(coloured(steep, 100, 20, 0), coloured(steep + 0.1**2, 400, 20, 1))
    assert evidence.f_star == 4 / (2 * HORIZON)
    assert evidence.sigma_min == pytest.approx(0.1 / np.sqrt(1 + 0.1**2), rel=0.05)
    low, high = evidence.bury_range
    assert 0.95 * evidence.sigma_min < low <= evidence.sigma_min <= high < 1.1 * evidence.sigma_min


@pytest.mark.parametrize("shaking", ["target", "source"])
def test_a_smoother_source_parts_as_a_rougher_one_does(shaking):
    rough, smooth = wandering(100, 1, jitter=0.1), wandering(100, 0)
    evidence = spectral_window(*((rough, smooth) if shaking == "target" else (smooth, rough)))
    assert 0.09 < evidence.sigma_min < 0.16
    assert np.sign(evidence.log_ratio[-1]).tolist() == [1 if shaking == "source" else -1] * DIMS


def test_one_shaking_dimension_is_not_averaged_away():
    target, source = wandering(100, 0), wandering(100, 1)
    noise = torch.randn(source.x_0.shape[:2], generator=torch.Generator().manual_seed(0))
    source.x_0[..., 1] += 0.1 * noise
    evidence = spectral_window(target, source)
    assert evidence.dim_star == 1
    assert 0.09 < evidence.sigma_min < 0.16
    assert f"action dimension 1, from {evidence.f_star:.3f} cycles per step, decides" in " ".join(evidence.notes)
    axes = ActionAxes(("pan.pos", "roll.pos", *"cdefgh")[: target.dims], fps=30.0)
    named = spectral_window(dataclasses.replace(target, axes=axes), source)
    assert named.parts == f"roll.pos, from {30 * evidence.f_star:.3g} Hz"
    assert f"{named.parts}, decides: there they part." in named.notes


@pytest.mark.parametrize("distance", [1.0, 10.0])
def test_disjoint_data_part_at_the_lowest_frequency(distance):
    rng = np.random.default_rng(0)
    places = [sign * distance + 0.01 * rng.normal(size=(30, 1, HORIZON, DIMS)) for sign in (1, -1)]
    evidence = spectral_window(*(chunks(np.repeat(place, 5, 1).reshape(-1, HORIZON, DIMS), 5) for place in places))
    assert evidence.f_star == 0.0
    assert evidence.sigma_min >= 0.95


def test_modes_of_the_same_power_are_invisible_and_it_says_so():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=600), np.sign(rng.normal(size=600))
    shape = np.ones((HORIZON, DIMS))
    evidence = spectral_window(*(chunks(mode[:, None, None] * shape, 5) for mode in (one, two)))
    assert evidence.sigma_min == 0.0
    assert "modes" in evidence.notes[0]
    assert not any("decides" in note for note in evidence.notes)


def test_less_data_widen_the_range():
    spans = []
    for episodes in (12, 1000):
        evidence = spectral_window(wandering(episodes, 0), wandering(episodes, 1, jitter=0.1))
        spans.append(evidence.bury_range[1] - evidence.bury_range[0])
    assert spans[0] > 2 * spans[1]


def test_a_shared_constant_tells_nothing_apart():
    near, far = (spectral_window(*(wandering(40, s) for s in (0, 1))) for _ in range(2))
    shifted = [dataclasses.replace(wandering(40, s), x_0=wandering(40, s).x_0 + 0.75) for s in (0, 1)]
    far = spectral_window(*shifted)
    np.testing.assert_allclose(far.log_ratio[:8], near.log_ratio[:8], atol=1e-3)


# Reproducibility and size


def test_nothing_depends_on_the_global_generators():
    first = spectral_window(wandering(20, 0), wandering(20, 1, jitter=0.1))
    np.random.seed(1)
    torch.manual_seed(1)
    again = spectral_window(wandering(20, 0), wandering(20, 1, jitter=0.1))
    for name in ("sigma_min", "bury_range"):
        assert getattr(first, name) == getattr(again, name)
    assert first.source.fit == again.source.fit


def test_large_data_sets_are_drawn_from():
    options = CompareOptions(max_episodes=60, max_values=1000 * HORIZON * DIMS)
    evidence = spectral_window(wandering(30, 0), wandering(200, 1, jitter=0.1), options)
    assert (evidence.target.chunks, evidence.target.episodes) == (30 * 25, 30)
    assert (evidence.source.chunks, evidence.source.episodes) == (1000, 60)
    assert 0.09 < evidence.sigma_min < 0.16


# What a classifier would say


def test_scores_are_those_of_the_exact_classifier():
    s_p, s_q = 0.25, 4.0
    flat = np.full(HORIZON, 1e-2)
    evidence = spectral_window(coloured(flat, 50, 5, 0), coloured(flat, 50, 5, 1))
    parted = np.zeros_like(evidence.parted)
    parted[3, 1] = True
    spectra = [
        dataclasses.replace(spectrum, psd=np.where(parted, s, spectrum.psd))
        for spectrum, s in ((evidence.target, s_p), (evidence.source, s_q))
    ]
    known = dataclasses.replace(evidence, parted=parted, target=spectra[0], source=spectra[1])
    sigmas = np.array([0.1, 0.5, 0.9])
    x = np.linspace(-40, 40, 200001)
    for sigma, score in zip(sigmas, gaussian_scores(known, sigmas), strict=True):
        p, q = (scipy.stats.norm.pdf(x, scale=np.sqrt((1 - sigma**2) * s + sigma**2)) for s in (s_p, s_q))
        exact = scipy.integrate.trapezoid(q * p / np.maximum(p + q, 1e-300), x)
        assert score == pytest.approx(exact, abs=0.006)


def test_scores_grow_with_noise_to_one_half():
    sigmas = np.linspace(0.02, 1.0, 30)
    scores = gaussian_scores(spectral_window(wandering(60, 0), wandering(200, 1, jitter=0.1)), sigmas)
    assert scores[0] < 0.01
    assert scores[-1] == pytest.approx(0.5)
    assert (np.diff(scores) > -1e-3).all()
    assert (gaussian_scores(spectral_window(wandering(50, 0), wandering(50, 1)), sigmas) == 0.5).all()


# Refusals


def still(chunk_set, value=0.5):
    return dataclasses.replace(chunk_set, name="frozen", x_0=torch.full_like(chunk_set.x_0, value))


@pytest.mark.parametrize("order", [1, -1])
def test_actions_that_never_change_are_refused(order):
    with pytest.raises(ValueError, match=r"'frozen': its 2 compared action dimensions never change.*leave the data"):
        spectral_window(*[wandering(20, 0), still(wandering(20, 1))][::order])


def test_a_dimension_that_never_changes_is_left_out_and_named():
    target, source = wandering(20, 0), wandering(20, 1)
    for data in (target, source):
        data.x_0[..., 0] = 0.5
    evidence = spectral_window(target, source)
    assert evidence.dims.tolist() == [1]
    assert "Left out, being absent or never changing: action dimension 0." in evidence.notes


class Masked(ArrayChunks):
    """A dataset that lacks dimension 1: it is 0 in every chunk."""

    @property
    def counts(self):
        return torch.tensor([True, False])


def test_a_dimension_the_source_lacks_is_not_compared():
    lacking = wandering(30, 1)
    lacking = Masked("arm", torch.where(torch.tensor([True, False]), lacking.x_0, 0.0), lacking.episode)
    evidence = spectral_window(wandering(30, 0), lacking)
    assert evidence.dims.tolist() == [0]
    assert evidence.sigma_min == 0.0
    other = Masked("hand", lacking.x_0.flip(2), lacking.episode)
    with pytest.raises(ValueError, match=r"'hand': its 1 compared action dimensions never change"):
        spectral_window(wandering(30, 0), other)


def test_too_few_episodes_are_refused():
    with pytest.raises(
        ValueError, match=r"'tiny': 1 episodes with 25 complete chunks of 16 .* give 5 episodes or more"
    ):
        spectral_window(wandering(20, 0), wandering(1, 1, name="tiny"))


def test_two_long_episodes_are_cut_and_it_says_so():
    evidence = spectral_window(wandering(2, 0, length=200), wandering(2, 1, length=200, jitter=0.1))
    assert evidence.sigma_min > 0.09
    assert any("stretches" in note for note in evidence.notes)


def test_a_short_horizon_is_refused():
    with pytest.raises(ValueError, match=r"a chunk of 2 actions has no spectrum.*set policy.horizon to 4 or more"):
        spectral_window(*(chunks(np.random.default_rng(s).normal(size=(50, 2, 2)), 5) for s in (0, 1)))


def test_chunks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"are 16 x 2, those of 'source' 8 x 2"):
        spectral_window(wandering(20, 0), chunks(np.zeros((50, 8, 2)), 5))


# Through a mixture


def mixture_chunks(target, source, horizon):
    recipe = MixtureRecipe(
        schedule=NoiseSchedule.from_alphas_cumprod(DDPMScheduler(10).alphas_cumprod),
        mixing=Cotrain(),
        action_mode="MIN_MAX",
    )
    return chunks_of(make_mixture(target, [source], ReadOptions([0], list(range(-1, horizon - 1))), recipe))


def test_chunks_with_padding_are_left_out(tmp_path, write_dataset):
    roots = [write_dataset(tmp_path / name, f"me/{name}", [30, 20, 25, 30, 20], seed=s) for s, name in enumerate("ab")]
    target, source = mixture_chunks(Source("me/a", root=str(roots[0])), Source("me/b", root=str(roots[1])), horizon=8)
    evidence = spectral_window(target, source)
    # A chunk of 8 from one frame back lies within an episode of n frames n - 7 times.
    assert evidence.target.chunks == evidence.source.chunks == sum(n - 7 for n in [30, 20, 25, 30, 20])
    long = mixture_chunks(Source("me/a", root=str(roots[0])), Source("me/b", root=str(roots[1])), horizon=32)
    with pytest.raises(ValueError, match=r"'me/a': no chunk of 32 actions lies within an episode"):
        spectral_window(*long)


def test_the_same_operator_gives_zero_and_a_jittered_copy_does_not(shared_data):
    teleop = str(shared_data / "so101_teleop")
    first, second = mixture_chunks(
        Source("a/b", root=teleop, episodes=[0, 1]), Source("a/b", root=teleop, episodes=[2, 3]), horizon=16
    )
    evidence = spectral_window(first, second)
    assert evidence.sigma_min == 0.0
    assert 1.0 < evidence.target.fit.alpha < 4.5
    x_0, is_pad = first.all()
    keep = ~is_pad.any(1)
    jittered = ArrayChunks(
        "jittered",
        x_0[keep] + 0.05 * torch.randn(x_0[keep].shape, generator=torch.Generator().manual_seed(0)),
        first.episode[keep.numpy()],
    )
    assert 0.045 < spectral_window(first, jittered).sigma_min < 0.08
