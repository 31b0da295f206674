# SPDX-License-Identifier: Apache-2.0
"""What an estimator of windows needs of a dataset's chunks, and the same from plain arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class ActionAxes:
    """What the axes of a chunk are called: its dimensions by name, its steps in time.

    Args:
        names: (A,) the target's action dimensions; empty where they have none.
        fps: of the target, steps a second; None where it is not known.
        length_option: of the policy, that sets how many steps there are; for messages.
    """

    names: tuple[str, ...] = ()
    fps: float | None = None
    length_option: str = "policy.horizon"

    def dimension(self, dim: int) -> str:
        """ "wrist_roll.pos", or "action dimension 4" where it has no name."""
        return self.names[dim] if self.names else f"action dimension {dim}"

    def frequency(self, frequency: float) -> str:
        """A frequency in cycles per step, in Hz where the rate is known: "1.9 Hz"."""
        return f"{frequency:.3f} cycles per step" if self.fps is None else f"{frequency * self.fps:.3g} Hz"


UNNAMED = ActionAxes()


class ChunkSet(Protocol):
    """The chunks of one dataset: `Chunks` of a mixture, crops of them, or arrays.

    Chunks lie in the order of time within an episode, and the chunks of an episode side by side.
    """

    @property
    def name(self) -> str:
        """Of the dataset, for messages."""

    @property
    def episode(self) -> NDArray[np.int64]:
        """(N,) the episode of each chunk."""

    @property
    def counts(self) -> Tensor:
        """(A,) bool, False for action dimensions the dataset lacks."""

    @property
    def axes(self) -> ActionAxes:
        """Names of the dimensions, and the time between steps."""

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
        name: of the dataset.
        x_0: (N, H, A) float32 normalised chunks.
        episode: (N,) int64.
        axes: names and rate, if there are any.

    Raises:
        ValueError: shapes that do not fit each other.
    """

    name: str
    x_0: Tensor
    episode: NDArray[np.int64]
    axes: ActionAxes = UNNAMED

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


def shared_dims(target: ChunkSet, source: ChunkSet) -> Tensor:
    """(A,) bool, the action dimensions both datasets have.

    Raises:
        ValueError: chunks of different shapes, or no dimension in common.
    """
    if (target.horizon, target.dims) != (source.horizon, source.dims):
        raise ValueError(
            f"chunks of '{target.name}' are {target.horizon} x {target.dims}, those of '{source.name}' "
            f"{source.horizon} x {source.dims} (horizon x dimensions); read both through one mixture."
        )
    dims = target.counts & source.counts
    if not bool(dims.any()):
        raise ValueError(f"'{target.name}' and '{source.name}' have no action dimension in common; align the source.")
    return dims


def nothing_moves(name: str, dims: int) -> ValueError:
    """The refusal of a dataset whose `dims` compared action dimensions never change."""
    return ValueError(
        f"'{name}': its {dims} compared action dimensions never change, so there is no motion to compare; check its "
        "action column and the alignment, or leave the dataset out."
    )
