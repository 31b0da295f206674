# SPDX-License-Identifier: Apache-2.0
"""X-VLA, which regresses on the clean chunk and draws time and noise inline, stratified over the batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lerobot_ambient.core.flow_time import FlowTime
from lerobot_ambient.core.time_laws import BetaTime
from lerobot_ambient.policy.flow.family import Family
from lerobot_ambient.policy.flow.shadow import shadowed
from lerobot_ambient.policy.flow.step import Step

_END = 1.0 - 1e-5

# Their `preprocess` sets the gripper's channels to zero, while their loss compares them with the clean chunk.
_UNNOISED_GRIPPER = ("ee6d", "joint", "so101_bimanual")


class XVla(Family):
    """tau uniform on [0, 1); the transformer gets the noisy chunk and the time, so there both are made anew.

    A sample whose time is moved is noised again from its clean chunk at the new time, with noise of its own; the others
    keep what the stock policy made. The regression target does not depend on time or noise.
    """

    stock = "xvla"
    steps = "num_denoising_steps"
    extra = "xvla"

    def time(self, config: Any) -> FlowTime:
        return FlowTime(BetaTime(low=0.0, high=_END), dtype=torch.bfloat16)

    def refusals(self, config: Any) -> list[str]:
        found = super().refusals(config)
        if config.action_mode.lower() in _UNNOISED_GRIPPER:
            found.append(
                f"policy.action_mode = {config.action_mode} hides the noisy gripper from the network and trains it on "
                "the clean one, at no noise level, so a source would teach its grasps whatever its window; set "
                "--policy.action_mode=auto"
            )
        return found

    def error_of_x_0(self, config: Any, off: Tensor, time: Tensor) -> Tensor:
        """It predicts the clean chunk itself."""
        return off

    @contextmanager
    def taught(self, policy: Any, step: Step) -> Iterator[None]:
        model = policy.model
        clean: dict[str, Tensor] = {}
        signature = inspect.signature(model.forward)

        def noting(forward: Callable[..., Any]) -> Callable[..., Any]:
            def model_forward(*args: Any, **kwargs: Any) -> Any:
                clean["action"] = signature.bind(*args, **kwargs).arguments["action"]
                return forward(*args, **kwargs)

            return model_forward

        def renoised(forward: Callable[..., Any]) -> Callable[..., Any]:
            def transformer_forward(*, action_with_noise: Tensor, t: Tensor, proprio: Tensor, **kwargs: Any) -> Any:
                moved = step.move(t)
                if moved is not t:
                    action = clean["action"].to(action_with_noise.dtype)
                    time = moved.view(-1, 1, 1)
                    noisy = torch.randn_like(action) * time + action * (1 - time)
                    _, noisy = model.action_space.preprocess(proprio, noisy)
                    kept = (moved == t).view(-1, 1, 1)
                    action_with_noise = torch.where(kept, action_with_noise, noisy)
                return forward(action_with_noise=action_with_noise, t=moved, proprio=proprio, **kwargs)

            return transformer_forward

        with shadowed(model, "forward", noting), shadowed(model.transformer, "forward", renoised):
            yield
