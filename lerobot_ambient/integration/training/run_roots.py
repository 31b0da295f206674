# SPDX-License-Identifier: Apache-2.0
"""Where the relative paths of a checkpoint's data are looked up when its run is resumed from another folder.

A relative `root` is meant from where the run was begun. The checkpoint does not say where that was, but it lies there
itself: where `output_dir` is relative too, what is before it in the checkpoint's own path is that folder.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.policy.options.train_config import TrainConfig

logger = logging.getLogger(__name__)


def located(cfg: TrainConfig, configs: Sequence[Source]) -> list[Source]:
    """The datasets of a run, relative paths that are not here taken from where the run was begun.

    Args:
        cfg: LeRobot's TrainPipelineConfig.
        configs: as declared.

    Raises:
        ValueError: a root that is in neither place.
    """
    begun = _begun_in(cfg)
    if begun is None or begun == Path.cwd():
        return list(configs)
    return [_located(config, begun) for config in configs]


def _begun_in(cfg: TrainConfig) -> Path | None:
    """The folder in which a resumed run was begun; None for a new run, and where the checkpoint does not tell."""
    if not cfg.resume or cfg.checkpoint_path is None or cfg.output_dir is None or Path(cfg.output_dir).is_absolute():
        return None
    checkpoint = Path(cfg.checkpoint_path).resolve()
    return next((folder for folder in checkpoint.parents if folder / cfg.output_dir in checkpoint.parents), None)


def _located(config: Source, begun: Path) -> Source:
    changes: dict[str, str] = {}
    if config.root is not None and not Path(config.root).is_absolute() and not Path(config.root).is_dir():
        if not (begun / config.root).is_dir():
            raise ValueError(
                f"dataset '{config.repo_id}': its root {config.root} is neither in {Path.cwd()}, where this command "
                f"runs, nor in {begun}, where the run was begun. Bring it back, resume from the folder that holds it, "
                "or give its place anew (--dataset.root for the target, --policy.sources for sources)."
            )
        changes["root"] = str(begun / config.root)
    windows = config.windows
    if windows is not None and not Path(windows).is_absolute() and not Path(windows).is_file():
        # One in the dataset's own folder is found there.
        inside = Path(changes.get("root", config.root or "")) / windows
        if not inside.is_file() and (begun / windows).is_file():
            changes["windows"] = str(begun / windows)
    for name, place in changes.items():
        declared = getattr(config, name)
        logger.info(
            "dataset '%s': %s %s is taken from where the run was begun: %s", config.repo_id, name, declared, place
        )
    return replace(config, **changes)  # type: ignore[arg-type]
