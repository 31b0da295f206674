# SPDX-License-Identifier: Apache-2.0
"""The part of the conformance kit that looks at an environment through LeRobot's eyes."""

from __future__ import annotations

from lerobot.envs import EnvConfig, close_envs, preprocess_observation
from lerobot.envs import make_env as make_vector_envs
from lerobot.envs.utils import env_to_policy_features
from lerobot.utils.constants import ACTION

from lerobot_ambient.benchmarks.tasks.shared.conformance import require


def check_lerobot(config: EnvConfig, n_envs: int = 2, use_async_envs: bool = False) -> None:
    """What `lerobot-eval` does with an environment configuration, short of the policy.

    Args:
        config: the configuration, whose features must be what the environment gives.
        n_envs: how many environments run side by side.
        use_async_envs: whether they run in processes of their own.

    Raises:
        ConformanceError: for the first broken part.
    """
    environments = make_vector_envs(config, n_envs=n_envs, use_async_envs=use_async_envs)
    try:
        for vector in (vector for tasks in environments.values() for vector in tasks.values()):
            observation, _ = vector.reset(seed=list(range(n_envs)), options={"lerobot_new_rollout": True})
            given = {key: tuple(value.shape) for key, value in preprocess_observation(observation).items()}
            features = env_to_policy_features(config)
            wanted = {key: (n_envs, *feature.shape) for key, feature in features.items() if key != ACTION}
            require(given == wanted, f"{config.type}: observations are {given}, the features promise {wanted}")
            require(
                vector.action_space.shape == (n_envs, *features[ACTION].shape),
                f"{config.type}: actions are {vector.action_space.shape}, not {features[ACTION].shape} each",
            )
            limits = vector.call("_max_episode_steps")
            require(all(limit == limits[0] >= 1 for limit in limits), f"{config.type}: step limits {limits}")
            require(
                all(isinstance(text, str) and text for text in vector.call("task_description")),
                f"{config.type}: task_description must be a sentence",
            )
            require(
                vector.unwrapped.metadata.get("render_fps") == config.fps,
                f"{config.type}: render_fps is {vector.unwrapped.metadata.get('render_fps')}, fps is {config.fps}",
            )
            vector.step(vector.action_space.sample())
    finally:
        close_envs(environments)
