# SPDX-License-Identifier: Apache-2.0
"""The mixture's face towards LeRobot's training loop, logging and model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lerobot_ambient.data.compatibility import is_policy_feature
from lerobot_ambient.data.open_source import OpenSource


class MixtureMetadata:
    """What LeRobot reads of a LeRobotDatasetMetadata, for the merged data set.

    Features and statistics are the target's; totals and tasks are the mixture's.

    Args:
        sources: the target first.
        features: LeRobot feature specs of the merged items.
        stats: LeRobot statistics, of the target.
        tasks: every task string.
    """

    def __init__(
        self,
        sources: Sequence[OpenSource],
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
        self.total_episodes = sum(len(source.episodes) for source in sources)
        self.total_frames = sum(len(source) for source in sources)
        # The episode table in merged positions; LeRobot's loop hands these columns to its sampler.
        offsets = np.cumsum([0, *[len(source) for source in sources]])
        self.episodes = {
            "dataset_from_index": np.concatenate([s.frames.starts.numpy() + o for s, o in _with(sources, offsets)]),
            "dataset_to_index": np.concatenate([s.frames.stops.numpy() + o for s, o in _with(sources, offsets)]),
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


def target_stats(sources: Sequence[OpenSource]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The target's statistics, with dimensions that are constant in it made safe for the sources.

    LeRobot divides a constant dimension by 1e-8. That is harmless while it never changes, but a source that
    moves it would be blown up to 1e8; such a dimension gets a range of 1 around the target's constant instead.

    Returns:
        The statistics, and one line for each feature that was changed.
    """
    target = sources[0]
    stats = {key: dict(values) for key, values in target.stats.items()}
    notes = []
    for key, column in target.frames.columns.items():
        if not is_policy_feature(key) or "min" not in stats.get(key, {}):
            continue
        low, high = (
            np.asarray(stats[key]["min"], dtype=np.float64),
            np.asarray(stats[key]["max"], dtype=np.float64),
        )
        size = column[0].numel()
        moved = np.zeros(size, dtype=bool)
        for source in sources[1:]:
            values = source.frames.columns[key].reshape(-1, size).numpy()
            moved |= (values.max(0) > high.reshape(-1)) | (values.min(0) < low.reshape(-1))
        widen = (moved & (high == low).reshape(-1)).reshape(low.shape)
        if not widen.any():
            continue
        for name, shift in {
            "min": -0.5,
            "q01": -0.5,
            "q10": -0.5,
            "max": 0.5,
            "q90": 0.5,
            "q99": 0.5,
        }.items():
            if name in stats[key]:
                stats[key][name] = np.where(widen, low + shift, stats[key][name])
        if "std" in stats[key]:
            stats[key]["std"] = np.where(widen, 1.0, stats[key]["std"])
        dims = np.flatnonzero(widen).tolist()
        notes.append(f"{key}: dimensions {dims} are constant in the target and move in a source; range 1 is used.")
    return stats, notes


def _with(sources: Sequence[OpenSource], offsets: np.ndarray) -> list[tuple[OpenSource, int]]:
    return [(source, int(offset)) for source, offset in zip(sources, offsets, strict=False)]
