# SPDX-License-Identifier: Apache-2.0
"""The Meta-World experiments, one a task: few demonstrations of its expert, many with a planted fault.

Every fault has its own co-training and its own window, swept with equal budgets, and windows that nobody swept, from
the held-out map and from a classifier. A fault of the motion is hidden by noise: the source teaches above a sigma_min.
A wrong goal is a fault of the decision: the source teaches below a sigma_max.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import Claim, Conditions, points_above
from lerobot_ambient.benchmarks.engine.common_conditions import COTRAIN_ALPHA, SIGMA_MIN, on
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition, Sweep
from lerobot_ambient.benchmarks.engine.recipe import FEW_STEPS, Task
from lerobot_ambient.benchmarks.engine.study import Sizes, Study, no_figures
from lerobot_ambient.integration.commands.results import SUCCESS, acceleration_measure, highest

ACCELERATION = acceleration_measure("m²/s⁴")
SIGMA_MAX = "sigma_max"
ESTIMATE = "heldout"
_ALSO = "classifier-dataset"
ALPHAS = (0.2, 0.5, 0.9, 0.98)
WINDOWS = {SIGMA_MIN: (0.1, 0.3, 0.5, 0.7), SIGMA_MAX: (0.2, 0.35, 0.5, 0.7)}
"""As many values of a window as of co-training's alpha."""
_DEFAULTS = {COTRAIN_ALPHA: 0.5, SIGMA_MIN: 0.3, SIGMA_MAX: 0.5}
_OMNI_ALPHA = 0.2
_NETWORK = {**FEW_STEPS, "mlp_width": 128}
"""Half as wide as elsewhere: from ten demonstrations of the push it learns as much, in half the time."""
_DECISIONS = ("wrong_goal", "wrong_task")
"""Faults of where the motion goes, not of how it goes there."""


@dataclass(frozen=True)
class Ground:
    """A task with the faults of its sources.

    Args:
        name: of the study.
        task: Meta-World's name of the task.
        words: what is done.
        faults: each a pair of datasets.
        target_episodes: so many that the target alone leaves room.
        source_episodes: of each fault.
        steps: of a training.
    """

    name: str
    task: str
    words: str
    faults: tuple[str, ...]
    target_episodes: int
    source_episodes: int = 300
    steps: int = 3000


GROUNDS = (
    Ground("metaworld-push", "push-v3", "push a puck to a goal", ("tremble", "wrong_goal"), 10),
    Ground("metaworld-pick", "pick-place-v3", "pick and place a puck", ("slow", "wrong_goal"), 10),
    Ground("metaworld-shelf", "shelf-place-v3", "put a puck onto a shelf", ("tremble", "broken"), 10),
    Ground("metaworld-peg", "peg-insert-side-v3", "insert a peg", ("tremble", "broken"), 20),
)
"""The door and the nut are learnt from 10 and 25 demonstrations in 1000 steps, without a failure in 50 rollouts: they
leave no room for a source."""


def window_of(fault: str) -> str:
    """Which bound of the window fits a fault, and is swept."""
    return SIGMA_MAX if fault in _DECISIONS else SIGMA_MIN


def sweep_of(fault: str, parameter: str) -> str:
    """The name of one of a fault's sweeps."""
    return f"{fault}-{parameter}"


def cotrain(fault: str, alpha: float) -> Condition:
    """Co-training with the source of a fault."""
    return replace(on(fault, common_conditions.cotrain(alpha)), needs=(sweep_of(fault, COTRAIN_ALPHA),))


def windowed(fault: str, value: float) -> Condition:
    """The source of a fault above a sigma_min, or below a sigma_max (omni)."""
    parameter = window_of(fault)
    if parameter == SIGMA_MIN:
        condition = common_conditions.ambient(value)
    else:
        summary = "Ambient omni: the source teaches only below sigma_max, where motion is local."
        mixing = {"type": "ambient", "alpha": _OMNI_ALPHA}
        condition = Condition("omni", summary, mixing, {"sigma_min": 1.0, "sigma_max": value})
    return replace(on(fault, condition), needs=(sweep_of(fault, parameter),))


def unswept(fault: str, method: str = ESTIMATE) -> Condition:
    """The source of a fault with the window of the held-out map, or of another method, that nobody swept."""
    return common_conditions.estimated_once(fault, method)


