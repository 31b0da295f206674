# SPDX-License-Identifier: Apache-2.0
"""What an estimator of windows needs of a data set's chunks, and the same from plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class ChunkSet(Protocol):
    """The chunks of one data set: `Chunks` of a mixture, crops of them, or arrays.

    Chunks lie in the order of time within an episode, and the chunks of an episode side by side.
    """

    @property
    def name(self) -> str:
        """Of the data set, for messages."""

    @property
    def episode(self) -> NDArray[np.int64]:
        """(N,) the episode of each chunk."""

    @property
    def counts(self) -> Tensor:
        """(A,) bool, False for action dimensions the data set lacks."""

    @property
    def horizon(self) -> int:
        """H."""

    @property
    def dims(self) -> int:
        """A."""

    def __len__(self) -> int:
        """N."""

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """x_0 (B, H, A) float32 at positions index (B,), and (B, H) bool, True where it is padding."""


@dataclass(frozen=True, eq=False)
class ArrayChunks:
    """Chunks held in memory.

    Args:
        name: of the data set.
        x_0: (N, H, A) float32 normalised chunks.
        episode: (N,) int64.

    Raises:
        ValueError: shapes that do not fit each other.
    """

    name: str
    x_0: Tensor
    episode: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.x_0.ndim != 3 or self.episode.shape != self.x_0.shape[:1]:
            raise ValueError(
                f"'{self.name}': chunks of shape {tuple(self.x_0.shape)} with episodes of shape {self.episode.shape}; "
                "(N, H, A) and (N,) are needed."
            )

    def __len__(self) -> int:
        return len(self.x_0)

    @property
    def horizon(self) -> int:
        return self.x_0.shape[1]

    @property
    def dims(self) -> int:
        return self.x_0.shape[2]

    @property
    def counts(self) -> Tensor:
        return torch.ones(self.dims, dtype=torch.bool)

    def gather(self, index: Tensor) -> tuple[Tensor, Tensor]:
        x_0 = self.x_0[index]
        return x_0, torch.zeros(x_0.shape[:2], dtype=torch.bool)
