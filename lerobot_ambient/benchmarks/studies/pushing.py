# SPDX-License-Identifier: Apache-2.0
"""The pushing experiment: few demonstrations in one physics, many in another."""

from __future__ import annotations

from functools import partial

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import Claim, Conditions, points_above
from lerobot_ambient.benchmarks.engine.common_conditions import COTRAIN_ALPHA, SIGMA_MIN
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition, Sweep
from lerobot_ambient.benchmarks.engine.recipe import FEW_STEPS, Task
from lerobot_ambient.benchmarks.engine.study import Sizes, Study, no_figures, one_pair
from lerobot_ambient.integration.commands.results import SUCCESS, acceleration_measure, highest

TASK = Task("pushing", policy=FEW_STEPS, revision=1)
ACCELERATION = acceleration_measure("cm²/s⁴")
ESTIMATED = ("classifier-dataset", "classifier-bucket", "classifier-datapoint", "classifier-datapoint-locality")


def conditions(choices: Choices, sizes: Sizes) -> list[Condition]:
    """All conditions."""
    cotrain = common_conditions.cotrain(choices[COTRAIN_ALPHA])
    ambient = common_conditions.ambient(choices[SIGMA_MIN])
    return [
        common_conditions.target_only(),
        common_conditions.source_only(),
        cotrain,
        ambient,
        common_conditions.soft(),
        *(common_conditions.estimated(method) for method in ESTIMATED),
        *map(common_conditions.fine_tuned, (cotrain, ambient)),
        *common_conditions.pretrained_then_tuned(),
        *(common_conditions.selected(way, choices[COTRAIN_ALPHA]) for way in common_conditions.SELECTIONS),
        common_conditions.by_size(ambient),
        common_conditions.with_ambient_loss(ambient),
    ]


def claims(conditions: Conditions) -> list[Claim]:
    """What ambient training promises, as far as the conditions are there."""
    return [
        *points_above(conditions, "ambient", "cotrain", 0.0),
        *points_above(conditions, "ambient:classifier-datapoint", "ambient", 0.0),
    ]


STUDY = Study(
    name="pushing",
    title="Pushing: few demonstrations in the target's physics, many in another",
    task=TASK,
    data=one_pair,
    sweeps=(
        Sweep(COTRAIN_ALPHA, "alpha", (0.2, 0.5, 0.8, 0.9, 0.95, 0.98), common_conditions.cotrain),
        Sweep(SIGMA_MIN, "sigma_min", (0.074, 0.16, 0.24, 0.3, 0.5, 0.7), common_conditions.ambient),
    ),
    defaults={COTRAIN_ALPHA: 0.8, SIGMA_MIN: 0.16},
    conditions=conditions,
    measures=(ACCELERATION,),
    choose=partial(highest, measure=SUCCESS),
    claims=claims,
    published={
        "paper: success": {
            "target_only": "56.5 %",
            "cotrain": "84.5 %",
            "ambient": "87.0 %",
            "ambient:classifier-datapoint": "93.5 %",
            "ambient:classifier-datapoint-locality": "92.0 %",
        },
    },
    notes=(
        "Mean squared acceleration is that of the successful rollouts. Both sweeps choose the highest success.",
        "Arms `ambient:classifier-...` took their windows from the data alone, with `lerobot-ambient annotate`, before "
        "any policy was trained; buckets are 32 clusters of like chunks. Arms `...:finetuned` go on from that arm's "
        "policy with the target alone, a quarter as long.",
        "The published pushing has another object, other physics and networks: compare differences between arms, not "
        "values. Paper: arXiv 2606.12365, 50 + 2000 demonstrations, 200 trials.",
    ),
    draw=no_figures,
    full=Sizes(steps=6000, batch_size=64, source_episodes=2000),
    quick=Sizes(seeds=(1,), trials=50, steps=4000, batch_size=64, source_episodes=500, sweep=False),
    quick_conditions=("target_only", "cotrain", "ambient"),
    question=(
        "Many demonstrations come from other physics. Do they help a policy of the true physics more where "
        "they teach above a noise level only?"
    ),
    limits=("A real arm: both physics are simulations of one.",),
)
