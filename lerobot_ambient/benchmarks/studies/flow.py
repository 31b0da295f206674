# SPDX-License-Identifier: Apache-2.0
"""The maze under flow matching, and the same windows under DDPM beside it: does ambient co-training carry over?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import MARGIN, Claim, Conditions, points_above, ratio_at_most
from lerobot_ambient.benchmarks.engine.common_conditions import COTRAIN_ALPHA, SIGMA_MIN
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition, Sweep
from lerobot_ambient.benchmarks.engine.study import Sizes, Study, no_figures, one_pair
from lerobot_ambient.benchmarks.studies.maze import ACCELERATION, TASK
from lerobot_ambient.integration.commands.results import smoothest_of_the_best

_FLOW: dict[str, Any] = {"objective": "flow"}
DDPM = "ddpm"
_RATIO = 0.6
"""The maze experiment's own promise of accelerations, under DDPM."""


def _flow(condition: Condition) -> Condition:
    return replace(condition, policy=_FLOW)


def _ddpm(condition: Condition) -> Condition:
    return replace(condition, name=f"{condition.name}:{DDPM}", summary=f"{condition.summary} Under DDPM.")


def cotrain(alpha: float) -> Condition:
    """Co-training under flow matching."""
    return _flow(common_conditions.cotrain(alpha))


def ambient(sigma_min: float) -> Condition:
    """Ambient co-training under flow matching."""
    return _flow(common_conditions.ambient(sigma_min))


def conditions(choices: Choices, sizes: Sizes) -> list[Condition]:
    """Each condition under both objectives; what the sweeps chose under flow matching is taken over to DDPM."""
    made = (
        common_conditions.target_only(),
        common_conditions.cotrain(choices[COTRAIN_ALPHA]),
        common_conditions.ambient(choices[SIGMA_MIN]),
    )
    return [*map(_flow, made), *map(_ddpm, made)]


def claims(conditions: Conditions) -> list[Claim]:
    """The maze experiment's promises, now under flow matching."""
    return [
        *points_above(conditions, "ambient", "cotrain", -MARGIN),
        *ratio_at_most(conditions, "ambient", "cotrain", _RATIO, ACCELERATION),
    ]


STUDY = Study(
    name="flow",
    title="Flow matching: the maze's windows under another objective",
    task=TASK,
    data=one_pair,
    sweeps=(
        Sweep(COTRAIN_ALPHA, "alpha", (0.2, 0.5, 0.8), cotrain),
        Sweep(SIGMA_MIN, "sigma_min", (0.16, 0.3, 0.5, 0.7), ambient),
    ),
    defaults={COTRAIN_ALPHA: 0.5, SIGMA_MIN: 0.3},
    conditions=conditions,
    measures=(ACCELERATION,),
    choose=partial(smoothest_of_the_best, measure=ACCELERATION),
    claims=claims,
    published={},
    notes=(
        "Data, network and recipe are the maze experiment's, at half its steps. Arms without a suffix regress on the "
        "velocity over Beta(1.5, 1) times, as pi0 and SmolVLA do, and act in 10 steps of Euler's; arms `...:ddpm` are "
        "LeRobot's DDPM, predict the clean chunk and act in 100 steps. Under Beta(1.5, 1) a window admits another "
        "share of the draws than under DDPM's uniform timesteps.",
        "Both sweeps ran under flow matching and choose by one rule: the smoothest of those whose success reaches the "
        "lower Wilson bound of the highest. The values were taken over to DDPM unchanged, so they may not be the best "
        "there.",
    ),
    draw=no_figures,
    full=Sizes(trials=200, steps=3500),
    quick=Sizes(seeds=(1,), trials=100, steps=3500, source_episodes=1000, sweep=False),
    quick_conditions=("target_only", "cotrain", "ambient"),
    question="Do windows that work for DDPM do for a policy that regresses on a velocity what they do there?",
    limits=("Large networks: that of the maze is small, and rough under flow matching with no source at all.",),
)
