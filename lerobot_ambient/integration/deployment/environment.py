# SPDX-License-Identifier: Apache-2.0
"""The policy against the environment it is to act in: sizes of action and observations, cameras."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.factory import make_env_pre_post_processors
from lerobot.envs.utils import env_to_policy_features
from lerobot.utils.constants import ACTION
from lerobot.utils.feature_utils import dataset_to_policy_features

from lerobot_ambient.integration.deployment.robot import EMPTY_CAMERA
from lerobot_ambient.policy.options.mixture_options import MixtureOptions
from lerobot_ambient.policy.options.train_config import TrainConfig


def is_ambient(policy: Any) -> bool:
    """Whether a policy's configuration is of our type."""
    return isinstance(policy, MixtureOptions)


def refuse_other_environment(policy: MixtureOptions, env: Any, rename_map: Mapping[str, str]) -> None:
    """Compare a policy's configuration with LeRobot's EnvConfig of an environment.

    A policy without features, which has never been trained, takes any environment's.

    Raises:
        ValueError: an action or observation of another size, or an observation that the environment does not give.
    """
    features = env_to_policy_features(env)
    before, _ = make_env_pre_post_processors(env_cfg=env, policy_cfg=policy)
    if getattr(before, "steps", ()):
        # This environment's own processor makes other observations of what it declares.
        features = {key: feature for key, feature in features.items() if feature.type is FeatureType.ACTION}
    problems = differences(policy, features, rename_map)
    if problems:
        name = f"the policy {policy.pretrained_path}" if policy.pretrained_path else "the policy"
        raise ValueError(
            f"{name} does not fit the environment {env.type}:\n"
            + "\n".join(problems)
            + "\nGive the --env.type of the task that its target shows."
        )


def refuse_environment_of_training(cfg: TrainConfig, features: Mapping[str, Any]) -> None:
    """Compare a training's target with the environment it evaluates in, which comes thousands of steps later.

    Args:
        cfg: LeRobot's TrainPipelineConfig with a policy of ours.
        features: of the mixture, as LeRobot's metadata has them.

    Raises:
        ValueError: as for a policy.
    """
    if cfg.env is None or cfg.env_eval_freq <= 0:
        return
    found = dataset_to_policy_features(dict(features))
    policy = copy.copy(cfg.policy)
    policy.output_features = {key: feature for key, feature in found.items() if feature.type is FeatureType.ACTION}
    # A checkpoint that is gone on with keeps its own, as in LeRobot.
    seen = {key: feature for key, feature in found.items() if key not in policy.output_features}
    policy.input_features = cfg.policy.input_features or seen
    refuse_other_environment(policy, cfg.env, cfg.rename_map)


def differences(
    policy: MixtureOptions, features: Mapping[str, PolicyFeature], rename_map: Mapping[str, str]
) -> list[str]:
    """Say how an environment's features differ from what the policy was trained on; both sides in each line.

    Args:
        policy: of a checkpoint.
        features: of the environment, under LeRobot's keys; without observations only the action is compared.
        rename_map: from the environment's keys to the policy's.
    """
    given = {rename_map.get(key, key): feature for key, feature in features.items()}
    observed = sorted(key for key, feature in given.items() if feature.type is not FeatureType.ACTION)
    found = []
    if policy.action_feature is not None and ACTION in given and policy.action_feature.shape != given[ACTION].shape:
        found.append(_sizes(policy, ACTION, policy.action_feature, given[ACTION]))
    for key, feature in (policy.input_features or {}).items() if observed else ():
        if key not in given:
            if key.startswith(EMPTY_CAMERA) or _may_be_absent(policy, key, given):
                continue
            found.append(
                f"  {key}: the policy needs it, the environment gives {observed}. If one of them is the same under "
                "another name, use --rename_map."
            )
        elif tuple(feature.shape) != tuple(given[key].shape) and not _resized(policy, feature):
            found.append(_sizes(policy, key, feature, given[key]))
    return found


def _may_be_absent(policy: MixtureOptions, key: str, given: Mapping[str, PolicyFeature]) -> bool:
    cameras = policy.image_features.keys()
    return key in cameras and not policy.needs_every_camera and bool(cameras & given.keys())


def _resized(policy: MixtureOptions, feature: PolicyFeature) -> bool:
    return feature.type is FeatureType.VISUAL and policy.resizes_frames


def _sizes(policy: MixtureOptions, key: str, have: PolicyFeature, given: PolicyFeature) -> str:
    if have.type is FeatureType.VISUAL:
        return f"  {key}: the policy has (channels, height, width) {tuple(have.shape)}, the environment {given.shape}."
    names = (policy.feature_names or {}).get(key)
    named = f" ({', '.join(names)})" if names else ""
    return f"  {key}: the policy has {have.shape[0]} dimensions{named}, the environment {given.shape[0]}."
