# SPDX-License-Identifier: Apache-2.0
"""Promises of an experiment as statements that the numbers decide.

A statement about two conditions has three outcomes, decided by the interval of their paired difference or ratio: it is
shown when all of the interval satisfies it, refuted when none of it does, and otherwise not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lerobot_ambient.benchmarks.engine.crossed import Trainings, difference, ratio
from lerobot_ambient.integration.commands.results import SUCCESS, Measure

Conditions = Mapping[str, Trainings]
Verdict = Literal["shown", "not shown", "refuted"]
MARGIN = 2.0
"""Points of success that may be lost and still be called not below: an interval must lie above minus this."""
_ORDER: tuple[Verdict, ...] = ("refuted", "not shown", "shown")
_NOTHING = "no rollout contributes to it"


@dataclass(frozen=True)
class Claim:
    """A promise of the experiment, what was measured, and what that says of it."""

    promise: str
    measured: str
    verdict: Verdict

    @classmethod
    def exact(cls, promise: str, measured: str, held: bool) -> Claim:
        """About figures that leave no doubt."""
        return cls(promise, measured, "shown" if held else "refuted")

    @property
    def held(self) -> bool:
        return self.verdict == "shown"

    def as_json(self) -> dict[str, str | bool]:
        """The claim in a results file."""
        return {"promise": self.promise, "measured": self.measured, "verdict": self.verdict, "held": self.held}


def points_above(
    conditions: Conditions, ours: str, other: str, points: float, measure: Measure = SUCCESS
) -> list[Claim]:
    """A share of ours is at least so many points above the other's; negative points allow it to fall short."""
    if not {ours, other} <= set(conditions):
        return []
    if points >= 0:
        promise = f"the {measure.label} of {ours} is at least {points:g} points above that of {other}"
    else:
        promise = f"the {measure.label} of {ours} is at most {-points:g} points below that of {other}"
    found = difference(measure, conditions[ours], conditions[other])
    if found is None:
        return [Claim(promise, _NOTHING, "not shown")]
    left, right = (measure.of(conditions[name].pooled) for name in (ours, other))
    assert left is not None
    assert right is not None
    measured = (
        f"{percent(left)} against {percent(right)}: {100 * found.value:+.1f} points "
        f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    )
    return [Claim(promise, measured, _at_least(100 * found.low, 100 * found.high, points))]


def ratio_at_most(conditions: Conditions, ours: str, other: str, bound: float, measure: Measure) -> list[Claim]:
    """Ours has at most `bound` times the other's figure."""
    if not {ours, other} <= set(conditions):
        return []
    promise = f"the {measure.label} of {ours} is at most {bound:g} of that of {other}"
    found = ratio(measure, conditions[ours], conditions[other])
    if found is None:
        return [Claim(promise, _NOTHING, "not shown")]
    measured = f"ratio {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
    return [Claim(promise, measured, _at_least(-found.high, -found.low, -bound))]


def against_all(promise: str, claims: Sequence[Claim]) -> list[Claim]:
    """One claim that needs all of several: as doubtful as the most doubtful of them, the first of which is quoted."""
    if not claims:
        return []
    worst = min(claims, key=lambda one: _ORDER.index(one.verdict))
    return [Claim(promise, f"{worst.promise}: {worst.measured}", worst.verdict)]


def _at_least(low: float, high: float, bound: float) -> Verdict:
    return "shown" if low >= bound else "refuted" if high < bound else "not shown"


def percent(share: float) -> str:
    """A share as text, e.g. "98.0 %"."""
    return f"{100 * share:.1f} %"
