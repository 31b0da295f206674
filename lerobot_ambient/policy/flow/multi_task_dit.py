# SPDX-License-Identifier: Apache-2.0
"""The multi-task diffusion transformer, which regresses on a velocity or, by default, on DDPM's noise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from lerobot_ambient.core.flow_time import FlowTime
from lerobot_ambient.core.noise_levels import NoiseSchedule, vp_to_ve
from lerobot_ambient.core.time_laws import BetaTime
from lerobot_ambient.policy.diffusion.schedule import denoising_steps, noise_schedule
from lerobot_ambient.policy.flow.family import SampledFamily
from lerobot_ambient.policy.flow.shadow import shadowed
from lerobot_ambient.policy.flow.step import Step


class MultiTaskDit(SampledFamily):
    """Flow: t = s (1 - Beta(a, b)) or uniform, the data at t = 1. DDPM: a scheduler's timesteps."""

    stock = "multi_task_dit"
    steps = "num_integration_steps"
    extra = "multi_task_dit"
    method = "_sample_timesteps"

    def time(self, config: Any) -> FlowTime | None:
        if config.is_diffusion:
            return None
        if config.timestep_sampling_strategy == "uniform":
            return FlowTime(BetaTime(), data_at_one=True)
        low = 1.0 - config.timestep_sampling_s
        law = BetaTime(config.timestep_sampling_alpha, config.timestep_sampling_beta, low=low, high=1.0)
        return FlowTime(law, data_at_one=True)

    def schedule(self, config: Any) -> NoiseSchedule:
        return noise_schedule(config) if config.is_diffusion else super().schedule(config)

    def refusals(self, config: Any) -> list[str]:
        found = super().refusals(config)
        if config.is_flow_matching and config.sigma_min != 0.0:
            found.append(
                f"policy.sigma_min = {config.sigma_min} (LeRobot's, of the flow's path) leaves noise at its end, "
                "so its times are other noise levels than those of windows; set --policy.sigma_min=0"
            )
        return found

    def padding(self, config: Any, batch: dict[str, Any]) -> Any:
        return batch.get("action_is_pad") if config.do_mask_loss_for_padding else None

    def acting(self, config: Any) -> tuple[str, str]:
        return denoising_steps(config) if config.is_diffusion else super().acting(config)

    def time_at(self, config: Any, sigma: Tensor) -> Tensor:
        """By diffusion, the timestep of the nearest level."""
        if config.is_flow_matching:
            return super().time_at(config, sigma)
        levels = noise_schedule(config).sigmas.to(sigma)
        return (levels - sigma.unsqueeze(1)).abs().argmin(1)

    def error_of_x_0(self, config: Any, off: Tensor, time: Tensor) -> Tensor:
        """By diffusion, x_0 = (x_t - sigma eps) / alpha, or the clean chunk itself."""
        if config.is_flow_matching:
            return super().error_of_x_0(config, off, time)
        if config.prediction_type == "sample":
            return off
        sigma = noise_schedule(config).sigmas.to(time.device)[time]
        return -vp_to_ve(sigma).to(off)[:, None, None] * off

    def owner(self, policy: Any) -> Any:
        return policy.objective

    def taught(self, policy: Any, step: Step) -> AbstractContextManager[Any]:
        if policy.config.is_flow_matching:
            return super().taught(policy, step)
        return shadowed(policy.objective.noise_scheduler, "add_noise", lambda add: _moved_before(add, step))


def _moved_before(add_noise: Callable[..., Tensor], step: Step) -> Callable[..., Tensor]:
    """The objective draws its timesteps inline and hands them to the scheduler first, where they change in place."""

    def moved(original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        timesteps.copy_(step.move(timesteps))
        return add_noise(original_samples, noise, timesteps)

    return moved
