# SPDX-License-Identifier: Apache-2.0
"""LeRobot's training step, for those who take it outside of `lerobot-train`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def scaled_pictures(batch: dict[str, Any], cameras: Iterable[str]) -> dict[str, Any]:
    """The batch with its pictures as float in [0, 1], as LeRobot's loop hands it to the preprocessor."""
    for key in cameras:
        if key in batch and batch[key].dtype == torch.uint8:
            batch[key] = batch[key].to(dtype=torch.float32) / 255.0
    return batch


def training_step(
    tracker: Any, policy: Any, batch: dict[str, Any], optimizer: Any, clip: float, accelerator: Any, scheduler: Any
) -> None:
    """Forward, backward, clipping, optimiser, schedule and average, as `lerobot-train` takes them.

    Args:
        tracker: LeRobot's MetricsTracker, which is told of the loss.
        policy, optimizer, scheduler: prepared by the accelerator.
        batch: normalised.
        clip: greatest norm of the gradients.
        accelerator: of accelerate.
    """
    from lerobot.scripts.lerobot_train import update_policy

    update_policy(tracker, policy, batch, optimizer, clip, accelerator=accelerator, lr_scheduler=scheduler)
