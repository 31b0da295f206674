# SPDX-License-Identifier: Apache-2.0
"""The mixture's face towards LeRobot's training loop, logging and model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.batches.columns import Columns


class MixtureMetadata:
    """What LeRobot reads of a LeRobotDatasetMetadata, for the merged dataset.

    Features and statistics are the target's; totals and tasks are the mixture's.

    Args:
        sources: the target first.
        columns: of all of them; it knows where episodes begin and end.
        features: LeRobot feature specs of the merged items.
        stats: LeRobot statistics, of the target.
        tasks: every task string.
    """

    def __init__(
        self,
        sources: Sequence[AlignedSource],
        columns: Columns,
        features: Mapping[str, dict[str, Any]],
        stats: Mapping[str, dict[str, Any]],
        tasks: Sequence[str],
    ) -> None:
        target = sources[0]
        self.repo_id: str = target.meta.repo_id
        self.root = target.meta.root
        self.revision = target.meta.revision
        self.robot_type = target.meta.robot_type
        self.fps: int = target.meta.fps
        self.features = dict(features)
        self._depth_keys = [target.config.rename.get(key, key) for key in target.meta.depth_keys]
        self.stats = dict(stats)
        self.tasks = pd.DataFrame({"task_index": range(len(tasks))}, index=pd.Index(tasks, name="task"))
        self.total_tasks = len(tasks)
        self.total_episodes = sum(len(source.episode_ids) for source in sources)
        self.total_frames = sum(len(source) for source in sources)
        # The episode table in merged positions; LeRobot's loop hands these columns to its sampler.
        self.episodes = {
            "dataset_from_index": columns.starts.numpy(),
            "dataset_to_index": columns.stops.numpy(),
        }
        # Set by the mixture: the policy finds its plan and the relative-action statistics here.
        self.mixture: Any = None

    @property
    def camera_keys(self) -> list[str]:
        return [key for key, spec in self.features.items() if spec["dtype"] in ("image", "video")]

    @property
    def image_keys(self) -> list[str]:
        return [key for key, spec in self.features.items() if spec["dtype"] == "image"]

    @property
    def video_keys(self) -> list[str]:
        return [key for key, spec in self.features.items() if spec["dtype"] == "video"]

    @property
    def depth_keys(self) -> list[str]:
        return [key for key in self._depth_keys if key in self.features]

    @property
    def has_language_columns(self) -> bool:
        return False

    @property
    def names(self) -> dict[str, Any]:
        return {key: spec["names"] for key, spec in self.features.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {key: tuple(spec["shape"]) for key, spec in self.features.items()}
