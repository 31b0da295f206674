# SPDX-License-Identifier: Apache-2.0
"""The PushT experiment: few clean demonstrations of a planner, many with a planted fault.

Each fault has its own co-training and its own window, swept with equal budgets, and windows that nobody swept, from the
held-out map and from a classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import MARGIN, Claim, Conditions, against_all, points_above
from lerobot_ambient.benchmarks.engine.common_conditions import COTRAIN_ALPHA, SIGMA_MIN, on
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition, Sweep
from lerobot_ambient.benchmarks.engine.recipe import FEW_STEPS, Task
from lerobot_ambient.benchmarks.engine.study import Sizes, Study, no_figures
from lerobot_ambient.integration.commands.results import SUCCESS, acceleration_measure, highest

REACH = 0.15
"""How far from the mark the T starts, as a share of gym-pusht's own starts."""
_NORMALISED = {"VISUAL": "MEAN_STD", "STATE": "MEAN_STD", "ENV": "MEAN_STD", "ACTION": "MIN_MAX"}
"""LeRobot's diffusion policies leave `observation.environment_state` as it is, here pixels in the hundreds."""
TASK = Task("pusht", policy={**FEW_STEPS, "normalization_mapping": _NORMALISED}, env={"reach": REACH}, picture=96)
"""gym-pusht draws nothing smaller."""
ACCELERATION = acceleration_measure("pixels²/s⁴")
FAULTS = ("trembling", "delayed")
ESTIMATE, _ALSO = "heldout", "classifier-dataset"
ALPHAS = (0.2, 0.5, 0.8, 0.9, 0.95, 0.98)
SIGMA_MINS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""As many as of co-training's alpha."""
_DEFAULTS = {COTRAIN_ALPHA: 0.8, SIGMA_MIN: 0.3}


def sweep_of(fault: str, parameter: str) -> str:
    """The name of one of a fault's sweeps."""
    return f"{fault}-{parameter}"


def cotrain(fault: str, alpha: float) -> Condition:
    """Co-training with the source of a fault."""
    return replace(on(fault, common_conditions.cotrain(alpha)), needs=(sweep_of(fault, COTRAIN_ALPHA),))


def ambient(fault: str, sigma_min: float) -> Condition:
    """The source of a fault where noise hides it."""
    return replace(on(fault, common_conditions.ambient(sigma_min)), needs=(sweep_of(fault, SIGMA_MIN),))


def unswept(fault: str, method: str = ESTIMATE) -> Condition:
    """The source of a fault with the window of the held-out map, or of another method, that nobody swept."""
    return common_conditions.estimated_once(fault, method)


def conditions(choices: Choices, sizes: Sizes) -> list[Condition]:
    """The target alone, then five ways to use each source. The target does not depend on the fault."""
    return [
        replace(common_conditions.target_only(), data=FAULTS[0]),
        *(
            condition
            for fault in FAULTS
            for condition in (
                on(fault, common_conditions.source_only()),
                cotrain(fault, choices[sweep_of(fault, COTRAIN_ALPHA)]),
                ambient(fault, choices[sweep_of(fault, SIGMA_MIN)]),
                unswept(fault),
                unswept(fault, _ALSO),
            )
        ),
    ]


def data(sizes: Sizes) -> dict[str, list[str]]:
    """The datasets of each fault."""
    return {
        fault: [
            f"--fault={fault}",
            f"--reach={REACH:g}",
            f"--target-episodes={sizes.target_episodes}",
            f"--source-episodes={sizes.source_episodes}",
        ]
        for fault in FAULTS
    }


def claims(conditions: Conditions) -> list[Claim]:
    """What an unswept window promises of each fault, as far as the conditions are there."""
    return [claim for fault in FAULTS for claim in _claims_of(fault, conditions)]


def _claims_of(fault: str, conditions: Conditions) -> Sequence[Claim]:
    ours = unswept(fault).name
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


STUDY = Study(
    name="pusht",
    title="PushT: few clean demonstrations of a planner, many with a planted fault",
    task=TASK,
    data=data,
    sweeps=tuple(
        Sweep(sweep_of(fault, name), parameter, values, partial(make, fault))
        for fault in FAULTS
        for name, parameter, values, make in (
            (COTRAIN_ALPHA, "alpha", ALPHAS, cotrain),
            (SIGMA_MIN, "sigma_min", SIGMA_MINS, ambient),
        )
    ),
    defaults={sweep_of(fault, name): value for fault in FAULTS for name, value in _DEFAULTS.items()},
    conditions=conditions,
    measures=(ACCELERATION,),
    choose=partial(highest, measure=SUCCESS),
    claims=claims,
    published={},
    notes=(
        "The game, its physics and its success, more than 95 % of the mark covered within 300 steps, are gym-pusht's "
        f"(0.1.8). The T starts nearer to its mark than there: within {REACH:g} of the usual range of places and "
        "angles. A policy sees the eight keypoints of the T and the pusher's position, scaled to mean 0, deviation 1.",
        "The demonstrations are not people's: a planner that knows the simulator makes them, with errors of its aim "
        "that it then corrects. The source's faults are planted, see `lerobot-ambient make-data pusht`.",
        "Mean squared acceleration is that of the pusher's path in successful rollouts. For each fault as many values "
        "of co-training's alpha are swept as of the window, and both sweeps choose the highest success.",
        common_conditions.ESTIMATED_ONCE.format(arms=f"`ambient:...-{ESTIMATE}` and `-{_ALSO}`"),
    ),
    draw=no_figures,
    full=Sizes(steps=4000, batch_size=64, target_episodes=50, source_episodes=300),
    quick=Sizes(seeds=(1,), trials=50, steps=3000, batch_size=64, target_episodes=50, source_episodes=100, sweep=False),
    quick_conditions=("target_only", f"cotrain:{FAULTS[0]}", f"ambient:{FAULTS[0]}"),
)
