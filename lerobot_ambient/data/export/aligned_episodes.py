# SPDX-License-Identifier: Apache-2.0
"""The episodes of a mixture as they are written to disk: aligned, and resampled onto the target's clock.

Frame k of an episode shows the time k / fps of the target, k running to the last frame that was recorded. Numbers and
images are read as training reads a chunk that begins at the episode's first frame: linearly between two frames, or
from the nearest one. Without a change of frame rate every number keeps its bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lerobot.utils.constants import ACTION
from numpy.typing import NDArray
from torch import Tensor

from lerobot_ambient.core.windows import EVERYTHING
from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.alignment.convert_actions import kind_of
from lerobot_ambient.data.batches.columns import Columns
from lerobot_ambient.data.cameras.readers import FrameReader, to_uint8
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.normalization.affine import RELATIVE_ACTION
from lerobot_ambient.data.reading.open_dataset import is_bookkeeping
from lerobot_ambient.data.windows.merged_file import SIGMA_MAX, SIGMA_MIN, TAGS, MergedFile, MergedSource, consecutive
from lerobot_ambient.data.windows.source_windows import PerFrame, match_frames, window_table

_IMAGES_AT_ONCE = 16
_SLACK = 1e-6


class MixtureEpisodes:
    """The episodes of a mixture, the target's first; see `physical_merge.AlignedEpisodes`.

    Args:
        mixture: assembled, without a frame cache.

    Raises:
        ValueError: cameras that a merge on disk cannot write, or episodes that a source holds out.
    """

    def __init__(self, mixture: AssembledMixture) -> None:
        for source in mixture.sources:
            if source.config.holdout > 0.0:
                raise ValueError(
                    f"source '{source.name}': holdout={source.config.holdout:g} keeps episodes from training, which a "
                    "merged dataset cannot say; remove it, or leave those episodes out with `episodes`."
                )
        target = mixture.sources[0]
        self.fps: int = target.meta.fps
        self.robot_type: str | None = target.meta.robot_type
        self.tasks = list(mixture.dataset.tasks)
        self.features = {
            key: {"dtype": spec["dtype"], "shape": tuple(spec["shape"]), "names": spec.get("names")}
            for key, spec in mixture.meta.features.items()
            if not is_bookkeeping(key) and key not in TAGS
        }
        self._mixture = mixture
        self._columns = mixture.dataset.columns
        self._task_index = self._columns.counter("task_index")
        self._source = np.repeat(np.arange(len(mixture.sources)), [len(s.episode_ids) for s in mixture.sources])
        self._windows = [_windows(source) for source in mixture.sources]
        rates = np.array([source.fps / target.fps for source in mixture.sources])[self._source]
        recorded = (self._columns.stops - self._columns.starts).numpy()
        self.lengths: list[int] = [
            math.floor((n - 1) / rate + _SLACK) + 1 for n, rate in zip(recorded.tolist(), rates.tolist(), strict=True)
        ]

    def source(self, episode: int) -> int:
        return int(self._source[episode])

    def read(self, episode: int) -> dict[str, Any]:
        """All frames of an episode; cameras as iterators, which decode as they go."""
        owner, length = self.source(episode), self.lengths[episode]
        columns = self._columns
        first = columns.starts[episode : episode + 1]
        whole = Columns(
            columns.columns,
            starts=columns.starts,
            stops=columns.stops,
            deltas=dict.fromkeys(columns.columns, range(length)),
            rates=columns.rates,
            nearest=columns.nearest,
            kinds=columns.kinds,
        )
        chunk = whole.gather(first)
        rows, is_pad = whole.nearest_rows(ACTION, first)
        assert not is_pad.any()
        frames = rows[0] - int(self._mixture.dataset.offsets[owner])
        low, high = (levels[frames.numpy()] for levels in self._windows[owner])
        cameras = self._mixture.dataset.cameras[owner]
        return {
            **{key: chunk[key][0].numpy() for key in self.features if key not in cameras},
            **{key: _images(reader, frames) for key, reader in cameras.items()},
            "task": [self.tasks[i] for i in self._task_index[rows[0]].tolist()],
            SIGMA_MIN: low,
            SIGMA_MAX: high,
        }

    def describe(self, recipe: MixtureRecipe) -> MergedFile:
        """What `meta/ambient_merge.json` says of this merge.

        Args:
            recipe: of the mixture. Where resampling changes how many frames may start a sample, the source's weight
                undoes it, so that the plan of this recipe stays the same.
        """
        mixture, lengths = self._mixture, np.array(self.lengths)
        episodes = consecutive([len(source.episode_ids) for source in mixture.sources])
        sources = []
        for index, (source, span) in enumerate(zip(mixture.sources, episodes, strict=True)):
            config = source.config
            here = lengths[slice(*span)]
            before = sum(group.count for group in mixture.plan.groups if group.source == index)
            now = int(np.maximum(here - recipe.drop_n_last_frames, 0).sum())
            declared = config.sigma_min is not None or config.sigma_max is not None
            action = source.maps[ACTION]
            sources.append(
                MergedSource(
                    name=source.name,
                    repo_id=config.repo_id,
                    revision=config.revision,
                    fps=source.fps,
                    episodes=span,
                    frames=int(here.sum()),
                    weight=config.weight if now == before else config.weight * before / now,
                    window=config.window(required=False) if declared and index else None,
                    per_frame=config.windows is not None and index > 0,
                    masked=tuple(name for name, masked in zip(action.names, action.masked, strict=True) if masked),
                    absent_cameras={
                        key: camera.fill
                        for key, camera in config.cameras.items()
                        if camera.fill is not None and key in mixture.dataset.camera_keys
                    },
                    normalization=config.normalization,
                )
            )
        return MergedFile(
            sources=tuple(sources),
            stats={key: values for key, values in mixture.meta.stats.items() if key != RELATIVE_ACTION},
            normalization=mixture.normalization,
            action_type=recipe.target_action_type or kind_of(mixture.sources[0]) or "absolute",
            fingerprint=tuple(mixture.fingerprint),
            renamed=dict(mixture.sources[0].config.rename),
        )


def _windows(source: AlignedSource) -> PerFrame:
    """(sigma_min, sigma_max) of every frame, float32; 0 and 0 where no window was declared."""
    config = source.config
    if config.windows is not None:
        return match_frames(source, window_table(source))
    declared = config.sigma_min is not None or config.sigma_max is not None
    window = config.window(required=False) if declared else EVERYTHING
    size = len(source)
    return np.full(size, window.sigma_min, np.float32), np.full(size, window.sigma_max, np.float32)


def _images(reader: FrameReader, rows: Tensor) -> Iterator[NDArray[np.uint8]]:
    """(H, W, 3) uint8 images of these rows, a few decoded at a time."""
    for some in rows.split(_IMAGES_AT_ONCE):
        images = reader.read(some)
        yield from (images if images.dtype == torch.uint8 else to_uint8(images)).permute(0, 2, 3, 1).numpy()
