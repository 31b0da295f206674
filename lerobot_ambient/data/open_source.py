# SPDX-License-Identifier: Apache-2.0
"""Opening one data set of a mixture: its metadata, its frames, its keys renamed to the target's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants as hub_constants
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.utils.constants import ACTION, OBS_PREFIX
from torch import Tensor

from lerobot_ambient.data.columns import Columns, tensor_of
from lerobot_ambient.data.sources import SourceConfig, check_episodes

CAMERA_DTYPES = ("image", "video")
_BOOKKEEPING = ("timestamp", "frame_index", "episode_index", "index", "task_index")


@dataclass(frozen=True)
class ReadOptions:
    """How every data set of the mixture is read.

    Args:
        observation_deltas, action_deltas: frame offsets of the chunks a sample holds.
        tolerance_s: allowed error of a video timestamp, in seconds.
        video_backend: LeRobot's decoder; its default when None.
        image_transforms: augmentation of camera images, or None.
        return_uint8: RGB video frames as uint8 (stock training converts them in the batch).
    """

    observation_deltas: Sequence[int]
    action_deltas: Sequence[int]
    tolerance_s: float = 1e-4
    video_backend: str | None = None
    image_transforms: Callable[..., Any] | None = None
    return_uint8: bool = True

    def deltas(self, keys: Sequence[str]) -> dict[str, Sequence[int]]:
        """Offsets of each key, by LeRobot's rule: `action`, and everything that starts with `observation.`."""
        chosen = {key: self.observation_deltas for key in keys if key.startswith(OBS_PREFIX)}
        return chosen | ({ACTION: self.action_deltas} if ACTION in keys else {})


@dataclass
class OpenSource:
    """One data set, its keys already the target's.

    Attributes:
        name: what messages and logs call it.
        config: as declared.
        meta: LeRobot's metadata, under its own keys.
        features: LeRobot feature specs under the target's keys.
        episodes: the selected episodes, ascending.
        frames: low-dimensional columns of the selected frames.
        episode_ids: (E,) episode number of each range of `frames`.
        dataset: LeRobot's reader, which decodes the cameras; None without any.
    """

    name: str
    config: SourceConfig
    meta: LeRobotDatasetMetadata
    features: dict[str, dict[str, Any]]
    episodes: list[int]
    frames: Columns
    episode_ids: Tensor
    dataset: LeRobotDataset
    camera_keys: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def stats(self) -> dict[str, dict[str, Any]]:
        """LeRobot's statistics under the target's keys."""
        return {self.config.rename.get(key, key): value for key, value in (self.meta.stats or {}).items()}

    def __getstate__(self) -> dict[str, Any]:
        # Workers of a low-dimensional source need the tensors (shared memory), not the arrow table.
        return self.__dict__ | ({} if self.camera_keys else {"dataset": None})

    def __repr__(self) -> str:
        return f"{self.name}: {len(self.episodes)} episodes, {len(self)} frames, {self.meta.fps} fps"


def open_source(config: SourceConfig, name: str, options: ReadOptions) -> OpenSource:
    """Open a data set and rename its keys.

    Raises:
        ValueError: unknown data set, empty or unknown episodes, renames that do not fit its keys.
    """
    meta = _open_metadata(config, name)
    check_episodes(name, config.episodes)
    unknown = [episode for episode in config.episodes or [] if episode >= meta.total_episodes]
    if unknown:
        raise ValueError(
            f"'{name}' has {meta.total_episodes} episodes (0 to {meta.total_episodes - 1}), not {unknown}."
        )
    _check_rename(config.rename, list(meta.features), name)

    features = {config.rename.get(key, key): spec for key, spec in meta.features.items()}
    original = {config.rename.get(key, key): key for key in meta.features}
    deltas = options.deltas(list(features))
    try:
        dataset = LeRobotDataset(
            config.repo_id,
            root=config.root,
            episodes=config.episodes,
            revision=config.revision,
            delta_timestamps={original[key]: [i / meta.fps for i in offsets] for key, offsets in deltas.items()},
            image_transforms=options.image_transforms,
            tolerance_s=options.tolerance_s,
            video_backend=options.video_backend,
            return_uint8=options.return_uint8,
        )
    except Exception as error:
        error.add_note(f"while opening the data set '{name}' ({config.repo_id}, root {meta.root})")
        raise
    # The reader's metadata and ours must be one object: statistics are adapted on it.
    meta = dataset.meta
    table = dataset.hf_dataset.data
    low_dim = {
        key: tensor_of(table.column(original[key]), tuple(spec["shape"]))
        for key, spec in features.items()
        if spec["dtype"] not in (*CAMERA_DTYPES, "string", "language") and original[key] in table.column_names
    }
    episode_column = low_dim["episode_index"]
    starts = torch.cat([torch.zeros(1, dtype=torch.int64), torch.nonzero(episode_column.diff()).flatten() + 1])
    stops = torch.cat([starts[1:], torch.tensor([len(episode_column)])])
    ids = episode_column[starts]
    return OpenSource(
        name=name,
        config=config,
        meta=meta,
        features=features,
        episodes=sorted(ids.tolist()),
        frames=Columns(low_dim, starts, stops, deltas),
        episode_ids=ids,
        dataset=dataset,
        camera_keys=[key for key, spec in features.items() if spec["dtype"] in CAMERA_DTYPES],
    )


def is_bookkeeping(key: str) -> bool:
    """Whether LeRobot adds this feature to every data set."""
    return key in _BOOKKEEPING


def _open_metadata(config: SourceConfig, name: str) -> LeRobotDatasetMetadata:
    hint = (
        "Check the spelling, give the folder that holds its meta/ and data/ as `root`, or, for a data set on the Hub, "
        "make sure the Hub can be reached and HF_HUB_OFFLINE is not set."
    )
    root = config.root
    # LeRobot creates a missing root before it asks the Hub; offline that would only leave an empty folder.
    if root is not None and hub_constants.HF_HUB_OFFLINE and not (Path(root) / "meta" / "info.json").is_file():
        raise ValueError(f"data set '{name}' ({config.repo_id}): no LeRobot data set in root {root}. {hint}")
    try:
        return LeRobotDatasetMetadata(config.repo_id, root=root, revision=config.revision)
    except (
        FileNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        ConnectionError,
    ) as error:
        where = f"root {root}" if root else "LeRobot's cache and the Hub"
        raise ValueError(f"data set '{name}' ({config.repo_id}) was not found in {where}. {hint}") from error


def _check_rename(rename: Mapping[str, str], keys: Sequence[str], name: str) -> None:
    missing = [key for key in rename if key not in keys]
    if missing:
        raise ValueError(f"'{name}': rename names {missing}, but the data set's keys are {sorted(keys)}.")
    result = [rename.get(key, key) for key in keys]
    for new in sorted({key for key in result if result.count(key) > 1}):
        clash = [key for key in keys if rename.get(key, key) == new]
        raise ValueError(
            f"'{name}': rename maps {clash} both to '{new}'; rename one of them to another key, or leave it out."
        )
