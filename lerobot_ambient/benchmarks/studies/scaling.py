# SPDX-License-Identifier: Apache-2.0
"""The scaling experiment: pushing with more and more demonstrations of the source.

When datasets share a noise level by their sizes, a growing source takes over, and ambient training tends to training
on the source alone. The remedies give the target a share that does not shrink: by a constant, by a function of the
noise level (soft ambient), or by admitting less of the source (windows per bucket).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import MARGIN, Claim, Conditions, points_above
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition
from lerobot_ambient.benchmarks.engine.crossed import Trainings
from lerobot_ambient.benchmarks.engine.study import Figure, Sizes, Study
from lerobot_ambient.benchmarks.studies import pushing
from lerobot_ambient.integration.commands.results import SUCCESS, highest

if TYPE_CHECKING:
    from lerobot_ambient.benchmarks.engine.outcome import Outcome

SHARES = (1, 2, 4, 8)
"""Sizes of the source in units of the smallest."""
SIGMA_MIN = 0.3
KINDS = ("cotrain:by-size", "ambient:by-size", "ambient:share", "soft", "ambient:bucket")
_REMEDY = "ambient:share"


def _kinds() -> list[Condition]:
    window = {"sigma_min": SIGMA_MIN}
    by_size = "the datasets share a noise level by their sizes"
    bucket = common_conditions.estimated("classifier-bucket")
    return [
        Condition("cotrain:by-size", f"Co-training; {by_size}.", {"type": "cotrain"}),
        Condition("ambient:by-size", f"Ambient co-training; {by_size}.", {"type": "ambient", "alpha": None}, window),
        replace(common_conditions.ambient(SIGMA_MIN), name="ambient:share", needs=()),
        common_conditions.soft(),
        replace(bucket, name="ambient:bucket", share=None),
    ]


def parts_of(largest: int, shares: Sequence[int]) -> list[int]:
    """Numbers of demonstrations in these proportions, the last of them `largest`."""
    return [max(1, largest * share // shares[-1]) for share in shares]


def source_sizes(sizes: Sizes) -> list[int]:
    """Numbers of source demonstrations; the largest is `sizes.source_episodes`."""
    return parts_of(sizes.source_episodes, SHARES)


def curves(
    found: Mapping[str, Trainings], kinds: Sequence[str], shares: Sequence[int], counts: Sequence[int]
) -> dict[str, list[tuple[int, Trainings]]]:
    """By kind, the numbers of demonstrations and the trainings there; kinds without any are left out."""
    lines = {
        kind: [
            (count, found[condition_of(kind, share)])
            for share, count in zip(shares, counts, strict=True)
            if condition_of(kind, share) in found
        ]
        for kind in kinds
    }
    return {kind: points for kind, points in lines.items() if points}


def conditions(choices: Choices, sizes: Sizes) -> list[Condition]:
    """Every kind at every size; the target alone is the common floor."""
    return [
        common_conditions.target_only(),
        *at_every_size(_kinds(), SHARES),
    ]


def data(sizes: Sizes) -> dict[str, list[str]]:
    """A pair of datasets for every size; a smaller source is the beginning of a larger one."""
    target = f"--target-episodes={sizes.target_episodes}"
    pairs = {
        f"x{share}": [target, f"--source-episodes={count}"]
        for share, count in zip(SHARES, source_sizes(sizes), strict=True)
    }
    return {"": pairs[f"x{SHARES[0]}"], **pairs}


def at_every_size(kinds: Sequence[Condition], shares: Sequence[int]) -> list[Condition]:
    """Each kind on the pair of datasets of each size."""
    return [replace(kind, name=condition_of(kind.name, share), data=f"x{share}") for kind in kinds for share in shares]


def condition_of(kind: str, share: int) -> str:
    """The name of a kind's condition at a size."""
    return f"{kind}{'-' if ':' in kind else ':'}x{share}"


def claims(conditions: Conditions) -> list[Claim]:
    """A constant share at the largest size does not fall behind itself at the smallest."""
    return points_above(conditions, condition_of(_REMEDY, SHARES[-1]), condition_of(_REMEDY, SHARES[0]), -MARGIN)


def draw(outcome: Outcome, begin: Path) -> Sequence[Figure]:
    """Success over the size of the source."""
    from lerobot_ambient.benchmarks.pages.comparison import trainings_of
    from lerobot_ambient.benchmarks.pages.figures import draw_scaling

    found = trainings_of(outcome)
    lines = curves(found, KINDS, SHARES, source_sizes(outcome.options.sizes))
    if not lines:
        return []
    path = begin.with_name(f"{begin.name}-curve")
    caption = (
        "Success over the number of source demonstrations, with 95 % intervals over trainings and layouts. Line: the "
        "target alone."
    )
    return [(draw_scaling(lines, found.get("target_only"), path), caption)]


STUDY = Study(
    name="scaling",
    title="Scaling: pushing with more and more demonstrations of the source",
    task=pushing.TASK,
    data=data,
    sweeps=(),
    defaults={},
    conditions=conditions,
    measures=(pushing.ACCELERATION,),
    choose=partial(highest, measure=SUCCESS),
    claims=claims,
    published={},
    notes=(
        "`by-size`: the datasets share a noise level by their numbers of frames. `share`: the target has half of it "
        "where the source is admitted. `bucket`: by size, with a window for each of 32 clusters of like chunks. "
        f"Ambient arms without estimated windows have sigma_min {SIGMA_MIN:g}.",
        'The question is the talk\'s ("Learning From Bad Data In Robotics", 24 Sept 2025): as the source grows, '
        "ambient training tends to training on the source alone; it names soft ambient as a remedy and gives no "
        "figures.",
    ),
    draw=draw,
    full=Sizes(steps=6000, batch_size=64, source_episodes=4000),
    quick=Sizes(seeds=(1,), trials=50, steps=4000, batch_size=64, source_episodes=400, sweep=False),
    quick_conditions=("target_only", "ambient:by-size-x1", "ambient:by-size-x8"),
    question=(
        "As the source grows, who decides at a noise level that both may teach, and does the target still count?"
    ),
    limits=("Sources of several kinds at once.",),
)
