# SPDX-License-Identifier: Apache-2.0
"""LeRobot's training step, for those who take it outside of `lerobot-train`."""

from __future__ import annotations

from typing import Any


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
