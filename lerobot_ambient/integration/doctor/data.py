# SPDX-License-Identifier: Apache-2.0
"""Checks of a training configuration: whether it reads, its datasets, their mixture, their video files."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.utils.import_utils import get_safe_default_video_backend

from lerobot_ambient.data.cameras.needed_cameras import needed_cameras
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.reading.open_dataset import open_metadata
from lerobot_ambient.integration.doctor.cameras import check_cameras
from lerobot_ambient.integration.doctor.installation import Check, captured_logs
from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of, target_config
from lerobot_ambient.policy.options.train_config import TrainConfig


def check_configuration(config_path: str | None, arguments: Sequence[str], *, progress: bool = False) -> list[Check]:
    """Everything about the data of a lerobot-train configuration.

    Where the Hub can be reached this downloads what the training would; it builds no frame cache.

    Args:
        config_path: YAML or JSON file, or None.
        arguments: further lerobot-train options, `--name=value`; an unknown one exits as lerobot-train does.
        progress: show a bar while videos and pictures are looked at.

    Raises:
        OSError: there is no such configuration file.
    """
    try:
        cfg = load_train_config(config_path, arguments)
    except ValueError as error:
        return [Check("configuration", "problem", _message(error), "fix it in the file or on the command line")]
    cfg.policy.frame_cache = None
    # Assembled before any file is looked at: this fetches what is on the Hub only, and knows what is left out.
    mixture, result = _check_mixture(cfg)
    declared = [target_config(cfg), *cfg.policy.sources]
    # A merged dataset brings sources along that nobody declared.
    configs = declared if mixture is None else [source.config for source in mixture.sources]
    roles = ["target", *(f"source {number}" for number in range(1, len(configs)))]
    checks = _check_backend(cfg.dataset.video_backend)
    cameras: list[str] | None = None
    for index, (role, config) in enumerate(zip(roles, configs, strict=True)):
        opened = None if mixture is None else mixture.sources[index]
        try:
            meta = open_metadata(config, config.repo_id) if opened is None else opened.meta
        except Exception as error:  # Whatever keeps LeRobot from opening it is the finding.
            checks.append(Check(role, "problem", _message(error), _traceback_fix(error)))
            continue
        chosen = config.episodes if opened is None else opened.episodes
        held = sorted(EpisodeTable(meta).number.tolist())
        episodes = held if chosen is None else sorted(set(held).intersection(chosen))
        checks.append(Check(role, "ok", _describe(config, meta, episodes)))
        # Frames of cameras that the target does not have are never read.
        wanted = None if index == 0 else cameras
        if index == 0:
            cameras = [config.rename.get(key, key) for key in needed_cameras(meta, config.rename)]
        if opened is None and config.stream:
            checks.append(Check(f"{role} cameras", "skipped", "videos on the Hub are checked once the mixture stands"))
            continue
        try:
            found = check_cameras(
                *(role, config, meta, episodes),
                wanted=wanted,
                tolerance_s=cfg.tolerance_s,
                progress=progress,
                storage=None if opened is None else opened.storage,
            )
            checks.extend(found)
        except Exception as error:  # A dataset may be damaged in ways that no check expects.
            checks.append(Check(f"{role} cameras", "problem", _message(error), _traceback_fix(error)))
    if mixture is None and any(result[-1].found == check.found for check in checks):
        result[-1] = Check("mixture", "skipped", "not assembled for the reason above")
    return [*checks, *result]


def _check_backend(chosen: str) -> list[Check]:
    """The decoder that the configuration asks for, where LeRobot would not take it by itself."""
    if chosen != "torchcodec" or get_safe_default_video_backend() == "torchcodec":
        return []
    found = "the configuration wants torchcodec, which does not load"
    return [Check("decoder chosen", "problem", found, "--dataset.video_backend=pyav, or fix torchcodec")]


def _check_mixture(cfg: TrainConfig) -> tuple[AssembledMixture | None, list[Check]]:
    """Assembles the mixture; what it warns of, then that it is there or why it cannot be made."""
    mixture = None
    with captured_logs() as records:
        try:
            mixture = mixture_of(cfg)
        except Exception as error:  # Whatever keeps the training from starting is the finding.
            result = Check("mixture", "problem", _message(error), _traceback_fix(error))
        else:
            many = f"{len(mixture.sources)} datasets fit together" if len(mixture.sources) > 1 else "the target alone"
            result = Check("mixture", "ok", f"{many}, {len(mixture.dataset)} frames")
    ours = [record for record in records if record.name.startswith("lerobot_ambient")]
    warned = [record.getMessage() for record in ours if record.levelno >= logging.WARNING]
    warned += [] if mixture is None else mixture.warnings
    return mixture, [*(Check("mixture", "warning", message) for message in warned), result]


def _describe(config: Source, meta: LeRobotDatasetMetadata, episodes: Sequence[int]) -> str:
    table = EpisodeTable(meta)
    lengths = dict(zip(table.number.tolist(), table.length.tolist(), strict=True))
    cameras = [(key, meta.features[key]) for key in meta.camera_keys]
    named = [f"{key} ({spec['dtype']}, {'x'.join(map(str, spec['shape']))})" for key, spec in cameras]
    return (
        f"{config.repo_id} in {meta.root}: {len(episodes)} of {meta.total_episodes} episodes, "
        f"{sum(lengths[episode] for episode in episodes)} frames, {meta.fps} fps, "
        f"{'cameras ' + ', '.join(named) if named else 'no cameras'}"
    )


def _message(error: Exception) -> str:
    """What an exception says, with its notes; its type too, where it was not raised for users."""
    texts = [str(error), *getattr(error, "__notes__", [])]
    if not isinstance(error, ValueError):
        texts[0] = f"{type(error).__name__}: {error}"
    return "\n".join(line for text in texts for line in text.splitlines() if line.strip())


def _traceback_fix(error: Exception) -> str | None:
    """Messages for users bring their own fix."""
    return None if isinstance(error, ValueError) else "see where: lerobot-ambient --debug inspect, with these options"
