# SPDX-License-Identifier: Apache-2.0
"""What a dataset written by `lerobot-ambient merge` knows about itself: `meta/ambient_merge.json`.

Such a dataset is an ordinary LeRobotDataset with three more columns, ambient.source (0 is the target),
ambient.sigma_min and ambient.sigma_max. The file beside it holds what columns cannot: names, weights, which action
dimensions carry no loss, and the target's statistics. From both, `MergedFile.expand` makes the target and the
sources again, so that training from the one dataset has the plan of the mixture that was written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.utils.constants import ACTION

from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.declared.alignment import CameraConfig, DimensionConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.info_file import read_json
from lerobot_ambient.data.normalization.affine import ActionNormalization
from lerobot_ambient.data.windows.windows_file import WindowTable

MERGE_PATH = "meta/ambient_merge.json"
SCHEMA_VERSION = 1

SOURCE, SIGMA_MIN, SIGMA_MAX = "ambient.source", "ambient.sigma_min", "ambient.sigma_max"
TAGS: dict[str, dict[str, Any]] = {
    SOURCE: {"dtype": "int64", "shape": (1,), "names": None},
    SIGMA_MIN: {"dtype": "float32", "shape": (1,), "names": None},
    SIGMA_MAX: {"dtype": "float32", "shape": (1,), "names": None},
}
"""The columns' LeRobot features."""

ABSENT = "ambient.absent"
"""Prefix under which a source hides the images that stand for a camera it lacks."""

_PER_FRAME = "per frame"

_AGAIN = "copy it again from where the dataset came from, or merge again."

