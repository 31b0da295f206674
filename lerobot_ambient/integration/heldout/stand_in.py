# SPDX-License-Identifier: Apache-2.0
"""The denoiser that the map trains: the policy's own where it is small, else a small one on the same chunks."""

from __future__ import annotations

import dataclasses
from copy import deepcopy
from typing import Any, NamedTuple

from lerobot.configs import FeatureType, PolicyFeature
from lerobot.utils.constants import ACTION, OBS_ENV_STATE, OBS_STATE
from lerobot.utils.feature_utils import dataset_to_policy_features

from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.options.mixture_options import MixtureOptions

DENOISERS = ("auto", "policy", "small")
"""What `--denoiser` takes: the policy's own, a small one, or the small one where the policy is large."""
_OF_THE_SCHEDULE = ("noise_scheduler_type", "num_train_timesteps", "beta_schedule", "beta_start", "beta_end")
_WIDTH, _DEPTH, _RATE = 256, 3, 1e-3


def is_small(policy: MixtureOptions) -> bool:
    """Whether the policy's own denoiser is quick to train on a CPU: the residual MLP without cameras."""
    return isinstance(policy, AmbientDiffusionConfig) and policy.denoiser == "mlp" and not policy.image_features


class Denoiser(NamedTuple):
    """What is trained.

    Args:
        config: of it.
        told: what it is, in words.
        is_own: whether it is the policy's own, which reads the same of the datasets.
    """

    config: MixtureOptions
    told: str
    is_own: bool


def chosen_denoiser(policy: MixtureOptions, denoiser: str, features: dict[str, Any]) -> Denoiser:
    """The denoiser to train.

    Args:
        policy: as configured.
        denoiser: one of `DENOISERS`.
        features: of the mixture.

    Raises:
        ValueError: no such denoiser, or a policy whose error at a noise level cannot be read.
    """
    if denoiser not in DENOISERS:
        raise ValueError(f"there is no denoiser '{denoiser}'; choose from {', '.join(DENOISERS)}.")
    seen = _features(features)
    cameras = [key for key, feature in seen.items() if feature.type is FeatureType.VISUAL]
    own = deepcopy(policy)
    if denoiser == "policy" or (denoiser == "auto" and is_small(policy) and not cameras):
        own.input_features = own.input_features or {key: one for key, one in seen.items() if key != ACTION}
        own.output_features = own.output_features or {ACTION: seen[ACTION]}
        return Denoiser(own, f"the policy's own denoiser ({policy.type})", is_own=True)
    blind = f"; it does not see {', '.join(cameras)}" if cameras else ""
    told = f"a small stand-in for {policy.type}: a residual MLP on the same chunks{blind}"
    return Denoiser(small(policy, seen), told, is_own=False)


def small(policy: MixtureOptions, features: dict[str, PolicyFeature]) -> AmbientDiffusionConfig:
    """A small denoiser of a policy's chunks: same horizon, normalisation, noise levels and mixture, no cameras.

    Args:
        policy: that it stands in for.
        features: of the mixture.

    Raises:
        ValueError: neither state nor environment state to give it.
    """
    numbers = {key: features[key] for key in (OBS_STATE, OBS_ENV_STATE) if key in features}
    if not numbers:
        raise ValueError(
            f"the target has neither {OBS_STATE} nor {OBS_ENV_STATE}, and the small denoiser sees no cameras; use "
            "--denoiser=policy."
        )
    mixing = {one.name: getattr(policy, one.name) for one in dataclasses.fields(MixtureOptions)}
    horizon = len(policy.action_delta_indices)
    diffusion = isinstance(policy, AmbientDiffusionConfig)
    schedule = {name: getattr(policy, name) for name in _OF_THE_SCHEDULE if diffusion}
    steps = policy.n_obs_steps if diffusion else 1
    return AmbientDiffusionConfig(
        **mixing,
        **schedule,
        device=policy.device,
        push_to_hub=False,
        input_features=numbers,
        output_features={ACTION: features[ACTION]},
        normalization_mapping={"VISUAL": "MEAN_STD", **policy.normalization_mapping},
        # Levels are the policy's: a discrete diffusion's, or those of a flow.
        objective=policy.objective if diffusion else "diffusion" if policy.noise_schedule().law is None else "flow",
        relative_actions=policy.encodes_relative_actions,
        n_obs_steps=steps,
        horizon=horizon,
        n_action_steps=min(getattr(policy, "n_action_steps", horizon) or horizon, horizon - steps + 1),
        drop_n_last_frames=policy.dropped_frames,
        prediction_type="sample",
        denoiser="mlp",
        mlp_width=_WIDTH,
        mlp_depth=_DEPTH,
        # Of a U-Net that is not built; its depth bounds the horizons that LeRobot takes.
        down_dims=(),
        ema_decay=0.999,
        optimizer_lr=_RATE,
        scheduler_warmup_steps=100,
    )


def _features(features: dict[str, Any]) -> dict[str, PolicyFeature]:
    return dict(dataset_to_policy_features(features))
