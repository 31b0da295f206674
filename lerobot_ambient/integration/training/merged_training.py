# SPDX-License-Identifier: Apache-2.0
"""The merged datasets that LeRobot's training loop receives for an ambient policy."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import datasets
import draccus
import torch
from lerobot.configs.train import TrainPipelineConfig
from lerobot.configs.types import NormalizationMode
from lerobot.transforms import ImageTransforms
from lerobot.utils.constants import ACTION, IMAGENET_STATS, OBS_ENV_STATE, OBS_STATE, TRAINING_STATE_DIR, TRAINING_STEP
from torch.utils.data import Dataset

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.data.batches.merged_dataset import warn_of_shuffling
from lerobot_ambient.data.batches.mixture_metadata import MixtureMetadata
from lerobot_ambient.data.cameras.needed_cameras import untrainable_cameras
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.export.record import GIVEN, record_of, with_notes
from lerobot_ambient.data.files.checked_metadata import CheckedMetadata
from lerobot_ambient.data.files.dimension_names import dimension_names
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.data.kinematics.shared_space import for_checkpoint
from lerobot_ambient.data.mixture import AssembledMixture, make_mixture
from lerobot_ambient.data.provenance.data_record import DataRecord
from lerobot_ambient.data.provenance.fingerprint import require_same_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions, open_metadata, wanted_episodes
from lerobot_ambient.data.remote.options import BATCHES_AHEAD, StreamOptions
from lerobot_ambient.data.suggest.config_windows import noted_windows
from lerobot_ambient.data.windows.merged_file import merged_file_of
from lerobot_ambient.integration.deployment.environment import refuse_environment_of_training
from lerobot_ambient.integration.errors.error_report import CONFIG_SUFFIXES, not_there, on_the_way_to_configuration
from lerobot_ambient.integration.errors.near_options import config_file_typed
from lerobot_ambient.integration.training.fine_tuning import refuse_lost_settings, require_model, without_base
from lerobot_ambient.integration.training.honoured import refuse_unhonoured
from lerobot_ambient.integration.training.run_roots import located
from lerobot_ambient.policy.options.mixture_options import MixtureOptions, ambient_types
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


def is_ambient(cfg: Any) -> TypeGuard[TrainConfig]:
    """Whether this training run is of one of our policy types."""
    return isinstance(cfg.policy, MixtureOptions)


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
    train_target, eval_target = _split_target(cfg)
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


def load_train_config(config_path: str | None, arguments: Sequence[str]) -> TrainConfig:
    """A lerobot-train configuration, read as lerobot-train reads it but not yet validated for a run.

    Args:
        config_path: YAML or JSON file, or None.
        arguments: further lerobot-train options, `--name=value`.

    Raises:
        ValueError: a value that does not fit, no policy, or one that is not ours.
        FileNotFoundError: no such configuration.
    """
    if config_path is None and not arguments:
        raise ValueError(
            "nothing is given to work on. Name a configuration file, e.g. --config_path=mine.yaml "
            "(`lerobot-ambient init` writes one), or lerobot-train's options, e.g. --policy.type=ambient_diffusion "
            "--dataset.repo_id=me/target."
        )
    if config_path is not None and Path(config_path).suffix in CONFIG_SUFFIXES and not Path(config_path).is_file():
        raise FileNotFoundError(not_there("config_path", config_path))
    file, words, base = without_base(config_path, arguments)
    try:
        if file is not None:
            cfg = TrainPipelineConfig.from_pretrained(file, cli_args=words)
        else:
            cfg = draccus.parse(TrainPipelineConfig, args=words)
        if base is not None:
            cfg.policy = base.config()
    except NOT_ON_THE_HUB as error:
        # LeRobot takes what is no file for a model on the Hub.
        if config_path is None or not on_the_way_to_configuration(error):
            raise
        raise FileNotFoundError(not_there("config_path", config_path, reason_of(error))) from error
    except draccus.utils.DraccusException as error:
        raise ValueError(first_cause(error)) from error
    if not is_ambient(cfg):
        kind = "none" if cfg.policy is None else cfg.policy.type
        raise ValueError(
            f"the configuration's policy type is {kind}; only the ambient types have a mixture: "
            f"{', '.join(ambient_types())}.{_SAY_SOURCES if base is not None else ''}"
        )
    return cfg


_SAY_SOURCES = " Beside --policy.path it is read as one of them where --policy.sources or --policy.mixing is given."


def mixture_of(cfg: TrainConfig) -> AssembledMixture:
    """The mixture of a training configuration, with all of the target's episodes; builds no frame cache."""
    options = replace(read_options(cfg), frame_cache=None)
    return make_mixture(chosen_target(cfg), cfg.policy.sources, options, recipe_of(cfg.policy))


def mixture_without_windows(cfg: TrainConfig) -> AssembledMixture:
    """The mixture for estimating windows: whatever windows and mixing the configuration declares, it has none.

    Raises:
        ValueError: of this policy's chunks no windows can be estimated.
    """
    cfg.policy.refuse_estimates()
    # Held-out episodes too: a windows file covers every frame, whichever a later run holds out.
    sources = without_windows(cfg.policy.sources)
    options = replace(read_options(cfg), frame_cache=None)
    return make_mixture(chosen_target(cfg), sources, options, replace(recipe_of(cfg.policy), mixing=Cotrain()))


def without_windows(sources: Iterable[Source]) -> list[Source]:
    """The same datasets, with no window declared and no episode held out."""
    unsaid: dict[str, Any] = {"sigma_min": None, "sigma_max": None, "windows": None, "holdout": 0.0}
    return [replace(source, **unsaid) for source in sources]


