# SPDX-License-Identifier: Apache-2.0
"""The maze as a gymnasium environment: a point robot, a random start and goal, walls that end the episode."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from lerobot_ambient.benchmarks.tasks.maze.geometry import DEFAULT_CELLS, DEFAULT_LOOPS, DEFAULT_MAZE_SEED, Maze
from lerobot_ambient.benchmarks.tasks.maze.render import OBSERVATION_SIZE, MazePainter
from lerobot_ambient.benchmarks.tasks.maze.task import EPISODE_LENGTH, FPS, GOAL_RADIUS, MAX_STEP, TASK, draw_start_goal
from lerobot_ambient.benchmarks.tasks.shared.path_env import Observation, PathEnv
from lerobot_ambient.core.arrays import Floats

_OBS_TYPES = ("state", "pixels_agent_pos")


class MazeEnv(PathEnv):
    """A point robot goes to a goal in a fixed maze without touching a wall.

    Observation: `agent_pos` (the position) and `environment_state` (the goal), both float32 (2,), in cells. With
    obs_type "pixels_agent_pos": `agent_pos` and `pixels`, a picture of the maze, the goal and the robot, uint8
    (observation_size, observation_size, 3). The goal is then to be found in the picture only.

    Action: float32 (2,), the desired next position in cells. The robot moves straight towards it, by at most
    `MAX_STEP` cells a step.

    End: the episode terminates with success when the robot is within `GOAL_RADIUS` of the goal, and without when a
    move would cross a wall; that move is not made. It is truncated after `episode_length` steps.

    Reward: see `PathEnv`; accelerations are in cells / s^2.

    Info, at reset and every step: `is_success`, `collision`, `mean_squared_acceleration`.

    Args:
        maze_seed: which maze, see `Maze.from_seed`. The start and goal follow the seed given to `reset`.
        cells, loops: size of the maze and number of openings beyond a spanning tree.
        episode_length: step limit.
        fps: control rate in Hz; only scales the accelerations.
        render_mode: None or "rgb_array".
        image_size: height and width of the rendered picture in pixels.
        obs_type: "state" or "pixels_agent_pos".
        observation_size: height and width of the observed picture in pixels, as in the demonstrations.
        hide_goal: leave the goal out of the observed picture: a control that no policy can solve but by luck.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012 (gymnasium's declaration)

    def __init__(
        self,
        maze_seed: int = DEFAULT_MAZE_SEED,
        cells: int = DEFAULT_CELLS,
        loops: int = DEFAULT_LOOPS,
        episode_length: int = EPISODE_LENGTH,
        fps: int = FPS,
        render_mode: str | None = None,
        image_size: int = 192,
        obs_type: str = "state",
        observation_size: int = OBSERVATION_SIZE,
        hide_goal: bool = False,
    ) -> None:
        super().__init__(task=TASK, size=2, commands=2, fps=fps, episode_length=episode_length, render_mode=render_mode)
        if obs_type not in _OBS_TYPES:
            raise ValueError(f"MazeEnv: obs_type is {obs_type!r}, must be one of {', '.join(map(repr, _OBS_TYPES))}")
        if hide_goal and obs_type != "pixels_agent_pos":
            raise ValueError(
                f"MazeEnv: hide_goal leaves the goal out of the observed picture, but obs_type is {obs_type!r}; set it "
                "to 'pixels_agent_pos', or leave hide_goal out"
            )
        self.maze = Maze.from_seed(maze_seed, cells, loops)
        self.metadata = {**type(self).metadata, "render_fps": fps}
        self._painter = MazePainter(self.maze, image_size)
        self._eye = MazePainter(self.maze, observation_size) if obs_type == "pixels_agent_pos" else None
        self._hide_goal = hide_goal
        place = spaces.Box(0.0, float(cells), (2,), np.float32)
        seen: dict[str, spaces.Space[Any]] = {"environment_state": place}
        if self._eye is not None:
            seen = {"pixels": spaces.Box(0, 255, (observation_size, observation_size, 3), np.uint8)}
        self.observation_space = spaces.Dict({"agent_pos": place, **seen})  # type: ignore[assignment]
        self.action_space = spaces.Box(0.0, float(cells), (2,), np.float32)
        self._goal: Floats = np.zeros(2)

    @property
    def goal(self) -> Floats:
        """The goal, shape (2,)."""
        return self._goal.copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: of the start and the goal, and of those of later resets without a seed.
            options: `start` and `goal`, each of shape (2,), replace the drawn ones; other keys are the caller's own.

        Raises:
            ValueError: if a given start or goal is not a point of the free space.
        """
        super().reset(seed=seed)
        start, goal = draw_start_goal(self.np_random, self.maze)
        chosen = options or {}
        start = self._given("start", chosen["start"]) if "start" in chosen else start
        self._goal = self._given("goal", chosen["goal"]) if "goal" in chosen else goal
        self._begin(start)
        return self._observation(), self._info(False, False)

    def step(self, action: NDArray[np.float32]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move towards `action`, a position of shape (2,).

        Raises:
            gymnasium.error.ResetNeeded: before the first reset and after the end of an episode.
            ValueError: if the action is not two finite numbers.
        """
        wish, here = self._wish(action), self._trail[-1]
        move = wish - here
        there = here + move * min(1.0, MAX_STEP / max(float(np.linalg.norm(move)), MAX_STEP))
        collision = not self.maze.segment_free(here, there)
        success = not collision and bool(np.linalg.norm(there - self._goal) <= GOAL_RADIUS)
        terminated = success or collision
        reward, truncated = self._go(None if collision else there, terminated=terminated)
        return self._observation(), reward, terminated, truncated, self._info(success, collision)

    def render(self) -> NDArray[np.uint8] | None:  # type: ignore[override]
        """The maze, the trail, the goal and the robot as uint8 (image_size, image_size, 3); None without a mode."""
        if self.render_mode is None:
            return None
        return self._painter.paint(self.trail, self._goal, GOAL_RADIUS)

    def _given(self, name: str, value: ArrayLike) -> Floats:
        point = np.asarray(value, dtype=np.float64)
        if point.shape != (2,) or not bool(self.maze.points_free(point)):
            raise ValueError(f"MazeEnv: {name} {value!r} must be a point (x, y) of the free space")
        return point

    def _observation(self) -> Observation:
        here = self._trail[-1].astype(np.float32)
        if self._eye is not None:
            return {"agent_pos": here, "pixels": self._eye.observe(here, None if self._hide_goal else self._goal)}
        return {"agent_pos": here, "environment_state": self._goal.astype(np.float32)}

    def _info(self, success: bool, collision: bool) -> dict[str, Any]:
        return {
            "is_success": success,
            "collision": collision,
            "mean_squared_acceleration": self.mean_squared_acceleration,
        }
