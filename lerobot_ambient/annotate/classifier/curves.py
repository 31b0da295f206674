# SPDX-License-Identifier: Apache-2.0
"""The curve p(sigma), and the level where it says that source and target can no longer be distinguished.

Symbols
    p(sigma)   mean of c over a source's noised chunks; 1/2 where the noised laws agree
    Delta      (1/2) integral of (p_sigma - q_sigma)^2 / (p_sigma + q_sigma), in [0, 1]; p = (1 - Delta) / 2 exactly
    tau        margin in (0, 1/2)
    sigma_min  inf{sigma : p(sigma) > 1/2 - tau}, the level where Delta falls below 2 tau

Delta is an f-divergence and noise a channel, so Delta cannot grow with sigma: the true p never falls. An estimated
curve does, so a rule must say which crossing counts:
    isotonic   of the closest monotone curve (least squares); uses the whole curve and is the default
    first      where the curve first rises above; one lucky level decides
    last       where it rises above for good; one unlucky level decides
Between two levels the crossing is interpolated. Above at the first level: 0, everything is admitted. Above at none: 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.classifier.calibration import Calibration, calibrate_as_seen, chunk_scores
from lerobot_ambient.annotate.classifier.held_out import EpisodeMean, Scores, episode_mean, widening
from lerobot_ambient.core.arrays import Floats

TAU = 0.05
_RESAMPLES = 1000
_BLOCK = 16384
_STREAM = 6

CrossingRule = Callable[[Floats, NDArray[np.floating], float], Floats]
"""(sigmas (L,), curves (N, L), threshold) -> (N,) levels."""


@dataclass(frozen=True, eq=False)
class Curve:
    """p(sigma) of a dataset.

    Args:
        sigmas: (L,) levels.
        p: (L,) mean of c over the source's chunks.
        as_seen: (L,) the same if every separation were real, at most p: the centre of bands and intervals.
        target, source: first-order influences of the episodes of either dataset on `as_seen`.
    """

    sigmas: Floats
    p: Floats
    as_seen: Floats
    target: EpisodeMean
    source: EpisodeMean

    @property
    def standard_error(self) -> Floats:
        """(L,) with episodes as the unit; of both datasets, and of the classifier that was fitted to them."""
        return np.sqrt(self.target.variance + self.source.variance)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the standard error."""
        return min(self.target.episodes, self.source.episodes) - 1

    def band(self, errors: float = 1.96) -> tuple[Floats, Floats]:
        """(L,) edges, `errors` standard errors from `as_seen`, more with few episodes; p lies between them."""
        reach = errors * widening(self.freedom, errors) * self.standard_error
        low, high = self.as_seen - reach, self.as_seen + reach
        return np.clip(np.minimum(low, self.p), 0.0, 1.0), np.clip(np.maximum(high, self.p), 0.0, 1.0)


def data_set_curve(scores: Scores, calibration: Calibration) -> Curve:
    """p(sigma) of a source.

    Its error is that of E_target[(1 - c)^2] + E_source[c^2], twice the Brier score. For a perfect classifier this is p
    as well, it is stationary in c, and so its variance covers the fitting of c to the same episodes; the variance of
    the mean of c alone would be half as large, as if c had been known.
    """
    seen = calibrate_as_seen(scores)
    target, source = (seen(part.logits) for part in (scores.target, scores.source))
    return Curve(
        sigmas=scores.sigmas,
        p=chunk_scores(scores.source, calibration).mean.mean(0, dtype=np.float64),
        as_seen=source.mean((0, 2), dtype=np.float64),
        # Squared before draws are averaged: it is c of a noised chunk that is 1/2 on average.
        target=episode_mean(((1.0 - target) ** 2).mean(2), scores.target.episode),
        source=episode_mean((source**2).mean(2), scores.source.episode),
    )


def require_tau(tau: float) -> None:
    """Raises:
    ValueError: tau outside (0, 0.5).
    """
    if not 0.0 < tau < 0.5:
        raise ValueError(
            f"tau = {tau} must lie in (0, 0.5): a source counts as alike once the classifier's mean exceeds 0.5 - tau; "
            f"{TAU} is the paper's."
        )


def isotonic(curves: NDArray[np.floating]) -> Floats:
    """The closest non-decreasing curves (N, L) to curves (N, L), in least squares, level by level of equal weight.

    By the min-max formula, max over j <= i of min over k >= i of mean(curve[j..k]), for many curves at once.
    """
    count, levels = curves.shape
    sums = np.concatenate([np.zeros((count, 1)), curves.cumsum(1, dtype=np.float64)], axis=1)
    fitted = np.full((count, levels), -np.inf)
    for j in range(levels):
        means = (sums[:, j + 1 :] - sums[:, j : j + 1]) / np.arange(1, levels - j + 1)
        least = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        np.maximum(fitted[:, j:], least, out=fitted[:, j:])
    return fitted


