# SPDX-License-Identifier: Apache-2.0
"""Rollouts and what is measured of them: what LeRobot's evaluation left on disk, as numbers.

Symbols: n rollouts, k successes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.proportions import wilson_interval

Bools = NDArray[np.bool_]
Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Rollouts of one policy, or of several trained alike.

    Args:
        successes: (n,) bool.
        returns: (n,) sum of the rewards of each rollout.
        jerks: (n,) mean squared jerk of each rollout's path, where paths were recorded.
    """

    successes: Bools
    returns: Floats
    jerks: Floats | None = None

    def __post_init__(self) -> None:
        for name, values in {"return": self.returns, "jerk": self.jerks}.items():
            if values is None:
                continue
            if self.successes.ndim != 1 or self.successes.shape != values.shape:
                raise ValueError(
                    f"rollouts need one success and one {name} each, got shapes "
                    f"{self.successes.shape} and {values.shape}."
                )
            if not np.isfinite(values).all():
                raise ValueError(f"a rollout's {name} is not finite.")

    @classmethod
    def pool(cls, parts: Sequence[Rollouts]) -> Rollouts:
        """All rollouts of several evaluations together; jerks only if every part has them."""
        jerks = [part.jerks for part in parts if part.jerks is not None]
        return cls(
            np.concatenate([part.successes for part in parts]),
            np.concatenate([part.returns for part in parts]),
            np.concatenate(jerks) if len(jerks) == len(parts) else None,
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


@dataclass(frozen=True, eq=False)
class Measure:
    """A metric that is a ratio of two sums over rollouts: sum_i a_i / sum_i b_i.

    A mean over successes is one, with b_i = 1 for a success and else 0; a share of blocks is another.

    Args:
        key: its name in results JSON.
        label: its name in tables and on axes.
        unit: e.g. "cm²/s⁴"; "%" for a share, which is then shown in percent.
        terms: gives a and b, both (n,), b not negative; None where the rollouts do not hold it.
    """

    key: str
    label: str
    unit: str
    terms: Callable[[Rollouts], tuple[Floats, Floats] | None]

    def of(self, rollouts: Rollouts) -> float | None:
        """The figure; None if no rollout contributes."""
        terms = self._contributing(rollouts)
        return None if terms is None else float(terms[0].sum() / terms[1].sum())

    def _contributing(self, rollouts: Rollouts) -> tuple[Floats, Floats] | None:
        terms = self.terms(rollouts)
        if terms is None:
            return None
        a, b = terms
        return (a[b > 0], b[b > 0]) if (b > 0).any() else None


def acceleration_measure(unit: str) -> Measure:
    """Mean squared acceleration of the successful rollouts, of an environment whose rewards sum to minus that.

    A rollout that stops at the first wall is short, and says little about how the policy moves.
    """
    # 0.0 - x, so that a rollout without acceleration reads 0.0 and not -0.0.
    return Measure(
        "mean_squared_acceleration",
        "mean squared acceleration",
        unit,
        lambda one: ((0.0 - one.returns) * one.successes, one.successes.astype(np.float64)),
    )


def jerk_measure(unit: str) -> Measure:
    """Mean squared jerk of the successful rollouts."""

    def terms(one: Rollouts) -> tuple[Floats, Floats] | None:
        return None if one.jerks is None else (one.jerks * one.successes, one.successes.astype(np.float64))

    return Measure("mean_squared_jerk", "mean squared jerk", unit, terms)


SUCCESS = Measure("success", "success", "%", lambda one: (one.successes.astype(np.float64), np.ones(one.trials)))
"""The share of successes."""


def read_eval_info(path: Path) -> Rollouts:
    """The rollouts in LeRobot's `eval_info.json`.

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
    return Rollouts(np.array(successes, dtype=bool), np.array(sums))


def smoothest_of_the_best(candidates: Sequence[Rollouts], measure: Measure) -> int:
    """Index of the best of a sweep: the highest success; among those whose success reaches the lower Wilson bound of
    the highest, the one with the least of `measure`.

    Raises:
        ValueError: no candidates.
    """
    _require_candidates(candidates)
    best = max(candidates, key=lambda one: one.rate)
    tied = [index for index, one in enumerate(candidates) if one.rate >= best.wilson95[0]]

    def smoothness(index: int) -> float:
        # Without a success there is none; such candidates tie only when all of them failed.
        value = measure.of(candidates[index])
        return math.inf if value is None else value

    return min(tied, key=lambda index: (smoothness(index), index))


def highest(candidates: Sequence[Rollouts], measure: Measure) -> int:
    """Index of the candidate with the highest `measure`, the first of equals.

    Raises:
        ValueError: no candidates.
    """
    _require_candidates(candidates)
    values = [measure.of(one) for one in candidates]
    return max(range(len(values)), key=lambda index: (-math.inf if values[index] is None else values[index], -index))


def _require_candidates(candidates: Sequence[Rollouts]) -> None:
    if not candidates:
        raise ValueError("a sweep needs at least one candidate.")
