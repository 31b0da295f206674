# SPDX-License-Identifier: Apache-2.0
"""Bands of frequency along a chunk.

Symbols
    e        (H,) the error of one action dimension along a chunk
    k        index of an orthonormal DCT-II coefficient, 0 <= k < H; its frequency is k / (2 H) cycles per step
    band     neighbouring k: 0, 1, 2, 3-4, 5-8, 9-16, ..., each but the first few twice as wide as the one before

The transform is orthonormal, so the energies of all bands add up to the sum of e^2 (Parseval).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lerobot_ambient.annotate.chunks.chunk_set import UNNAMED, ActionAxes


@dataclass(frozen=True)
class Bands:
    """Octaves of the frequencies that a chunk can hold.

    >>> bands = Bands(16, ActionAxes(fps=10.0))
    >>> len(bands), bands.names
    (6, ('0 Hz', '0.312 Hz', '0.625 Hz', '0.938-1.25 Hz', '1.56-2.5 Hz', '2.81-4.69 Hz'))

    Args:
        horizon: H, the steps of a chunk.
        axes: names the dimensions and says how long a step is.

    Raises:
        ValueError: a chunk of no step.
    """

    horizon: int
    axes: ActionAxes = UNNAMED

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise ValueError(f"bands of a chunk need a horizon of at least 1, got {self.horizon}.")

    @cached_property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Half-open ranges of k, lowest first."""
        found, low, width = [], 0, 1
        while low < self.horizon:
            high = min(low + width, self.horizon)
            found.append((low, high))
            low, width = high, width if high < 3 else 2 * width
        return tuple(found)

    def __len__(self) -> int:
        return len(self.edges)

    @property
    def names(self) -> tuple[str, ...]:
        """What each band is called: its frequencies in Hz, or in cycles per step where the rate is not known."""
        return tuple(self._name(low, high - 1) for low, high in self.edges)

    def _name(self, low: int, last: int) -> str:
        first, end = (self.axes.frequency(k / (2 * self.horizon)) for k in (low, last))
        first = "0 Hz" if low == 0 and self.axes.fps is not None else first
        return first if low == last else f"{first.split(' ')[0]}-{end}"

    @cached_property
    def roughness(self) -> tuple[float, ...]:
        """What an error of energy 1 in each band adds to the energy of its second differences: (2 - 2 cos w)^2.

        With w = pi k / H, the mean over the band's k.
        """
        gain = [(2.0 - 2.0 * math.cos(math.pi * k / self.horizon)) ** 2 for k in range(self.horizon)]
        return tuple(sum(gain[low:high]) / (high - low) for low, high in self.edges)

    @cached_property
    def transform(self) -> Tensor:
        """(H, H) float64 orthonormal DCT-II: coefficients of a column of values."""
        k = torch.arange(self.horizon, dtype=torch.float64)[:, None]
        n = torch.arange(self.horizon, dtype=torch.float64)[None, :]
        table = math.sqrt(2.0 / self.horizon) * torch.cos(math.pi * (n + 0.5) * k / self.horizon)
        table[0] /= math.sqrt(2.0)
        return table

    def energies(self, error: Tensor) -> Tensor:
        """Energy of each band.

        Args:
            error: (..., H, A).

        Returns:
            (..., bands, A) of the same dtype: sums of squared coefficients; over all bands the sum of error^2.
        """
        squared = (self.transform.to(error) @ error) ** 2
        return torch.stack([squared[..., low:high, :].sum(-2) for low, high in self.edges], dim=-2)
