# SPDX-License-Identifier: Apache-2.0
"""Motion planning for a seven-joint arm as a gymnasium environment: go to the goal and touch nothing."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from lerobot_ambient.benchmarks.tasks.arm7.render import ArmPainter
from lerobot_ambient.benchmarks.tasks.arm7.scene import ArmScene
from lerobot_ambient.benchmarks.tasks.arm7.task import (
    CLEARANCE,
    EPISODE_LENGTH,
    FPS,
    HIGH,
    JOINTS,
    LOW,
    MAX_STEP,
    TASK,
    draw_task,
    is_success,
)
from lerobot_ambient.benchmarks.tasks.shared.path_env import Observation, PathEnv
from lerobot_ambient.core.arrays import Floats


class Arm7Env(PathEnv):
    """An arm at a table with two posts goes from one configuration to another; the scene is always the same.

    Control is kinematic: the joints are where they are told to be, up to a limit of speed, without inertia. MuJoCo
    computes the links' places and the contacts.

    Observation: `agent_pos`, the joint angles, and `environment_state`, those of the goal, both float32 (7,), in rad.

    Action: float32 (7,), the desired next joint angles in rad. The arm moves straight towards them in joint space; if
    a joint would turn by more than `MAX_STEP`, the whole motion is shortened. Beyond its limits no joint goes.

    End: the episode terminates with success when every joint is within `GOAL_TOLERANCE` of the goal, and without when
    the motion would touch something; that motion is not made. A collision is final, as it is for a real arm that
    stops and must be freed: with contacts that merely block, a policy could feel its way along the obstacles. The
    episode is truncated after `episode_length` steps.

    Reward: see `PathEnv`; the path is that of the joints, accelerations are in rad / s^2.

    Info, at reset and every step: `is_success`, `collision`, `mean_squared_acceleration`.

    Args:
        episode_length: step limit.
        render_mode: None or "rgb_array".
        image_size: height and width of the rendered picture in pixels.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 (gymnasium's declaration)

    def __init__(
        self, episode_length: int = EPISODE_LENGTH, render_mode: str | None = None, image_size: int = 192
    ) -> None:
        super().__init__(
            task=TASK, size=JOINTS, commands=JOINTS, fps=FPS, episode_length=episode_length, render_mode=render_mode
        )
        self._scene, self._room = ArmScene(), ArmScene(CLEARANCE)
        self._painter = ArmPainter(image_size)
        joints = spaces.Box(LOW.astype(np.float32), HIGH.astype(np.float32), dtype=np.float32)
        self.observation_space = spaces.Dict(  # type: ignore[assignment]
            {"agent_pos": joints, "environment_state": joints}
        )
        self.action_space = joints
        self._goal: Floats = np.zeros(JOINTS)

    @property
    def goal(self) -> Floats:
        """The goal, shape (7,)."""
        return self._goal.copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the start and the goal, and of those of later resets without a seed.
            options: `start` and `goal`, each of shape (7,), replace the drawn ones; other keys are the caller's own.

        Raises:
            ValueError: if a given start or goal is beyond the joints' limits or touches something.
        """
        super().reset(seed=seed)
        start, goal = draw_task(self.np_random, self._room)
        chosen = options or {}
        start = self._given("start", chosen["start"]) if "start" in chosen else start
        self._goal = self._given("goal", chosen["goal"]) if "goal" in chosen else goal
        self._begin(start)
        return self._observation(), self._info(False, False)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move towards `action`, joint angles of shape (7,).

        Raises:
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
            ValueError: if the action is not seven finite numbers.
        """
        wish, here = np.clip(self._wish(action), LOW, HIGH), self._trail[-1]
        move = wish - here
        there = here + move * (MAX_STEP / max(float(np.abs(move).max()), MAX_STEP))
        collision = not self._scene.motion_free(here, there)
        success = not collision and is_success(there, self._goal)
        terminated = success or collision
        reward, truncated = self._go(None if collision else there, terminated=terminated)
        return self._observation(), reward, terminated, truncated, self._info(success, collision)

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The arm, its goal and the obstacles from above and from the side, uint8 (image_size, image_size, 3); None
        without a mode."""
        if self.render_mode is None:
            return None
        if not self._trail:
            raise gym.error.ResetNeeded("Arm7Env: no episode is running; call reset() before render()")
        tool = np.array([self._scene.points(angles)[-1] for angles in self._trail])
        return self._painter.paint(self._scene.points(self._trail[-1]), self._scene.points(self._goal), tool)

    def _given(self, name: str, value: ArrayLike) -> Floats:
        angles = np.asarray(value, dtype=np.float64)
        if angles.shape != (JOINTS,) or not np.isfinite(angles).all():
            raise ValueError(f"Arm7Env: {name} {value!r} must be {JOINTS} finite numbers")
        if not self._scene.free(angles):
            shown = ", ".join(f"{angle:.3f}" for angle in angles)
            raise ValueError(f"Arm7Env: {name} ({shown}) is beyond the joints' limits or touches something")
        return angles

    def _observation(self) -> Observation:
        return {
            "agent_pos": self._trail[-1].astype(np.float32),
            "environment_state": self._goal.astype(np.float32),
        }

    def _info(self, success: bool, collision: bool) -> dict[str, Any]:
        return {
            "is_success": success,
            "collision": collision,
            "mean_squared_acceleration": self.mean_squared_acceleration,
        }
