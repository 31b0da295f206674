# SPDX-License-Identifier: Apache-2.0
"""A first guess of sigma_min from spectra: no training, seconds.

Symbols
    X_k     orthonormal DCT-II of a chunk over its H steps, k = 0 .. H - 1, per action dimension
    f       frequency k / (2 H) in cycles per step, from 0 to nearly 1/2
    S(f)    power: mean square of X_k about the target's mean chunk
    f*      lowest frequency where the powers of target and source part

The DCT is a rotation, so white noise stays white with variance 1: noised to sigma, the power at f is
(1 - sigma^2) S(f) + sigma^2. It is buried where signal does not exceed noise, at and above

    sigma_bury(f) = sqrt(S(f) / (1 + S(f))).

sigma_min is the level that buries everything at and above f* in both datasets: the largest sigma_bury(f), f >= f*.
Powers count as the same up to a ratio of 2, because this is what burying itself leaves: with the source at
sigma_bury, (noised source) / (noised target) <= 2 whatever the target's power is.

Why the DCT: a chunk is short and does not return to its start. A periodogram would see the jump from its end to its
start, a taper against it would colour the noise and spend the few lowest frequencies. The DCT's even extension has
no jump; the kink it has leaks as f^-4, so a steeper law than alpha = 4 is hardly seen. A straight line that changes
by d over the chunk leaks less than d sqrt(H) / (3 k^2): at high f, where it would matter, far below any level used.

What a spectrum cannot see: it holds second moments, frequency by frequency and dimension by dimension. Two datasets
with the same powers may differ in everything else (modes, phase, which dimensions move together). sigma_min = 0 says
that nothing parts here, not that the datasets are alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes, ChunkSet
from lerobot_ambient.annotate.chunks.cosines import dct_matrix, frequencies
from lerobot_ambient.annotate.chunks.unit_samples import Sample, draw_samples, moving_dims
from lerobot_ambient.annotate.spectra.power_comparison import (
    CompareOptions,
    UnitMoments,
    band,
    by_episode,
    compare,
    log_error,
    parted_between_episodes,
)
from lerobot_ambient.annotate.spectra.power_law import PowerLaw, fit_power_law
from lerobot_ambient.core.arrays import Floats

MIN_HORIZON = 4


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The spectrum of one dataset.

    Args:
        name: of the dataset.
        psd, low, high: (H, A) S(f) per compared dimension, with its 95 % band.
        mean, mean_low, mean_high: (H,) the same, averaged over dimensions.
        fit: power law of the average.
        chunks, episodes: how many it was computed from.
    """

    name: str
    psd: Floats
    low: Floats
    high: Floats
    mean: Floats
    mean_low: Floats
    mean_high: Floats
    fit: PowerLaw
    chunks: int
    episodes: int


@dataclass(frozen=True, eq=False)
class SpectralEvidence:
    """Where two datasets part, and the level that buries it.

    Args:
        frequencies: (H,) cycles per step.
        dims: (A,) the action dimensions compared.
        target, source: their spectra.
        log_ratio: (H, A) log of the source's power over the target's.
        parted, alike: (H, A) bool; what is neither is undecided.
        sigma_min: the level; 0 where nothing parts.
        bury_range: from the level that buries what is shown to part (lower ends of the bands) to the one that buries
            all that is not shown to be alike (upper ends); wide where there is too little data. No confidence interval
            of any level: burying is a rule of thumb, which a classifier that adds up what many frequencies leak beats.
        f_star: lowest parted frequency of the dimension that decides, None where nothing parts.
        dim_star: that dimension, an entry of `dims`.
        notes: caveats, in words.
        axes: names of the dimensions, and the rate that makes Hz of cycles per step.
    """

    frequencies: Floats
    dims: NDArray[np.int64]
    target: Spectrum
    source: Spectrum
    log_ratio: Floats
    parted: NDArray[np.bool_]
    alike: NDArray[np.bool_]
    sigma_min: float
    bury_range: tuple[float, float]
    f_star: float | None
    dim_star: int | None
    notes: tuple[str, ...]
    axes: ActionAxes

    @property
    def parts(self) -> str:
        """Where they part in words: "wrist_roll.pos, from 1.9 Hz"."""
        if self.dim_star is None or self.f_star is None:
            return "nowhere"
        return f"{self.axes.dimension(self.dim_star)}, from {self.axes.frequency(self.f_star)}"

    def __repr__(self) -> str:
        low, high = self.bury_range
        where = "nothing parts" if self.f_star is None else f"they part in {self.parts}"
        return f"{self.source.name}: sigma_min {self.sigma_min:.3f} ({low:.3f} .. {high:.3f}), {where}"


def sigma_bury(psd: Floats) -> Floats:
    """The level at and above which a power is buried: (1 - sigma^2) S = sigma^2."""
    return np.sqrt(psd / (1.0 + psd))


