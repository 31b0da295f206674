# SPDX-License-Identifier: Apache-2.0
"""The merged datasets that LeRobot's training loop receives for an ambient policy."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import torch
from lerobot.configs.types import NormalizationMode
from lerobot.transforms import ImageTransforms
from lerobot.utils.constants import ACTION, IMAGENET_STATS, OBS_ENV_STATE, OBS_STATE, TRAINING_STATE_DIR, TRAINING_STEP
from torch.utils.data import Dataset

from lerobot_ambient.data.batches.merged_dataset import warn_of_shuffling
from lerobot_ambient.data.batches.mixture_metadata import MixtureMetadata
from lerobot_ambient.data.cameras.needed_cameras import untrainable_cameras
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.export.record import GIVEN, record_of, with_notes
from lerobot_ambient.data.files.dimension_names import dimension_names
from lerobot_ambient.data.kinematics.shared_space import for_checkpoint
from lerobot_ambient.data.mixture import AssembledMixture, make_mixture
from lerobot_ambient.data.provenance.data_record import DataRecord
from lerobot_ambient.data.provenance.fingerprint import require_same_mixture
from lerobot_ambient.data.remote.options import BATCHES_AHEAD
from lerobot_ambient.data.suggest.config_windows import noted_windows
from lerobot_ambient.integration.deployment.environment import refuse_environment_of_training
from lerobot_ambient.integration.errors.error_report import CONFIG_SUFFIXES
from lerobot_ambient.integration.errors.near_options import config_file_typed
from lerobot_ambient.integration.training.configured_mixture import read_options, recipe_of, split_target
from lerobot_ambient.integration.training.fine_tuning import refuse_lost_settings, require_model
from lerobot_ambient.integration.training.honoured import refuse_unhonoured
from lerobot_ambient.integration.training.run_roots import located
from lerobot_ambient.policy.options.mixture_options import MixtureOptions
from lerobot_ambient.policy.options.train_config import TrainConfig

logger = logging.getLogger(__name__)
_LARGE = 20.0
"""Numbers of the environment's state that a network is not to see unscaled."""


class MergedTrainingDataset(Dataset[dict[str, Any]]):
    """A mixture with the attributes LeRobot's loop reads of a LeRobotDataset.

    Args:
        mixture: the assembled mixture.
        look_ahead: draws by which frames that stay on the Hub are announced.
    """

    def __init__(self, mixture: AssembledMixture, look_ahead: int = 0) -> None:
        self.mixture, self.look_ahead = mixture, look_ahead
        self.episodes: list[int] | None = None
        self.recorder: Any = None
        """Of the run; the seam hangs it here, so that it ends with the run."""

    @property
    def meta(self) -> MixtureMetadata:
        return self.mixture.meta

    @property
    def num_frames(self) -> int:
        return len(self.mixture.dataset)

    @property
    def num_episodes(self) -> int:
        return self.meta.total_episodes

    @property
    def absolute_to_relative_idx(self) -> MergedTrainingDataset:
        # The loop passes this on to the sampler it builds, untouched: the seam's way from one to the other.
        return self

    @property
    def hf_dataset(self) -> datasets.Dataset:
        """What LeRobot reads of the table: task_index, by which it picks `max_eval_samples` of a held-out set."""
        return datasets.Dataset.from_dict({"task_index": self.mixture.dataset.columns.counter("task_index").tolist()})

    def __len__(self) -> int:
        warn_of_shuffling()
        return len(self.mixture.dataset)

    def __getitem__(self, position: int) -> dict[str, Any]:
        return self.mixture.dataset[position]

    def __getitems__(self, positions: list[int]) -> list[Any]:
        return self.mixture.dataset.__getitems__(positions)

    def __getstate__(self) -> dict[str, Any]:
        # A worker reads frames; it needs neither the plan nor the metadata, nor who records.
        return {"dataset": self.mixture.dataset}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.recorder = None
        self.mixture = _WorkerView(state["dataset"])  # type: ignore[assignment]
        self.episodes = None


