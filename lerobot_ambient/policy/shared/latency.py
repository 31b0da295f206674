# SPDX-License-Identifier: Apache-2.0
"""How long a policy takes for a chunk of actions, and what that means for the rate of control.

A diffusion policy predicts n_action_steps actions at once. LeRobot's synchronous rollout waits for them in one control
step and plays them in that and the next n_action_steps - 1.
"""

from __future__ import annotations

import math
import time

import torch
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy


def chunk_seconds(policy: DiffusionPolicy, *, rounds: int) -> list[float]:
    """Return how long each of `rounds` chunks took, for one robot, after one that is not counted.

    The policy is reset before and after; its observation is made up, for the time does not depend on it.
    """
    device = next(policy.parameters()).device
    observation = {
        key: torch.zeros((1, *feature.shape), device=device) for key, feature in policy.config.input_features.items()
    }
    seconds = []
    with torch.inference_mode():
        for _ in range(rounds + 1):
            policy.reset()
            began = time.perf_counter()
            policy.select_action(dict(observation)).cpu()
            seconds.append(time.perf_counter() - began)
    policy.reset()
    return seconds[1:]


def slow_warning(seconds: float, config: DiffusionConfig, fps: float) -> str | None:
    """Say what is late when a chunk takes `seconds` at `fps` control steps a second, and what helps; None if nothing.

    A chunk that takes exactly one control step is in time.
    """
    period = 1.0 / fps
    if seconds <= period:
        return None
    steps = config.num_inference_steps or config.num_train_timesteps
    helps = f"--fps={max(1, math.floor(1 / seconds))}"
    if config.noise_scheduler_type != "DDIM":
        helps = f"--policy.noise_scheduler_type=DDIM --policy.num_inference_steps=8, or {helps}"
    elif steps > 1:
        helps = f"--policy.num_inference_steps below {steps}, or {helps}"
    return (
        f"one chunk of {config.n_action_steps} actions takes {1000 * seconds:.0f} ms on this machine "
        f"({config.noise_scheduler_type}, {steps} steps), a control step at {fps:g} Hz {1000 * period:.0f} ms: "
        f"after every {config.n_action_steps} steps the robot waits for {1000 * (seconds - period):.0f} ms. "
        f"What helps: {helps}."
    )
