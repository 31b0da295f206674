# SPDX-License-Identifier: Apache-2.0
"""The maze experiment: motion planning from few smooth and many jagged demonstrations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import MARGIN, Claim, Conditions, against_all, points_above, ratio_at_most
from lerobot_ambient.benchmarks.engine.common_conditions import COTRAIN_ALPHA, SIGMA_MIN, on
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition, Sweep
from lerobot_ambient.benchmarks.engine.recipe import Task
from lerobot_ambient.benchmarks.engine.study import Figure, Sizes, Study
from lerobot_ambient.integration.commands.results import acceleration_measure, jerk_measure, smoothest_of_the_best

if TYPE_CHECKING:
    from lerobot_ambient.benchmarks.engine.outcome import Outcome

TASK = Task("maze", recorded=True)
ACCELERATION, _JERK = acceleration_measure("cells²/s⁴"), jerk_measure("cells²/s⁶")
ALPHAS = Sweep(COTRAIN_ALPHA, "alpha", (0.05, 0.2, 0.5, 0.8, 0.9, 0.98), common_conditions.cotrain)
SIGMA_MINS = Sweep(SIGMA_MIN, "sigma_min", (0.074, 0.12, 0.16, 0.3, 0.5, 0.7), common_conditions.ambient)
"""As many values each: the same budget of tuning."""
MORE = "100"
"""The data with twice as many target trajectories: the talk's, where the paper has 50."""
ESTIMATED = ("spectral", "classifier-dataset", "classifier-bucket", "classifier-datapoint")
_QUICK_MARGIN, _QUICK_RATIO = 10.0, 0.75
_FLOOR_POINTS, _FLOOR_RATIO, _TALK_RATIO = 25.0, 0.6, 0.45


def conditions(choices: Choices, sizes: Sizes) -> list[Condition]:
    """All conditions."""
    target_only = common_conditions.target_only()
    cotrain = common_conditions.cotrain(choices[COTRAIN_ALPHA])
    ambient = common_conditions.ambient(choices[SIGMA_MIN])
    soft = "Soft ambient: the target's share falls with the noise level instead of jumping at a threshold."
    return [
        target_only,
        common_conditions.source_only(),
        cotrain,
        ambient,
        *common_conditions.front(ALPHAS),
        *common_conditions.front(SIGMA_MINS),
        common_conditions.exclusive(choices[SIGMA_MIN]),
        Condition("soft", soft, {"type": "soft", "sigmas": [0.074, 0.3], "clean_shares": [1.0, 0.5]}),
        *(common_conditions.estimated(method) for method in ESTIMATED),
        *(on(MORE, condition) for condition in (target_only, cotrain, ambient)),
        *map(common_conditions.fine_tuned, (cotrain, ambient)),
        *common_conditions.pretrained_then_tuned(),
        *(common_conditions.selected(way, choices[COTRAIN_ALPHA]) for way in common_conditions.SELECTIONS),
        common_conditions.by_size(ambient),
        common_conditions.with_ambient_loss(ambient),
        *map(common_conditions.default_network, (target_only, cotrain, ambient)),
    ]


def data(sizes: Sizes) -> dict[str, list[str]]:
    """The pairs of datasets; both share the source's paths."""
    source = f"--source-episodes={sizes.source_episodes}"
    return {
        "": [f"--target-episodes={sizes.target_episodes}", source],
        MORE: [f"--target-episodes={2 * sizes.target_episodes}", source],
    }


