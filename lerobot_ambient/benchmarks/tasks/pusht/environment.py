# SPDX-License-Identifier: Apache-2.0
"""PushT as gym-pusht plays it, seen by the T's keypoints: a pusher brings a T onto its mark."""

from __future__ import annotations

import os
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from lerobot_ambient.benchmarks.tasks.pusht.task import (
    EPISODE_LENGTH,
    FPS,
    KEYPOINTS,
    RADIUS,
    TABLE,
    TASK,
    clearance,
    draw_start,
    require_reach,
)
from lerobot_ambient.benchmarks.tasks.shared.path_env import Observation, PathEnv
from lerobot_ambient.core.arrays import Floats

# pygame, which gym-pusht draws with, greets on standard output, where commands print JSON, and warns of setuptools.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "pkg_resources is deprecated")
    from gym_pusht.envs import PushTEnv

_SMALLEST = 96


class KeypointPushTEnv(PathEnv):
    """gym-pusht's environment with another reward: its physics, its starts, its success and its pictures.

    Observation: `agent_pos`, the pusher's position, float32 (2,); `environment_state`, the T's eight keypoints,
    float32 (16,), as gym-pusht's `obs_type="environment_state_agent_pos"` gives them. Both in pixels of its table.

    Action: float32 (2,), the pusher's commanded position, which gym-pusht's own controller follows.

    End: the episode terminates with success when the T covers more than 95 % of its mark. It is truncated after
    `episode_length` steps.

    Reward: see `PathEnv`; the path is the pusher's, accelerations are in pixels / s^2. gym-pusht's own reward is
    `info["coverage"]` over 0.95, at most 1.

    Info, at reset and every step: `is_success`, `coverage`, `mean_squared_acceleration`.

    Args:
        reach: how far from the goal the T starts, in (0, 1]; 1 gives gym-pusht's own starts, seed by seed, see
            `draw_start` for less.
        episode_length: step limit.
        render_mode: None or "rgb_array".
        image_size: height and width of the rendered picture in pixels, at least 96.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 (gymnasium's declaration)

    def __init__(
        self,
        reach: float = 1.0,
        episode_length: int = EPISODE_LENGTH,
        render_mode: str | None = None,
        image_size: int = 192,
    ) -> None:
        require_reach(reach)
        super().__init__(task=TASK, size=2, commands=2, fps=FPS, episode_length=episode_length, render_mode=render_mode)
        if image_size < _SMALLEST:
            raise ValueError(
                f"KeypointPushTEnv: image_size is {image_size} pixels, must be at least {_SMALLEST}: gym-pusht "
                "cannot draw its cross in less"
            )
        self.reach = reach
        self.inner = PushTEnv(
            "environment_state_agent_pos", visualization_width=image_size, visualization_height=image_size
        )
        anywhere = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.observation_space = spaces.Dict(  # type: ignore[assignment]
            {"agent_pos": anywhere, "environment_state": spaces.Box(-np.inf, np.inf, (2 * KEYPOINTS,), np.float32)}
        )
        self.action_space = spaces.Box(0.0, TABLE, (2,), np.float32)

    @property
    def pusher(self) -> Floats:
        """Position of the pusher, shape (2,)."""
        self._require_world("pusher")
        return np.array(self.inner.agent.position)

    @property
    def pose(self) -> Floats:
        """Pose of the T, shape (3,), see `task`."""
        self._require_world("pose")
        return np.array([*self.inner.block.position, self.inner.block.angle])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the start, and of those of later resets without a seed.
            options: `pusher` (2,) and `pose` (3,), both together, replace the drawn ones; other keys are the caller's
                own.

        Raises:
            ValueError: if a given start is not finite, or has the pusher in the T.
        """
        super().reset(seed=seed)
        self.inner.reset(seed=seed)
        chosen = options or {}
        if "pusher" in chosen or "pose" in chosen:
            pusher, pose = _given("pusher", chosen.get("pusher"), 2), _given("pose", chosen.get("pose"), 3)
            if clearance(np.array([complex(*pusher)]), pose)[0] < RADIUS:
                raise ValueError(
                    f"KeypointPushTEnv: the pusher at {pusher} overlaps the T at {pose}; start it elsewhere"
                )
            put(self.inner, pusher, pose)
        elif self.reach < 1.0:
            put(self.inner, *draw_start(self.np_random, self.reach))
        self._begin(self.pusher)
        return _float32(self.inner.get_obs()), self._info(False, self.inner._get_coverage())

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Command the pusher to `action`, a position of shape (2,), and let 1 / FPS seconds pass.

        Raises:
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
            ValueError: if the action is not two finite numbers.
        """
        seen, _, terminated, _, info = self.inner.step(np.clip(self._wish(action), 0.0, TABLE))
        success = bool(terminated)
        reward, truncated = self._go(self.pusher, terminated=success)
        return _float32(seen), reward, success, truncated, self._info(success, info["coverage"])

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """gym-pusht's picture, uint8 (image_size, image_size, 3); None without a mode."""
        if self.render_mode is None:
            return None
        self._require_world("render()")
        picture: NDArray[np.uint8] = self.inner.render()
        return picture

    def close(self) -> None:
        """Let gym-pusht's window go, if there is one."""
        self.inner.close()

    def _require_world(self, name: str) -> None:
        if not hasattr(self.inner, "space"):
            raise gym.error.ResetNeeded(f"KeypointPushTEnv: {name} before the first reset(); call it first")

    def _info(self, success: bool, coverage: float) -> dict[str, Any]:
        return {
            "is_success": success,
            "coverage": float(coverage),
            "mean_squared_acceleration": self.mean_squared_acceleration,
        }

    def __repr__(self) -> str:
        return f"KeypointPushTEnv(reach={self.reach})"


def _float32(seen: dict[str, NDArray[np.float64]]) -> Observation:
    return {key: values.astype(np.float32) for key, values in seen.items()}


def put(inner: PushTEnv, pusher: ArrayLike, pose: ArrayLike) -> None:
    """Place pusher (2,) and T (3,) in a world that was reset, both at rest.

    gym-pusht's own `reset_to_state` sets the angle after the position, which turns the T about its centre of mass and
    so leads elsewhere.
    """
    x, y, angle = (float(value) for value in np.asarray(pose))
    inner.block.velocity, inner.block.angular_velocity = (0.0, 0.0), 0.0
    inner.block.angle = angle
    inner.block.position = x, y
    inner.agent.velocity = (0.0, 0.0)
    inner.agent.position = tuple(float(value) for value in np.asarray(pusher))
    for body in (inner.block, inner.agent):
        inner.space.reindex_shapes_for_body(body)


def rub(inner: PushTEnv, friction: float) -> None:
    """Give the contact of pusher and T a coefficient of friction; gym-pusht's own is 0."""
    for shape in inner.space.shapes:
        # pymunk multiplies the two coefficients.
        shape.friction = 1.0 if shape.body is inner.agent else friction if shape.body is inner.block else 0.0


def _given(name: str, value: ArrayLike | None, size: int) -> Floats:
    array = np.asarray(np.nan if value is None else value, dtype=np.float64)
    if array.shape != (size,) or not np.isfinite(array).all():
        raise ValueError(f"KeypointPushTEnv: {name} {value!r} must be {size} finite numbers; give pusher and pose")
    return array
