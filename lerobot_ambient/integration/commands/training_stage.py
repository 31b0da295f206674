# SPDX-License-Identifier: Apache-2.0
"""A training as a stage: stock lerobot-train, which goes on from its last checkpoint after a kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lerobot_ambient.integration.commands.stages import Stage, stock_command

LAST_CHECKPOINT = Path("run", "checkpoints", "last", "pretrained_model")
"""The policy that a training stage leaves, relative to its folder."""


def training_stage(
    folder: Path,
    inputs: Mapping[str, Any],
    options: Sequence[str],
    *,
    files: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Stage:
    """`lerobot-train` with these options, which writes into `folder / "run"`; killed, it resumes its last checkpoint.

    See `Stage` for the arguments.
    """
    train = stock_command("lerobot-train", "lerobot.scripts.lerobot_train")
    checkpoint = folder / LAST_CHECKPOINT / "train_config.json"
    return Stage(
        folder,
        inputs,
        [*train, *options, f"--output_dir={folder / 'run'}"],
        files=files or {},
        resume=[*train, f"--config_path={checkpoint}", "--resume=true"],
        checkpoint=checkpoint,
        product=str(LAST_CHECKPOINT / "model.safetensors"),
        environment=environment or {},
    )
