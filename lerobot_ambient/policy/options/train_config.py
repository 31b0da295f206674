# SPDX-License-Identifier: Apache-2.0
"""What this package reads of LeRobot's configuration of a training run, as a type that can be checked.

LeRobot's own classes have no types for a type checker. These protocols name every field that is read, so that one that
is misspelt here, or renamed there, is found in one place: `tests/policy/options/test_train_config.py` compares them
with LeRobot's classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lerobot_ambient.policy.options.mixture_options import MixtureOptions


class DatasetOptions(Protocol):
    """`--dataset.*`: the target, and how its frames are read."""

    repo_id: str
    root: str | None
    episodes: list[int] | None
    revision: str | None
    image_transforms: Any
    video_backend: str
    streaming: bool
    repo_type: str
    eval_split: float
    use_imagenet_stats: bool


class WandBOptions(Protocol):
    """`--wandb.*`: the tracker of a run."""

    enable: bool
    project: str


class TrainConfig(Protocol):
    """LeRobot's TrainPipelineConfig where the policy is ours."""

    dataset: DatasetOptions
    env: Any
    policy: MixtureOptions
    output_dir: Path | None
    checkpoint_path: Path | None
    resume: bool
    seed: int | None
    batch_size: int
    num_workers: int
    steps: int
    eval_steps: int
    max_eval_samples: int
    env_eval_freq: int
    wandb: WandBOptions
    save_checkpoint: bool
    tolerance_s: float
    rename_map: Mapping[str, str]
    sample_weighting: Any

    def to_dict(self) -> dict[str, Any]: ...
