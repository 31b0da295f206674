# SPDX-License-Identifier: Apache-2.0
"""A chunk asked for from one observation, without history: what LeRobot's policy server does."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache

from lerobot.utils.constants import OBS_ENV_STATE, OBS_STATE
from torch import Tensor

from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig

logger = logging.getLogger(__name__)


def repeat_single_observation(batch: Mapping[str, Tensor], config: AmbientDiffusionConfig) -> dict[str, Tensor]:
    """The batch with its observation repeated `n_obs_steps` times, as `select_action` starts an episode.

    With n_obs_steps = 1 nothing is lost. With more it is an approximation: the policy sees a robot that stands still.

    Args:
        batch: normalised observations, (B, D) and (B, C, H, W); one that has a history, (B, n_obs_steps, D), comes
            back as it is.
        config: of the policy.
    """
    if batch[OBS_STATE].ndim != 2:
        return dict(batch)
    steps = config.n_obs_steps
    if steps > 1:
        _warn(steps)
    keys = {OBS_STATE, OBS_ENV_STATE, *config.image_features} & set(batch)
    repeated = {key: batch[key].unsqueeze(1).repeat_interleave(steps, dim=1) for key in keys}
    return {**batch, **repeated}


@cache
def _warn(steps: int) -> None:
    logger.warning(
        "a chunk was asked for from 1 observation, the policy was trained with n_obs_steps = %d; the observation is "
        "repeated, so the policy sees a robot that stands still. For asynchronous inference train with "
        "--policy.n_obs_steps=1.",
        steps,
    )