def claims(conditions: Conditions) -> list[Claim]:
    """The floor the experiment set itself, as far as the conditions are there."""
    front = [condition.name for condition in common_conditions.front(ALPHAS)]
    front = front if set(front) <= set(conditions) else []
    as_good = [other for other in front if "ambient" in conditions and not _refuted(conditions, other)]
    return [
        *points_above(conditions, "ambient", "cotrain", -MARGIN),
        *points_above(conditions, "ambient", "target_only", _FLOOR_POINTS),
        *ratio_at_most(conditions, "ambient", "cotrain", _FLOOR_RATIO, ACCELERATION),
        *ratio_at_most(conditions, "ambient", "cotrain", _TALK_RATIO, _JERK),
        *against_all(
            f"ambient succeeds at most {MARGIN:g} points less often than co-training with any alpha",
            [claim for other in front for claim in points_above(conditions, "ambient", other, -MARGIN)],
        ),
        *against_all(
            f"ambient's acceleration is at most {_FLOOR_RATIO:g} of that of co-training with any alpha that may "
            "succeed as often",
            [
                claim
                for other in as_good
                for claim in ratio_at_most(conditions, "ambient", other, _FLOOR_RATIO, ACCELERATION)
            ],
        ),
    ]


def _refuted(conditions: Conditions, other: str) -> bool:
    """Whether an arm is known to succeed less often than ambient training."""
    return points_above(conditions, other, "ambient", -MARGIN)[0].verdict == "refuted"


def quick_claims(conditions: Conditions) -> list[Claim]:
    """What one training and a hundred layouts can show."""
    return [
        *points_above(conditions, "ambient", "target_only", 0.0),
        *points_above(conditions, "ambient", "cotrain", -_QUICK_MARGIN),
        *ratio_at_most(conditions, "ambient", "cotrain", _QUICK_RATIO, ACCELERATION),
    ]


def draw(outcome: Outcome, begin: Path) -> Sequence[Figure]:
    """The paths of demonstrations and rollouts, and what the policies denoise."""
    from lerobot_ambient.benchmarks.studies.maze_figures import draw_maze

    return draw_maze(outcome, begin)


STUDY = Study(
    name="maze",
    title="Maze: motion planning from few smooth and many jagged demonstrations",
    task=TASK,
    data=data,
    sweeps=(ALPHAS, SIGMA_MINS),
    defaults={COTRAIN_ALPHA: 0.5, SIGMA_MIN: 0.16},
    conditions=conditions,
    measures=(ACCELERATION, _JERK),
    choose=partial(smoothest_of_the_best, measure=ACCELERATION),
    claims=claims,
    published={
        "paper: success / acceleration": {
            "target_only": "57.5 % / 31.9",
            "cotrain": "99.4 % / 62.2",
            "ambient": "99.5 % / 31.0",
            "exclusive": "99.0 % / 29.9",
        },
        "talk: success / jerk²": {
            "source_only": "100 % / 17k",
            "target_only:100": "50 % / 7.5k",
            "cotrain:100": "91 % / 14.5k",
            "ambient:100": "98 % / 5.5k",
        },
    },
    notes=(
        "Mean squared acceleration and jerk are those of the successful rollouts; jerks come from the recorded paths. "
        "Both sweeps choose by one rule: the smoothest of those whose success reaches the lower Wilson bound of the "
        "highest.",
        "Arms `ambient:...` took their windows from the data alone, with `lerobot-ambient annotate`, before any policy "
        "was trained; buckets are 32 clusters of like chunks. Arms `...:100` have 100 target trajectories. Arms "
        "`...:finetuned` go on from that arm's policy with the target alone, a quarter as long.",
        "The published mazes, units and networks are others: compare ratios, not values. Paper: arXiv 2606.12365, "
        '50 + 5000 trajectories, 1000 trials. Talk: "Learning From Bad Data In Robotics", 24 Sept 2025, 100 + 5000 '
        "trajectories, 100 trials.",
    ),
    draw=draw,
    full=Sizes(),
    quick=Sizes(seeds=(1,), trials=100, steps=3500, source_episodes=1000, sweep=False),
    quick_conditions=("target_only", "cotrain", "ambient"),
    quick_claims=quick_claims,
    question=(
        "Many jagged paths know the maze, few smooth ones how to move. Does a policy learn the one from the source "
        "without the other, at any share that co-training could take?"
    ),
    limits=(
        "Other networks than a residual MLP that predicts the clean chunk, but for the arms `...:unet`, which take the "
        "alpha and the sigma_min that were swept for the MLP.",
        "Contact, cameras, robots: the body is a disk that follows its commands.",
    ),
)
