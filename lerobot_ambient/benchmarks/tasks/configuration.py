# SPDX-License-Identifier: Apache-2.0
"""The environments' LeRobot configurations. Importing this registers them for `lerobot-eval --env.type=...`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gymnasium.vector import SyncVectorEnv, VectorEnv
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.utils.constants import ACTION, OBS_ENV_STATE, OBS_IMAGE, OBS_STATE

from lerobot_ambient.benchmarks.tasks import ARM7_ID, MAZE_ID, METAWORLD_ID, PUSHING_ID, PUSHT_ID, SORTING_ID
from lerobot_ambient.benchmarks.tasks.arm7.task import EPISODE_LENGTH as ARM7_EPISODE_LENGTH
from lerobot_ambient.benchmarks.tasks.arm7.task import FPS as ARM7_FPS
from lerobot_ambient.benchmarks.tasks.arm7.task import JOINTS
from lerobot_ambient.benchmarks.tasks.maze.geometry import DEFAULT_MAZE_SEED
from lerobot_ambient.benchmarks.tasks.maze.task import EPISODE_LENGTH, FPS
from lerobot_ambient.benchmarks.tasks.metaworld.task import DEFAULT_TASK as METAWORLD_TASK
from lerobot_ambient.benchmarks.tasks.metaworld.task import FPS as METAWORLD_FPS
from lerobot_ambient.benchmarks.tasks.metaworld.task import HAND_NAMES, STATE_NAMES, task_named
from lerobot_ambient.benchmarks.tasks.pushing.task import EPISODE_LENGTH as PUSHING_EPISODE_LENGTH
from lerobot_ambient.benchmarks.tasks.pushing.task import FPS as PUSHING_FPS
from lerobot_ambient.benchmarks.tasks.pushing.task import physics_named
from lerobot_ambient.benchmarks.tasks.pusht.task import EPISODE_LENGTH as PUSHT_EPISODE_LENGTH
from lerobot_ambient.benchmarks.tasks.pusht.task import FPS as PUSHT_FPS
from lerobot_ambient.benchmarks.tasks.pusht.task import KEYPOINTS, require_reach
from lerobot_ambient.benchmarks.tasks.shared.resting import RestsAfterEpisode
from lerobot_ambient.benchmarks.tasks.sorting.task import DEFAULT_BLOCKS, VIEWS, View, environment_state_names
from lerobot_ambient.benchmarks.tasks.sorting.task import FPS as SORTING_FPS


@dataclass
class _TaskConfig(EnvConfig):
    """What the tasks have in common: the names of their observations, and where they are registered."""

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
        return "lerobot_ambient.benchmarks.tasks"

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> dict[str, dict[int, VectorEnv[Any, Any, Any]]]:
        """As LeRobot's; in one process, an environment whose episode has ended rests until the next rollout."""
        made: dict[str, dict[int, VectorEnv[Any, Any, Any]]] = super().create_envs(n_envs, use_async_envs)
        for vector in (vector for tasks in made.values() for vector in tasks.values()):
            if isinstance(vector, SyncVectorEnv):
                vector.envs = [RestsAfterEpisode(env) for env in vector.envs]
        return made


@EnvConfig.register_subclass("ambient_maze")
@dataclass
class AmbientMazeEnvConfig(_TaskConfig):
    """The maze, see `lerobot_ambient.benchmarks.tasks.maze.environment.MazeEnv`.

    Args:
        maze_seed: which maze; it must be the one the demonstrations were made in.
        episode_length: step limit of an episode.
        image_size: height and width of the rendered pictures in pixels.
        obs_type: state, or pixels_agent_pos: the goal is then seen in a picture, and its position is not given.
        observation_size: height and width of the observed picture in pixels; as in the demonstrations.
        hide_goal: leave the goal out of the observed picture; as in the demonstrations.
    """

    task: str | None = "Maze-v0"
    fps: int = FPS
    maze_seed: int = DEFAULT_MAZE_SEED
    episode_length: int = EPISODE_LENGTH
    render_mode: str = "rgb_array"
    image_size: int = 192
    obs_type: str = "state"
    observation_size: int = 40
    hide_goal: bool = False
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(2,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(2,)),
            "environment_state": PolicyFeature(type=FeatureType.ENV, shape=(2,)),
        }
    )

    def __post_init__(self) -> None:
        if self.obs_type == "pixels_agent_pos":
            picture = (self.observation_size, self.observation_size, 3)
            self.features["pixels"] = PolicyFeature(type=FeatureType.VISUAL, shape=picture)
            self.features_map["pixels"] = OBS_IMAGE
            # A configuration that was saved and read again has lost it before.
            self.features.pop("environment_state", None)
            self.features_map.pop("environment_state", None)

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
            "obs_type": self.obs_type,
            "observation_size": self.observation_size,
            "hide_goal": self.hide_goal,
        }


