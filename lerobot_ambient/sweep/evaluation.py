# SPDX-License-Identifier: Apache-2.0
"""What a trial's checkpoint is worth: rollouts in an environment, or a score on held-out episodes.

Both kinds say the same things of themselves: `merit`, larger is better, whose `least` is the lower end of its interval;
what Optuna is told; and how tables, figures and JSON have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from lerobot_ambient.core.proportions import wilson_interval
from lerobot_ambient.integration.commands.results import Interval

ROLLOUTS, HELD_OUT = "rollouts", "heldout"
JUDGES = (ROLLOUTS, HELD_OUT)


@dataclass(frozen=True)
class Evaluation:
    """Rollouts of one checkpoint.

    Args:
        step: of the training.
        successes, episodes: counts.
        second: the second metric; None where there is none, e.g. the smoothness of successes without a success.
    """

    column: ClassVar[str] = "success"
    axis: ClassVar[str] = "success (%)"
    direction: ClassVar[str] = "maximize"

    step: int
    successes: int
    episodes: int
    second: float | None = None

    @property
    def rate(self) -> float:
        return self.successes / self.episodes

    @property
    def wilson95(self) -> Interval:
        return wilson_interval(self.successes, self.episodes)

    @property
    def merit(self) -> float:
        return self.rate

    @property
    def least(self) -> float:
        return self.wilson95[0]

    @property
    def objective(self) -> float:
        """What Optuna is told, to go in `direction`."""
        return self.rate

    @property
    def is_telling(self) -> bool:
        """Whether it distinguishes the checkpoint from one that has learned nothing."""
        return self.successes > 0

    @property
    def drawn(self) -> tuple[float, float, float]:
        """Value and ends of the interval in the figure."""
        return 100 * self.rate, 100 * self.wilson95[0], 100 * self.wilson95[1]

    @property
    def cells(self) -> tuple[str, str]:
        """Value and interval in a table."""
        low, high = self.wilson95
        return f"{100 * self.rate:.1f} % ({self.successes}/{self.episodes})", f"{100 * low:.1f} to {100 * high:.1f}"

    @property
    def in_a_line(self) -> str:
        low, high = self.wilson95
        return f"{self.rate:.1%} success ({low:.1%} to {high:.1%})"

    def __str__(self) -> str:
        low, high = self.wilson95
        share = f"{100 * self.rate:.1f} % success ({self.successes} of {self.episodes}"
        return f"{share}, 95 % interval {100 * low:.1f} to {100 * high:.1f})"

    @property
    def numbers(self) -> dict[str, Any]:
        """Plain values for JSON."""
        counts = {"success": self.rate, "successes": self.successes, "episodes": self.episodes}
        return {**counts, "wilson95": list(self.wilson95), "second": self.second}


@dataclass(frozen=True)
class HeldOutEvaluation:
    """What `lerobot-ambient check` found of one checkpoint; no rollout.

    Args:
        step: of the training.
        score: the scalar by which it ranks, smaller is better.
        low, high: its 95 % interval; None where a single episode bounds nothing.
        episodes: that were held out.
    """

    column: ClassVar[str] = "held-out score"
    axis: ClassVar[str] = "held-out score"
    direction: ClassVar[str] = "minimize"

    step: int
    score: float
    low: float | None
    high: float | None
    episodes: int
    second: None = None

    @property
    def merit(self) -> float:
        return -self.score

    @property
    def least(self) -> float:
        return -self.score if self.high is None else -self.high

    @property
    def objective(self) -> float:
        """What Optuna is told, to go in `direction`."""
        return self.score

    @property
    def is_telling(self) -> bool:
        """A score distinguishes always."""
        return True

    @property
    def drawn(self) -> tuple[float, float, float]:
        """Value and ends of the interval in the figure."""
        low, high = (self.score if one is None else one for one in (self.low, self.high))
        return self.score, low, high

    @property
    def cells(self) -> tuple[str, str]:
        """Value and interval in a table."""
        return f"{self.score:.4g}", self._interval

    @property
    def in_a_line(self) -> str:
        return f"held-out score {self.score:.4g} ({self._interval})"

    def __str__(self) -> str:
        return f"held-out score {self.score:.4g} (95 % interval {self._interval}, {self.episodes} episodes)"

    @property
    def _interval(self) -> str:
        return "?" if self.low is None or self.high is None else f"{self.low:.4g} to {self.high:.4g}"

    @property
    def numbers(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"score": self.score, "interval95": [self.low, self.high], "episodes": self.episodes}


AnyEvaluation = Evaluation | HeldOutEvaluation

KINDS: dict[str, type[Evaluation] | type[HeldOutEvaluation]] = {ROLLOUTS: Evaluation, HELD_OUT: HeldOutEvaluation}


def stored(one: AnyEvaluation) -> dict[str, Any]:
    """As a study keeps it."""
    return asdict(one)


def restored(values: Mapping[str, Any]) -> AnyEvaluation:
    """Inverse of `stored`."""
    return (HeldOutEvaluation if "score" in values else Evaluation)(**values)
