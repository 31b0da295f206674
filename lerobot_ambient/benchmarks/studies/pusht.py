# SPDX-License-Identifier: Apache-2.0
"""The PushT experiment: few clean demonstrations of a planner, many with a planted fault."""

from __future__ import annotations

from functools import partial

from lerobot_ambient.benchmarks.engine.common_conditions import COTRAIN_ALPHA, SIGMA_MIN
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition
from lerobot_ambient.benchmarks.engine.planted_faults import NOTE, Faults
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
SOURCES = Faults(
    ("trembling", "delayed"),
    alphas=(0.2, 0.5, 0.8, 0.9, 0.95, 0.98),
    windows={SIGMA_MIN: (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)},
    defaults={COTRAIN_ALPHA: 0.8, SIGMA_MIN: 0.3},
)


def conditions(choices: Choices, sizes: Sizes) -> list[Condition]:
    """The target alone, then the ways to use each source."""
    return SOURCES.conditions(choices)


def data(sizes: Sizes) -> dict[str, list[str]]:
    """The datasets of each fault."""
    return {
        fault: [
            f"--fault={fault}",
            f"--reach={REACH:g}",
            f"--target-episodes={sizes.target_episodes}",
            f"--source-episodes={sizes.source_episodes}",
        ]
        for fault in SOURCES.names
    }


STUDY = Study(
    name="pusht",
    title="PushT: few clean demonstrations of a planner, many with a planted fault",
    task=TASK,
    data=data,
    sweeps=SOURCES.sweeps(),
    defaults=SOURCES.choices(),
    conditions=conditions,
    measures=(ACCELERATION,),
    choose=partial(highest, measure=SUCCESS),
    claims=SOURCES.claims,
    published={},
    notes=(
        "The game, its physics and its success, more than 95 % of the mark covered within 300 steps, are gym-pusht's "
        f"(0.1.8). The T starts nearer to its mark than there: within {REACH:g} of the usual range of places and "
        "angles. A policy sees the eight keypoints of the T and the pusher's position, scaled to mean 0, deviation 1.",
        "The demonstrations are not people's: a planner that knows the simulator makes them, with errors of its aim "
        "that it then corrects. The source's faults are planted, see `lerobot-ambient make-data pusht`.",
        "Mean squared acceleration is that of the pusher's path in successful rollouts. For each fault as many values "
        "of co-training's alpha are swept as of the window, and both sweeps choose the highest success.",
        NOTE,
    ),
    draw=no_figures,
    full=Sizes(steps=16000, batch_size=64, target_episodes=50, source_episodes=300),
    quick=Sizes(seeds=(1,), trials=50, steps=3000, batch_size=64, target_episodes=50, source_episodes=100, sweep=False),
    quick_conditions=("target_only", *(f"{kind}:{SOURCES.names[0]}" for kind in ("cotrain", "ambient"))),
    question=(
        "A hand trembles, or acts late. Does a window that the data alone suggests help with either, and never hurt?"
    ),
    limits=(
        "People's demonstrations, and gym-pusht's whole range of starts.",
        "Pictures: the policies see keypoints.",
        "How windows vary with the draw of the target: each was estimated on one.",
    ),
)
