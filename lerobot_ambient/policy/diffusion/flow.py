# SPDX-License-Identifier: Apache-2.0
"""Flow matching with the denoisers of `ambient_diffusion`: small enough to be studied on a CPU.

Symbols
    tau     flow-matching time, noise at 1:  x = (1 - tau) x_0 + tau eps
    v       velocity eps - x_0, what the network regresses on

Time and its law, Euler's method and the conventions are those of LeRobot's pi0 and SmolVLA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lerobot.policies.common.flow_matching import euler_integrate, sample_time_beta
from torch import Tensor

from lerobot_ambient.core.flow_time import FlowTime
from lerobot_ambient.core.time_laws import BetaTime

_LEAST, _RANGE = 0.001, 0.999
STEPS = 10
"""Of Euler's method, where the configuration names no number."""


def flow_time(config: Any) -> FlowTime:
    """The law of time of an AmbientDiffusionConfig under the objective "flow".

    Raises:
        ValueError: exponents that no law has.
    """
    return FlowTime(BetaTime(config.flow_time_alpha, config.flow_time_beta, low=_LEAST, high=_LEAST + _RANGE))


def draw_time(config: Any, x_0: Tensor) -> Tensor:
    """(B,) float32 times of the base law, by LeRobot's sampler."""
    time: Tensor = sample_time_beta(
        len(x_0), x_0.device, alpha=config.flow_time_alpha, beta=config.flow_time_beta, scale=_RANGE, offset=_LEAST
    )
    return time


def network_time(config: Any, tau: Tensor) -> Tensor:
    """(B,) what the denoiser's embedding of timesteps gets: tau on the scale of the timesteps it was made for."""
    return tau * config.num_train_timesteps


def integrate(config: Any, velocity: Callable[[Tensor, Tensor], Tensor], noise: Tensor) -> Tensor:
    """Chunks (B, H, A) from noise of that shape by Euler's method.

    Args:
        config: of the policy.
        velocity: of chunks (B, H, A) at times (B,) on the network's scale.
        noise: standard normal.
    """
    chunk: Tensor = euler_integrate(
        lambda x, tau: velocity(x, network_time(config, tau)), noise, config.num_inference_steps or STEPS
    )
    return chunk