def isotonic_crossing(sigmas: Floats, curves: NDArray[np.floating], threshold: float) -> Floats:
    """Where the closest monotone curves rise above the threshold."""
    return first_crossing(sigmas, isotonic(curves), threshold)


def first_crossing(sigmas: Floats, curves: NDArray[np.floating], threshold: float) -> Floats:
    """Where the curves first rise above the threshold."""
    above = curves > threshold
    return _interpolated(sigmas, curves, threshold, np.where(above.any(1), above.argmax(1), len(sigmas)))


def last_crossing(sigmas: Floats, curves: NDArray[np.floating], threshold: float) -> Floats:
    """Where the curves rise above the threshold for good."""
    below = curves <= threshold
    return _interpolated(sigmas, curves, threshold, np.where(below.any(1), len(sigmas) - below[:, ::-1].argmax(1), 0))


CROSSINGS: dict[str, CrossingRule] = {
    "isotonic": isotonic_crossing,
    "first": first_crossing,
    "last": last_crossing,
}


def sigma_min_of(
    sigmas: Floats,
    curves: NDArray[np.floating],
    tau: float = TAU,
    rule: CrossingRule = isotonic_crossing,
    *,
    reach: Floats | None = None,
) -> Floats:
    """(N,) sigma_min of curves (N, L) at levels (L,), which may be mapped from disk: blocks are read one by one.

    With `reach` (L,) (`curve_reach`) curves are lowered by it first, which gives the safe end of sigma_min.

    Raises:
        ValueError: tau outside (0, 0.5), curves that do not fit the levels.
    """
    require_tau(tau)
    if curves.ndim != 2 or curves.shape[1] != len(sigmas):
        raise ValueError(f"curves of shape {curves.shape} do not fit {len(sigmas)} noise levels.")
    found = np.empty(len(curves))
    for start in range(0, len(curves), _BLOCK):
        block = curves[start : start + _BLOCK]
        found[start : start + _BLOCK] = rule(sigmas, block if reach is None else block - reach, 0.5 - tau)
    return found


def sigma_min_interval(
    curve: Curve,
    tau: float = TAU,
    rule: CrossingRule = isotonic_crossing,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """An interval for a dataset's sigma_min: quantiles over curves whose episodes are weighted at random.

    A multiplier bootstrap: each episode's influence gets a standard normal weight, the same at all levels, widened for
    few episodes. It covers the estimate from `p`. With a single episode nothing is known: (0, 1).
    """
    if curve.freedom < 1:
        return 0.0, 1.0
    levels = sigma_min_of(curve.sigmas, _reweighted(curve, seed), tau, rule)
    low, high = np.quantile(levels, [(1.0 - confidence) / 2, (1.0 + confidence) / 2])
    (estimate,) = sigma_min_of(curve.sigmas, curve.p[None], tau, rule)
    return float(min(low, estimate)), float(max(high, estimate))


def curve_reach(curve: Curve, *, confidence: float = 0.95, seed: int = 0) -> Floats:
    """(L,) by how much p may be lower: down to where only (1 - confidence) / 2 of the reweighted curves lie below.

    Of monotone curves the level that a share of them has crossed is where that quantile of the curves crosses. So
    sigma_min of the lowered curve is the upper end of `sigma_min_interval` but for the interpolation between two
    levels, at every tau. With a single episode nothing is known, and no level is left.
    """
    if curve.freedom < 1:
        return np.ones(len(curve.sigmas))
    low = np.quantile(isotonic(_reweighted(curve, seed)), (1.0 - confidence) / 2, axis=0)
    reach: Floats = np.maximum(curve.p - low, 0.0)
    return reach


def _reweighted(curve: Curve, seed: int) -> Floats:
    """(B, L) curves whose episodes are weighted at random."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, _STREAM]))
    deviation = np.zeros((_RESAMPLES, len(curve.sigmas)))
    for part in (curve.target, curve.source):
        weights = rng.standard_normal((_RESAMPLES, part.episodes))
        deviation += np.sqrt(part.episodes / (part.episodes - 1)) * weights @ part.influence
    return curve.as_seen + widening(curve.freedom) * deviation


def _interpolated(sigmas: Floats, curves: NDArray[np.floating], threshold: float, index: NDArray[np.int64]) -> Floats:
    """(N,) levels between index - 1, at or below the threshold, and index, above; index in [0, L]."""
    inside = (index > 0) & (index < len(sigmas))
    after = np.where(inside, index, 1)
    rows = np.arange(len(curves))
    low, high = curves[rows, after - 1].astype(np.float64), curves[rows, after].astype(np.float64)
    share = (threshold - low) / np.where(inside, high - low, 1.0)
    between = sigmas[after - 1] + share * (sigmas[after] - sigmas[after - 1])
    return np.where(inside, between, np.where(index == 0, 0.0, 1.0))