@EnvConfig.register_subclass("ambient_sorting")
@dataclass
class AmbientSortingEnvConfig(_TaskConfig):
    """Block sorting, see `lerobot_ambient.benchmarks.tasks.sorting.environment.SortingEnv`.

    Args:
        blocks: in every episode; as in the demonstrations.
        condition: whether the environment state ends with the flag of the target demonstrations; as in those.
        view: "table", or "wrist": every block's position less the hand's is observed too; as in the demonstrations.
        episode_length: step limit of an episode; None gives every block its share.
        image_size: height and width of the rendered pictures in pixels.
    """

    task: str | None = "Sorting-v0"
    fps: int = SORTING_FPS
    blocks: int = DEFAULT_BLOCKS
    condition: bool = False
    view: View = "table"
    episode_length: int | None = None
    render_mode: str = "rgb_array"
    image_size: int = 192
    features: dict[str, PolicyFeature] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fps != SORTING_FPS:
            raise ValueError(f"ambient_sorting: fps is {self.fps}, the gripper's speeds are meant for {SORTING_FPS}")
        if self.view not in VIEWS:
            raise ValueError(f"ambient_sorting: view is {self.view!r}, must be one of {VIEWS}")
        entries = len(environment_state_names(self.blocks, self.condition, self.view))
        self.features = {
            ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(3,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(3,)),
            "environment_state": PolicyFeature(type=FeatureType.ENV, shape=(entries,)),
        }

    @property
    def gym_id(self) -> str:
        """The gymnasium id."""
        return SORTING_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `SortingEnv`."""
        return {
            "blocks": self.blocks,
            "condition": self.condition,
            "view": self.view,
            "episode_length": self.episode_length,
            "render_mode": self.render_mode,
            "image_size": self.image_size,
        }


@EnvConfig.register_subclass("ambient_pushing")
@dataclass
class AmbientPushingEnvConfig(_TaskConfig):
    """Planar pushing, see `lerobot_ambient.benchmarks.tasks.pushing.environment.PushingEnv`.

    Args:
        physics: "target" or "source".
        episode_length: step limit of an episode.
        image_size: height and width of the rendered pictures in pixels.
    """

    task: str | None = "Pushing-v0"
    fps: int = PUSHING_FPS
    physics: str = "target"
    episode_length: int = PUSHING_EPISODE_LENGTH
    render_mode: str = "rgb_array"
    image_size: int = 192
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(2,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(2,)),
            "environment_state": PolicyFeature(type=FeatureType.ENV, shape=(4,)),
        }
    )

    def __post_init__(self) -> None:
        physics_named(self.physics)
        if self.fps != PUSHING_FPS:
            raise ValueError(f"ambient_pushing: fps is {self.fps}, the pusher takes commands at {PUSHING_FPS}")

    @property
    def gym_id(self) -> str:
        """The gymnasium id."""
        return PUSHING_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `PushingEnv`."""
        return {
            "physics": self.physics,
            "episode_length": self.episode_length,
            "render_mode": self.render_mode,
            "image_size": self.image_size,
        }


