# SPDX-License-Identifier: Apache-2.0
"""Estimates from sums over episodes, with intervals whose unit is the episode.

Symbols
    E         episodes: the frames of one resemble each other, so they are no independent samples
    theta     a smooth function of the sums over all episodes
    theta_-e  the same without episode e

The jackknife (Quenouille; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 11): the standard
error of theta is sqrt((E - 1) / E * sum (theta_-e - mean)^2), and the interval is theta -+ Student's quantile with
E - 1 degrees of freedom times it. No random number is drawn. Ratios and energies are estimated by their logarithm,
whose distribution is nearer to the normal one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.spectra.power_comparison import student_quantile

Floats = NDArray[np.float64]
_CONFIDENCE = 0.975


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; infinite ends where a single episode tells nothing of the spread."""

    value: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        return self.low <= 0.0 <= self.high

    def through(self, map_: Callable[[float], float]) -> Estimate:
        """The same on another, increasing scale."""
        return Estimate(*(map_(one) for one in (self.value, self.low, self.high)))

    def to_dict(self) -> dict[str, float | None]:
        """JSON has no infinity; it becomes null."""
        ends = {"value": self.value, "low": self.low, "high": self.high}
        return {name: one if math.isfinite(one) else None for name, one in ends.items()}


def estimate(sums: Sequence[Floats], statistic: Callable[..., Any]) -> Estimate | None:
    """The jackknife's estimate of a scalar; None where it is not a number.

    Args:
        sums: arrays (E, ...), each of sums over an episode.
        statistic: of their totals, called with arrays (B, ...), returns (B,).
    """
    values, low, high = estimates(sums, statistic)
    if not np.isfinite(values):
        return None
    return Estimate(float(values), float(low), float(high))


def estimates(sums: Sequence[Floats], statistic: Callable[..., Any]) -> tuple[Floats, Floats, Floats]:
    """Values (...) and the ends of their intervals, of a statistic that returns (B, ...)."""
    sums = [np.asarray(one, dtype=np.float64) for one in sums]
    episodes = len(sums[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = np.asarray(statistic(*(one.sum(0, keepdims=True) for one in sums)))[0]
        if episodes < 2:
            return whole, np.full_like(whole, -np.inf), np.full_like(whole, np.inf)
        without = np.asarray(statistic(*(one.sum(0, keepdims=True) - one for one in sums)))
        spread = ((without - without.mean(0)) ** 2).sum(0)
    reach = student_quantile(_CONFIDENCE, np.array(float(episodes - 1))) * np.sqrt((episodes - 1) / episodes * spread)
    # Where one episode holds all of it, the others bound nothing.
    reach = np.where(np.isnan(reach), np.inf, reach)
    return whole, whole - reach, whole + reach
