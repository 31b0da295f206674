# SPDX-License-Identifier: Apache-2.0
"""The maze passes the conformance kit, and the kit catches environments that are broken on purpose."""

import random
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from lerobot_ambient.benchmarks.tasks.configuration import AmbientMazeEnvConfig
from lerobot_ambient.benchmarks.tasks.maze.environment import MazeEnv
from lerobot_ambient.benchmarks.tasks.shared.conformance import ConformanceError, check_environment
from lerobot_ambient.benchmarks.tasks.shared.conformance_lerobot import check_lerobot
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration

LIMIT = 25


def wander(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    """A jittery walk, which may meet a wall."""
    return (observation["agent_pos"] + rng.uniform(-0.1, 0.1, 2)).astype(np.float32)


def stay(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    return observation["agent_pos"]


def documented(env: gym.Env) -> float:
    return -mean_squared_acceleration(env.unwrapped.trail, env.unwrapped.fps)


def check(make_env: Callable[[], gym.Env]) -> None:
    check_environment(make_env, policy=wander, idle_policy=stay, episode_return=documented, seeds=(0, 1, 2))


def small() -> dict[str, Any]:
    return {"episode_length": LIMIT, "render_mode": "rgb_array", "image_size": 48}


def test_the_maze_conforms() -> None:
    state = np.random.get_state()[1].copy(), random.getstate()
    check(lambda: MazeEnv(**small()))
    check(lambda: gym.make("lerobot_ambient/Maze-v0", disable_env_checker=True, **small()))
    assert np.array_equal(state[0], np.random.get_state()[1]) and state[1] == random.getstate()


def test_at_least_two_seeds() -> None:
    with pytest.raises(ValueError, match="at least two"):
        check_environment(lambda: MazeEnv(**small()), idle_policy=stay, seeds=(0,))


class WrongType(MazeEnv):
    def _observation(self) -> Any:
        return {key: value.astype(np.float64) for key, value in super()._observation().items()}


class NoSuccess(MazeEnv):
    def _info(self, success: bool, collision: bool) -> dict[str, Any]:
        return {"collision": collision}


class GlobalStart(MazeEnv):
    def reset(self, **kwargs: Any) -> Any:
        super().reset(**kwargs)
        self._goal = self._goal + np.random.uniform(-0.01, 0.01, 2)
        return self._observation(), self._info(False, False)


class GlobalDraw(MazeEnv):
    def step(self, action: Any) -> Any:
        random.random()
        return super().step(action)


class Unseeded(MazeEnv):
    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed=7, options=options)


class Carried(MazeEnv):
    """Forgets to clear the sum of squares."""

    def reset(self, **kwargs: Any) -> Any:
        kept = self._sum_squares
        result = super().reset(**kwargs)
        self._sum_squares = kept
        return result


class Bonus(MazeEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward + 0.01, terminated, truncated, info


class Endless(MazeEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, _, info = super().step(action)
        self._running = not terminated
        return observation, reward, terminated, False, info


class EarlyStop(MazeEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        early = self._steps >= LIMIT - 1
        self._running = self._running and not early
        return observation, reward, terminated, truncated or (early and not terminated), info


class StepsAnytime(MazeEnv):
    def step(self, action: Any) -> Any:
        if not self._running:
            self.reset()
        return super().step(action)


class FloatPicture(MazeEnv):
    def render(self) -> Any:
        return super().render() / 255.0


class StillPicture(MazeEnv):
    def render(self) -> Any:
        return np.zeros((48, 48, 3), np.uint8)


class NotANumber(MazeEnv):
    def step(self, action: Any) -> Any:
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float("nan"), terminated, truncated, info


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (WrongType, "is not in Dict"),
        (NoSuccess, r"info\['is_success'\] is None"),
        (GlobalStart, "not deterministic"),
        (GlobalDraw, "global generator of random"),
        (Unseeded, "reset seed has no effect"),
        (Carried, "not deterministic|rewards sum to"),
        (Bonus, "rewards sum to"),
        (Endless, "no end after the limit"),
        (EarlyStop, "must be truncated after 25 steps"),
        (StepsAnytime, "raised no ResetNeeded"),
        (FloatPicture, "render.. gave float64"),
        (StillPicture, "same picture"),
        (NotANumber, "the reward is nan"),
    ],
)
def test_the_kit_catches(broken: type[MazeEnv], words: str) -> None:
    with pytest.raises(ConformanceError, match=words):
        check(lambda: broken(**small()))


@pytest.mark.parametrize("use_async_envs", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_maze_runs_through_lerobot(use_async_envs: bool) -> None:
    check_lerobot(AmbientMazeEnvConfig(image_size=48), use_async_envs=use_async_envs)


def test_the_kit_catches_a_wrong_configuration() -> None:
    config = AmbientMazeEnvConfig(image_size=48)
    del config.features["environment_state"]
    with pytest.raises(ConformanceError, match="the features promise"):
        check_lerobot(config)