class _WorkerView:
    """What a loader worker keeps of a mixture."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset


def make_merged_datasets(cfg: TrainConfig) -> tuple[MergedTrainingDataset, MergedTrainingDataset | None]:
    """LeRobot's make_train_eval_datasets for an ambient policy: the mixture, and held-out target episodes.

    Args:
        cfg: LeRobot's TrainPipelineConfig with a policy of ours.

    Raises:
        ValueError: a mixture that cannot be made, or on resume one that has changed.
    """
    policy: MixtureOptions = cfg.policy
    refuse_lost_settings()
    refuse_unhonoured(cfg)
    require_model(policy)
    for name, least in (("batch_size", 1), ("num_workers", 0)):
        # torch would say so, after all the data were read and with a traceback.
        if getattr(cfg, name) < least:
            raise ValueError(f"--{name} must be at least {least}, got {getattr(cfg, name)}.")
    if cfg.dataset.repo_type != "dataset":
        raise ValueError(
            f"dataset.repo_type={cfg.dataset.repo_type} cannot be mixed: sources and target are read from dataset "
            "repositories of the Hub, at a commit. Copy the bucket into one, or download it and give --dataset.root."
        )
    if cfg.dataset.streaming:
        # LeRobot's loop gives a streamed dataset no sampler; the policy's own option stays in the checkpoint.
        policy.stream_target, cfg.dataset.streaming = True, False
    if cfg.sample_weighting is not None and policy.sources:
        raise ValueError(
            "sample_weighting re-weights the losses and so changes the shares that the datasets have; use the sources' "
            "`weight` or --policy.mixing.alpha instead, and remove sample_weighting."
        )
    train_target, eval_target = split_target(cfg)
    options = read_options(cfg, _image_transforms(cfg))
    # The policy's own list stays as it was declared: it goes into the checkpoint.
    mixture = make_mixture(train_target, located(cfg, policy.sources), options, recipe_of(policy))
    if cfg.rename_map:
        # The policy of a checkpoint knows the cameras under its own keys, which its preprocessor gives them.
        mixture.meta.mixture = mixture = replace(mixture, renamed=dict(cfg.rename_map))
    logger.info("%s", mixture)
    for warning in [*mixture.warnings, *_left_as_they_are(policy, mixture)]:
        logger.warning("%s", warning)
    # The mixture has warned of them; numbers alone may be annotated, but no policy can be made.
    for problem in untrainable_cameras(mixture.sources[0].name, mixture.meta.features):
        raise ValueError(problem)
    _warn_if_finished(cfg)
    if cfg.resume and policy.mixture_fingerprint is not None:
        require_same_mixture(policy.mixture_fingerprint, mixture.fingerprint)
    policy.mixture_fingerprint = mixture.fingerprint
    policy.mixture_record = _told(mixture, policy.mixture_record if cfg.resume else [])
    features = mixture.meta.features
    refuse_environment_of_training(cfg, features)
    policy.feature_names = {key: dimension_names(features[key]) for key in (ACTION, OBS_STATE) if key in features}
    _take_state_size(policy, features)
    if policy.target_end_effector is not None:
        policy.target_end_effector = for_checkpoint(policy.target_end_effector, mixture.sources[0])
        policy.sources = _with_end_effectors(policy.sources, mixture)
    # A checkpoint that has learned the mark keeps it when it is trained on without such a source.
    lacked = [key for key, absent in (mixture.absent_cameras or {}).items() if bool(absent.any())]
    policy.marked_cameras = list(dict.fromkeys([*policy.marked_cameras, *lacked]))
    # The draws of so many batches later are those of the same loader process.
    processes = max(cfg.num_workers, 1) * int(os.environ.get("WORLD_SIZE", "1"))
    merged = [MergedTrainingDataset(mixture, look_ahead=BATCHES_AHEAD * cfg.batch_size * processes)]
    if eval_target is not None:
        held_out = make_mixture(
            eval_target, [], replace(options, image_transforms=None), recipe_of(policy), held_out=True
        )
        merged.append(MergedTrainingDataset(held_out))
    if cfg.dataset.use_imagenet_stats:
        for dataset in merged:
            _use_imagenet_stats(dataset.meta)
    return merged[0], merged[1] if len(merged) > 1 else None


def _image_transforms(cfg: TrainConfig) -> ImageTransforms | None:
    """What the loader augments pictures with; None where LeRobot's loop does so itself, on the GPU."""
    declared = cfg.dataset.image_transforms
    backend = getattr(declared, "backend", "dataloader")
    if backend not in ("dataloader", "gpu"):
        raise ValueError(
            f"--dataset.image_transforms.backend={backend}: who would augment the pictures is not known. Use "
            "dataloader or gpu."
        )
    return ImageTransforms(declared) if declared.enable and backend == "dataloader" else None


