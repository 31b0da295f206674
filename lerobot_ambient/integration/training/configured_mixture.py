# SPDX-License-Identifier: Apache-2.0
"""From a configuration of lerobot-train to its mixture: the target, the recipe, and how the datasets are read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeGuard

import draccus
import lerobot.policies  # noqa: F401 - LeRobot's types, and with them ours, are known to its parser
from lerobot.configs.train import TrainPipelineConfig

from lerobot_ambient.core.mixing import Cotrain
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.checked_metadata import CheckedMetadata
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.data.mixture import AssembledMixture, make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions, open_metadata, wanted_episodes
from lerobot_ambient.data.remote.options import StreamOptions
from lerobot_ambient.data.windows.merged_file import merged_file_of
from lerobot_ambient.integration.errors.error_report import CONFIG_SUFFIXES, not_there, on_the_way_to_configuration
from lerobot_ambient.integration.training.fine_tuning import without_base
from lerobot_ambient.integration.training.run_roots import located
from lerobot_ambient.policy.options.mixture_options import MixtureOptions, ambient_types
from lerobot_ambient.policy.options.train_config import TrainConfig


def is_ambient(cfg: Any) -> TypeGuard[TrainConfig]:
    """Whether this training run is of one of our policy types."""
    return isinstance(cfg.policy, MixtureOptions)


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


def split_target(cfg: TrainConfig) -> tuple[Source, Source | None]:
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
