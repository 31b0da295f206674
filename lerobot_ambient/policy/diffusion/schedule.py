# SPDX-License-Identifier: Apache-2.0
"""The policy's noise levels, read from the very diffusers scheduler it trains with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lerobot_ambient.core.noise_levels import NoiseSchedule

if TYPE_CHECKING:
    # At run time it would load LeRobot's policies, which load this package's types, which need this module.
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig


def noise_schedule(config: DiffusionConfig) -> NoiseSchedule:
    """Levels of a DiffusionConfig's schedule, without building the network."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    # DDIM shares DDPM's training schedule for equal betas; only its sampler differs.
    scheduler = DDPMScheduler(
        num_train_timesteps=config.num_train_timesteps,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.beta_schedule,
    )
    return NoiseSchedule.from_alphas_cumprod(scheduler.alphas_cumprod)


def denoising_steps(config: DiffusionConfig) -> tuple[str, str]:
    """How a DiffusionConfig's scheduler denoises a chunk, and what makes it quicker."""
    steps = config.num_inference_steps or config.num_train_timesteps
    how = f"{config.noise_scheduler_type}, {steps} steps"
    if config.noise_scheduler_type != "DDIM":
        return how, "--policy.noise_scheduler_type=DDIM --policy.num_inference_steps=8"
    return how, f"--policy.num_inference_steps below {steps}" if steps > 1 else ""