@EnvConfig.register_subclass("ambient_pusht")
@dataclass
class AmbientPushTEnvConfig(_TaskConfig):
    """PushT by its keypoints, see `lerobot_ambient.benchmarks.tasks.pusht.environment.KeypointPushTEnv`.

    Args:
        reach: how far from the goal the T starts, in (0, 1]; as in the demonstrations.
        episode_length: step limit of an episode.
        image_size: height and width of the rendered pictures in pixels.
    """

    task: str | None = "PushT-v0"
    fps: int = PUSHT_FPS
    reach: float = 1.0
    episode_length: int = PUSHT_EPISODE_LENGTH
    render_mode: str = "rgb_array"
    image_size: int = 192
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(2,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(2,)),
            "environment_state": PolicyFeature(type=FeatureType.ENV, shape=(2 * KEYPOINTS,)),
        }
    )

    def __post_init__(self) -> None:
        require_reach(self.reach)
        if self.fps != PUSHT_FPS:
            raise ValueError(f"ambient_pusht: fps is {self.fps}, gym-pusht takes commands at {PUSHT_FPS}")

    @property
    def gym_id(self) -> str:
        """The gymnasium id."""
        return PUSHT_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `KeypointPushTEnv`."""
        return {
            "reach": self.reach,
            "episode_length": self.episode_length,
            "render_mode": self.render_mode,
            "image_size": self.image_size,
        }


@EnvConfig.register_subclass("ambient_arm7")
@dataclass
class AmbientArm7EnvConfig(_TaskConfig):
    """Motion planning for a seven-joint arm, see `lerobot_ambient.benchmarks.tasks.arm7.environment.Arm7Env`.

    Args:
        episode_length: step limit of an episode.
        image_size: height and width of the rendered pictures in pixels.
    """

    task: str | None = "Arm7-v0"
    fps: int = ARM7_FPS
    episode_length: int = ARM7_EPISODE_LENGTH
    render_mode: str = "rgb_array"
    image_size: int = 192
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(JOINTS,)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(JOINTS,)),
            "environment_state": PolicyFeature(type=FeatureType.ENV, shape=(JOINTS,)),
        }
    )

    def __post_init__(self) -> None:
        if self.fps != ARM7_FPS:
            raise ValueError(f"ambient_arm7: fps is {self.fps}, the arm takes commands at {ARM7_FPS}")

    @property
    def gym_id(self) -> str:
        """The gymnasium id."""
        return ARM7_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `Arm7Env`."""
        return {
            "episode_length": self.episode_length,
            "render_mode": self.render_mode,
            "image_size": self.image_size,
        }


@EnvConfig.register_subclass("ambient_metaworld")
@dataclass
class AmbientMetaWorldEnvConfig(_TaskConfig):
    """Meta-World by its state, see `lerobot_ambient.benchmarks.tasks.metaworld.environment.MetaWorldEnv`.

    Args:
        task_name: Meta-World's name of the task, e.g. push-v3; as in the demonstrations.
        episode_length: step limit of an episode; None gives the task's own.
        image_size: height and width of the rendered pictures in pixels.
    """

    task: str | None = "MetaWorld-v0"
    fps: int = METAWORLD_FPS
    task_name: str = METAWORLD_TASK
    episode_length: int | None = None
    render_mode: str = "rgb_array"
    image_size: int = 192
    features: dict[str, PolicyFeature] = field(
        default_factory=lambda: {
            ACTION: PolicyFeature(type=FeatureType.ACTION, shape=(len(HAND_NAMES),)),
            "agent_pos": PolicyFeature(type=FeatureType.STATE, shape=(len(HAND_NAMES),)),
            "environment_state": PolicyFeature(type=FeatureType.ENV, shape=(len(STATE_NAMES),)),
        }
    )

    def __post_init__(self) -> None:
        task_named(self.task_name)
        if self.fps != METAWORLD_FPS:
            raise ValueError(f"ambient_metaworld: fps is {self.fps}, the hand takes commands at {METAWORLD_FPS}")

    @property
    def gym_id(self) -> str:
        """The gymnasium id."""
        return METAWORLD_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `MetaWorldEnv`."""
        return {
            "task_name": self.task_name,
            "episode_length": self.episode_length,
            "render_mode": self.render_mode,
            "image_size": self.image_size,
        }
