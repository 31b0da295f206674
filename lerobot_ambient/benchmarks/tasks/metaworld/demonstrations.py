# SPDX-License-Identifier: Apache-2.0
"""Demonstrations by Meta-World's scripted experts, each pure in (kind, task, fault, seed, number).

The target holds successes only. A source is kept as it comes: what fails or ends elsewhere is part of the fault.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.metaworld.faults import Fault, Habit
from lerobot_ambient.benchmarks.tasks.metaworld.simulation import OWN, Physics, Simulation, expert_of
from lerobot_ambient.benchmarks.tasks.metaworld.task import (
    GOAL,
    MAX_EPISODE_LENGTH,
    MAX_STEP,
    TASKS,
    MetaWorldTask,
    in_decimetres,
)
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode
from lerobot_ambient.core.arrays import Floats

TAIL = 8
"""Commands that follow a success, so that a demonstration shows how to stay there."""
ATTEMPTS = 20
_STREAM = 0x6D657461
"""First word of every spawn key, so that no demonstration shares a stream with an environment's reset seed."""


@dataclass(frozen=True, eq=False)
class Demonstration:
    """One recorded episode.

    Args:
        frames: float32 observations before each command, and the commands.
        success: whether Meta-World reported success.
    """

    frames: Episode
    success: bool


@cache
def _simulation(task: str, physics: Physics) -> Simulation:
    return Simulation(TASKS[task], physics)


def intended(task: MetaWorldTask, seen: Floats, setpoint: Floats) -> Floats:
    """The command that the expert means, (4,), given what it sees and where the hand is told to be."""
    with warnings.catch_warnings():
        # It says at each step that Meta-World clips its actions, which is how it moves at full speed.
        warnings.filterwarnings("ignore", "Constant.* may be too high")
        action = np.clip(expert_of(task).get_action(seen), -1.0, 1.0)
    return np.append(setpoint + MAX_STEP * action[:3], action[3])


def play(simulation: Simulation, task: MetaWorldTask, habit: Habit, limit: int) -> Demonstration:
    """Let the expert act with a habit in a simulation that was reset, until `TAIL` commands after a success."""
    states: list[NDArray[np.float32]] = []
    surroundings: list[NDArray[np.float32]] = []
    commands: list[NDArray[np.float32]] = []
    success, left = False, limit
    while left > 0:
        setpoint = simulation.setpoint
        command = habit.do(setpoint, intended(task, habit.see(simulation.seen), setpoint))
        if command is None:
            break
        # What can be followed: recorded commands are where the setpoint goes.
        near = np.clip(command[:3], setpoint - MAX_STEP, setpoint + MAX_STEP)
        recorded = np.append(np.clip(near, simulation.low, simulation.high), command[3]).astype(np.float32)
        states.append(simulation.hand.astype(np.float32))
        surroundings.append(simulation.state.astype(np.float32))
        commands.append(recorded)
        left -= 1
        if simulation.act(recorded) and not success:
            success, left = True, min(left, TAIL)
    frames = {
        "observation.state": np.stack(states),
        "observation.environment_state": np.stack(surroundings),
        "action": np.stack(commands),
    }
    return Demonstration(frames, success)


def _layout_seed(sequence: np.random.SeedSequence) -> int:
    # 128 bits, far from the small numbers that evaluations are seeded with.
    return int.from_bytes(sequence.generate_state(4, np.uint32).tobytes(), "little")


def target_demonstration(task: MetaWorldTask, seed: int, number: int) -> Demonstration:
    """Demonstration `number` of the target: the first success of an expert without a fault."""
    simulation = _simulation(task.name, OWN)
    for retry in range(ATTEMPTS):
        simulation.reset(_layout_seed(np.random.SeedSequence(seed, spawn_key=(_STREAM, 0, number, retry))))
        found = play(simulation, task, Habit(), task.episode_length)
        if found.success:
            return found
    raise RuntimeError(f"metaworld, target: demonstration {number} of {task.name} failed {ATTEMPTS} times")


def source_demonstration(task: MetaWorldTask, fault: Fault, seed: int, number: int) -> Demonstration:
    """Demonstration `number` of a source with a fault; its layout does not depend on the fault."""
    layout, habit, other = np.random.SeedSequence(seed, spawn_key=(_STREAM, 1, number)).spawn(3)
    shown = TASKS[task.wrong_task] if fault.name == "wrong_task" else task
    simulation = _simulation(shown.name, fault.physics)
    simulation.reset(_layout_seed(other))
    elsewhere = simulation.goal
    simulation.reset(_layout_seed(layout))
    limit = min(MAX_EPISODE_LENGTH, round(fault.patience * shown.episode_length))
    found = play(simulation, shown, fault.habit(np.random.default_rng(habit)), limit)
    if fault.name == "wrong_goal":
        label = simulation.goal + fault.strength * (elsewhere - simulation.goal)
        found.frames["observation.environment_state"][:, GOAL] = in_decimetres(label)
    return found