Stats = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class MergedSource:
    """One dataset inside a merged one; the first is the target.

    Args:
        name: what messages call it.
        repo_id, revision: where it came from.
        fps: its own frames per second, before it was brought to the target's.
        episodes: first (inclusive) and last (exclusive) of its episodes in the merged dataset.
        frames: number of its frames there.
        weight: multiplies its size in the plan. Where the frame rate changed the number of frames, it also undoes
            that change.
        window: one window for all of its frames; None when none was declared, or when each frame has its own.
        per_frame: whether the windows are those of the columns.
        masked: its absent action dimensions, by the target's names; they carry no loss.
        absent_cameras: cameras it lacks, and the brightness in [0, 1] of the grey image in their place.
        normalization: whose statistics had normalised it, target or own; its numbers are on the target's scale now.
    """

    name: str
    repo_id: str
    revision: str | None
    fps: float
    episodes: tuple[int, int]
    frames: int
    weight: float = 1.0
    window: Window | None = None
    per_frame: bool = False
    masked: tuple[str, ...] = ()
    absent_cameras: Mapping[str, float] = field(default_factory=dict)
    normalization: str = "target"

    def __post_init__(self) -> None:
        first, stop = self.episodes
        if not 0 <= first < stop:
            raise ValueError(f"'{self.name}': its episodes [{first}, {stop}) are empty or negative.")
        if self.per_frame and self.window is not None:
            raise ValueError(f"'{self.name}' has both one window ({self.window}) and windows per frame; keep one.")

    def config(self, merged: Source, action_type: str) -> Source:
        """This source as it would be declared on the merged dataset `merged`, whose actions are of `action_type`."""
        # A camera that stands for an absent one must not be found again.
        absent = {merged.rename.get(key, key): (key, fill) for key, fill in self.absent_cameras.items()}
        return replace(
            merged,
            episodes=list(range(*self.episodes)),
            weight=self.weight,
            sigma_min=None if self.window is None else self.window.sigma_min,
            sigma_max=None if self.window is None else self.window.sigma_max,
            windows=MERGE_PATH if self.per_frame else None,
            rename=merged.rename | {key: f"{ABSENT}.{name}" for name, (key, _) in absent.items()},
            dimensions={ACTION: {name: DimensionConfig(mask=True) for name in self.masked}} if self.masked else {},
            cameras={name: CameraConfig(fill=fill) for name, (_, fill) in absent.items()},
            action_type=action_type,
        )

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        del values["per_frame"]
        values["window"] = _PER_FRAME if self.per_frame else values["window"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MergedSource:
        window = values["window"]
        return cls(
            **{
                **values,
                "episodes": tuple(values["episodes"]),
                "masked": tuple(values["masked"]),
                "window": Window(**window) if isinstance(window, Mapping) else None,
                "per_frame": window == _PER_FRAME,
            }
        )


@dataclass(frozen=True, eq=False)
class MergedFile:
    """Everything `meta/ambient_merge.json` says.

    Args:
        sources: the target first; their episodes follow each other without a gap.
        stats: the target's LeRobot statistics, which normalise every source.
        normalization: what the noise levels are relative to.
        action_type: absolute or delta, of all of them alike.
        fingerprint: of the mixture that was written, one line per dataset and one for the recipe.
        renamed: keys of the target that were renamed in the merge. A configuration that renames them goes on to fit.
    """

    sources: tuple[MergedSource, ...]
    stats: Stats
    normalization: ActionNormalization
    action_type: str
    fingerprint: tuple[str, ...]
    renamed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError("a merged dataset needs at least its target.")
        ends = [0, *(source.episodes[1] for source in self.sources)]
        starts = [source.episodes[0] for source in self.sources]
        if starts != ends[:-1]:
            raise ValueError(f"the sources' episodes leave gaps or overlap: {[s.episodes for s in self.sources]}.")

    def __eq__(self, other: object) -> bool:
        # Statistics are arrays, which have no single truth value.
        return isinstance(other, MergedFile) and self.to_dict() == other.to_dict()

    @property
    def names(self) -> list[str]:
        return [source.name for source in self.sources]

    @property
    def episodes(self) -> int:
        return self.sources[-1].episodes[1]

    @property
    def frames(self) -> int:
        return sum(source.frames for source in self.sources)

    def expand(self, config: Source) -> list[Source]:
        """The target and the sources, declared on the merged dataset itself.

        Args:
            config: the merged dataset as the target of a training run. Its `episodes` select among the target's.

        Raises:
            ValueError: it selects an episode of a source.
        """
        rename = {old: new for old, new in config.rename.items() if self.renamed.get(old) != new}
        parts = replace(config, rename=rename)
        expanded = [source.config(parts, self.action_type) for source in self.sources]
        if config.episodes is not None:
            last = self.sources[0].episodes[1]
            for source in self.sources[1:]:
                taken = [episode for episode in config.episodes if episode in range(*source.episodes)]
                if taken:
                    raise ValueError(
                        f"'{config.repo_id}' is a merged dataset: episode {taken[0]} belongs to its source "
                        f"'{source.name}', not to its target (episodes 0 to {last - 1}). `episodes` selects among the "
                        "target's; the sources are always added whole."
                    )
            expanded[0] = replace(expanded[0], episodes=config.episodes)
        return expanded

    def to_dict(self) -> dict[str, Any]:
        """Plain values, equal after a round trip through JSON."""
        values = {
            "sources": [source.to_dict() for source in self.sources],
            "normalization": self.normalization.to_dict(),
            "action_type": self.action_type,
            "stats": {
                key: {n: np.asarray(v).tolist() for n, v in values.items()} for key, values in self.stats.items()
            },
            "fingerprint": list(self.fingerprint),
            "renamed": dict(self.renamed),
        }
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MergedFile:
        """The inverse of `to_dict`."""
        return cls(
            sources=tuple(MergedSource.from_dict(source) for source in values["sources"]),
            stats={
                key: {name: np.atleast_1d(np.array(value)) for name, value in some.items()}
                for key, some in values["stats"].items()
            },
            normalization=ActionNormalization.from_dict(values["normalization"]),
            action_type=values["action_type"],
            fingerprint=tuple(values["fingerprint"]),
            renamed=values["renamed"],
        )


def load_merged_file(root: Path) -> MergedFile | None:
    """Read `meta/ambient_merge.json` under `root`; None without one.

    Raises:
        ValueError: a newer schema, or a file that is cut or was changed.
    """
    path = Path(root) / MERGE_PATH
    if not path.is_file():
        return None
    values = read_json(path, str(path))
    if not isinstance(values, dict) or not isinstance(values.get("schema_version"), int):
        raise ValueError(f"{path} is not what `lerobot-ambient merge` writes: {_AGAIN}")
    if values["schema_version"] > SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {values['schema_version']}, this lerobot_ambient reads up to {SCHEMA_VERSION}; "
            "upgrade lerobot_policy_ambient_diffusion."
        )
    try:
        merged = MergedFile.from_dict(values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not what `lerobot-ambient merge` writes ({error!r}): {_AGAIN}") from error
    strange = [key for key, some in merged.stats.items() if not all(_is_finite(value) for value in some.values())]
    if strange:
        raise ValueError(f"{path}: the statistics of {strange} are not finite numbers: {_AGAIN}")
    return merged


def _is_finite(value: Any) -> bool:
    array = np.asarray(value)
    return array.dtype.kind in "fiub" and bool(np.isfinite(array).all())


def write_merged_file(merged: MergedFile, root: Path) -> None:
    """Write `meta/ambient_merge.json` under `root`, atomically."""
    path = root / MERGE_PATH
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    values = {"schema_version": SCHEMA_VERSION, **merged.to_dict()}
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def merged_file_of(meta: LeRobotDatasetMetadata) -> MergedFile | None:
    """What a dataset says about the merge it came from; None for an ordinary dataset.

    Raises:
        ValueError: a newer schema, a dataset that was changed after the merge, or one that kept the columns and
            lost the file, so that its sources would be taken for the target.
    """
    try:
        merged = load_merged_file(meta.root)
    except ValueError as error:
        raise ValueError(f"dataset '{meta.repo_id}': {error}") from error
    if merged is None:
        tagged = [key for key in TAGS if key in meta.features]
        if SOURCE in tagged:
            raise ValueError(
                f"dataset '{meta.repo_id}' has the columns {tagged} of a merged dataset, but no {MERGE_PATH} in "
                f"{meta.root}, so nothing says which of its episodes may be trusted. Tools that copy a dataset leave "
                "the file behind: copy it from the original, or remove the columns to train on every episode alike."
            )
        return None
    said, found = (merged.episodes, merged.frames), (meta.total_episodes, meta.total_frames)
    if said != found:
        raise ValueError(
            f"dataset '{meta.repo_id}' was changed after it was merged: {MERGE_PATH} speaks of {said[0]} episodes and "
            f"{said[1]} frames, meta/info.json of {found[0]} and {found[1]}. Merge again, from the changed sources."
        )
    return merged


def tagged_windows(meta: LeRobotDatasetMetadata, columns: Mapping[str, Any]) -> WindowTable:
    """The windows in the columns of a merged dataset, as a windows file would give them.

    Args:
        meta: of the merged dataset.
        columns: episode_index, frame_index and the tags of the wanted frames, each (N,).
    """
    merged = merged_file_of(meta)
    assert merged is not None, "only a merged dataset names its own tags as windows"
    column = {key: np.asarray(columns[key]) for key in ("episode_index", "frame_index", SIGMA_MIN, SIGMA_MAX)}
    return WindowTable(
        repo_id=meta.repo_id,
        episode_index=column["episode_index"],
        frame_index=column["frame_index"],
        sigma_min=column[SIGMA_MIN],
        sigma_max=column[SIGMA_MAX],
        normalization=merged.normalization,
        method="merge",
    )


def consecutive(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Half-open ranges of these lengths, one after the other from 0."""
    return [(int(a), int(b)) for a, b in pairwise(np.cumsum([0, *counts]))]
