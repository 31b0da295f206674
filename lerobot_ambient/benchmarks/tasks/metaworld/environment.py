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
from lerobot_ambient.benchmarks.tasks.shared.motion import squared_accelerations
from lerobot_ambient.core.arrays import Floats

Observation = dict[str, NDArray[np.float32]]


class MetaWorldEnv(gym.Env[Observation, NDArray[np.float32]]):
    """A Sawyer's hand at one of Meta-World's tasks: its physics and its own signal of success, without a camera.

    LeRobot's own environment of the task shows pictures; for the same reset seed both have the same layout.

    Observation: `agent_pos`, float32 (4,): the hand's position in m and the gripper's opening in [0, 1];
    `environment_state`, float32 (10,), see `task.STATE_NAMES`: the object's position and orientation, and the goal.

    Action: float32 (4,): where the hand is told to be, in m, and the gripper's effort in [-1, 1]. Meta-World takes
    steps of at most 1 cm at 80 Hz; a command at 40 Hz is two of them. A position further away is approached at that
    speed.

    End: the episode terminates when Meta-World reports success, and is truncated after `episode_length` steps.

    Reward: let S_t be the mean squared acceleration of the hand's path so far, in m^2 / s^4 (zero for fewer than three
    positions). The reward of step t is S_{t-1} - S_t, so the rewards of an episode sum to minus the mean squared
    acceleration of the whole path, and the first is zero, as in `MazeEnv`. There is no reward for success: see
    `info["is_success"]`.

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
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"MetaWorldEnv: render_mode is {render_mode!r}, must be None or 'rgb_array'")
        self.fps = FPS
        self.render_mode = render_mode
        self.task = self.task_description = task.description
        # LeRobot's rollout reads its step limit from this name.
        self._max_episode_steps = length
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
        self._trail: list[Floats] = []
        self._running = False
        self._steps = 0
        self._sum_squares = 0.0

    @property
    def trail(self) -> Floats:
        """Positions of the hand in the episode so far, shape (n, 3) in m, the start included."""
        return np.array(self._trail).reshape(-1, 3)

    @property
    def mean_squared_acceleration(self) -> float:
        """Of the hand's path so far, in m^2 / s^4."""
        return self._sum_squares / (len(self._trail) - 2) if len(self._trail) > 2 else 0.0

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
        self._trail = [self.simulation.hand[:3]]
        self._running = True
        self._steps = 0
        self._sum_squares = 0.0
        return self._observation(), self._info(False)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Send the hand towards `action`, shape (4,).

        Raises:
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
            ValueError: if the action is not four finite numbers.
        """
        if not self._running:
            raise gym.error.ResetNeeded("MetaWorldEnv: no episode is running; call reset() before step()")
        command = np.asarray(action, dtype=np.float64)
        if command.shape != (4,) or not np.isfinite(command).all():
            raise ValueError(f"MetaWorldEnv: the action must be four finite numbers, not {action!r}")
        before = self.mean_squared_acceleration
        success = self.simulation.act(command)
        self._trail.append(self.simulation.hand[:3])
        self._sum_squares += float(squared_accelerations(self._trail[-3:], FPS).sum())
        self._steps += 1
        truncated = not success and self._steps >= self._max_episode_steps
        self._running = not (success or truncated)
        reward = before - self.mean_squared_acceleration
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
