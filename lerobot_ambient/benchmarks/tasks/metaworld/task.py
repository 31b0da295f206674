# SPDX-License-Identifier: Apache-2.0
"""What Meta-World's environment and its demonstrations must agree on: tasks, rates, units, names of observations.

Positions of the hand and commands are in m in Meta-World's world frame. The environment state is in dm about `CENTRE`:
diffusion policies do not normalise it. The module is free of Meta-World, so that the environment's LeRobot
configuration stays light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lerobot_ambient.core.arrays import Floats

PHYSICS_FPS = 80
"""Meta-World's own rate of steps."""
REPEAT = 2
"""Of its steps for each command. At 80 Hz a chunk of 16 is a quarter of a task and 8 executed steps are 0.1 s; at 40 Hz
the experts still succeed as often, and a chunk of 0.4 s holds a whole part of the motion."""
FPS = PHYSICS_FPS // REPEAT
MAX_STEP = 0.01 * REPEAT
"""How far, in m on each axis, a command moves the hand's setpoint at most: Meta-World's limit of 1 cm a step."""
MAX_EPISODE_LENGTH = 500 // REPEAT
"""Meta-World's own step limit."""

CENTRE = np.array([0.0, 0.7, 0.1])
HAND_NAMES = ["x", "y", "z", "gripper"]
STATE_NAMES = [
    *(f"object_{axis}_dm" for axis in "xyz"),
    *(f"object_q{part}" for part in "0123"),
    *(f"goal_{axis}_dm" for axis in "xyz"),
]
GOAL = slice(7, 10)
"""The goal's entries in the environment state."""


@dataclass(frozen=True)
class MetaWorldTask:
    """One of Meta-World's tasks with a single object.

    Args:
        name: Meta-World's.
        description: LeRobot's sentence for it.
        expert: class in `metaworld.policies`.
        episode_length: step limit at `FPS`, about twice what the expert needs.
        sees_goal: whether the expert looks at the goal; elsewhere it follows from the object.
        wrong_task: another task of the same family.
    """

    name: str
    description: str
    expert: str
    episode_length: int
    sees_goal: bool
    wrong_task: str


_TASKS = (
    MetaWorldTask("push-v3", "Push the puck to a goal", "SawyerPushV3Policy", 70, True, "pick-place-v3"),
    MetaWorldTask("pick-place-v3", "Pick and place a puck to a goal", "SawyerPickPlaceV3Policy", 70, True, "push-v3"),
    MetaWorldTask("drawer-open-v3", "Open a drawer", "SawyerDrawerOpenV3Policy", 90, False, "drawer-close-v3"),
    MetaWorldTask(
        "drawer-close-v3", "Push and close a drawer", "SawyerDrawerCloseV3Policy", 90, False, "drawer-open-v3"
    ),
    MetaWorldTask(
        "door-open-v3", "Open a door with a revolving joint", "SawyerDoorOpenV3Policy", 100, False, "door-close-v3"
    ),
    MetaWorldTask(
        "door-close-v3", "Close a door with a revolving joint", "SawyerDoorCloseV3Policy", 100, True, "door-open-v3"
    ),
    MetaWorldTask(
        "assembly-v3", "Pick up a nut and place it onto a peg", "SawyerAssemblyV3Policy", 100, True, "disassemble-v3"
    ),
    MetaWorldTask("disassemble-v3", "Pick a nut out of a peg", "SawyerDisassembleV3Policy", 100, False, "assembly-v3"),
    MetaWorldTask(
        "shelf-place-v3", "Pick and place a puck onto a shelf", "SawyerShelfPlaceV3Policy", 100, True, "pick-place-v3"
    ),
    MetaWorldTask(
        "peg-insert-side-v3", "Insert a peg sideways", "SawyerPegInsertionSideV3Policy", 110, True, "peg-unplug-side-v3"
    ),
    MetaWorldTask(
        "peg-unplug-side-v3", "Unplug a peg sideways", "SawyerPegUnplugSideV3Policy", 110, False, "peg-insert-side-v3"
    ),
)
TASKS = {task.name: task for task in _TASKS}
DEFAULT_TASK = "push-v3"


def task_named(name: str) -> MetaWorldTask:
    """The task called `name`.

    Raises:
        ValueError: there is none.
    """
    if name not in TASKS:
        raise ValueError(f"Meta-World: task {name!r} must be one of {', '.join(TASKS)}")
    return TASKS[name]


def in_decimetres(point: ArrayLike) -> Floats:
    """A position (3,) in m as the environment state holds it."""
    scaled: Floats = 10.0 * (np.asarray(point, dtype=np.float64) - CENTRE)
    return scaled
