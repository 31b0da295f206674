# SPDX-License-Identifier: Apache-2.0
"""Meta-World as a gymnasium environment with a low-dimensional state, beside LeRobot's `--env.type=metaworld`."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.metaworld.render import HandPainter
from lerobot_ambient.benchmarks.tasks.metaworld.simulation import Simulation
from lerobot_ambient.benchmarks.tasks.metaworld.task import (
    DEFAULT_TASK,
    FPS,
    MAX_EPISODE_LENGTH,
    STATE_NAMES,
    task_named,
)
from lerobot_ambient.benchmarks.tasks.shared.path_env import Observation, PathEnv


class MetaWorldEnv(PathEnv):
    """A Sawyer's hand at one of Meta-World's tasks: its physics and its own signal of success, without a camera.

    LeRobot's own environment of the task shows pictures; for the same reset seed both have the same layout.

    Observation: `agent_pos`, float32 (4,): the hand's position in m and the gripper's opening in [0, 1];
    `environment_state`, float32 (10,), see `task.STATE_NAMES`: the object's position and orientation, and the goal.

    Action: float32 (4,): where the hand is told to be, in m, and the gripper's effort in [-1, 1]. Meta-World takes
    steps of at most 1 cm at 80 Hz; a command at 40 Hz is two of them. A position further away is approached at that
    speed.

    End: the episode terminates when Meta-World reports success, and is truncated after `episode_length` steps.

    Reward: see `PathEnv`; the path is the hand's, accelerations are in m / s^2.

    Info, at reset and every step: `is_success`, `distance` (m) of the object from the goal,
    `mean_squared_acceleration`.

    Args:
        task_name: one of `task.TASKS`, by Meta-World's names.
        episode_length: step limit; None gives the task's own.
        render_mode: None or "rgb_array".
        image_size: height and width of the rendered picture in pixels.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 (gymnasium's declaration)

    def __init__(
        self,
        task_name: str = DEFAULT_TASK,
        episode_length: int | None = None,
        render_mode: str | None = None,
        image_size: int = 192,
    ) -> None:
        task = task_named(task_name)
        length = task.episode_length if episode_length is None else episode_length
        if not 1 <= length <= MAX_EPISODE_LENGTH:
            raise ValueError(f"MetaWorldEnv: episode_length is {length}, must be 1 to {MAX_EPISODE_LENGTH}")
        super().__init__(
            task=task.description, size=3, commands=4, fps=FPS, episode_length=length, render_mode=render_mode
        )
        self.simulation = Simulation(task)
        self._painter = HandPainter(image_size)
        self.observation_space = spaces.Dict(  # type: ignore[assignment]
            {
                "agent_pos": spaces.Box(-np.inf, np.inf, (4,), np.float32),
                "environment_state": spaces.Box(-np.inf, np.inf, (len(STATE_NAMES),), np.float32),
            }
        )
        low, high = (
            np.append(bound, effort).astype(np.float32)
            for bound, effort in ((self.simulation.low, -1.0), (self.simulation.high, 1.0))
        )
        self.action_space = spaces.Box(low, high, dtype=np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the layout, and of those of later resets without a seed.
            options: the caller's own.
        """
        super().reset(seed=seed)
        self.simulation.reset(int(self.np_random.integers(2**63)) if seed is None else seed)
        self._begin(self.simulation.hand[:3])
        return self._observation(), self._info(False)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Send the hand towards `action`, shape (4,).

        Raises:
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
            ValueError: if the action is not four finite numbers.
        """
        success = self.simulation.act(self._wish(action))
        reward, truncated = self._go(self.simulation.hand[:3], terminated=success)
        return self._observation(), reward, success, truncated, self._info(success)

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The hand's way, the object and the goal from above and from the side, uint8 (image_size, image_size, 3); None
        without a mode. It needs no graphics library; LeRobot's `--env.type=metaworld` gives photographs."""
        if self.render_mode is None:
            return None
        if not self._trail:
            raise gym.error.ResetNeeded("MetaWorldEnv: no episode is running; call reset() before render()")
        return self._painter.paint(self.trail, self.simulation.object, self.simulation.goal, self.simulation.hand[3])

    def _observation(self) -> Observation:
        return {
            "agent_pos": self.simulation.hand.astype(np.float32),
            "environment_state": self.simulation.state.astype(np.float32),
        }

    def _info(self, success: bool) -> dict[str, Any]:
        return {
            "is_success": success,
            "distance": float(np.linalg.norm(self.simulation.object - self.simulation.goal)),
            "mean_squared_acceleration": self.mean_squared_acceleration,
        }
