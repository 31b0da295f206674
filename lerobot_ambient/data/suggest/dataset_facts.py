# SPDX-License-Identifier: Apache-2.0
"""What a dataset says about itself without its frames being read: features, statistics, frame rate, robot."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lerobot_ambient.data.alignment.match_units import Range
from lerobot_ambient.data.declared.sources import Source, check_episodes
from lerobot_ambient.data.files.camera_specs import CAMERA_DTYPES
from lerobot_ambient.data.files.dimension_names import dimension_names, with_names
from lerobot_ambient.data.files.policy_numbers import NO_NUMBERS
from lerobot_ambient.data.reading.open_dataset import is_bookkeeping, open_metadata

logger = logging.getLogger(__name__)

_WANTED = ("min", "max", "mean", "std")
_QUANTILES = ("q01", "q99")


@dataclass(frozen=True)
class DatasetFacts:
    """The metadata of one dataset.

    Args:
        name: what messages call it.
        features: feature specs by key, as in LeRobot's info.json: dtype, shape, names.
        stats: by key, any of min, max, mean, std, q01 and q99, each with as many numbers as the feature has dimensions.
        fps: frames per second.
        robot_type: as recorded, or None.
    """

    name: str
    features: Mapping[str, dict[str, Any]]
    stats: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fps: float = 30.0
    robot_type: str | None = None

    def renamed(self, rename: Mapping[str, str]) -> DatasetFacts:
        """The same facts under other keys."""
        return DatasetFacts(
            self.name,
            {rename.get(key, key): spec for key, spec in self.features.items()},
            {rename.get(key, key): values for key, values in self.stats.items()},
            self.fps,
            self.robot_type,
        )

    @property
    def numeric_keys(self) -> list[str]:
        return [
            key for key, spec in self.features.items() if spec["dtype"] not in NO_NUMBERS and not is_bookkeeping(key)
        ]

    @property
    def camera_keys(self) -> list[str]:
        return [key for key, spec in self.features.items() if spec["dtype"] in CAMERA_DTYPES]

    def names(self, key: str) -> list[str]:
        """Dimension names of a numeric feature; none of a feature that is not there."""
        return dimension_names(self.features[key]) if key in self.features else []

    def number(self, key: str, statistic: str, name: str) -> float | None:
        """One statistic of one dimension; None where there is no such dimension, or no finite number of it."""
        values = np.asarray(self.stats.get(key, {}).get(statistic, ()), dtype=np.float64).reshape(-1)
        names = self.names(key)
        if len(values) != len(names) or name not in names:
            return None
        value = float(values[names.index(name)])
        return value if math.isfinite(value) else None

    def range(self, key: str, name: str) -> Range | None:
        """Smallest and largest recorded value of one dimension."""
        low, high = self.number(key, "min", name), self.number(key, "max", name)
        return None if low is None or high is None else (low, high)

    def usual_range(self, key: str, name: str) -> Range | None:
        """The 1 % and 99 % quantiles where they are recorded, which a jerk does not move; else the range."""
        low, high = self.number(key, "q01", name), self.number(key, "q99", name)
        return self.range(key, name) if low is None or high is None else (low, high)

    def motion(self, key: str) -> dict[str, float]:
        """Standard deviation of each dimension, as far as it is known."""
        known = {name: self.number(key, "std", name) for name in self.names(key)}
        return {name: value for name, value in known.items() if value is not None}


def facts_of(config: Source, name: str | None = None) -> DatasetFacts:
    """Read a dataset's metadata, its keys renamed as far as `config.rename` says.

    Statistics are those of the selected episodes where every episode has its own, else those of stats.json, which
    may have been computed on other episodes than are there.

    Args:
        config: which dataset and episodes.
        name: what messages call it; its repo_id when None.

    Raises:
        ValueError: a dataset that cannot be found or read, unknown episodes, a rename of keys it does not have.
    """
    name = name or config.repo_id
    meta = open_metadata(config, name)
    check_episodes(name, config.episodes)
    unknown = [key for key in config.rename if key not in meta.features]
    if unknown:
        raise ValueError(f"'{name}': rename names {unknown}, but the dataset's keys are {sorted(meta.features)}.")
    facts = DatasetFacts(name, meta.features, {}, config.fps or float(meta.fps), meta.robot_type)
    stats = {key: value for key, value in (meta.stats or {}).items() if key in facts.numeric_keys}
    try:
        per_episode = _episode_stats(Path(meta.root), facts.numeric_keys, config.episodes)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        # Ranges of the whole dataset are less exact, and proposals are read by a person.
        logger.warning("'%s': the statistics of its episodes cannot be read (%s); stats.json is used.", name, error)
        per_episode = {}
    found = DatasetFacts(name, meta.features, stats | per_episode, facts.fps, facts.robot_type).renamed(config.rename)
    return replace(found, features=with_names(found.features, config.dimension_names, name))


def _episode_stats(
    root: Path, keys: Sequence[str], episodes: Sequence[int] | None
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """min, max, mean and std over the selected episodes, for keys of which every episode has all four.

    q01 and q99 too where every episode has them: their weighted means, as LeRobot 0.6.1 aggregates them. (A later one
    keeps the least and the greatest, which a jerk in one episode moves.)
    """
    files = sorted((root / "meta" / "episodes").glob("*/*.parquet"))
    collected: dict[str, list[dict[str, NDArray[np.float64]]]] = {key: [] for key in keys}
    schemas = {file: set(pq.read_schema(file).names) for file in files}
    optional = {
        key: tuple(which for which in _QUANTILES if all(f"stats/{key}/{which}" in s for s in schemas.values()))
        for key in keys
    }
    for file, present in schemas.items():
        for key in keys:
            if not present.issuperset(f"stats/{key}/{which}" for which in (*_WANTED, "count")):
                collected.pop(key, None)
        wanted = {key: (*_WANTED, *optional[key], "count") for key in collected}
        columns = [f"stats/{key}/{which}" for key in collected for which in wanted[key]]
        table = pq.read_table(file, columns=["episode_index", *columns])
        if episodes is not None:
            table = table.filter(pa.compute.is_in(table["episode_index"], pa.array(list(episodes))))
        for key, parts in collected.items():
            if len(table):
                parts.append({which: _matrix(table[f"stats/{key}/{which}"]) for which in wanted[key]})
    return {
        key: _aggregate({which: np.concatenate([part[which] for part in parts]) for which in parts[0]})
        for key, parts in collected.items()
        if parts
    }


def _matrix(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """A column of equally long lists as (episodes, dimensions)."""
    return np.asarray(column.to_pylist(), dtype=np.float64).reshape(len(column), -1)


def _aggregate(parts: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Statistics of several episodes (E, D) together; count is (E, 1).

    An episode with a number that is not finite is broken and does not count.
    """
    whole = np.all([np.isfinite(part).all(1) for part in parts.values()], axis=0)
    if not whole.any():
        return {}
    low, high, means, deviations, counts = (parts[which][whole] for which in (*_WANTED, "count"))
    weight = counts / counts.sum()
    mean = (weight * means).sum(0)
    variance = (weight * (deviations**2 + (means - mean) ** 2)).sum(0)
    quantiles = {which: (weight * parts[which][whole]).sum(0) for which in _QUANTILES if which in parts}
    return {"min": low.min(0), "max": high.max(0), "mean": mean, "std": np.sqrt(variance), **quantiles}
