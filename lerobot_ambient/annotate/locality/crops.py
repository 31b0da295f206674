# SPDX-License-Identifier: Apache-2.0
"""Stretches of chunks as chunks of their own, for whatever judges chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes, ChunkSet


@dataclass(frozen=True, eq=False)
class Crops:
    """Crops of one length at several places of every chunk: item i is chunk i // P at starts[i % P].

    What judges crops without being told their place compares them with all places mixed. For chunks relative to the
    current state, whose steps differ in law, give one place at a time.

    Args:
        chunks: what is cropped.
        length: r in [1, H].
        starts: P first steps, each in [0, H - length].

    Raises:
        ValueError: a crop that leaves the chunk, or none.
    """

    chunks: ChunkSet
    length: int
    starts: tuple[int, ...]

    def __post_init__(self) -> None:
        last = self.chunks.horizon - self.length
        if self.length < 1 or not self.starts or min(self.starts) < 0 or max(self.starts) > last:
            raise ValueError(
                f"'{self.chunks.name}': crops of {self.length} steps at {self.starts} leave a chunk of "
                f"{self.chunks.horizon}; use a length from 1 to {self.chunks.horizon} and starts from 0 to {last}."
            )

    def __len__(self) -> int:
        return len(self.chunks) * len(self.starts)

    @property
    def name(self) -> str:
        return self.chunks.name

    @property
    def episode(self) -> NDArray[np.int64]:
        """(N P,) the episode of each crop."""
        return np.repeat(self.chunks.episode, len(self.starts))

    @property
    def counts(self) -> Tensor:
        return self.chunks.counts

    @property
    def axes(self) -> ActionAxes:
        return self.chunks.axes

    @property
    def horizon(self) -> int:
        """The length of a crop."""
        return self.length

    @property
    def dims(self) -> int:
        return self.chunks.dims

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """x_0 (B, r, A) and (B, r) bool of the crops at positions index (B,) in [0, N P)."""
        x_0, is_pad = self.chunks.gather(index // len(self.starts))
        steps = torch.tensor(self.starts)[index % len(self.starts), None] + torch.arange(self.length)
        row = torch.arange(len(index))[:, None]
        return x_0[row, steps], is_pad[row, steps]

    def __repr__(self) -> str:
        return f"{self.name}: {len(self)} crops of {self.length} x {self.dims} at {list(self.starts)}"


def crop_starts(horizon: int, length: int, places: int) -> tuple[int, ...]:
    """At most `places` evenly spaced first steps of crops, both ends of the chunk among them."""
    return tuple(int(start) for start in np.unique(np.linspace(0, horizon - length, places).round()))
