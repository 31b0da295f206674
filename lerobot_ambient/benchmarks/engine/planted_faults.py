# SPDX-License-Identifier: Apache-2.0
"""Studies of one target and several sources, each with a planted fault and a pair of datasets of its own.

Every fault has its own co-training and its own window, swept with equal budgets, and windows that nobody swept, from
the held-out map and from a classifier. A fault of the motion is hidden by noise: its source teaches above a sigma_min.
A wrong goal is a fault of the decision: its source teaches below a sigma_max. A fault that only some episodes have asks
for windows of episodes. The target does not depend on the fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import MARGIN, Claim, Conditions, against_all, points_above
from lerobot_ambient.benchmarks.engine.common_conditions import COTRAIN_ALPHA, SIGMA_MIN, on
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition, Sweep

SIGMA_MAX = "sigma_max"
UNSWEPT = ("heldout", "classifier-dataset")
"""Ways to a window without a sweep, the one that promises first."""
BY_EPISODE = "classifier-episode"
"""The way to a window of each episode."""
NOTE = (
    "The windows of `ambient:...-heldout` and `...-classifier-dataset` come from the data, before any rollout, once, "
    "on the draw of the target on which co-training's alpha was swept. The held-out map's is the safe end of what it "
    "shows, the classifier's its estimate. Where `annotate` recommends no window, because nothing is shown to help or "
    "chunks alone show no difference, the target is trained with alone."
)


@dataclass(frozen=True)
class Faults:
    """The faults of a study.

    Args:
        names: each a pair of datasets, and a fault of `make-data`.
        alphas: that co-training tries.
        windows: by the bound of the window that fits a fault, the values that are tried, as many as of alpha.
        defaults: the value of each where nothing is swept, `COTRAIN_ALPHA` among them.
        decisions: faults of where the motion goes, not of how it goes there.
        mixed: faults of some of the source's episodes, where one window cannot fit all.
    """

    names: tuple[str, ...]
    alphas: tuple[float, ...]
    windows: Mapping[str, tuple[float, ...]]
    defaults: Mapping[str, float]
    decisions: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()

    def bound(self, fault: str) -> str:
        """Which bound of the window fits a fault, and is swept."""
        return SIGMA_MAX if fault in self.decisions else SIGMA_MIN

    def sweeps(self) -> tuple[Sweep, ...]:
        """Two sweeps a fault."""
        return tuple(
            Sweep(sweep_of(fault, name), "alpha" if name == COTRAIN_ALPHA else name, values, make)
            for fault in self.names
            for name, values, make in (
                (COTRAIN_ALPHA, self.alphas, partial(cotrain, fault)),
                (self.bound(fault), self.windows[self.bound(fault)], partial(windowed, fault, self.bound(fault))),
            )
        )

    def choices(self) -> dict[str, float]:
        """The value of every sweep where nothing is swept."""
        return {
            sweep_of(fault, name): self.defaults[name]
            for fault in self.names
            for name in (COTRAIN_ALPHA, self.bound(fault))
        }

    def conditions(self, choices: Choices) -> list[Condition]:
        """The target alone, then the ways to use each source."""
        return [
            replace(common_conditions.target_only(), data=self.names[0]),
            *(condition for fault in self.names for condition in self._conditions_of(fault, choices)),
        ]

    def _conditions_of(self, fault: str, choices: Choices) -> list[Condition]:
        bound, alpha = self.bound(fault), choices[sweep_of(fault, COTRAIN_ALPHA)]
        swept = windowed(fault, bound, choices[sweep_of(fault, bound)])
        return [
            on(fault, common_conditions.source_only()),
            cotrain(fault, alpha),
            swept,
            *(common_conditions.estimated_once(fault, method) for method in UNSWEPT),
            *(_of_some_episodes(fault, alpha) if fault in self.mixed else ()),
            *(_other_ways(fault, swept) if bound == SIGMA_MIN else ()),
        ]

    def claims(self, conditions: Conditions) -> list[Claim]:
        """What an unswept window promises of each fault, as far as the conditions are there."""
        return [claim for fault in self.names for claim in _claims_of(fault, conditions)]


def sweep_of(fault: str, parameter: str) -> str:
    """The name of one of a fault's sweeps."""
    return f"{fault}-{parameter}"


def cotrain(fault: str, alpha: float) -> Condition:
    """Co-training with the source of a fault."""
    return replace(on(fault, common_conditions.cotrain(alpha)), needs=(sweep_of(fault, COTRAIN_ALPHA),))


def windowed(fault: str, bound: str, value: float) -> Condition:
    """The source of a fault above a sigma_min, or below a sigma_max (omni)."""
    condition = common_conditions.ambient(value) if bound == SIGMA_MIN else common_conditions.omni(value)
    return replace(on(fault, condition), needs=(sweep_of(fault, bound),))


def _of_some_episodes(fault: str, alpha: float) -> list[Condition]:
    """Ways that tell good episodes from bad ones, by one classifier, on a training's own draw of the target."""
    window = common_conditions.estimated(BY_EPISODE)
    selected = [common_conditions.selected(way, alpha) for way in common_conditions.SELECTIONS]
    needs = (sweep_of(fault, COTRAIN_ALPHA),)
    return [
        replace(window, name=f"ambient:{fault}-{BY_EPISODE}", data=fault),
        *(replace(on(fault, condition), needs=needs) for condition in selected),
    ]


def _other_ways(fault: str, swept: Condition) -> list[Condition]:
    """What else is done with a source of clumsy motion."""
    pretraining, tuned = (on(fault, condition) for condition in common_conditions.pretrained_then_tuned())
    return [
        on(fault, common_conditions.soft()),
        common_conditions.by_size(swept),
        common_conditions.with_ambient_loss(swept),
        pretraining,
        replace(tuned, base=pretraining.name),
    ]


def _claims_of(fault: str, conditions: Conditions) -> Sequence[Claim]:
    ours = common_conditions.estimated_once(fault, UNSWEPT[0]).name
    others = ("target_only", f"cotrain:{fault}")
    if not {ours, *others} <= set(conditions):
        return []
    bounds = {f"{ours} is not below the target alone and the best co-training": -MARGIN, f"{ours} is above both": 0.0}
    return [
        claim
        for promise, points in bounds.items()
        for claim in against_all(
            promise, [claim for other in others for claim in points_above(conditions, ours, other, points)]
        )
    ]
