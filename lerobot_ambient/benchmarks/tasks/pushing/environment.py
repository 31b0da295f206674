# SPDX-License-Identifier: Apache-2.0
"""Planar pushing as a gymnasium environment: a disc pushes a block onto a marked square, in one of two physics."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from lerobot_ambient.benchmarks.tasks.pushing.render import PushingPainter
from lerobot_ambient.benchmarks.tasks.pushing.task import (
    EPISODE_LENGTH,
    FPS,
    TABLE,
    TASK,
    clearance,
    draw_start,
    is_success,
    physics_named,
    pose_error,
)
from lerobot_ambient.benchmarks.tasks.pushing.world import World
from lerobot_ambient.benchmarks.tasks.shared.path_env import Observation, PathEnv
from lerobot_ambient.core.arrays import Floats


class PushingEnv(PathEnv):
    """A disc pushes a square block to the centre of a table, and to the right angle.

    Observation: `agent_pos`, the pusher's position, float32 (2,), in cm; `environment_state`, float32 (4,): the
    block's centre in cm, and the cosine and sine of four times its angle, which are the same for all four faces.

    Action: float32 (2,), the commanded position of the pusher in cm. How promptly and how exactly it is followed is
    part of the physics.

    End: the episode terminates with success when the block is within `POSITION_TOLERANCE` and `ANGLE_TOLERANCE` of
    the goal at the end of a step. It is truncated after `episode_length` steps.

    Reward: see `PathEnv`; the path is the pusher's, accelerations are in cm / s^2.

    Info, at reset and every step: `is_success`, `distance` (cm) and `angle` (rad) of the block from the goal,
    `mean_squared_acceleration`.

    Args:
        physics: a name in `PHYSICS`: "target" or "source". Starts do not depend on it.
        episode_length: step limit.
        render_mode: None or "rgb_array".
        image_size: height and width of the rendered picture in pixels.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 (gymnasium's declaration)

    def __init__(
        self,
        physics: str = "target",
        episode_length: int = EPISODE_LENGTH,
        render_mode: str | None = None,
        image_size: int = 192,
    ) -> None:
        super().__init__(task=TASK, size=2, commands=2, fps=FPS, episode_length=episode_length, render_mode=render_mode)
        self.physics = physics_named(physics)
        self._painter = PushingPainter(image_size, self.physics.pusher_radius)
        anywhere = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.observation_space = spaces.Dict(  # type: ignore[assignment]
            {"agent_pos": anywhere, "environment_state": spaces.Box(-np.inf, np.inf, (4,), np.float32)}
        )
        self.action_space = spaces.Box(-TABLE, TABLE, (2,), np.float32)
        self._world: World | None = None

    @property
    def pusher(self) -> Floats:
        """Position of the pusher, shape (2,)."""
        return self._there.pusher

    @property
    def pose(self) -> Floats:
        """Pose of the block, shape (3,), its angle not folded."""
        return self._there.pose

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the start and the noise, and of those of later resets without a seed.
            options: `pusher` (2,) and `pose` (3,) replace the drawn ones; other keys are the caller's own.

        Raises:
            ValueError: if a given start is not finite, or has the pusher in the block.
        """
        super().reset(seed=seed)
        pusher, pose = draw_start(self.np_random)
        chosen = options or {}
        pusher = _given("pusher", chosen.get("pusher", pusher), 2)
        pose = _given("pose", chosen.get("pose", pose), 3)
        if clearance(pusher, pose) < self.physics.pusher_radius:
            raise ValueError(f"PushingEnv: the pusher at {pusher} overlaps the block at {pose}; start it elsewhere")
        self._world = World(self.physics, pusher, pose, self.np_random)
        self._begin(pusher)
        return self._observation(), self._info()

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Command the pusher to `action`, a position of shape (2,), and let 1 / FPS seconds pass.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
            ValueError: if the action is not two finite numbers.
        """
        command = self._wish(action)
        # The arm does not reach beyond the table.
        self._there.step(np.clip(command, -TABLE, TABLE))
        success = is_success(self.pose)
        reward, truncated = self._go(self.pusher, terminated=success)
        return self._observation(), reward, success, truncated, self._info()

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The goal, the block and the pusher as uint8 (image_size, image_size, 3); None without a mode."""
        if self.render_mode is None:
            return None
        return self._painter.paint(self.pusher, self.pose, self.trail)

    @property
    def _there(self) -> World:
        if self._world is None:
            raise gym.error.ResetNeeded("PushingEnv: no episode is running; call reset() first")
        return self._world

    def _observation(self) -> Observation:
        x, y, angle = self.pose
        return {
            "agent_pos": self.pusher.astype(np.float32),
            "environment_state": np.array([x, y, np.cos(4.0 * angle), np.sin(4.0 * angle)], np.float32),
        }

    def _info(self) -> dict[str, Any]:
        distance, angle = pose_error(self.pose)
        return {
            "is_success": is_success(self.pose),
            "distance": distance,
            "angle": angle,
            "mean_squared_acceleration": self.mean_squared_acceleration,
        }

    def __repr__(self) -> str:
        return f"PushingEnv({', '.join(f'{name}={value}' for name, value in asdict(self.physics).items())})"


def _given(name: str, value: ArrayLike, size: int) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (size,) or not np.isfinite(array).all():
        raise ValueError(f"PushingEnv: {name} {value!r} must be {size} finite numbers")
    return array
