# SPDX-License-Identifier: Apache-2.0
"""Promises of an experiment as statements that the numbers decide.

A statement about two conditions holds when the measured figures satisfy it; the interval beside it says how sure
that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lerobot_ambient.integration.commands.results import SUCCESS, Measure, Rollouts

Conditions = Mapping[str, Rollouts]


@dataclass(frozen=True)
class Claim:
    """A promise of the experiment and what was measured."""

    promise: str
    measured: str
    held: bool


def succeeds_as_often(conditions: Conditions, ours: str, other: str) -> list[Claim]:
    """Ours succeeds at least as often, within the interval: the other's rate does not exceed the upper Wilson bound."""
    if ours not in conditions or other not in conditions:
        return []
    one, rate = conditions[ours], conditions[other].rate
    low, high = one.wilson95
    return [
        Claim(
            f"{ours} succeeds at least as often as {other}, within the interval: the rate of {other} does not exceed "
            f"the upper end of the Wilson 95 % interval of {ours}",
            f"{percent(one.rate)} [{percent(low)}, {percent(high)}] against {percent(rate)}",
            rate <= high,
        )
    ]


def points_above(
    conditions: Conditions, ours: str, other: str, points: float, measure: Measure = SUCCESS
) -> list[Claim]:
    """A share of ours is at least so many points above the other's; negative points allow it to fall short."""
    if ours not in conditions or other not in conditions:
        return []
    found = measure.difference(conditions[ours], conditions[other])
    if found is None:
        return []
    value, (low, high) = found
    if points >= 0:
        promise = f"the {measure.label} of {ours} is at least {points:g} points above that of {other}"
    else:
        promise = f"the {measure.label} of {ours} is at most {-points:g} points below that of {other}"
    left, right = measure.of(conditions[ours]), measure.of(conditions[other])
    assert left is not None
    assert right is not None
    measured = (
        f"{percent(left)} against {percent(right)}: {100 * value:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
    )
    return [Claim(promise, measured, 100 * value >= points)]


def ratio_at_most(conditions: Conditions, ours: str, other: str, bound: float, measure: Measure) -> list[Claim]:
    """Ours has at most `bound` times the other's figure."""
    if ours not in conditions or other not in conditions:
        return []
    found = measure.ratio(conditions[ours], conditions[other])
    if found is None:
        return []
    value, (low, high) = found
    return [
        Claim(
            f"the {measure.label} of {ours} is at most {bound:g} of that of {other}",
            f"ratio {value:.2f} [{low:.2f}, {high:.2f}]",
            value <= bound,
        )
    ]


def percent(share: float) -> str:
    """A share as text, e.g. "98.0 %"."""
    return f"{100 * share:.1f} %"
