# SPDX-License-Identifier: Apache-2.0
"""The vision experiment: the maze, with the goal shown in a picture only.

It asks whether the path from a camera to an action learns. A control trains on pictures that leave the goal out: what
it achieves needs no eyes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_ambient.benchmarks.engine import common_conditions as common_conditions
from lerobot_ambient.benchmarks.engine.claims import MARGIN, Claim, Conditions, points_above
from lerobot_ambient.benchmarks.engine.common_conditions import on
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition
from lerobot_ambient.benchmarks.engine.recipe import FEW_STEPS, Task
from lerobot_ambient.benchmarks.engine.study import Figure, Sizes, Study
from lerobot_ambient.benchmarks.studies import maze
from lerobot_ambient.benchmarks.tasks.maze.environment import MazeEnv
from lerobot_ambient.benchmarks.tasks.maze.render import OBSERVATION_SIZE
from lerobot_ambient.figures.style import styled, subplots, write_png_and_svg
from lerobot_ambient.integration.commands.results import smoothest_of_the_best

if TYPE_CHECKING:
    from lerobot_ambient.benchmarks.engine.outcome import Outcome

_DRAWS, _STEPS_OF_ONE_DRAW = 4, 1.5
"""A step with four draws takes 1.5 to 1.6 times as long as one with one: 44.2 and 29.5 ms of a core on a busy machine,
37.7 and 23.6 on an idle one, `lerobot-ambient bench train-step --config_path=TRAIN --policy.noise_draws=1` (and 4) with
the study's own configuration."""
TASK = Task(
    "maze",
    # One picture an observation: the point has no momentum, and a second one doubles the encoder's work.
    policy={
        "n_obs_steps": 1,
        "vision_encoder": "cnn",
        "noise_draws": _DRAWS,
        "resize_shape": None,
        "ema_decay": 0.99,
        "optimizer_lr": 5.0e-4,
        **FEW_STEPS,
    },
    env={"obs_type": "pixels_agent_pos", "observation_size": OBSERVATION_SIZE},
    frame_cache=True,
)
_BLIND = "blind"
"""The data whose pictures leave the goal out."""
_TASK_SEEDS = (500_000, 500_001, 500_002)
"""Of the starts and goals that are shown; far from those of any evaluation."""
_ALPHA, SIGMA_MIN = 0.5, 0.16
"""The maze's values, where the goal's position is given."""
_SIGHT_POINTS = 25.0


def conditions(choices: Choices, sizes: Sizes) -> list[Condition]:
    """All conditions; nothing is swept."""
    ambient = replace(common_conditions.ambient(SIGMA_MIN), needs=())
    blind = replace(
        on(_BLIND, ambient),
        summary="The same, with the goal left out of the pictures: a control that cannot see where to go.",
        env={"hide_goal": True},
    )
    once = replace(
        ambient,
        name="ambient:one-draw",
        summary=f"{ambient.summary} One noise level a picture, in as long a training.",
        policy={**ambient.policy, "noise_draws": 1},
        steps=_STEPS_OF_ONE_DRAW,
    )
    return [common_conditions.target_only(), replace(common_conditions.cotrain(_ALPHA), needs=()), ambient, once, blind]


def data(sizes: Sizes) -> dict[str, list[str]]:
    """The pairs of datasets; both show the same paths."""
    words = [
        f"--images={OBSERVATION_SIZE}",
        f"--target-episodes={sizes.target_episodes}",
        f"--source-episodes={sizes.source_episodes}",
    ]
    return {"": words, _BLIND: [*words, "--hide-goal"]}


def claims(conditions: Conditions) -> list[Claim]:
    """The policy sees the goal, the source helps it, and no less than co-training would."""
    return [
        *points_above(conditions, "ambient", f"ambient:{_BLIND}", _SIGHT_POINTS),
        *points_above(conditions, "ambient", "target_only", 0.0),
        *points_above(conditions, "ambient", "cotrain", -MARGIN),
    ]


def draw(outcome: Outcome, begin: Path) -> Sequence[Figure]:
    """What the policies see at a few starts, with the goal and without."""
    return [
        (
            _draw_observations(begin.with_name(f"{begin.name}-observations")),
            "What the policies see at three starts, enlarged: above with the goal (green), below without, as the "
            "control is trained and evaluated.",
        )
    ]


@styled
def _draw_observations(path: Path) -> Path:
    """Observations at `_TASK_SEEDS`, a row with the goal and one without. Writes PNG and SVG, returns the PNG."""
    figure, axes = subplots(2, len(_TASK_SEEDS), figsize=(2.1 * len(_TASK_SEEDS), 4.3))
    for row, hidden in enumerate((False, True)):
        env = MazeEnv(obs_type="pixels_agent_pos", observation_size=OBSERVATION_SIZE, hide_goal=hidden)
        for axis, seed in zip(axes[row], _TASK_SEEDS, strict=True):
            seen, _ = env.reset(seed=seed)
            axis.imshow(seen["pixels"], interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.grid(False)
    return write_png_and_svg(figure, path)


STUDY = Study(
    name="vision",
    title="Vision: the maze, with the goal shown in a picture only",
    task=TASK,
    data=data,
    sweeps=(),
    defaults={},
    conditions=conditions,
    measures=(maze.ACCELERATION,),
    choose=partial(smoothest_of_the_best, measure=maze.ACCELERATION),
    claims=claims,
    published={},
    notes=(
        f"The policy observes its position and a picture of {OBSERVATION_SIZE} x {OBSERVATION_SIZE} pixels with the "
        "maze, the goal and the robot, through four small convolutions (`policy.vision_encoder=cnn`), trained from "
        f"scratch; each picture is encoded once for {_DRAWS} noise levels (`policy.noise_draws`). Decoded pictures "
        "come from the frame cache. Datasets and paths are the maze's.",
        f"`ambient:{_BLIND}` is trained and evaluated without the goal in its pictures; it succeeds by luck only.",
        "Mean squared acceleration is that of the successful rollouts.",
    ),
    draw=draw,
    full=Sizes(steps=8000, batch_size=64, source_episodes=3000),
    quick=Sizes(seeds=(1,), trials=50, steps=400, batch_size=32, source_episodes=500, sweep=False),
    quick_conditions=("ambient", f"ambient:{_BLIND}"),
    question=(
        "The goal is in a picture alone. Does a policy that learns to see it from few smooth and many jagged paths go "
        "there, without their jags?"
    ),
    limits=(
        "Real pictures: these are drawn, 40 pixels wide, without noise, light or depth.",
        "Co-training at its best alpha, or ambient training at its best window: neither is swept.",
    ),
)
