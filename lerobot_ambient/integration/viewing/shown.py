# SPDX-License-Identifier: Apache-2.0
"""What is shown of a mixture: its episodes, what looks wrong first, and the numbers of each as training sees them.

The order. Each episode is held against the others of its own dataset by what `annotate` computes without a classifier
(where the joints are, how much and how roughly they move; `annotate/episodes/odd.py`). Its score is how far it sticks
out over how far one has to stick out to be named; above 1 it is named, in datasets of enough episodes. After those that
are named come rollouts that failed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION, OBS_STATE, SUCCESS
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks, chunks_of
from lerobot_ambient.annotate.episodes.motion import episode_motion
from lerobot_ambient.annotate.episodes.odd import LEAST_EPISODES, OddEpisodes, limit, odd_episodes
from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.files.dimension_names import dimension_names
from lerobot_ambient.integration.viewing.arm_pose import arm_poses
from lerobot_ambient.integration.viewing.opened import Opened
from lerobot_ambient.integration.viewing.windows_shown import ShownWindows, windows_shown

MOST_FRAMES = 20_000
"""Of one episode; a browser draws no more with ease."""
_RANGE = (0.01, 0.99)


@dataclass(frozen=True)
class ShownEpisode:
    """An episode in the list.

    Args:
        dataset: its place in the mixture.
        place: among the dataset's episodes that are looked at.
        episode: its number in its own dataset.
        frames: how many it has.
        score: see above.
        odd: whether it is named.
        why: what sticks out, in words; of those that are named.
        success: whether it reached its goal, of datasets that say so, as recordings by lerobot-eval do.
    """

    dataset: int
    place: int
    episode: int
    frames: int
    score: float
    odd: bool
    why: tuple[str, ...]
    success: bool | None = None


@dataclass(frozen=True, eq=False)
class View:
    """A mixture as it is shown.

    Args:
        opened: the mixture.
        windows: of each dataset.
        chunks: of each dataset.
        odd: what sticks out of each dataset.
    """

    opened: Opened
    windows: Sequence[ShownWindows]
    chunks: Sequence[Chunks]
    odd: Sequence[OddEpisodes]

    @classmethod
    def of(cls, opened: Opened) -> View:
        """What is shown of an opened mixture.

        Raises:
            ValueError: windows that cannot be read.
        """
        chunks = chunks_of(opened.mixture)
        odd = [odd_episodes(some.name, episode_motion(some), None) for some in chunks]
        return cls(opened, windows_shown(opened), chunks, odd)

    @property
    def sources(self) -> Sequence[AlignedSource]:
        """Every dataset, the target first."""
        return self.opened.mixture.sources

    @property
    def cameras(self) -> Sequence[str]:
        """Keys of the policy's cameras."""
        return self.opened.mixture.dataset.camera_keys

    def role(self, dataset: int) -> str:
        """target, source or rollouts."""
        if dataset == 0:
            return "target"
        return "rollouts" if dataset >= len(self.sources) - self.opened.rollouts else "source"

    def has_camera(self, dataset: int, key: str) -> bool:
        """Whether a dataset has frames of a camera, and not one grey image in their place."""
        absent = self.opened.mixture.absent_cameras
        return absent is None or not bool(absent[key][dataset])

    @cached_property
    def episodes(self) -> list[ShownEpisode]:
        """All that are looked at, what looks wrong first."""
        found = []
        for dataset, (source, odd) in enumerate(zip(self.sources, self.odd, strict=True)):
            far = dict(zip(odd.episode.tolist(), odd.deviations.tolist(), strict=True))
            why = {one.episode: one.why for one in odd.found}
            # The score of too few is against what just enough would have.
            against = limit(max(len(odd.episode), LEAST_EPISODES))
            reached = source.columns.get(SUCCESS)
            runs = zip(source.episode_ids.tolist(), source.starts.tolist(), source.stops.tolist(), strict=True)
            for place, (number, start, stop) in enumerate(runs):
                success = None if reached is None else bool(reached[start:stop].any())
                # An episode too short to start a sample is not among the chunks.
                score = far.get(number, 0.0) / against
                odd_one = why.get(number, ())
                found.append(ShownEpisode(dataset, place, number, stop - start, score, number in why, odd_one, success))
        return sorted(
            found, key=lambda one: (not one.odd, one.success is not False, -one.score, one.dataset, one.episode)
        )

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """The target's dimension names of `action`, and of `observation.state` where every dataset has one."""
        features = self.sources[0].features
        keys = [ACTION, *([OBS_STATE] if self._has_state else [])]
        return {key: dimension_names(features[key]) for key in keys}

    @property
    def _has_state(self) -> bool:
        return OBS_STATE in self.opened.mixture.dataset.columns.columns

    def values(self, key: str, dataset: int, rows: slice) -> NDArray[np.float64]:
        """(n, D) numbers of a dataset's rows as training has them, NaN in dimensions that it lacks.

        They are in the target's units, except in a dataset that keeps its own statistics: see `own_normalized`.
        """
        first = int(self.opened.mixture.dataset.offsets[dataset])
        column = self.opened.mixture.dataset.columns.columns[key]
        raw = column[first + rows.start : first + rows.stop].double().numpy()
        taken = raw.reshape(len(raw), -1).copy()
        masked = self.sources[dataset].maps[key].masked
        taken[:, masked.reshape(-1)] = np.nan
        return taken

    def rows(self, one: ShownEpisode) -> slice:
        """The rows of an episode's frames that are shown, counted within its dataset."""
        start = int(self.sources[one.dataset].starts[one.place])
        return slice(start, start + min(one.frames, MOST_FRAMES))

    def find(self, dataset: int, episode: int) -> ShownEpisode | None:
        """The episode of this number, if it is looked at."""
        return self._by_number.get((dataset, episode))

    @cached_property
    def _by_number(self) -> dict[tuple[int, int], ShownEpisode]:
        return {(one.dataset, one.episode): one for one in self.episodes}

    def index(self) -> dict[str, Any]:
        """What the page needs before any episode: datasets, the order of episodes, names, ranges, the normalisation."""
        mixture, columns = self.opened.mixture, self.opened.mixture.dataset.columns
        normalization = mixture.normalization
        return {
            "title": self.sources[0].name,
            "policy_type": self.opened.policy_type,
            "fps": self.sources[0].fps,
            "names": self.names,
            "range": {key: self._range(key) for key in self.names},
            "action_deltas": list(columns.deltas[ACTION]),
            "normalization": {
                "mode": normalization.mode,
                "relative": normalization.relative,
                "offset": list(normalization.offset),
                "scale": list(normalization.scale),
            },
            "cameras": list(self.cameras),
            "datasets": [self._dataset(index) for index in range(len(self.sources))],
            "episodes": [
                {
                    "dataset": one.dataset,
                    "episode": one.episode,
                    "frames": one.frames,
                    "seconds": round(one.frames / self.sources[one.dataset].fps, 2),
                    "score": round(one.score, 3),
                    "odd": one.odd,
                    "why": list(one.why),
                    "success": one.success,
                }
                for one in self.episodes
            ],
            "notes": self.notes,
        }

    @property
    def notes(self) -> list[str]:
        """What was left out, and what else to know."""
        notes = []
        for index, source in enumerate(self.sources):
            episodes, frames = self._totals(index)
            if len(source.episode_ids) < episodes:
                notes.append(
                    f"'{source.name}': {len(source.episode_ids)} of its {episodes} episodes are looked at, "
                    f"{len(source)} of {frames} frames, spread over the dataset (--episodes says how many)."
                )
            if source.config.normalization == "own":
                notes.append(
                    f"'{source.name}' keeps its own statistics: its joints are shown as training has them, moved and "
                    "scaled to the target's range; they are no angles, and no arm is drawn of them."
                )
            if self.windows[index].note is not None:
                notes.append(f"'{source.name}': its windows were {self.windows[index].note}.")
        few = [f"'{odd.source}'" for odd in self.odd if not np.isfinite(odd.limit)]
        if few:
            more = f" and {len(few) - 3} more" if len(few) > 3 else ""
            notes.append(
                f"{', '.join(few[:3])}{more}: with fewer than {LEAST_EPISODES} episodes none is said to stick out."
            )
        longest = max(one.frames for one in self.episodes)
        if longest > MOST_FRAMES:
            notes.append(f"of an episode the first {MOST_FRAMES} frames are shown; the longest has {longest}.")
        return [*notes, *self.opened.mixture.notes]

    def episode(self, one: ShownEpisode) -> dict[str, Any]:
        """The numbers of an episode: columns as lists by dimension, null for a dimension that the dataset lacks."""
        source, rows = self.sources[one.dataset], self.rows(one)
        starts, stops = self.opened.mixture.kept[one.dataset]
        samples = int(np.clip(stops[starts == rows.start] - rows.start, 0, None).sum())
        columns = self.opened.mixture.dataset.columns
        nearest = columns.nearest.get(ACTION)
        return {
            "dataset": one.dataset,
            "episode": one.episode,
            "frames": rows.stop - rows.start,
            "recorded": one.frames,
            "fps": source.fps,
            "rate": source.fps / self.sources[0].fps,
            "nearest": None if nearest is None else nearest[one.dataset].flatten().tolist(),
            "samples": min(samples, rows.stop - rows.start),
            "columns": {key: _lists(self.values(key, one.dataset, rows)) for key in self.names},
            "window": self.windows[one.dataset].rows(rows),
            "arm": self._arm(one, rows),
            "task": self._task(one),
        }

    def _dataset(self, index: int) -> dict[str, Any]:
        source = self.sources[index]
        episodes, frames = self._totals(index)
        return {
            "name": source.name,
            "role": self.role(index),
            "episodes": episodes,
            "frames": frames,
            "looked_at": {"episodes": len(source.episode_ids), "frames": len(source)},
            "fps": source.fps,
            "window": self.windows[index].words,
            "cameras": [self.has_camera(index, key) for key in self.cameras],
            "odd": len(self.odd[index].found),
        }

    def _totals(self, index: int) -> tuple[int, int]:
        source = self.sources[index]
        return self.opened.totals.get(source.name, (len(source.episode_ids), len(source)))

    def _range(self, key: str) -> list[list[float] | None]:
        """Between which values 98 % of the target's frames lie, by dimension."""
        low, high = np.quantile(self.values(key, 0, slice(0, len(self.sources[0]))), _RANGE, axis=0)
        return [[_short(a), _short(b)] for a, b in zip(low.tolist(), high.tolist(), strict=True)]

    def _arm(self, one: ShownEpisode, rows: slice) -> dict[str, Any] | None:
        if self.sources[one.dataset].config.normalization == "own":
            return None
        key = OBS_STATE if OBS_STATE in self.names else ACTION
        return arm_poses(self.names[key], self.values(key, one.dataset, rows))

    def _task(self, one: ShownEpisode) -> str:
        columns = self.opened.mixture.dataset.columns
        if "task_index" not in columns.counters:
            return ""
        row = int(self.opened.mixture.dataset.offsets[one.dataset]) + self.rows(one).start
        number = int(columns.counter_table[row, columns.counters.index("task_index")])
        return str(self.opened.mixture.dataset.tasks[number])


def _lists(values: NDArray[np.float64]) -> list[list[float] | None]:
    """(n, D) as a list per dimension, rounded to six digits of its largest; None for one that is NaN."""
    lists: list[list[float] | None] = []
    for column in values.T:
        if np.isnan(column).any():
            lists.append(None)
            continue
        largest = float(np.abs(column).max())
        digits = 6 if largest == 0.0 else 6 - math.ceil(math.log10(largest))
        lists.append(np.round(column, max(digits, 0)).tolist())
    return lists


def _short(value: float) -> float:
    return float(f"{value:.6g}")
