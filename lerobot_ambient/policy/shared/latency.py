# SPDX-License-Identifier: Apache-2.0
"""How long a policy takes for a chunk of actions, and what that means for the rate of control.

A policy predicts n_action_steps actions at once. LeRobot's synchronous rollout waits for them in one control
step and plays them in that and the next n_action_steps - 1.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from lerobot.policies.pretrained import PreTrainedPolicy

from lerobot_ambient.policy.options.mixture_options import MixtureOptions


def chunk_seconds(
    policy: PreTrainedPolicy, *, rounds: int, preprocess: Callable[[dict[str, Any]], dict[str, Any]] | None = None
) -> list[float]:
    """Return how long each of `rounds` chunks took, for one robot, after one that is not counted.

    The policy is reset before and after; its observation is made up, for the time does not depend on it.

    Args:
        policy: that acts.
        rounds: how often.
        preprocess: the policy's own, which makes tokens of a task; None for policies that read none.
    """
    device = next(policy.parameters()).device
    made_up: dict[str, Any] = {
        key: torch.zeros((1, *feature.shape), device=device) for key, feature in policy.config.input_features.items()
    }
    observation = made_up if preprocess is None else preprocess({**made_up, "task": [""]})
    seconds = []
    with torch.inference_mode():
        for _ in range(rounds + 1):
            policy.reset()
            began = time.perf_counter()
            policy.select_action(dict(observation)).cpu()
            seconds.append(time.perf_counter() - began)
    policy.reset()
    return seconds[1:]


def slow_warning(seconds: float, config: MixtureOptions, fps: float) -> str | None:
    """Say what is late when a chunk takes `seconds` at `fps` control steps a second, and what helps; None if nothing.

    A chunk that takes exactly one control step is in time.
    """
    period = 1.0 / fps
    if seconds <= period:
        return None
    how, helps = config.acting
    actions, slower = getattr(config, "n_action_steps", 1), f"--fps={max(1, math.floor(1 / seconds))}"
    return (
        f"one chunk of {actions} actions takes {1000 * seconds:.0f} ms on this machine ({how}), a control step at "
        f"{fps:g} Hz {1000 * period:.0f} ms: after every {actions} steps the robot waits for "
        f"{1000 * (seconds - period):.0f} ms. What helps: {f'{helps}, or {slower}' if helps else slower}."
    )
