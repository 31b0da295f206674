# SPDX-License-Identifier: Apache-2.0
"""When a source pays: success over the number of the target's demonstrations, with and without it.

A source that helps a handful of demonstrations may be in the way of many. Nothing is tuned here: co-training has one
alpha and ambient training one sigma_min at every number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import Claim, Conditions, points_above
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition
from lerobot_ambient.benchmarks.engine.recipe import Task
from lerobot_ambient.benchmarks.engine.study import Figure, Sizes, Study
from lerobot_ambient.benchmarks.studies import maze, metaworld
from lerobot_ambient.benchmarks.studies.scaling import at_every_size, condition_of, curves, parts_of
from lerobot_ambient.integration.commands.results import SUCCESS, Measure, highest

if TYPE_CHECKING:
    from lerobot_ambient.benchmarks.engine.outcome import Outcome

SHARES = (2, 5, 10, 20, 40)
"""Numbers of the target's demonstrations in fortieths of the largest."""
_COST = 5.0
"""Points of success that count as no cost."""
_UNTUNED = ("target_only", "cotrain", "ambient")
KINDS = (*_UNTUNED, "ambient:heldout")
_ALPHA = 0.5


@dataclass(frozen=True)
class Ground:
    """A task and the fault of its source.

    Args:
        name: of the study.
        words: the task and the fault, for the title.
        task: what is learnt.
        sigma_min: of the source.
        make: words of make-data beside the counts.
        measure: beside success.
        sizes, quick: of the study; the target's episodes are those of the largest number.
    """

    name: str
    words: str
    task: Task
    sigma_min: float
    make: tuple[str, ...]
    measure: Measure
    sizes: Sizes
    quick: Sizes


_PUSH = metaworld.STUDIES["metaworld-push"]
GROUNDS = (
    Ground(
        "pays-maze",
        "the maze, jagged paths",
        replace(maze.TASK, recorded=False),
        0.3,
        (),
        maze.ACCELERATION,
        Sizes(target_episodes=200),
        Sizes(seeds=(1,), trials=50, steps=1500, target_episodes=200, source_episodes=500, sweep=False),
    ),
    Ground(
        "pays-push",
        "Meta-World's push, trembling hands",
        _PUSH.task,
        0.3,
        ("--task=push-v3", "--fault=tremble"),
        metaworld.ACCELERATION,
        replace(_PUSH.full, target_episodes=200),
        replace(_PUSH.quick, target_episodes=200),
    ),
)


def target_sizes(sizes: Sizes) -> list[int]:
    """Numbers of the target's demonstrations; the largest is `sizes.target_episodes`."""
    return parts_of(sizes.target_episodes, SHARES)


def conditions(ground: Ground, choices: Choices, sizes: Sizes) -> list[Condition]:
    """Every kind at every number."""
    kinds = (
        common_conditions.target_only(),
        replace(common_conditions.cotrain(_ALPHA), needs=()),
        replace(common_conditions.ambient(ground.sigma_min), needs=()),
        replace(common_conditions.estimated("heldout"), windows_once=True),
    )
    return at_every_size(kinds, SHARES)


def data(ground: Ground, sizes: Sizes) -> dict[str, list[str]]:
    """A pair of datasets for every number; all share the source."""
    source = f"--source-episodes={sizes.source_episodes}"
    counts = zip(SHARES, target_sizes(sizes), strict=True)
    return {f"x{share}": [*ground.make, f"--target-episodes={count}", source] for share, count in counts}


def claims(conditions: Conditions) -> list[Claim]:
    """With few demonstrations the source pays; with many it does not cost, used as ambient training uses it."""
    few, many = SHARES[0], SHARES[-1]
    return [
        *points_above(conditions, condition_of("ambient", few), condition_of("target_only", few), 0.0),
        *points_above(conditions, condition_of("ambient", many), condition_of("target_only", many), -_COST),
        *points_above(conditions, condition_of("ambient", many), condition_of("cotrain", many), 0.0),
    ]


def draw(outcome: Outcome, begin: Path) -> Sequence[Figure]:
    """Success over the number of the target's demonstrations."""
    from lerobot_ambient.benchmarks.pages.comparison import trainings_of
    from lerobot_ambient.benchmarks.pages.figures import draw_scaling

    lines = curves(trainings_of(outcome), KINDS, SHARES, target_sizes(outcome.options.sizes))
    if not lines:
        return []
    path = begin.with_name(f"{begin.name}-curve")
    caption = "Success over the number of the target's demonstrations, with 95 % intervals over trainings and layouts."
    return [(draw_scaling(lines, None, path, of="target demonstrations"), caption)]


def _study(ground: Ground) -> Study:
    return Study(
        name=ground.name,
        title=f"When does a source pay? {ground.words}",
        task=ground.task,
        data=partial(data, ground),
        sweeps=(),
        defaults={},
        conditions=partial(conditions, ground),
        measures=(ground.measure,),
        choose=partial(highest, measure=SUCCESS),
        claims=claims,
        published={},
        notes=(
            f"Co-training gives the target a share of {_ALPHA:g} at every noise level, ambient training above "
            f"sigma_min {ground.sigma_min:g}; neither is tuned.",
            "The windows of `ambient:heldout-...` come from the held-out map, the safe end of what it shows, estimated "
            "once for each number, on a draw of the target of its own. Where it shows no gain, the target is trained "
            "with alone.",
        ),
        draw=draw,
        full=ground.sizes,
        quick=ground.quick,
        quick_conditions=tuple(condition_of(kind, SHARES[0]) for kind in _UNTUNED),
        question="How many good demonstrations are enough to do without the source, and does it cost anything then?",
        limits=(
            "Co-training at its best alpha for each number: it is the same at all.",
            "Longer trainings where there are more demonstrations: the steps are the same at all.",
        ),
    )


STUDIES = {ground.name: _study(ground) for ground in GROUNDS}