def _with_end_effectors(declared: Sequence[Source], mixture: AssembledMixture) -> list[Source]:
    """The sources as declared, with the end effectors that their catalogue entries said: entries may change."""
    # Those of a merged target come before them.
    taken = [source.config.end_effector for source in mixture.sources[len(mixture.sources) - len(declared) :]]
    return [
        source
        if source.end_effector == said
        else replace(source, end_effector=said, action_type=None, action_gain=None)
        for source, said in zip(declared, taken, strict=True)
    ]


def _told(mixture: AssembledMixture, known: Sequence[DataRecord]) -> list[DataRecord]:
    """The records of a mixture, with what the configuration file notes of its windows.

    Args:
        mixture: that is trained on.
        known: the records of the checkpoint that is resumed, whose own file has no notes.
    """
    records = record_of(mixture)
    if [record.name for record in known] == [record.name for record in records]:
        return [
            replace(new, found=old.found) if new.found == GIVEN and old.found.startswith(GIVEN) else new
            for new, old in zip(records, known, strict=True)
        ]
    file = Path(config_file_typed() or "")
    if file.suffix not in CONFIG_SUFFIXES or not file.is_file():
        return records
    sources = [source.config for source in mixture.sources[1:]]
    return with_notes(records, sources, noted_windows(file.read_text(encoding="utf-8")))


def _left_as_they_are(policy: MixtureOptions, mixture: AssembledMixture) -> list[str]:
    """That the state of the environment reaches the network unscaled, where its numbers are too large for that."""
    mapping = policy.normalization_mapping
    target = mixture.sources[0]
    if OBS_ENV_STATE not in target.columns or mapping.get("ENV", NormalizationMode.IDENTITY) != "IDENTITY":
        return []
    values = target.columns[OBS_ENV_STATE]
    largest = max(abs(float(values.min())), abs(float(values.max())))
    if largest <= _LARGE:
        return []
    modes = {**{kind: mode.value for kind, mode in mapping.items()}, "ENV": "MEAN_STD"}
    return [
        f"{OBS_ENV_STATE} runs up to {largest:.4g} in '{target.name}', and the policy's normalization_mapping, without "
        "ENV, leaves it so: the network has to cope with numbers far from 1. Write it in other units, or set "
        f"--policy.normalization_mapping='{json.dumps(modes)}'."
    ]


def _take_state_size(policy: MixtureOptions, features: dict[str, Any]) -> None:
    """Let a checkpoint that pads its state say how many dimensions it has now.

    Its base may be of another robot, and LeRobot keeps the base's. What is compared at a rollout is this robot's.
    """
    state = (policy.input_features or {}).get(OBS_STATE)
    if state is not None and OBS_STATE in features and hasattr(policy, "max_state_dim"):
        policy.input_features[OBS_STATE] = replace(state, shape=tuple(features[OBS_STATE]["shape"]))


def _warn_if_finished(cfg: TrainConfig) -> None:
    if not cfg.resume or cfg.checkpoint_path is None:
        return
    state = Path(cfg.checkpoint_path) / TRAINING_STATE_DIR / TRAINING_STEP
    if state.is_file() and (step := int(json.loads(state.read_text(encoding="utf-8"))["step"])) >= cfg.steps:
        logger.warning(
            "the checkpoint is at step %d and steps=%d counts from the beginning of the run, so nothing is left to "
            "train: give a larger --steps, e.g. --steps=%d.",
            *(step, cfg.steps, step + max(step // 10, 1)),
        )


def _use_imagenet_stats(meta: MixtureMetadata) -> None:
    for key in meta.camera_keys:
        if key not in meta.depth_keys:
            values = {name: torch.tensor(value, dtype=torch.float32) for name, value in IMAGENET_STATS.items()}
            meta.stats[key] = {**meta.stats.get(key, {}), **values}
