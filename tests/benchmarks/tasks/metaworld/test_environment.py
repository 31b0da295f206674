# SPDX-License-Identifier: Apache-2.0
"""Meta-World by its state: the contract that every environment here keeps, and its agreement with LeRobot's own."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("metaworld", reason="needs the extra 'metaworld'")

from lerobot.envs.metaworld import TASK_DESCRIPTIONS, TASK_POLICY_MAPPING, MetaworldEnv

from lerobot_ambient.benchmarks.tasks.configuration import AmbientMetaWorldEnvConfig
from lerobot_ambient.benchmarks.tasks.metaworld.demonstrations import intended
from lerobot_ambient.benchmarks.tasks.metaworld.environment import MetaWorldEnv
from lerobot_ambient.benchmarks.tasks.metaworld.simulation import Simulation
from lerobot_ambient.benchmarks.tasks.metaworld.task import CENTRE, FPS, GOAL, MAX_STEP, REPEAT, TASKS
from lerobot_ambient.benchmarks.tasks.shared.conformance import check_environment
from lerobot_ambient.benchmarks.tasks.shared.conformance_lerobot import check_lerobot
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration


def hover(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    """Over the object, with a tremble."""
    place = observation["environment_state"][:3] / 10.0 + CENTRE
    wish = np.append(place + np.array([0.0, 0.0, 0.1]) + rng.uniform(-0.01, 0.01, 3), -1.0)
    return wish.astype(np.float32)


def stay(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    return np.append(observation["agent_pos"][:3], -1.0).astype(np.float32)


def test_it_keeps_the_contract() -> None:
    check_environment(
        lambda: MetaWorldEnv("drawer-open-v3", episode_length=8, render_mode="rgb_array", image_size=32),
        policy=hover,
        idle_policy=stay,
        episode_return=lambda env: -mean_squared_acceleration(env.unwrapped.trail, FPS),  # type: ignore[attr-defined]
        seeds=(0, 1),
    )


def test_lerobot_makes_it() -> None:
    check_lerobot(AmbientMetaWorldEnvConfig(task_name="pick-place-v3", episode_length=5))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_tasks_are_lerobot_s(task: Any) -> None:
    assert task.description == TASK_DESCRIPTIONS[task.name] and task.wrong_task in TASKS
    assert TASK_POLICY_MAPPING[task.name].__name__ == task.expert


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_task_says_whether_its_expert_looks_at_the_goal(task: Any) -> None:
    """Tried at places near the object, where every phase of an expert happens."""
    rng, differs = np.random.default_rng(0), False
    for _ in range(400):
        seen = np.zeros(39)
        seen[4:7] = rng.uniform([-0.2, 0.5, 0.02], [0.2, 0.8, 0.3])
        seen[:3] = seen[4:7] + rng.uniform(-0.1, 0.1, 3) * rng.choice([0.1, 1.0])
        seen[36:39] = seen[4:7] + rng.uniform(-0.1, 0.1, 3)
        here = np.zeros(3)
        elsewhere = seen.copy()
        elsewhere[36:39] += 0.05
        differs |= not np.array_equal(intended(task, seen, here), intended(task, elsewhere, here))
    assert differs == task.sees_goal


def test_a_seed_s_layout_is_that_of_lerobot_s_environment() -> None:
    """And Meta-World's physics is untouched: the same steps end at the same place."""
    stock = MetaworldEnv("drawer-open-v3", obs_type="pixels_agent_pos")
    stock._ensure_env()
    ours = Simulation(TASKS["drawer-open-v3"])
    for seed in (3, 4):
        stock._env.seed(seed)
        seen, _ = stock._env.reset(seed=seed)
        np.random.seed(seed)
        ours.reset(seed)
        assert np.array_equal(ours.seen, seen)
        place = ours.setpoint
        for _ in range(3):
            place = place + np.array([0.02, -0.01, 0.0])
            ours.act([*place, 1.0])
            for _ in range(REPEAT):
                seen, *_ = stock._env.step(np.array([1.0, -0.5, 0.0, 1.0]))
        # The middle is what was seen before: here a command ago, there a step.
        now = np.r_[:18, 36:39]
        assert ours.seen[now] == pytest.approx(seen[now], abs=1e-9)


def test_the_expert_succeeds_and_that_ends_the_episode() -> None:
    env, task = MetaWorldEnv("push-v3"), TASKS["push-v3"]
    env.reset(seed=50_000)
    ended = False
    while not ended:
        command = intended(task, env.simulation.seen, env.simulation.setpoint)
        observation, _, terminated, truncated, info = env.step(command.astype(np.float32))
        ended = terminated or truncated
    assert terminated and info["is_success"] and info["distance"] < 0.05
    goal = observation["environment_state"][GOAL] / 10.0 + CENTRE
    assert goal == pytest.approx(env.simulation.goal, abs=1e-6) and np.abs(goal).max() > 0.5
    assert env.mean_squared_acceleration == pytest.approx(mean_squared_acceleration(env.trail, FPS))


def test_a_far_command_is_approached_at_meta_world_s_speed() -> None:
    simulation = Simulation(TASKS["drawer-open-v3"])
    simulation.reset(0)
    start = simulation.setpoint
    simulation.act([0.3, start[1], start[2], 0.0])
    assert simulation.setpoint - start == pytest.approx([MAX_STEP, 0.0, 0.0])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"task 'push' must be one of push-v3, pick-place-v3"):
        MetaWorldEnv("push")
    with pytest.raises(ValueError, match=r"episode_length is 251, must be 1 to 250"):
        MetaWorldEnv(episode_length=251)
    with pytest.raises(ValueError, match=r"fps is 80, the hand takes commands at 40"):
        AmbientMetaWorldEnvConfig(fps=80)
