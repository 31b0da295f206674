# SPDX-License-Identifier: Apache-2.0
"""What the environments share whose hands follow commands: the path of an episode, and a reward that tells its shape.

Symbols
    S_t     mean squared acceleration of the first t + 1 positions, in lengths^2 / s^4; 0 for fewer than three
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.shared.motion import squared_accelerations
from lerobot_ambient.core.arrays import Floats

Observation = dict[str, NDArray[Any]]
_WORDS = {2: "two", 4: "four"}


class PathEnv(gym.Env[Observation, NDArray[np.float32]]):
    """An environment that an action moves along a path, and whose rewards sum to minus the path's S.

    Reward: step t gives S_{t-1} - S_t, so the rewards of an episode sum to minus the mean squared acceleration of its
    whole path. The first step's is zero, so a rollout that sums one step too many, as LeRobot's does, still reports the
    right sum. There is no reward for success: see `info["is_success"]`.

    Args:
        task: what is done, in a sentence; LeRobot reads it.
        size: d, of a position and of the part of an action that it answers.
        commands: numbers in an action.
        fps: control rate in Hz.
        episode_length: step limit.
        render_mode: None or "rgb_array".

    Raises:
        ValueError: a limit or a rate below 1, or another mode.
    """

    def __init__(
        self, *, task: str, size: int, commands: int, fps: int, episode_length: int, render_mode: str | None
    ) -> None:
        if episode_length < 1:
            raise ValueError(f"{self._name}: episode_length is {episode_length}, must be at least 1")
        if fps < 1:
            raise ValueError(f"{self._name}: fps is {fps}, must be at least 1")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"{self._name}: render_mode is {render_mode!r}, must be None or 'rgb_array'")
        self.task = self.task_description = task
        self.fps = fps
        self.render_mode = render_mode
        # LeRobot's rollout reads its step limit from this name.
        self._max_episode_steps = episode_length
        self._size, self._commands = size, commands
        self._trail: list[Floats] = []
        self._running = False
        self._steps = 0
        self._sum_squares = 0.0

    @property
    def trail(self) -> Floats:
        """Positions of the episode so far, shape (n, d), the start included."""
        return np.array(self._trail).reshape(-1, self._size)

    @property
    def mean_squared_acceleration(self) -> float:
        """S of the path so far."""
        return self._sum_squares / (len(self._trail) - 2) if len(self._trail) > 2 else 0.0

    def _begin(self, position: Floats) -> None:
        """Start an episode at a position (d,)."""
        self._trail = [position]
        self._running = True
        self._steps = 0
        self._sum_squares = 0.0

    def _wish(self, action: NDArray[np.float32]) -> Floats:
        """An action as float64.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
            ValueError: if it is not so many finite numbers.
        """
        if not self._running:
            raise gym.error.ResetNeeded(f"{self._name}: no episode is running; call reset() before step()")
        wish = np.asarray(action, dtype=np.float64)
        if wish.shape != (self._commands,) or not np.isfinite(wish).all():
            count = _WORDS.get(self._commands, str(self._commands))
            raise ValueError(f"{self._name}: the action must be {count} finite numbers, not {action!r}")
        return wish

    def _go(self, position: Floats | None, *, terminated: bool) -> tuple[float, bool]:
        """Take a step.

        Args:
            position: (d,) where it leads; None leaves everything in its place.
            terminated: whether it ends the episode.

        Returns:
            The reward, and whether the episode is truncated.
        """
        before = self.mean_squared_acceleration
        if position is not None:
            self._trail.append(position)
            self._sum_squares += float(squared_accelerations(self._trail[-3:], self.fps).sum())
        self._steps += 1
        truncated = not terminated and self._steps >= self._max_episode_steps
        self._running = not (terminated or truncated)
        return before - self.mean_squared_acceleration, truncated

    @property
    def _name(self) -> str:
        return type(self).__name__
