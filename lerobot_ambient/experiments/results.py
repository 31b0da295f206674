# SPDX-License-Identifier: Apache-2.0
"""Roll-outs and their uncertainty: what LeRobot's evaluation left on disk, as numbers with intervals.

Symbols: n roll-outs, k successes. The smoothness of an arm is the mean squared acceleration of its successful
roll-outs: a roll-out that stops at the first wall is short, and says little about how the policy moves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Interval = tuple[float, float]

Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""
RESAMPLES = 4000
_BOOTSTRAP_SEED = 20250924


def wilson_interval(successes: int, trials: int, z: float = Z95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927), both ends in [0, 1].

    Unlike the normal interval it is right near 0 and 1, where a good policy lives.

    Raises:
        ValueError: no trials, or successes outside [0, trials].
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"a proportion needs 0 <= successes <= trials and trials >= 1, got {successes} of {trials}.")
    p, z2 = successes / trials, z * z
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = z / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    # At k = 0 and k = n one end is exactly the boundary; rounding must not push it past.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Roll-outs of one policy, or of several trained alike.

    Args:
        successes: (n,) bool.
        accelerations: (n,) mean squared acceleration of each roll-out, cells^2 / s^4 in the maze.
    """

    successes: Bools
    accelerations: Floats

    def __post_init__(self) -> None:
        if self.successes.ndim != 1 or self.successes.shape != self.accelerations.shape:
            raise ValueError(
                "roll-outs need one success and one acceleration each, got shapes "
                f"{self.successes.shape} and {self.accelerations.shape}."
            )
        if not np.isfinite(self.accelerations).all():
            raise ValueError("a roll-out's mean squared acceleration is not finite.")

    @classmethod
    def pool(cls, parts: Sequence[Rollouts]) -> Rollouts:
        """All roll-outs of several evaluations together."""
        return cls(
            np.concatenate([part.successes for part in parts]),
            np.concatenate([part.accelerations for part in parts]),
        )

    @property
    def trials(self) -> int:
        return int(self.successes.size)

    @property
    def count(self) -> int:
        """Number of successes."""
        return int(self.successes.sum())

    @property
    def rate(self) -> float:
        return self.count / self.trials

    @property
    def wilson95(self) -> Interval:
        return wilson_interval(self.count, self.trials)

    @property
    def mean_squared_acceleration(self) -> float | None:
        """Mean over the successful roll-outs; None when there are none."""
        return float(self.accelerations[self.successes].mean()) if self.count else None

    def bootstrap_means(self) -> Floats:
        """(RESAMPLES,) means of the successful roll-outs' accelerations, drawn with replacement; a fixed seed."""
        values = self.accelerations[self.successes]
        rng = np.random.default_rng(_BOOTSTRAP_SEED)
        return np.array([values[rng.integers(values.size, size=values.size)].mean() for _ in range(RESAMPLES)])

    @property
    def acceleration95(self) -> Interval | None:
        """Bootstrap interval of `mean_squared_acceleration`; None below two successes."""
        return _percentiles(self.bootstrap_means()) if self.count >= 2 else None


def acceleration_ratio(ours: Rollouts, other: Rollouts) -> tuple[float, Interval] | None:
    """Ratio of the mean squared accelerations with its bootstrap interval; None below two successes on a side."""
    if ours.count < 2 or other.count < 2:
        return None
    numerator, denominator = ours.mean_squared_acceleration, other.mean_squared_acceleration
    assert numerator is not None
    assert denominator is not None
    # Two equal streams of indices would correlate the sides when both have as many successes.
    shuffled = np.random.default_rng(_BOOTSTRAP_SEED + 1).permutation(other.bootstrap_means())
    return numerator / denominator, _percentiles(ours.bootstrap_means() / shuffled)


def read_eval_info(path: Path) -> Rollouts:
    """The roll-outs in LeRobot's `eval_info.json`, of an environment whose rewards sum to minus the mean squared
    acceleration.

    Raises:
        ValueError: the file has not the per-episode lists of lerobot-eval.
    """
    info = json.loads(path.read_text(encoding="utf-8"))
    try:
        metrics = [task["metrics"] for task in info["per_task"]]
        successes = [bool(value) for one in metrics for value in one["successes"]]
        sums = [float(value) for one in metrics for value in one["sum_rewards"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is not an eval_info.json of lerobot-eval: {error!r} is missing.") from error
    if not successes or len(successes) != len(sums):
        raise ValueError(f"{path} holds {len(successes)} successes and {len(sums)} sum_rewards; it needs one each.")
    # 0.0 - x, so that a roll-out without acceleration reads 0.0 and not -0.0.
    return Rollouts(np.array(successes, dtype=bool), 0.0 - np.array(sums))


def choose_best(candidates: Sequence[Rollouts]) -> int:
    """Index of the best of a sweep: the highest success; among those whose success reaches the lower Wilson bound of
    the highest, the smoothest.

    Raises:
        ValueError: no candidates.
    """
    if not candidates:
        raise ValueError("a sweep needs at least one candidate.")
    best = max(candidates, key=lambda one: one.rate)
    tied = [index for index, one in enumerate(candidates) if one.rate >= best.wilson95[0]]
    # Without a success there is no smoothness; such candidates tie only when all of them failed.
    return min(tied, key=lambda index: (candidates[index].mean_squared_acceleration or math.inf, index))


def _percentiles(values: Floats) -> Interval:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
