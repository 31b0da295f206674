# SPDX-License-Identifier: Apache-2.0
"""The stock rollout of lerobot-eval reports the maze's figures."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.envs import make_env, make_env_config
from lerobot.processor import PolicyProcessorPipeline
from lerobot.scripts.lerobot_eval import eval_policy

from lerobot_ambient.benchmarks.tasks import configuration
from lerobot_ambient.benchmarks.tasks.configuration import AmbientMazeEnvConfig
from lerobot_ambient.benchmarks.tasks.maze.environment import MazeEnv
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration


class Straight(torch.nn.Module):
    """Heads for the goal, walls or not, in a slightly curved way."""

    def reset(self) -> None:
        pass

    def select_action(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        to_goal = batch["observation.environment_state"] - batch["observation.state"]
        return batch["observation.state"] + 0.05 * to_goal + 0.01 * to_goal.flip(-1)


def alone(seed: int, length: int) -> tuple[float, bool]:
    env = MazeEnv(episode_length=length)
    observation, info = env.reset(seed=seed)
    policy, ended = Straight(), False
    while not ended:
        batch = {
            "observation.state": torch.from_numpy(observation["agent_pos"]),
            "observation.environment_state": torch.from_numpy(observation["environment_state"]),
        }
        observation, _, terminated, truncated, info = env.step(policy.select_action(batch).numpy())
        ended = terminated or truncated
    return mean_squared_acceleration(env.trail, env.fps), info["is_success"]


def test_the_choice_is_registered() -> None:
    config = make_env_config("ambient_maze", maze_seed=2, episode_length=11)
    assert isinstance(config, AmbientMazeEnvConfig) and config.type == "ambient_maze"
    vector = make_env(config, n_envs=1)["ambient_maze"][0]
    assert vector.call("_max_episode_steps") == (11,)
    assert vector.call("maze")[0] == MazeEnv(maze_seed=2).maze


def test_eval_reports_minus_the_mean_squared_acceleration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly, although LeRobot's mask takes in one step of the next episode."""
    length, seeds = 30, 8
    vector = make_env(AmbientMazeEnvConfig(episode_length=length), n_envs=4)["ambient_maze"][0]
    # eval_policy insists on a PreTrainedPolicy, whose constructor wants a whole configuration.
    monkeypatch.setattr("lerobot.scripts.lerobot_eval.PreTrainedPolicy", Straight)
    identity = PolicyProcessorPipeline(steps=[])
    actions = PolicyProcessorPipeline(
        steps=[], to_transition=lambda action: {"action": action}, to_output=lambda transition: transition["action"]
    )
    result = eval_policy(vector, Straight(), identity, identity, identity, actions, seeds, start_seed=0)
    figures = [alone(seed, length) for seed in range(seeds)]
    found = [episode["sum_reward"] for episode in result["per_episode"]]
    assert found == pytest.approx([-figure for figure, _ in figures], abs=1e-6)
    assert [episode["success"] for episode in result["per_episode"]] == [success for _, success in figures]
    assert np.ptp(found) > 0


def test_importing_the_configuration_loads_neither_the_environment_nor_a_planner() -> None:
    """LeRobot imports it in every process, so it may only name light modules."""
    tree = ast.parse(Path(configuration.__file__).read_text())
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {name for name in named if name and name.startswith("lerobot_ambient")}
    tasks = "lerobot_ambient.benchmarks.tasks"
    light = (
        "arm7.task",
        "maze.geometry",
        "maze.task",
        "metaworld.task",
        "pushing.task",
        "pusht.task",
        "shared.resting",
        "sorting.task",
    )
    assert ours == {tasks, *(f"{tasks}.{name}" for name in light)}
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))
