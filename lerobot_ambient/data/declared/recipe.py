# SPDX-License-Identifier: Apache-2.0
"""What defines a mixture besides its datasets."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot_ambient.core.mixing import MixingRule
from lerobot_ambient.core.noise_levels import NoiseSchedule


@dataclass(frozen=True)
class MixtureRecipe:
    """Everything about a mixture that is not a dataset.

    Args:
        schedule: noise levels of the policy.
        mixing: how groups share the noise levels.
        action_mode: LeRobot's NormalizationMode of actions.
        state_mode: the same of observations.
        target_action_type: absolute or delta; guessed from the target when None.
        relative_actions: whether chunks are relative to the current state.
        drop_n_last_frames: frames at each episode's end that are never a sample's first frame.
        max_amplification: bound s_max of the ambient target; None without the ambient loss.
    """

    schedule: NoiseSchedule
    mixing: MixingRule
    action_mode: str
    state_mode: str = "MIN_MAX"
    target_action_type: str | None = None
    relative_actions: bool = False
    drop_n_last_frames: int = 0
    max_amplification: float | None = None
