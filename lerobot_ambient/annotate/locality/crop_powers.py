# SPDX-License-Identifier: Apache-2.0
"""Powers of noised crops along the directions in which two datasets differ most.

Symbols
    z         a crop, its DCT coefficients of all dimensions side by side
    M_p, M_q  second moments of z about the target's mean, target and source
    G         (1 - sigma^2) M + sigma^2 I, the same of noised crops
    rho, v    solutions of G_q v = rho G_p v: directions of extreme power ratio
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.cosines import dct_matrix
from lerobot_ambient.annotate.chunks.unit_samples import Sample, fold_of_units
from lerobot_ambient.annotate.locality.receptive_field import FOLDS
from lerobot_ambient.core.arrays import Floats

_DIRECTIONS = 3
"""Looked at on either end of rho: enough to miss none that matters, few enough to be judged together."""
_MAX_FEATURES = 256
"""Of longer or wider crops the coefficients of least power are left out; noise hides those first."""


def judged_powers(
    target: Sample, source: Sample, dims: NDArray[np.int64], steps: slice, sigmas: Floats
) -> tuple[Floats, Floats]:
    """Crops along directions that were found on the other folds.

    Args:
        target, source: complete chunks, FOLDS units or more each.
        dims: action dimensions to take.
        steps: of the crop.
        sigmas: (L,) levels.

    Returns:
        For either dataset (U, L * K) sums over a unit's chunks of the expected square of the noised crop along K
        directions at each level, the smallest rho first.
    """
    samples = target, source
    crops = [_coefficients(sample, dims, steps) for sample in samples]
    origin = crops[0].mean(0)
    crops = [crop - origin for crop in crops]
    if len(origin) > _MAX_FEATURES:
        power = np.maximum((crops[0] ** 2).mean(0), (crops[1] ** 2).mean(0))
        largest = np.sort(np.argsort(-power, kind="stable")[:_MAX_FEATURES])
        crops = [crop[:, largest] for crop in crops]
    folds = [fold_of_units(sample, FOLDS) for sample in samples]
    chunk_folds = [np.repeat(fold, sample.sizes) for fold, sample in zip(folds, samples, strict=True)]
    by_fold = [
        [_moments(crop[which == fold]) for fold in range(FOLDS)] for crop, which in zip(crops, chunk_folds, strict=True)
    ]
    count = min(2 * _DIRECTIONS, crops[0].shape[1])
    a2, s2 = 1.0 - sigmas**2, sigmas**2
    result = np.empty((target.units, len(sigmas) * count)), np.empty((source.units, len(sigmas) * count))
    for fold in range(FOLDS):
        (n_p, sum_p, outer_p), (n_q, sum_q, outer_q) = (
            [sum(part) for part in zip(*(each for k, each in enumerate(parts) if k != fold), strict=True)]
            for parts in by_fold
        )
        mean, shift = sum_p / n_p, sum_q / n_q - sum_p / n_p
        m_p = outer_p / n_p - np.outer(mean, mean)
        m_q = outer_q / n_q - np.outer(sum_q, sum_q) / n_q**2 + np.outer(shift, shift)
        identity = np.eye(len(mean))
        found = np.concatenate(
            [
                extreme_directions(a * m_p + s * identity, a * m_q + s * identity, count)
                for a, s in zip(a2, s2, strict=True)
            ],
            axis=1,
        )
        floor = np.repeat(s2, count) * (found**2).sum(0)
        for crop, which, of_unit, sample, squares in zip(crops, chunk_folds, folds, samples, result, strict=True):
            units = np.flatnonzero(of_unit == fold)
            signal = ((crop[which == fold] - mean) @ found) ** 2
            first = np.cumsum(sample.sizes[units]) - sample.sizes[units]
            squares[units] = np.repeat(a2, count) * np.add.reduceat(signal, first) + floor * sample.sizes[units, None]
    return result


def extreme_directions(g_p: Floats, g_q: Floats, count: int) -> Floats:
    """(F, count) directions of smallest and largest rho, half each and ascending, of power 1 in g_p (F, F)."""
    inverse = np.linalg.inv(np.linalg.cholesky(g_p))
    _, vectors = np.linalg.eigh(inverse @ g_q @ inverse.T)
    ends = [*range(count - count // 2), *range(len(vectors) - count // 2, len(vectors))]
    return inverse.T @ vectors[:, ends]


def _coefficients(sample: Sample, dims: NDArray[np.int64], steps: slice) -> Floats:
    """(n, r A) DCT coefficients of crops: a rotation, after which power is concentrated in few of them."""
    crops = sample.x_0[:, steps][..., dims].astype(np.float64)
    return (dct_matrix(crops.shape[1]) @ crops).reshape(len(crops), -1)


def _moments(crops: Floats) -> tuple[int, Floats, Floats]:
    return len(crops), crops.sum(0), crops.T @ crops
