# SPDX-License-Identifier: Apache-2.0
"""Pre- and post-processors: LeRobot's own for diffusion, unchanged."""

from __future__ import annotations

from typing import Any

from lerobot.processor import PolicyAction, PolicyProcessorPipeline, make_default_pre_post_processors
from torch import Tensor

from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig


def make_ambient_diffusion_pre_post_processors(
    config: AmbientDiffusionConfig, dataset_stats: dict[str, dict[str, Tensor]] | None = None
) -> tuple[
    PolicyProcessorPipeline[dict[str, Any], dict[str, Any]], PolicyProcessorPipeline[PolicyAction, PolicyAction]
]:
    """Rename, batch, device, normalise; and the way back.

    Args:
        config: the policy's configuration.
        dataset_stats: statistics of the target; entries the policy has no feature for are ignored.
    """
    features = {**(config.input_features or {}), **(config.output_features or {})}
    stats = {key: value for key, value in (dataset_stats or {}).items() if key in features}
    return make_default_pre_post_processors(config, stats or None)
