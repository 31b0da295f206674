# SPDX-License-Identifier: Apache-2.0
"""The parts of a held-out loss that a policy gives as one number: what it compared, by the times that it drew.

Every policy of LeRobot's that regresses on a velocity, on noise or on a chunk calls torch's `mse_loss` on what it
predicted and what it should have, the actions last. For the duration of a call the arguments are kept aside. The
policy's own weights, of a level say, and its other losses, of pictures say, are not among the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from lerobot_ambient.policy.flow.shadow import shadowed
from lerobot_ambient.policy.flow.step import Step


class Compared:
    """What the last `mse_loss` compared; `noted` makes it look."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, Tensor] | None = None

    def noted(self) -> AbstractContextManager[None]:
        """While it holds, `mse_loss` leaves its arguments here."""

        def noting(mse_loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
            def noted_mse_loss(input: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
                self._last = (input.detach(), target.detach())
                return mse_loss(input, target, *args, **kwargs)

            return noted_mse_loss

        return shadowed(F, "mse_loss", noting)

    def losses(self, step: Step) -> Tensor | None:
        """(N,) the mean squared error of the actions at each of the times drawn; None where they do not fit.

        Args:
            step: that the call was taught; its `levels` (N,), its mask of padding and of absent dimensions.
        """
        if self._last is None or step.levels is None:
            return None
        draws, repeats = len(step.levels), len(step.levels) // len(step.group)
        input, target = self._last
        if input.shape != target.shape or input.shape[-1] < step.dims or input.numel() % (draws * input.shape[-1]):
            return None
        # Drawn times lead, whether the policy has flattened its chunks or not.
        error = (input.float() - target.float()).square().reshape(draws, -1, input.shape[-1])[..., : step.dims]
        counted = error.new_ones(error.shape)
        if step.is_pad is not None and step.is_pad.shape[1] == error.shape[1]:
            counted = counted * step.by_draw(~step.is_pad, repeats).unsqueeze(-1)
        if step.counts is not None:
            counted = counted * step.by_draw(step.counts, repeats).unsqueeze(1)
        return (error * counted).sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp_min(1)
