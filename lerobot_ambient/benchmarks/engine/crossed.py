# SPDX-License-Identifier: Apache-2.0
"""Intervals of figures that hang on trainings and on layouts, which are crossed: every policy meets every layout.

Symbols: I trainings, J layouts, y_ij what training i did in layout j. The model has two random effects,

    y_ij = mu + a_i + b_j + e_ij

so the mean's variance is var(a) / I + var(b) / J + var(e) / (I J), and the mean squares of the two-way table estimate
it without bias: (MS_a + MS_b - MS_e) / (I J) (Searle, Casella and McCulloch, "Variance Components", 1992, ch. 4).
An interval over rollouts alone takes var(a) for zero; with five trainings that is where most of the doubt is.
Degrees of freedom are Satterthwaite's (1946). Between two conditions the same applies to differences of pairs of the
same training and layout. A figure that is a ratio of sums goes through its linear part (delta method). From fewer than
a dozen rollouts, or a single one of several trainings, no interval is given: the linear part would find no doubt.
Where trainings differ much and succeed nearly always, five of them are too few for the normal law of their mean: near
98 % of success, with a spread of 1.5 in the log odds, intervals of 95 % held in 84 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.proportions import wilson_interval
from lerobot_ambient.integration.commands.results import Interval, Measure, Rollouts

_LEVEL = 0.95
_FEWEST = 12
"""Rollouts that contribute to a figure with an interval."""


@dataclass(frozen=True, eq=False)
class Trainings:
    """The rollouts of policies that were trained alike, from different seeds, on the same layouts.

    Args:
        by_seed: of each training; all have as many rollouts, and the j-th of each is of the same layout.
    """

    by_seed: Mapping[int, Rollouts]

    def __post_init__(self) -> None:
        counts = {seed: one.trials for seed, one in self.by_seed.items()}
        if len(set(counts.values())) != 1:
            raise ValueError(f"trainings are rolled out on the same layouts; these have {counts} of them by seed.")

    @classmethod
    def of_one(cls, rollouts: Rollouts, seed: int = 0) -> Trainings:
        """A single training."""
        return cls({seed: rollouts})

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.by_seed)

    @cached_property
    def pooled(self) -> Rollouts:
        """All rollouts together."""
        return Rollouts.pool(list(self.by_seed.values()))

    def only(self, seeds: Sequence[int]) -> Trainings:
        """Some of the trainings."""
        return Trainings({seed: self.by_seed[seed] for seed in seeds})


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval.

    Args:
        value: the figure.
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float


def estimate(measure: Measure, trainings: Trainings) -> Estimate | None:
    """The figure of a condition; None if no rollout contributes.

    A proportion gets Wilson's interval at the number of independent parts (rollouts, blocks) that would leave as much
    doubt, at most as many as there are.
    """
    parts = _linear(measure, trainings)
    if parts is None:
        return None
    error, freedom = _error(parts.influence)
    if measure.unit == "%":
        return Estimate(parts.value, *_proportion(parts.value, error, freedom, round(parts.total)))
    half = math.inf if parts.is_few else _quantile(freedom) * error
    return Estimate(parts.value, parts.value - half, parts.value + half)


def difference(measure: Measure, ours: Trainings, other: Trainings) -> Estimate | None:
    """Our figure minus the other's, paired by training and layout; None if a side has none.

    Raises:
        ValueError: no training in common, or other layouts.
    """
    pair = _paired(measure, ours, other)
    if pair is None:
        return None
    left, right = pair
    error, freedom = _error(left.influence - right.influence)
    # Where all pairs agree nothing speaks of the doubt; it is not less than what one differing rollout would leave.
    error = max(error, 1.0 / left.influence.size) if measure.unit == "%" else error
    half = math.inf if left.is_few or right.is_few else _quantile(freedom) * error
    value = left.value - right.value
    return Estimate(value, value - half, value + half)


def ratio(measure: Measure, ours: Trainings, other: Trainings) -> Estimate | None:
    """Our figure over the other's, paired by training and layout, with an interval of the logarithm.

    None if a side has none, or one is not positive.

    Raises:
        ValueError: no training in common, or other layouts.
    """
    pair = _paired(measure, ours, other)
    if pair is None or min(pair[0].value, pair[1].value) <= 0.0:
        return None
    left, right = pair
    error, freedom = _error(left.influence / left.value - right.influence / right.value)
    half = math.inf if left.is_few or right.is_few else _quantile(freedom) * error
    value = left.value / right.value
    return Estimate(value, value * math.exp(-half), value * math.exp(half))


def variance_of_mean(table: Floats) -> tuple[float, float]:
    """Variance of the mean of a table and its degrees of freedom.

    Args:
        table: (I, J), a row a training, a column a layout; I or J may be 1, and that part of the doubt is then unknown.
    """
    rows, columns = table.shape
    mean = table.mean()
    by_row, by_column = table.mean(axis=1), table.mean(axis=0)
    of_rows = float(by_row.var(ddof=1)) / rows if rows > 1 else 0.0
    of_columns = float(by_column.var(ddof=1)) / columns if columns > 1 else 0.0
    if rows == 1 or columns == 1:
        return of_rows + of_columns, float(max(rows, columns) - 1)
    rest = table - by_row[:, None] - by_column[None, :] + mean
    within = float((rest**2).sum()) / ((rows - 1) * (columns - 1)) / (rows * columns)
    whole = of_rows + of_columns - within
    if whole <= max(of_rows, of_columns):
        # The difference of mean squares may fall below either part by chance; the doubt is no smaller than that.
        return (of_rows, rows - 1.0) if of_rows >= of_columns else (of_columns, columns - 1.0)
    parts = of_rows**2 / (rows - 1) + of_columns**2 / (columns - 1) + within**2 / ((rows - 1) * (columns - 1))
    return whole, max(whole**2 / parts, min(rows, columns) - 1.0)


@dataclass(frozen=True, eq=False)
class _Parts:
    """A figure and where it comes from.

    Args:
        value: the figure.
        influence: (I, J) what each rollout contributes to its error, with mean zero.
        counts: (I,) rollouts of each training that contribute.
        total: of what the figure is a share or a mean of: rollouts, or parts of them.
    """

    value: float
    influence: Floats
    counts: Floats
    total: float

    @property
    def is_few(self) -> bool:
        """Too few rollouts, or trainings, to speak of the doubt."""
        trainings = int((self.counts > 0).sum())
        return self.counts.sum() < _FEWEST or trainings < min(2, len(self.counts))


def _linear(measure: Measure, trainings: Trainings) -> _Parts | None:
    """The figure and its parts; None if no rollout contributes."""
    terms = [measure.terms(one) for one in trainings.by_seed.values()]
    if any(term is None for term in terms):
        return None
    numerators, denominators = (np.stack([term[side] for term in terms if term is not None]) for side in (0, 1))
    total = float(denominators.sum())
    if total <= 0.0:
        return None
    value = float(numerators.sum()) / total
    influence = (numerators - value * denominators) / denominators.mean()
    return _Parts(value, influence, (denominators > 0).sum(axis=1).astype(np.float64), total)


def _paired(measure: Measure, ours: Trainings, other: Trainings) -> tuple[_Parts, _Parts] | None:
    common = [seed for seed in ours.seeds if seed in other.seeds]
    if not common:
        raise ValueError(f"conditions are compared training by training; {ours.seeds} and {other.seeds} share none.")
    left, right = _linear(measure, ours.only(common)), _linear(measure, other.only(common))
    if left is None or right is None:
        return None
    here, there = left.influence.shape[1], right.influence.shape[1]
    if here != there:
        raise ValueError(f"conditions are compared layout by layout; one has {here}, the other {there}.")
    return left, right


def _error(influence: Floats) -> tuple[float, float]:
    """Standard error and degrees of freedom; a single rollout tells nothing of the error."""
    variance, freedom = variance_of_mean(influence)
    return (math.sqrt(variance), freedom) if freedom > 0 else (math.inf, 0.0)


def _proportion(share: float, error: float, freedom: float, trials: int) -> Interval:
    if freedom == 0:
        return wilson_interval(share * trials, trials)
    independent = trials if error == 0.0 else min(float(trials), share * (1.0 - share) / error**2)
    count = max(1, round(independent))
    return wilson_interval(min(share * count, count), count, _quantile(freedom))


def _quantile(freedom: float) -> float:
    """Of Student's t, two-sided; infinite without a degree of freedom."""
    from scipy import stats

    return float(stats.t.ppf(0.5 + _LEVEL / 2.0, freedom)) if freedom > 0 else math.inf
