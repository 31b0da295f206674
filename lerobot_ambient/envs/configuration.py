# SPDX-License-Identifier: Apache-2.0
"""The environments' LeRobot configurations. Importing this registers them for `lerobot-eval --env.type=...`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.utils.constants import ACTION, OBS_ENV_STATE, OBS_STATE

from lerobot_ambient.envs import MAZE_ID
from lerobot_ambient.envs.maze_geometry import DEFAULT_MAZE_SEED
from lerobot_ambient.envs.maze_task import EPISODE_LENGTH, FPS


@EnvConfig.register_subclass("ambient_maze")
@dataclass
class AmbientMazeEnvConfig(EnvConfig):
    """The maze, see `lerobot_ambient.envs.maze.MazeEnv`.

    Args:
        maze_seed: which maze; it must be the one the demonstrations were made in.
        episode_length: step limit of an episode.
        image_size: height and width of the rendered pictures in pixels.
    """

    task: str | None = "Maze-v0"
    fps: int = FPS
    maze_seed: int = DEFAULT_MAZE_SEED
    episode_length: int = EPISODE_LENGTH
    render_mode: str = "rgb_array"
    image_size: int = 192
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(2,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(2,)),
            "environment_state": PolicyFeature(type=FeatureType.ENV, shape=(2,)),
        }
    )
    features_map: dict[str, str] = field(
        default_factory=lambda: {
            ACTION: ACTION,
            "agent_pos": OBS_STATE,
            "environment_state": OBS_ENV_STATE,
        }
    )

    @property
    def package_name(self) -> str:
        """The package that registers the gymnasium id."""
        return "lerobot_ambient.envs"

    @property
    def gym_id(self) -> str:
        """The gymnasium id."""
        return MAZE_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `MazeEnv`."""
        return {
            "maze_seed": self.maze_seed,
            "episode_length": self.episode_length,
            "fps": self.fps,
            "render_mode": self.render_mode,
            "image_size": self.image_size,
        }
