# SPDX-License-Identifier: Apache-2.0
"""The Meta-World experiments, one a task: few demonstrations of its expert, many with a planted fault."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lerobot_ambient.benchmarks.engine.common_conditions import COTRAIN_ALPHA, SIGMA_MIN
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition
from lerobot_ambient.benchmarks.engine.planted_faults import NOTE, SIGMA_MAX, Faults
from lerobot_ambient.benchmarks.engine.recipe import FEW_STEPS, Task
from lerobot_ambient.benchmarks.engine.study import Sizes, Study, no_figures
from lerobot_ambient.integration.commands.results import SUCCESS, acceleration_measure, highest

ACCELERATION = acceleration_measure("m²/s⁴")
_ALPHAS = (0.2, 0.5, 0.9, 0.98)
_WINDOWS = {SIGMA_MIN: (0.1, 0.3, 0.5, 0.7), SIGMA_MAX: (0.2, 0.35, 0.5, 0.7)}
"""As many values of a window as of co-training's alpha."""
_DEFAULTS = {COTRAIN_ALPHA: 0.5, SIGMA_MIN: 0.3, SIGMA_MAX: 0.5}
_NETWORK = {**FEW_STEPS, "mlp_width": 128}
"""Half as wide as elsewhere: from ten demonstrations of the push it learns as much, in half the time."""


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

    @property
    def sources(self) -> Faults:
        return Faults(
            self.faults, _ALPHAS, _WINDOWS, _DEFAULTS, decisions=("wrong_goal", "wrong_task"), mixed=("broken",)
        )


GROUNDS = (
    Ground("metaworld-push", "push-v3", "push a puck to a goal", ("tremble", "wrong_goal"), 10),
    Ground("metaworld-pick", "pick-place-v3", "pick and place a puck", ("slow", "wrong_goal"), 10),
    Ground("metaworld-shelf", "shelf-place-v3", "put a puck onto a shelf", ("tremble", "broken"), 10),
    Ground("metaworld-peg", "peg-insert-side-v3", "insert a peg", ("tremble", "broken"), 20),
)
"""The door and the nut are learnt from 10 and 25 demonstrations in 1000 steps, without a failure in 50 rollouts: they
leave no room for a source."""


def conditions(ground: Ground, choices: Choices, sizes: Sizes) -> list[Condition]:
    """The target alone, then the ways to use each source."""
    return ground.sources.conditions(choices)


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


def _study(ground: Ground) -> Study:
    first = ground.faults[0]
    return Study(
        name=ground.name,
        title=f"Meta-World, {ground.task}: {ground.words}, from a few experts and many with a planted fault",
        task=Task("metaworld", policy=_NETWORK, env={"task_name": ground.task}),
        data=partial(data, ground),
        sweeps=ground.sources.sweeps(),
        defaults=ground.sources.choices(),
        conditions=partial(conditions, ground),
        measures=(ACCELERATION,),
        choose=partial(highest, measure=SUCCESS),
        claims=ground.sources.claims,
        published={},
        notes=(
            "Task, physics, signal of success and the expert are Meta-World's (metaworld 3.0.0). A policy sees its "
            "low-dimensional state with the goal and commands the hand's position at 40 Hz, two of Meta-World's steps "
            "for each command. The source's faults are planted, see `lerobot-ambient make-data metaworld`.",
            "Mean squared acceleration is that of the hand's path in successful rollouts. For each fault as many "
            "values of co-training's alpha are swept as of the window, and both sweeps choose the highest success.",
            NOTE,
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
        quick_conditions=("target_only", f"cotrain:{first}", f"ambient:{first}"),
        question=(
            "A few demonstrations are right; many move or decide wrongly in a known way. Does a window that the data "
            "alone suggests help where each fault allows it, and never hurt?"
        ),
        limits=(
            "Tasks where the target alone succeeds already: these were selected because it leaves room, each by one "
            "training of the target alone.",
            "Pictures: the policies see states.",
            "How windows vary with the draw of the target: each was estimated on one.",
        ),
    )


STUDIES = {ground.name: _study(ground) for ground in GROUNDS}
