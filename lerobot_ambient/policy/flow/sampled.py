# SPDX-License-Identifier: Apache-2.0
"""Policies that draw their time by a method of their own and their noise inline: only the time is moved.

What LeRobot does around the draw was read in version 0.6.1. Where a policy may hold its times in half precision, the
cells are rounded for half precision: a level that is kept out of them is kept out of single precision too.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Any

import torch

from lerobot_ambient.core.flow_time import FlowTime
from lerobot_ambient.core.time_laws import BetaTime, ShiftedTime
from lerobot_ambient.policy.flow.family import Family, SampledFamily, configured_openpi_time
from lerobot_ambient.policy.flow.shadow import shadowed
from lerobot_ambient.policy.flow.step import Step


class Eo1(SampledFamily):
    """As pi0, with the time drawn before the noise; by default padded actions and dimensions enter its loss."""

    stock = "eo1"
    target_first = True
    steps = "num_denoise_steps"
    extra = "eo1"

    def time(self, config: Any) -> FlowTime:
        return configured_openpi_time(config)

    def padding(self, config: Any, batch: dict[str, Any]) -> Any:
        return None if config.supervise_padding_actions else batch.get("action_is_pad")

    def owner(self, policy: Any) -> Any:
        return policy.model


_GROOT_LAW = (1.5, 1.0, 0.999)


class Groot(SampledFamily):
    """t = 0.999 (1 - s) with the data at 1, in the model's dtype; its mask leaves out padding.

    Its own processor normalises actions, whatever `normalization_mapping` says.
    """

    stock = "groot"
    steps = "num_inference_timesteps"
    extra = "groot"
    normalises_itself = True

    def time(self, config: Any) -> FlowTime:
        # GR00T N1.7's own configuration, which its checkpoint brings: noise_beta_alpha, noise_beta_beta, noise_s.
        return FlowTime(BetaTime(1.5, 1.0, low=0.001, high=1.0), data_at_one=True, dtype=torch.bfloat16)

    def padding(self, config: Any, batch: dict[str, Any]) -> Any:
        # (B, H) or, with what pads the dimensions, (B, H, D).
        mask = batch["action_mask"].bool()
        return ~(mask.any(-1) if mask.ndim == 3 else mask)

    def owner(self, policy: Any) -> Any:
        return policy._groot_model.action_head

    def taught(self, policy: Any, step: Step) -> AbstractContextManager[Any]:
        head = self.owner(policy)
        drawn = (float(head._noise_beta_alpha), float(head._noise_beta_beta), float(head.config.noise_s))
        if drawn != _GROOT_LAW:
            raise ValueError(
                f"ambient_groot: the checkpoint {policy.config.base_model_path} draws its times by (noise_beta_alpha, "
                f"noise_beta_beta, noise_s) = {drawn}, and the plan of the mixture is made for {_GROOT_LAW}. Train "
                "from a checkpoint with these values, such as nvidia/GR00T-N1.7-3B."
            )
        return super().taught(policy, step)


class VlaJepa(SampledFamily):
    """t = (S - s) / S with the data at 1, which reaches just beyond pure noise; a batch is repeated, one after another.

    Its world model predicts features of pictures; it is taught by every dataset, whatever the windows.
    """

    stock = "vla_jepa"
    steps = "num_inference_timesteps"
    extra = "vla_jepa"
    honours_padding = True

    def time(self, config: Any) -> FlowTime:
        law = BetaTime(
            config.action_noise_beta_alpha, config.action_noise_beta_beta, low=0.0, high=1.0 / config.action_noise_s
        )
        return FlowTime(law, data_at_one=True)

    def owner(self, policy: Any) -> Any:
        return policy.model.action_model

    def repeats(self, policy: Any) -> int:
        return int(policy.config.repeated_diffusion_steps)


class WallX(SampledFamily):
    """t = 0.999 (1 - s) with the data at 1, in single precision; only where it predicts by diffusion."""

    stock = "wall_x"
    extra = "wallx"

    def time(self, config: Any) -> FlowTime:
        return FlowTime(BetaTime(1.5, 1.0, low=0.001, high=1.0), data_at_one=True)

    def refusals(self, config: Any) -> list[str]:
        found = super().refusals(config)
        if config.prediction_mode != "diffusion":
            found.append(
                f"policy.prediction_mode = {config.prediction_mode} predicts actions as tokens, which have no noise "
                "levels; set --policy.prediction_mode=diffusion"
            )
        return found

    def owner(self, policy: Any) -> Any:
        return policy.model.action_preprocessor


class FastWam(SampledFamily):
    """A thousand times tau of a shifted uniform law; its loss is weighted by the level, and honours padding.

    Its video branch predicts pictures, at times of its own; it is taught by every dataset, whatever the windows.
    """

    stock = "fastwam"
    steps = "num_inference_steps"
    extra = "fastwam"
    method = "sample_training_t"
    honours_padding = True

    def time(self, config: Any) -> FlowTime:
        options = config.action_scheduler
        law = ShiftedTime(float(options["train_shift"]))
        return FlowTime(law, scale=float(options["num_train_timesteps"]), dtype=torch.bfloat16)

    def refusals(self, config: Any) -> list[str]:
        found = super().refusals(config)
        if (config.video_dit_config or {}).get("action_conditioned"):
            found.append(
                "policy.video_dit_config.action_conditioned = true shows the clean actions to the video branch, which "
                "the action head may see, at no noise level; set it to false"
            )
        return found

    def owner(self, policy: Any) -> Any:
        return policy.model.train_action_scheduler


class MolmoAct2(Family):
    """t = offset + scale s with the data at 1, several to a sample, side by side, in the model's dtype."""

    stock = "molmoact2"
    steps = "num_inference_steps"
    extra = "molmoact2"

    def time(self, config: Any) -> FlowTime:
        low = config.flow_matching_time_offset
        high = min(config.flow_matching_cutoff, low + config.flow_matching_time_scale)
        # 1 - s is Beta(b, a) where s is Beta(a, b).
        law = BetaTime(config.flow_matching_beta_beta, config.flow_matching_beta_alpha, low=1.0 - high, high=1.0 - low)
        return FlowTime(law, data_at_one=True, dtype=torch.bfloat16)

    def refusals(self, config: Any) -> list[str]:
        found = super().refusals(config)
        if config.action_mode != "continuous":
            found.append(
                f"policy.action_mode = {config.action_mode} also trains the language model on the actions as tokens, "
                "which have no noise levels, so a source would teach its faults there; set "
                "--policy.action_mode=continuous"
            )
        return found

    def padding(self, config: Any, batch: dict[str, Any]) -> Any:
        return batch.get("action_horizon_is_pad")

    def taught(self, policy: Any, step: Step) -> AbstractContextManager[Any]:
        repeats = max(1, int(policy.config.num_flow_timesteps))
        module = sys.modules[_home_of(policy, "_prepare_flow_matching_tensors")]
        return shadowed(
            module,
            "_sample_beta_timesteps",
            lambda sample: lambda **kwargs: step.move(sample(**kwargs), repeats, interleaved=True),
        )


def _home_of(policy: Any, method: str) -> str:
    """The module in which a policy's method was written, and looks its functions up."""
    return str(getattr(type(policy), method).__module__)
