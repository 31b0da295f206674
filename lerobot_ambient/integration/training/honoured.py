# SPDX-License-Identifier: Apache-2.0
"""Options of LeRobot's training configuration that a mixture would not honour are refused, not ignored.

The datasets of an ambient policy are opened here, not by LeRobot, so an option that LeRobot reads there, or a way of
running that ours was never tried in, has to be known by name. What is named below is honoured: read here, carried out
by LeRobot's own loop, or without anything to act on. Any other option of these sections has to keep its default. So an
option that a later LeRobot adds is refused by its name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib.metadata import version
from typing import Any

from lerobot_ambient.policy.options.train_config import TrainConfig

logger = logging.getLogger(__name__)

_HONOURED = {
    # LeRobot itself reads colours as bytes whatever `return_uint8` says; a depth camera is never read.
    "dataset": "repo_id repo_type root episodes exclude_episodes revision use_imagenet_stats video_backend streaming "
    "eval_split return_uint8 depth_output_unit",
    "dataset.image_transforms": "enable max_num_transforms random_order tfs backend gpu_chunk_size gpu_compile",
    "ema": "enable decay update_after_step inv_gamma power min_decay max_decay use_for_eval",
    "accelerator": "mixed_precision",
    "accelerator.gradient_accumulation": "steps",
    "accelerator.ddp": "find_unused_parameters gradient_as_bucket_view static_graph",
    "parallelism": "dp_replicate",
}
_SECTIONS = ("dataset", "ema", "accelerator", "parallelism")
_INSTEAD = {
    "parallelism.dp_shard": "No ambient policy was tried with sharded parameters (FSDP2): the averaged weights and the "
    "losses by dataset would be of pieces. Start the processes with torchrun alone, which replicates the policy.",
    "dataset.split_ratio": "Hold episodes out with --dataset.eval_split.",
}


def refuse_unhonoured(cfg: TrainConfig) -> None:
    """Refuse what a mixture would ignore, and two averages of the weights; warn of a precision that is not used.

    Raises:
        ValueError: an option that differs from its default and is not honoured.
    """
    for name in _SECTIONS:
        for option, value, usual in _changed(name, getattr(cfg, name, None)):
            instead = _INSTEAD.get(option, "Leave it out, or install a newer lerobot_policy_ambient_diffusion.")
            raise ValueError(
                f"--{option}={value} is an option of lerobot {version('lerobot')} that ambient policies do not honour "
                f"(its default is {usual}). {instead}"
            )
    if getattr(getattr(cfg, "ema", None), "enable", False) and getattr(cfg.policy, "ema_decay", None) is not None:
        raise ValueError(
            f"--ema.enable=true and --policy.ema_decay={cfg.policy.ema_decay} would both average the weights: "
            "LeRobot's average would be one of ours, and nothing would use it. Set --ema.enable=false, or "
            "--policy.ema_decay=null."
        )
    accelerator = getattr(cfg, "accelerator", None)
    if accelerator is not None and cfg.policy.use_amp and accelerator.mixed_precision == "no":
        logger.warning(
            "--policy.use_amp=true: lerobot %s does not train in mixed precision by it, only --accelerator."
            "mixed_precision=bf16 (or fp16) does. This run is in full precision; the policy will act in mixed "
            "precision.",
            version("lerobot"),
        )


def _changed(path: str, section: Any) -> Iterator[tuple[str, Any, Any]]:
    """(option, value, default) of what is not honoured and differs from its default, sections inside included."""
    if not is_dataclass(section):
        return
    honoured = _HONOURED.get(path, "").split()
    for field in fields(section):
        option, value = f"{path}.{field.name}", getattr(section, field.name)
        if is_dataclass(value):
            yield from _changed(option, value)
        elif field.name not in honoured and value != (usual := _default(field)):
            yield option, value, usual


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default