def conditions(ground: Ground, choices: Choices, sizes: Sizes) -> list[Condition]:
    """The target alone, then four ways to use each source. The target does not depend on the fault."""
    alone = replace(common_conditions.target_only(), data=ground.faults[0])
    return [
        alone,
        *(
            condition
            for fault in ground.faults
            for condition in (
                cotrain(fault, choices[sweep_of(fault, COTRAIN_ALPHA)]),
                windowed(fault, choices[sweep_of(fault, window_of(fault))]),
                unswept(fault),
                unswept(fault, _ALSO),
            )
        ),
    ]


def data(ground: Ground, sizes: Sizes) -> dict[str, list[str]]:
    """The datasets of each fault."""
    return {
        fault: [
            f"--task={ground.task}",
            f"--fault={fault}",
            f"--target-episodes={sizes.target_episodes}",
            f"--source-episodes={sizes.source_episodes}",
        ]
        for fault in ground.faults
    }


def claims(ground: Ground, conditions: Conditions) -> list[Claim]:
    """What an unswept window promises, over the faults that are there."""
    against = {
        fault: [
            claim
            for other in ("target_only", f"cotrain:{fault}")
            for claim in points_above(conditions, unswept(fault).name, other, 0.0)
        ]
        for fault in ground.faults
    }
    against = {fault: both for fault, both in against.items() if len(both) == 2}
    if not against:
        return []
    below = [fault for fault, both in against.items() if any(claim.verdict == "refuted" for claim in both)]
    above = [fault for fault, both in against.items() if all(claim.verdict == "shown" for claim in both)]
    half = (len(against) + 1) // 2
    possible = len(against) - len(below) >= half
    return [
        Claim.exact(
            "with no fault is the held-out map's window below the target alone or the best co-training by more than "
            "the interval",
            f"below with {_counted(below, against)}",
            not below,
        ),
        Claim(
            "with at least half of the faults the held-out map's window is above both",
            f"above with {_counted(above, against)}",
            "shown" if len(above) >= half else "not shown" if possible else "refuted",
        ),
    ]


def _counted(some: Sequence[str], every: Conditions | dict[str, list[Claim]]) -> str:
    names = f": {', '.join(some)}" if some else ""
    return f"{len(some)} of {len(every)} faults{names}"


def _study(ground: Ground) -> Study:
    sweeps = [
        Sweep(sweep_of(fault, name), "alpha" if name == COTRAIN_ALPHA else name, values, partial(make, fault))
        for fault in ground.faults
        for name, values, make in (
            (COTRAIN_ALPHA, ALPHAS, cotrain),
            (window_of(fault), WINDOWS[window_of(fault)], windowed),
        )
    ]
    first = ground.faults[0]
    return Study(
        name=ground.name,
        title=f"Meta-World, {ground.task}: {ground.words}, from a few experts and many with a planted fault",
        task=Task("metaworld", policy=_NETWORK, env={"task_name": ground.task}),
        data=partial(data, ground),
        sweeps=tuple(sweeps),
        defaults={
            sweep_of(fault, name): _DEFAULTS[name]
            for fault in ground.faults
            for name in (COTRAIN_ALPHA, window_of(fault))
        },
        conditions=partial(conditions, ground),
        measures=(ACCELERATION,),
        choose=partial(highest, measure=SUCCESS),
        claims=partial(claims, ground),
        published={},
        notes=(
            "Task, physics, signal of success and the expert are Meta-World's (metaworld 3.0.0). A policy sees its "
            "low-dimensional state with the goal and commands the hand's position at 40 Hz, two of Meta-World's steps "
            "for each command. The source's faults are planted, see `lerobot-ambient make-data metaworld`.",
            "Mean squared acceleration is that of the hand's path in successful rollouts. For each fault as many "
            "values of co-training's alpha are swept as of the window, and both sweeps choose the highest success.",
            common_conditions.ESTIMATED_ONCE.format(arms=f"`ambient:...-{ESTIMATE}` and `-{_ALSO}`"),
        ),
        draw=no_figures,
        full=Sizes(
            steps=ground.steps,
            batch_size=64,
            target_episodes=ground.target_episodes,
            source_episodes=ground.source_episodes,
        ),
        quick=Sizes(
            seeds=(1,),
            trials=50,
            steps=1000,
            batch_size=64,
            target_episodes=ground.target_episodes,
            source_episodes=100,
            sweep=False,
        ),
        quick_conditions=("target_only", f"cotrain:{first}", windowed(first, 0.5).name),
    )


STUDIES = {ground.name: _study(ground) for ground in GROUNDS}
