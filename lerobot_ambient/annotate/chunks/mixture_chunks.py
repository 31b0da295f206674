# SPDX-License-Identifier: Apache-2.0
"""Action chunks as the denoiser sees them: the policy's horizon, its normalisation, padding marked.

Windows are statements about x_0, the normalised chunk that is noised. Everything that estimates them reads chunks
here, so that a level found on them means the same in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from lerobot.utils.constants import ACTION, OBS_STATE
from numpy.typing import NDArray
from torch import Tensor

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes
from lerobot_ambient.data.batches.columns import Columns
from lerobot_ambient.data.files.dimension_names import read_names
from lerobot_ambient.data.mixture import AssembledMixture


@dataclass(frozen=True, eq=False)
class Path:
    """The actions of an episode over time.

    Args:
        episode: its number in its own dataset.
        seconds: (n,) from its first frame on.
        action: (n, A) in the target's units, NaN in dimensions that the dataset lacks.
    """

    episode: int
    seconds: NDArray[np.float64]
    action: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chunks:
    """The chunks of one dataset of a mixture, gathered on demand.

    Args:
        name: of the dataset.
        columns: of the whole mixture.
        rows: (N,) int64 rows of the frames that start a sample.
        episode, frame: (N,) int64, the frame's name in its own dataset.
        task: (N,) int64, index into the mixture's tasks.
        offset, scale: (A,) float64 of normalised actions, x_0 = (raw - offset) / scale.
        relative: whether chunks are relative to the current state.
        counts: (A,) bool, False for action dimensions the dataset lacks; they are 0 in every chunk.
        axes: the target's names of action dimensions, and its rate.
    """

    name: str
    columns: Columns
    rows: Tensor
    episode: NDArray[np.int64]
    frame: NDArray[np.int64]
    task: NDArray[np.int64]
    offset: Tensor
    scale: Tensor
    relative: bool
    counts: Tensor
    axes: ActionAxes

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def horizon(self) -> int:
        """H, the number of actions in a chunk."""
        return len(self.columns.deltas[ACTION])

    @property
    def dims(self) -> int:
        """A, the number of action dimensions."""
        return len(self.offset)

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The chunks at positions index (B,) in [0, N).

        Returns:
            x_0 (B, H, A) float32, and (B, H) bool, True where it is copy-padding beyond the episode.
        """
        rows = self.rows[index]
        if self.relative:
            raw, is_pad = self.columns.relative_chunks(ACTION, OBS_STATE, rows)
        else:
            batch = self.columns.gather(rows, keys=[ACTION])
            raw, is_pad = batch[ACTION], batch[f"{ACTION}_is_pad"]
        x_0 = ((raw.double() - self.offset) / self.scale).float()
        return torch.where(self.counts, x_0, 0.0), is_pad

    def all(self) -> tuple[Tensor, Tensor]:
        """Every chunk; (N, H, A) must fit in memory."""
        return self.gather(torch.arange(len(self)))

    def paths(self, count: int) -> list[Path]:
        """Whole episodes as they were recorded, in the target's units; at most `count`, spread over those there are."""
        numbers, first = np.unique(self.episode, return_index=True)
        some = np.unique(np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(np.int64))
        which = self.columns.episode_of(self.rows[torch.from_numpy(first[some])])
        found = []
        for number, episode in zip(numbers[some].tolist(), which.tolist(), strict=True):
            rows = slice(int(self.columns.starts[episode]), int(self.columns.stops[episode]))
            action = self.columns.columns[ACTION][rows].double().reshape(-1, self.dims)
            rate = 1.0 if self.columns.rates is None else float(self.columns.rates[episode])
            seconds = np.arange(len(action)) / (rate * (self.axes.fps or 1.0))
            found.append(Path(number, seconds, torch.where(self.counts, action, torch.nan).numpy()))
        return found

    def __repr__(self) -> str:
        return f"{self.name}: {len(self)} chunks of {self.horizon} x {self.dims}, {len(set(self.episode))} episodes"


def length_option(config: object) -> str:
    """What a policy's configuration calls the length of a chunk: "policy.horizon", of most VLAs "policy.chunk_size"."""
    return next(f"policy.{name}" for name in ("chunk_size", "horizon", "action_horizon") if hasattr(config, name))


def chunks_of(mixture: AssembledMixture, *, length_option: str = "policy.horizon") -> list[Chunks]:
    """The chunks of every dataset of a mixture, the target's first, over the frames that training would draw.

    Args:
        mixture: of the datasets.
        length_option: what the policy calls the length of a chunk, for messages; see `length_option`.
    """
    columns = mixture.dataset.columns
    normalization = mixture.normalization
    mask = mixture.action_mask
    target = mixture.sources[0]
    action = read_names(target.features[ACTION])
    axes = ActionAxes(() if action.are_numbers else action.names, target.fps, length_option)
    result = []
    for index, source in enumerate(mixture.sources):
        first = int(mixture.dataset.offsets[index])
        local = mixture.sample_rows(index)
        result.append(
            Chunks(
                name=source.name,
                columns=columns,
                rows=torch.from_numpy(local + first),
                episode=source.columns["episode_index"][local],
                frame=source.columns["frame_index"][local],
                task=columns.counter("task_index").numpy()[local + first],
                # Sources with their own statistics are on the target's scale already.
                offset=torch.tensor(normalization.offset, dtype=torch.float64),
                scale=torch.tensor(normalization.scale, dtype=torch.float64),
                relative=normalization.relative,
                counts=torch.ones(len(normalization.offset), dtype=torch.bool) if mask is None else mask[index],
                axes=axes,
            )
        )
    return result
