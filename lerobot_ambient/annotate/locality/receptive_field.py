# SPDX-License-Identifier: Apache-2.0
"""How far a denoiser looks: the crop that is enough to denoise a step, as a function of the noise level.

Symbols
    a         sqrt(1 - sigma^2)
    Sigma     (H A, H A) covariance of a chunk, or of a crop of it
    D_sigma   a Sigma (a^2 Sigma + sigma^2 I)^-1, the best linear denoiser of x_sigma
    e         its mean squared error, averaged over steps and dimensions as the loss of training is
    r(sigma)  receptive field in steps

A row of D_sigma says which steps the denoiser reads, but its width depends on how its tails are judged. What is meant
is the loss: r(sigma) is the shortest crop around a step from which denoising is nearly as good as it gets,

    e(crop) - e(best)  <=  excess * min(e(best), variance - e(best)).

The first term of the minimum counts at low levels: the error may grow by that share of itself. The second counts at
high levels, where hardly anything can be denoised and every error is nearly the variance: of what can be told, the crop
may miss that share. Crops that would leave the chunk are shifted inwards, so all have r steps. A denoiser looks no
less far at a higher level; the estimate is made monotone (running maximum).

Dimensions are taken together, because one may tell what another did long before. Denoisers are fitted on some episodes
and judged on others: fitted and judged on the same few, the whole chunk would always win.

Only second moments enter. A network may look further than the linear denoiser where chunks are far from Gaussian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet
from lerobot_ambient.annotate.chunks.unit_samples import Sample, draw_sample, fold_of_units, in_stretches
from lerobot_ambient.core.arrays import Floats

EXCESS = 0.05
"""Share of the error, or of what can be told, that looking no further may cost."""
_MAX_SIZE = 384
"""H A of a covariance; beyond it the dimensions that move least are left out."""
FOLDS = 5
_ALL_UP_TO = 16
"""Every length up to here is tried, then each an eighth longer than the last."""
_MAX_CENTRES = 16


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """How far the best linear denoiser of a dataset looks.

    Args:
        sigmas: (L,) VP levels, ascending.
        steps: (L,) int64 r(sigma), ascending, from 1 to H.
        low, high: (L,) least and greatest when judged on each of the folds alone.
        dims: (A,) the action dimensions it was computed from.
        shrinkage: mean weight of the simple covariance it was shrunk to, near 0 with ample data.
    """

    sigmas: Floats
    steps: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    dims: NDArray[np.int64]
    shrinkage: float

    def __repr__(self) -> str:
        shown = np.flatnonzero(np.diff(self.steps, prepend=0))
        return "ReceptiveField(" + ", ".join(f"{self.steps[i]} from {self.sigmas[i]:.3f}" for i in shown) + ")"


def receptive_field(
    chunks: ChunkSet, sigmas: Floats, *, excess: float = EXCESS, seed: int = 0, max_values: int = 2**23
) -> ReceptiveField:
    """The receptive field of a dataset.

    Args:
        chunks: of the dataset.
        sigmas: (L,) VP levels in (0, 1), ascending.
        excess: share that looking no further may cost, above 0.
        seed: of what is drawn from a dataset that is too large.
        max_values: numbers held in memory.

    Raises:
        ValueError: levels or excess out of range, too few complete chunks, or actions that never change.
    """
    sample = draw_sample(chunks, max_episodes=1000, max_values=max_values, seed=seed)
    return field_of_sample(sample, sigmas, excess=excess)


def field_of_sample(sample: Sample, sigmas: Floats, *, excess: float) -> ReceptiveField:
    """As `receptive_field`, for chunks already drawn."""
    if sigmas.ndim != 1 or not len(sigmas) or sigmas[0] <= 0 or sigmas[-1] >= 1 or (np.diff(sigmas) <= 0).any():
        raise ValueError(f"levels must ascend strictly within (0, 1), got {sigmas}.")
    if not excess > 0.0:
        raise ValueError(f"excess = {excess} must be positive: only the whole chunk costs nothing.")
    dims = _moving_most(sample)
    if sample.units < FOLDS:
        sample = in_stretches(sample)
    if sample.units < FOLDS:
        raise ValueError(
            f"'{sample.name}': {sample.episodes} episodes with {len(sample.x_0)} complete chunks of "
            f"{sample.x_0.shape[1]} actions are too few to leave some out; give {FOLDS} episodes or longer ones."
        )
    sizes, sums, outer = _moments_of_folds(sample, dims)
    lengths = crop_lengths(sample.x_0.shape[1])
    losses, variances, weights = [], [], []
    for fold in range(FOLDS):
        rest = np.arange(FOLDS) != fold
        mean = sums[rest].sum(0) / sizes[rest].sum()
        covariance = _about(mean, sizes[rest].sum(), sums[rest].sum(0), outer[rest].sum(0))
        weight = _shrinkage(covariance, mean, sizes[rest], sums[rest], outer[rest])
        judge = _about(mean, sizes[fold], sums[fold], outer[fold])
        fitted = (1.0 - weight) * covariance + weight * _simple(covariance)
        losses.append(np.stack([denoising_loss(fitted, judge, int(length), sigmas) for length in lengths]))
        variances.append(np.einsum("ahah->", judge) / judge[..., 0, 0].size)
        weights.append(weight)
    share = sizes / sizes.sum()
    steps = nearest_enough(lengths, np.tensordot(share, losses, 1), float(share @ variances), excess)
    alone = np.stack([nearest_enough(lengths, *each, excess) for each in zip(losses, variances, strict=True)])
    return ReceptiveField(
        sigmas, steps, np.minimum(alone.min(0), steps), np.maximum(alone.max(0), steps), dims, float(np.mean(weights))
    )


def denoising_loss(fitted: Floats, judge: Floats, length: int, sigmas: Floats) -> Floats:
    """Mean squared error of a linear denoiser that sees crops of a length.

    Args:
        fitted: (A, H, A, H) the covariance it is best for.
        judge: (A, H, A, H) the second moments of the chunks it denoises, about the mean of the others.
        length: r in [1, H].
        sigmas: (L,) levels in (0, 1).

    Returns:
        (L,) the mean over dimensions and steps.
    """
    dims, horizon = fitted.shape[:2]
    # Enough steps to average over; of a long chunk not all, and its ends no more often than they come.
    count = min(horizon, _MAX_CENTRES)
    centres = ((np.arange(count) + 0.5) * horizon / count).astype(np.int64)
    starts = np.clip(centres - (length - 1) // 2, 0, horizon - length)
    a = np.sqrt(1.0 - sigmas**2)
    total = np.zeros(len(sigmas))
    for start in np.unique(starts):
        crop = slice(start, start + length)
        power, vectors = np.linalg.eigh(fitted[:, crop, :, crop].reshape(dims * length, -1))
        gain = a[:, None] * np.maximum(power, 0.0) / (a[:, None] ** 2 * np.maximum(power, 0.0) + sigmas[:, None] ** 2)
        at = (np.arange(dims)[:, None] * length + centres[starts == start] - start).reshape(-1)
        rows = (vectors[at] * gain[:, None]) @ vectors.T
        missed = np.eye(dims * length)[at] - a[:, None, None] * rows
        moments = judge[:, crop, :, crop].reshape(dims * length, -1)
        total += ((missed @ moments) * missed).sum((1, 2)) + sigmas**2 * (rows**2).sum((1, 2))
    return total / (dims * count)


def crop_lengths(horizon: int) -> NDArray[np.int64]:
    """The lengths that are tried, from 1 to H."""
    lengths = [1]
    while lengths[-1] < horizon:
        last = lengths[-1]
        lengths.append(min(horizon, last + 1 if last < _ALL_UP_TO else last + last // 8))
    return np.array(lengths)


def nearest_enough(lengths: NDArray[np.int64], losses: Floats, variance: float, excess: float) -> NDArray[np.int64]:
    """(L,) r(sigma) from the losses (lengths, L) of crops."""
    best = losses.min(0)
    allowed = excess * np.clip(np.minimum(best, variance - best), 0.0, None)
    return np.maximum.accumulate(lengths[(losses - best <= allowed).argmax(0)])


def _moving_most(sample: Sample) -> NDArray[np.int64]:
    """(A,) dimensions, ascending; as many as a covariance may hold."""
    moves = sample.moves()
    if not moves.any():
        raise ValueError(f"'{sample.name}': its actions never change, so there is nothing to denoise; leave it out.")
    spread = np.where(moves, sample.x_0.var(axis=(0, 1), dtype=np.float64), -1.0)
    count = min(int(moves.sum()), max(1, _MAX_SIZE // sample.x_0.shape[1]))
    return np.sort(np.argsort(-spread, kind="stable")[:count])


def _moments_of_folds(sample: Sample, dims: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """(K,) chunks, (K, A, H) sums and (K, A, H, A, H) sums of products."""
    shape = len(dims), sample.x_0.shape[1]
    size = shape[0] * shape[1]
    sizes, sums, outer = np.zeros(FOLDS), np.zeros((FOLDS, size)), np.zeros((FOLDS, size, size))
    for u, fold in enumerate(fold_of_units(sample, FOLDS)):
        x = sample.unit(u)[..., dims].transpose(0, 2, 1).reshape(-1, size)
        sizes[fold] += len(x)
        sums[fold] += x.sum(0)
        outer[fold] += x.T @ x
    return sizes, sums.reshape(-1, *shape), outer.reshape(-1, *shape, *shape)


def _about(mean: Floats, size: float, total: Floats, products: Floats) -> Floats:
    """(A, H, A, H) mean of (x - mean) (x - mean)^T."""
    cross = np.multiply.outer(total, mean) / size
    return products / size - cross - cross.transpose(2, 3, 0, 1) + np.multiply.outer(mean, mean)


def _simple(covariance: Floats) -> Floats:
    """The stationary part of each dimension on its own: means along diagonals, nothing across dimensions."""
    dims, horizon = covariance.shape[:2]
    lags = np.abs(np.subtract.outer(np.arange(horizon), np.arange(horizon)))
    result = np.zeros_like(covariance)
    for a in range(dims):
        by_lag = np.array([np.diagonal(covariance[a, :, a], lag).mean() for lag in range(horizon)])
        result[a, :, a] = by_lag[lags]
    return result


def _shrinkage(covariance: Floats, mean: Floats, sizes: Floats, sums: Floats, outer: Floats) -> float:
    """Weight of the simple part: sampling variance over squared distance (Schaefer and Strimmer 2005)."""
    folds, n = len(sizes), sizes.sum()
    variance = sum(
        float(((size / n * (_about(mean, size, total, products) - covariance)) ** 2).sum())
        for size, total, products in zip(sizes, sums, outer, strict=True)
    )
    distance = float(((covariance - _simple(covariance)) ** 2).sum())
    return float(np.clip(folds / (folds - 1) * variance / max(distance, 1e-300), 0.0, 1.0))