def spectral_window(target: ChunkSet, source: ChunkSet, options: CompareOptions | None = None) -> SpectralEvidence:
    """Compare the spectra of a target and a source.

    Raises:
        ValueError: a horizon too short, too few episodes, or actions that never change.
    """
    options = options or CompareOptions()
    if target.horizon < MIN_HORIZON:
        raise ValueError(
            f"'{target.name}': a chunk of {target.horizon} actions has no spectrum to speak of; set "
            f"{target.axes.length_option} to {MIN_HORIZON} or more."
        )
    samples = draw_samples(
        target, source, max_episodes=options.max_episodes, max_values=options.max_values, seed=options.seed
    )
    dims = moving_dims(*samples)
    moments_p, moments_q = (_dct_moments(sample, dims) for sample in samples)
    comparison = compare(moments_p, moments_q, options)
    shape = (target.horizon, len(dims))
    p = _spectrum(samples[0], comparison.target, comparison.target_resampled, shape, comparison.target_freedom)
    q = _spectrum(samples[1], comparison.source, comparison.source_resampled, shape, comparison.source_freedom)
    parted, alike = comparison.parted.reshape(shape), comparison.alike.reshape(shape)
    if not (samples[0].whole_episodes and samples[1].whole_episodes):
        episodes_p, episodes_q = by_episode(moments_p, samples[0].episode), by_episode(moments_q, samples[1].episode)
        parted &= parted_between_episodes(episodes_p, episodes_q, target.horizon, options).reshape(shape)
    from_f_star = np.logical_or.accumulate(parted, axis=0)
    level = sigma_bury(np.maximum(p.psd, q.psd))
    sigma_min = _highest(level, from_f_star)
    bury_range = (
        _highest(sigma_bury(np.maximum(p.low, q.low)), from_f_star),
        _highest(sigma_bury(np.maximum(p.high, q.high)), np.logical_or.accumulate(~alike, axis=0)),
    )
    f_star, dim_star = None, None
    if parted.any():
        decides = int(np.argmax(np.where(from_f_star, level, 0.0).max(0)))
        f_star, dim_star = float(frequencies(target.horizon)[np.argmax(parted[:, decides])]), int(dims[decides])
    return SpectralEvidence(
        frequencies=frequencies(target.horizon),
        dims=dims,
        target=p,
        source=q,
        log_ratio=comparison.log_ratio.reshape(shape),
        parted=parted,
        alike=alike,
        sigma_min=sigma_min,
        bury_range=bury_range,
        f_star=f_star,
        dim_star=dim_star,
        notes=_notes(
            samples, dims, (dim_star, f_star), int((~parted & ~alike).sum()), sigma_min, bury_range, target.axes
        ),
        axes=target.axes,
    )


def _dct_moments(sample: Sample, dims: NDArray[np.int64]) -> UnitMoments:
    """Moments of the DCT coefficients of the chosen dimensions, (H * A) coordinates."""
    basis = dct_matrix(sample.x_0.shape[1])
    sums, squares = [], []
    for u in range(sample.units):
        y = basis @ sample.unit(u)[..., dims]
        sums.append(y.sum(0).reshape(-1))
        squares.append((y**2).sum(0).reshape(-1))
    return UnitMoments(sample.sizes, np.stack(sums), np.stack(squares))


def _spectrum(sample: Sample, power: Floats, resampled: Floats, shape: tuple[int, int], freedom: int) -> Spectrum:
    low, high = (edge.reshape(shape) for edge in band(power, resampled, freedom))
    mean, means = power.reshape(shape).mean(1), resampled.reshape(-1, *shape).mean(2)
    mean_low, mean_high = band(mean, means, freedom)
    fit = fit_power_law(frequencies(shape[0])[1:], mean[1:], log_error(means, freedom)[1:], means[:, 1:])
    return Spectrum(
        name=sample.name,
        psd=power.reshape(shape),
        low=low,
        high=high,
        mean=mean,
        mean_low=mean_low,
        mean_high=mean_high,
        fit=fit,
        chunks=len(sample.x_0),
        episodes=sample.episodes,
    )


def _highest(level: Floats, where: NDArray[np.bool_]) -> float:
    return float(np.where(where, level, 0.0).max())


def _notes(
    samples: tuple[Sample, Sample],
    dims: NDArray[np.int64],
    decides: tuple[int | None, float | None],
    undecided: int,
    sigma_min: float,
    bury_range: tuple[float, float],
    axes: ActionAxes,
) -> tuple[str, ...]:
    notes = [
        "Spectra hold second moments only: modes, phase and which dimensions move together are invisible.",
        "Burying levels go from the one that buries what is shown to part to the one that buries all that is not shown "
        "to be alike. They are no interval of sigma_min: what separates the datasets may show above both, and where "
        "the truth is known they held it in none of 20 draws.",
        "The Gaussian score adds up what all frequencies leak: sigma_min of a perfect classifier at tau 0.05, were "
        "chunks Gaussian with independent coefficients of the powers found. Modes and phase put the level higher.",
    ]
    if decides[0] is not None and decides[1] is not None:
        notes.append(f"{axes.dimension(decides[0])}, from {axes.frequency(decides[1])}, decides: there they part.")
    notes += [
        f"'{sample.name}' has {sample.episodes} episodes: errors are those of {sample.units} stretches of them and "
        "know little of how episodes differ: bands and burying levels may be too narrow."
        for sample in samples
        if not sample.whole_episodes
    ]
    horizon, all_dims = samples[0].x_0.shape[1:]
    left_out = sorted(set(range(all_dims)) - set(dims.tolist()))
    if left_out:
        listed = ", ".join(axes.dimension(dim) for dim in left_out)
        notes.append(f"Left out, being absent or never changing: {listed}.")
    if undecided:
        notes.append(
            f"{undecided} of {horizon * len(dims)} pairs of frequency and dimension are neither shown to part nor "
            f"shown to be alike: if all of them part, sigma_min is {bury_range[1]:.3f}, not {sigma_min:.3f}."
        )
    return tuple(notes)
