# SPDX-License-Identifier: Apache-2.0
"""A running average of the weights that forgets how training began."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

type Average = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]


def decay_after(updates: int, limit: float) -> float:
    """The decay of the update that follows `updates` others: it grows with them, up to `limit`.

    With a constant decay the first weights stay in the average of a short training: after 3500 steps with 0.999 the
    initial ones have a share of 3 %, those of the first thousand steps 5 %. With (1 + n) / (10 + n) after n updates it
    spans about a ninth of the training, until that is longer than 1 / (1 - limit) steps, from step 9000 on for 0.999.
    The formula is that of `num_updates` in TensorFlow's ExponentialMovingAverage.
    """
    return min(limit, (1 + updates) / (10 + updates))


def growing_average(limit: float) -> Average:
    """For torch's AveragedModel: `averaged`, `current` and the number of updates so far; the first copies."""

    def advance(averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
        get_ema_multi_avg_fn(decay_after(int(updates), limit))(averaged, current, updates)

    return advance