def recipe_of(policy: MixtureOptions) -> MixtureRecipe:
    """What a policy's configuration says about its mixture, datasets aside."""
    return MixtureRecipe(
        schedule=policy.noise_schedule(),
        mixing=policy.mixing,
        action_mode=policy.normalization_mapping["ACTION"].value,
        state_mode=policy.normalization_mapping["STATE"].value,
        target_action_type=policy.target_action_type,
        relative_actions=policy.encodes_relative_actions,
        drop_n_last_frames=policy.dropped_frames,
        max_amplification=policy.ambient_loss_max_amplification if policy.ambient_loss else None,
    )


def read_options(cfg: TrainConfig, image_transforms: Any = None) -> ReadOptions:
    """How a training run reads its datasets."""
    return ReadOptions(
        observation_deltas=cfg.policy.observation_offsets,
        action_deltas=cfg.policy.action_delta_indices,
        tolerance_s=cfg.tolerance_s,
        video_backend=cfg.dataset.video_backend,
        image_transforms=image_transforms,
        frame_cache=None if cfg.policy.frame_cache is None else Path(cfg.policy.frame_cache),
        frame_size=cfg.policy.frame_size,
        stream=stream_options(cfg.policy),
    )


def stream_options(policy: MixtureOptions) -> StreamOptions:
    """Where blocks of videos that stay on the Hub are kept."""
    folder = None if policy.stream_cache is None else Path(policy.stream_cache)
    return StreamOptions(folder, policy.stream_cache_gb)


def target_config(cfg: TrainConfig) -> Source:
    """`--dataset.*` as the first dataset of the mixture."""
    return Source(
        repo_id=cfg.dataset.repo_id,
        root=None if cfg.dataset.root is None else str(cfg.dataset.root),
        revision=cfg.dataset.revision,
        episodes=cfg.dataset.episodes,
        rename=dict(cfg.policy.target_rename),
        dimension_names=dict(cfg.policy.target_dimension_names),
        action_gain=cfg.policy.target_action_gain,
        end_effector=cfg.policy.target_end_effector,
        stream=cfg.dataset.streaming or cfg.policy.stream_target,
    )


def chosen_target(cfg: TrainConfig) -> Source:
    """The target where it lies, without the episodes that `--dataset.exclude_episodes` names, of LeRobot after 0.6.1.

    Raises:
        ValueError: an episode that the target does not have, or none is left.
    """
    (target,) = located(cfg, [target_config(cfg)])
    excluded = set(getattr(cfg.dataset, "exclude_episodes", None) or ())
    if not excluded:
        return target
    meta = open_metadata(target, target.repo_id)
    merged = merged_file_of(meta)
    whole = replace(target, episodes=None)
    held = wanted_episodes(whole if merged is None else merged.expand(whole)[0], meta, target.repo_id)
    unknown = sorted(excluded.difference(held))
    if unknown:
        raise ValueError(f"--dataset.exclude_episodes: the target '{target.repo_id}' has no episodes {unknown}.")
    chosen = held if target.episodes is None else wanted_episodes(target, meta, target.repo_id)
    left = [episode for episode in chosen if episode not in excluded]
    if not left:
        raise ValueError(f"--dataset.exclude_episodes leaves no episode of the target '{target.repo_id}'.")
    return replace(target, episodes=left)


def first_cause(error: BaseException) -> str:
    """The parser's message, and the one of what it called, which it hides."""
    first = error
    while first.__cause__ is not None:
        first = first.__cause__
    return str(error) if first is error else f"{error}: {first}"


def _split_target(cfg: TrainConfig) -> tuple[Source, Source | None]:
    """The target's training and held-out episodes by LeRobot's rule: the last ceil(n * eval_split) of each task."""
    target = chosen_target(cfg)
    if cfg.dataset.eval_split == 0.0:
        return target, None
    meta = open_metadata(target, target.repo_id)
    merged = merged_file_of(meta)
    if merged is not None:
        target = merged.expand(target)[0]
    held = wanted_episodes(target, meta, target.repo_id)
    chosen = held if target.episodes is None else target.episodes
    train, held_out = split_episodes(meta, chosen, cfg.dataset.eval_split)
    if not train:
        raise ValueError(
            f"dataset.eval_split={cfg.dataset.eval_split} leaves no training episode of the {len(held_out)} in the "
            f"target '{target.repo_id}'; lower it."
        )
    return replace(target, episodes=train), replace(target, episodes=held_out)


def split_episodes(meta: CheckedMetadata, episodes: Sequence[int], eval_split: float) -> tuple[list[int], list[int]]:
    """Training and held-out episodes of a dataset by LeRobot's rule: the last ceil(n * eval_split) of each task.

    Args:
        meta: of the dataset.
        episodes: that are used.
        eval_split: in [0, 1); 0 holds out none.
    """
    by_task: dict[str, list[int]] = {}
    for episode, task in zip(episodes, EpisodeTable(meta).first_tasks(episodes), strict=True):
        by_task.setdefault(task, []).append(episode)
    train: list[int] = []
    held_out: list[int] = []
    for some in by_task.values():
        cut = len(some) - math.ceil(len(some) * eval_split)
        train.extend(some[:cut])
        held_out.extend(some[cut:])
    return sorted(train), sorted(held_out)


def _use_imagenet_stats(meta: MixtureMetadata) -> None:
    for key in meta.camera_keys:
        if key not in meta.depth_keys:
            values = {name: torch.tensor(value, dtype=torch.float32) for name, value in IMAGENET_STATS.items()}
            meta.stats[key] = {**meta.stats.get(key, {}), **values}
