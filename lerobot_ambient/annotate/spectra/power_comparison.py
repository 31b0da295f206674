# SPDX-License-Identifier: Apache-2.0
"""Powers of two datasets, coordinate by coordinate: where they part, and where they are shown to be alike.

Symbols
    y       one coordinate of a chunk, e.g. a DCT coefficient of one action dimension
    u       unit: an episode; units of datasets of one law can be exchanged
    S       (F,) power: mean of (y - m)^2 over chunks, about the target's mean m for both datasets
    l       (F,) log ratio log S_q - log S_p of source to target
    rho     ratio below which two powers count as the same

Both powers are taken about one point: a constant they share distinguishes nothing, and a source that is elsewhere has
more power about the target's mean. That mean is the target's own, which makes its power too small; the part between
units is enlarged by (U / (U - 1))^2, what leaving each unit out of its own mean would give.

Not finding a difference and finding none are two statements, so there are two tests:
    parted  |l| > log rho, and l is larger than what dealing the units to the two datasets at random gives anywhere:
            a permutation test of the maximum over all F. Between datasets of one law anything is called parted with
            probability 1 - confidence, exactly, whatever the law.
    alike   |l| + c s < log rho, with s the bootstrapped error of l over units and c the one-sided 95 % quantile of
            Student's t. To claim it of a whole set of coordinates no correction is due, since one failure fails the
            claim (intersection-union).
What is neither is undecided: there is too little data.

Where units are stretches of a handful of episodes they are not quite exchangeable, and `parted` needs a second opinion
from episodes (`parted_between_episodes`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.arrays import Floats

_PERMUTATIONS = 999
_RESAMPLES = 200
_ALIKE_CONFIDENCE = 0.95
_FLOOR = 1e-12
"""Powers below, a millionth of the actions' range, are rounding."""


