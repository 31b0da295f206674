# SPDX-License-Identifier: Apache-2.0
"""Looking on while a flow policy's stock forward runs at given times: what its network said and what it regresses on.

A `Probe` takes the place of a training step in a family's hooks: it hands over the times that were asked for and
leaves actions, noise and loss as they are. As a mode of torch it sees the operands of the stock loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class Probe(TorchFunctionMode):
    """One forward at given times; for each sample the first of its repeats is kept.

    Args:
        time: (B,) times in the policy's own direction and scale.
        shape: (H, A) of a chunk, without the policy's padding.
        target_first: the stock policy hands its target to the loss before the prediction.
    """

    absent = None

    def __init__(self, time: Tensor, shape: tuple[int, int], *, target_first: bool) -> None:
        super().__init__()
        self.asked = time
        self.shape = shape
        self.target_first = target_first
        self.time: Tensor | None = None
        self.off: Tensor | None = None
        self._repeats, self._interleaved = 1, False

    def move(self, time: Tensor, repeats: int = 1, *, interleaved: bool = False) -> Tensor:
        """As `Step.move`: the times that were asked for, as the policy's own numbers.

        Raises:
            RuntimeError: another number of times than the policy was known to draw.
        """
        if time.shape != (len(self.asked) * repeats,):
            raise RuntimeError(
                f"the policy drew times of shape {tuple(time.shape)} for {len(self.asked)} samples, {repeats} each was "
                "expected: this LeRobot draws them in another way than the one this package was written for."
            )
        self._repeats, self._interleaved = repeats, interleaved
        asked = self.asked.to(time)
        self.time = asked
        return asked.repeat_interleave(repeats) if interleaved else asked.repeat(repeats)

    def pair(self, actions: Tensor, noise: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        """As `Step.pair`: unchanged."""
        return actions, noise

    def weigh(self, losses: Tensor) -> Tensor:
        """As `Step.weigh`: unchanged."""
        return losses

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is F.mse_loss:
            self._see(*args[:2])
        return func(*args, **(kwargs or {}))

    def _see(self, first: Tensor, second: Tensor) -> None:
        """Keep (B, H, A) prediction minus target, where these operands are chunks."""
        horizon, dims = self.shape
        rows = len(self.asked) * self._repeats * horizon
        # Other losses compare pictures or features. Some policies flatten a batch's chunks, and all may pad them.
        if first.shape != second.shape or first.shape[-1] < dims or first.numel() != rows * first.shape[-1]:
            return
        off = second.detach().float() - first.detach().float()
        if not self.target_first:
            off = -off
        size = len(self.asked)
        repeated = (size, self._repeats) if self._interleaved else (self._repeats, size)
        off = off.reshape(*repeated, horizon, first.shape[-1])[..., :dims]
        self.off = off[:, 0] if self._interleaved else off[0]