@dataclass(frozen=True)
class CompareOptions:
    """How two datasets are compared.

    Args:
        min_ratio: rho, powers within this ratio count as the same; above 1.
        confidence: probability that nothing is called parted between datasets of one law, in (0.5, 0.99].
        seed: of the permutations and the resampling, and of what is drawn from a dataset that is too large.
        max_episodes: episodes drawn from a dataset that has more.
        max_values: numbers held in memory per dataset.

    Raises:
        ValueError: a value out of range.
    """

    min_ratio: float = 2.0
    confidence: float = 0.99
    seed: int = 0
    max_episodes: int = 1000
    max_values: int = 2**24

    def __post_init__(self) -> None:
        if not self.min_ratio > 1.0:
            raise ValueError(f"min_ratio = {self.min_ratio} must be above 1, the ratio of equal powers.")
        if not 0.5 < self.confidence <= 0.99:
            raise ValueError(f"confidence = {self.confidence} must lie in (0.5, 0.99].")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed} must not be negative.")
        for name in ("max_episodes", "max_values"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be positive.")


@dataclass(frozen=True, eq=False)
class UnitMoments:
    """What the units of one dataset hold.

    Args:
        sizes: (U,) chunks per unit.
        sums, squares: (U, F) sums of y and of y^2 over the unit's chunks.
    """

    sizes: NDArray[np.int64]
    sums: Floats
    squares: Floats


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is known of the coordinates of two datasets.

    Args:
        target, source: (F,) powers S_p, S_q.
        target_resampled, source_resampled: (B, F) the same of resampled units.
        target_freedom, source_freedom: U - 1 of each.
        p_value: (F,) of `parted`, adjusted for all F.
        parted, alike: (F,) bool; never both, and neither where there is too little data.
    """

    target: Floats
    source: Floats
    target_resampled: Floats
    source_resampled: Floats
    target_freedom: int
    source_freedom: int
    p_value: Floats
    parted: NDArray[np.bool_]
    alike: NDArray[np.bool_]

    @property
    def log_ratio(self) -> Floats:
        """(F,) l."""
        return _log_ratio(self.target, self.source)


def compare(
    target: UnitMoments,
    source: UnitMoments,
    options: CompareOptions,
    strata: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
) -> Comparison:
    """Compare powers.

    Args:
        target, source: of the same coordinates.
        options: ratio, confidence and seed.
        strata: (U,) labels of either dataset's units; only units of one label are exchanged.
    """
    rng = np.random.default_rng(np.random.SeedSequence([options.seed, 2]))
    count = len(target.sizes)
    both = UnitMoments(
        np.concatenate([target.sizes, source.sizes]),
        np.concatenate([target.sums, source.sums]),
        np.concatenate([target.squares, source.squares]),
    )
    units = len(both.sizes)
    is_target = np.arange(units) < count
    s_p, s_q = (power[0] for power in _powers(both, is_target[None], ~is_target[None], count))

    labels = np.zeros(units, dtype=np.int64) if strata is None else np.concatenate(strata)
    dealt = _permuted(is_target, labels, rng)
    shuffled = _log_ratio(*_powers(both, dealt, ~dealt, count))
    observed = _log_ratio(s_p, s_q)
    # The permutations' own centre and spread put all coordinates on one scale; the observed deal is one of them.
    spread = np.maximum(shuffled.std(0), _FLOOR)
    largest = (np.abs(shuffled - shuffled.mean(0)) / spread).max(1)
    score = np.abs(observed - shuffled.mean(0)) / spread
    p_value = (1 + (largest[:, None] >= score).sum(0)) / (len(largest) + 1)

    times = np.concatenate([_redrawn(count, rng), _redrawn(units - count, rng)], axis=1)
    resampled = _powers(both, times * is_target, times * ~is_target, count)
    errors = [
        log_error(power, freedom) for power, freedom in zip(resampled, (count - 1, units - count - 1), strict=True)
    ]
    variance = np.maximum(errors[0] ** 2 + errors[1] ** 2, _FLOOR)
    welch = variance**2 / np.maximum(errors[0] ** 4 / (count - 1) + errors[1] ** 4 / (units - count - 1), _FLOOR**2)
    reach = student_quantile(_ALIKE_CONFIDENCE, welch) * np.sqrt(variance)
    limit = np.log(options.min_ratio)
    return Comparison(
        target=s_p,
        source=s_q,
        target_resampled=resampled[0],
        source_resampled=resampled[1],
        target_freedom=count - 1,
        source_freedom=units - count - 1,
        p_value=p_value,
        parted=(np.abs(observed) > limit) & (p_value <= 1.0 - options.confidence),
        alike=np.abs(observed) + reach < limit,
    )


def by_episode(units: UnitMoments, episode: NDArray[np.int64]) -> UnitMoments:
    """Moments of episodes from those of their stretches, whose episode (U,) counts from 0 upwards."""
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    return UnitMoments(*(np.add.reduceat(each, first) for each in (units.sizes, units.sums, units.squares)))


def parted_between_episodes(
    target: UnitMoments, source: UnitMoments, families: int, options: CompareOptions
) -> NDArray[np.bool_]:
    """(F,) whether powers differ by more than episodes of one dataset do; for a handful of episodes.

    Log powers of episodes are compared by Student's t. Two episodes hardly tell how much episodes differ, but several
    dimensions together do: the variance is pooled over the coordinates of a family.

    Args:
        target, source: per episode, 2 or more.
        families: how many, of F / families neighbouring coordinates each.
        options: confidence of all F decisions together (Sidak).
    """
    total, n = target.sums.sum(0), target.sizes.sum()
    others = (total - target.sums) / (n - target.sizes)[:, None]
    logs = [_log_powers(target, others), _log_powers(source, np.broadcast_to(total / n, source.sums.shape))]
    freedom = len(logs[0]) + len(logs[1]) - 2
    scatter = sum((((log - log.mean(0)) ** 2).sum(0) for log in logs), np.zeros_like(total)) / freedom
    pooled = scatter.reshape(families, -1).mean(1).repeat(len(scatter) // families)
    error = np.sqrt(pooled * (1.0 / len(logs[0]) + 1.0 / len(logs[1])))
    each = 1.0 - options.confidence ** (1.0 / len(scatter))
    limit = student_quantile(1.0 - each / 2.0, np.array(float(freedom * (len(scatter) // families))))
    return np.abs(logs[1].mean(0) - logs[0].mean(0)) > limit * error


def _log_powers(units: UnitMoments, centre: Floats) -> Floats:
    """(U, F) log power of each unit about its centre."""
    mean = units.sums / units.sizes[:, None]
    return np.log(np.maximum(units.squares / units.sizes[:, None] - mean**2 + (mean - centre) ** 2, _FLOOR))


def log_error(resampled: Floats, freedom: int) -> Floats:
    """(F,) standard error of log S from (B, F) resampled S; U units drawn from U vary by U - 1 of U too little."""
    return np.log(resampled).std(0) * np.sqrt((freedom + 1) / freedom)


def band(power: Floats, resampled: Floats, freedom: int) -> tuple[Floats, Floats]:
    """The 95 % band of S (F,), symmetric in its logarithm."""
    reach = np.exp(student_quantile(0.975, np.array(float(freedom))) * log_error(resampled, freedom))
    return power / reach, power * reach


def _powers(
    units: UnitMoments, as_target: NDArray[np.generic], as_source: NDArray[np.generic], count: int
) -> tuple[Floats, Floats]:
    """S_p and S_q (B, F), with the weights (B, U) that units have in either dataset."""
    w_p, w_q = as_target.astype(np.float64), as_source.astype(np.float64)
    n_p, n_q = ((w @ units.sizes)[:, None] for w in (w_p, w_q))
    mean = (w_p @ units.sums) / n_p
    between = (w_p @ (units.sums**2 / units.sizes[:, None])) / n_p - mean**2
    enlarged = (count / (count - 1.0)) ** 2 - 1.0
    s_p = (w_p @ units.squares) / n_p - mean**2 + enlarged * between
    s_q = (w_q @ units.squares) / n_q - 2.0 * mean * (w_q @ units.sums) / n_q + mean**2
    return np.maximum(s_p, _FLOOR), np.maximum(s_q, _FLOOR)


def _log_ratio(s_p: Floats, s_q: Floats) -> Floats:
    return np.log(s_q / s_p)


def _permuted(is_target: NDArray[np.bool_], labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """(P, U) deals that leave every label as many target units as it has."""
    dealt = np.empty((_PERMUTATIONS, len(is_target)), dtype=bool)
    for label in np.unique(labels):
        where = np.flatnonzero(labels == label)
        dealt[:, where] = rng.permuted(np.broadcast_to(is_target[where], (_PERMUTATIONS, len(where))), axis=1)
    return dealt


def _redrawn(units: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(B, units) how often each unit is drawn, with replacement."""
    return rng.multinomial(units, np.full(units, 1.0 / units), size=_RESAMPLES)


def student_quantile(p: float, freedom: Floats) -> Floats:
    """Quantiles of Student's t, p in (0.5, 1), for degrees of freedom >= 1 of any shape.

    With t = sqrt(nu) tan(theta) the density of theta is proportional to cos(theta)^(nu - 1).
    """
    # Fine near pi/2, where the tail of few degrees of freedom lies; the density is bounded for nu >= 1.
    theta = np.pi / 2 * (1.0 - np.linspace(1.0, 0.0, 4001) ** 3)
    # Beyond 1000 the quantile is the normal's to a thousandth.
    values, where = np.unique(np.clip(np.round(freedom, 1), 1.0, 1000.0), return_inverse=True)
    quantiles = np.empty(len(values))
    for i, value in enumerate(values):
        density = np.cos(theta) ** (value - 1.0)
        steps = np.diff(theta) * (density[1:] + density[:-1]) / 2
        tail = np.append(np.cumsum(steps[::-1])[::-1], 0.0) / steps.sum() / 2
        quantiles[i] = np.sqrt(value) * np.tan(np.interp(p - 1.0, -tail, theta))
    return quantiles[where].reshape(np.shape(freedom))
