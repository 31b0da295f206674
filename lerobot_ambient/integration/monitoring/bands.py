# SPDX-License-Identifier: Apache-2.0
"""Held-out losses by noise level: a sum and a count for each band of sigma, which processes can add up."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

EDGES = (0.0, 0.1, 0.2, 0.35, 0.6, 0.85, 1.0)
"""VP levels between the bands; a band holds its lower edge, the last one both."""
BANDS = tuple(f"sigma_{low:.2f}_{high:.2f}" for low, high in pairwise(EDGES))
"""What the bands are called in the keys of metrics."""
EVAL_LOSS, EVAL_SAMPLES = "eval_loss", "eval_samples"
_WIDTH = 2 + 2 * len(BANDS)


class BandSums:
    """Losses added up: over all samples, and over those of each band where a loss per sample is known."""

    def __init__(self) -> None:
        self._sums = torch.zeros(_WIDTH, dtype=torch.float64)

    def add(self, loss: Tensor, sigma: Tensor, per_sample: Tensor | None) -> None:
        """Add a batch.

        Args:
            loss: of the whole batch, one number.
            sigma: (N,) VP levels of the samples, single precision.
            per_sample: (N,) losses of the samples; None leaves the bands out.
        """
        self._sums[0] += len(sigma) * loss.item()
        self._sums[1] += len(sigma)
        if per_sample is None:
            return
        levels, losses = sigma.detach().float().cpu(), per_sample.detach().double().cpu()
        band = torch.bucketize(levels, torch.tensor(EDGES[1:-1]), right=True)
        self._sums[2 : 2 + len(BANDS)].index_add_(0, band, losses)
        self._sums[2 + len(BANDS) :].index_add_(0, band, torch.ones_like(losses))

    def to_vector(self) -> Tensor:
        """(14,) float64: what processes add up."""
        return self._sums.clone()

    @classmethod
    def of_vector(cls, vector: Tensor) -> BandSums:
        """The inverse of `to_vector`."""
        made = cls()
        made._sums = vector.detach().double().cpu()
        return made

    @property
    def samples(self) -> int:
        """How many were added."""
        return int(self._sums[1])

    @property
    def mean(self) -> float | None:
        """Over all samples; None without any."""
        return float(self._sums[0] / self._sums[1]) if self.samples else None

    @property
    def by_band(self) -> dict[str, tuple[float, int]]:
        """(mean loss, samples) of every band that has samples, by its name."""
        sums, counts = self._sums[2 : 2 + len(BANDS)].tolist(), self._sums[2 + len(BANDS) :].tolist()
        return {
            name: (total / count, int(count)) for name, total, count in zip(BANDS, sums, counts, strict=True) if count
        }

    def metrics(self, name: str = "") -> dict[str, float]:
        """By key, the mean loss of each band and its samples; of a source, whose name they bear, of all bands too."""
        of = f"/{name}" if name else ""
        found = self.by_band
        told: dict[str, float] = {}
        if name and self.mean is not None:
            told[f"{EVAL_LOSS}{of}"] = self.mean
        told |= {f"{EVAL_LOSS}{of}/{band}": loss for band, (loss, _) in found.items()}
        return told | {f"{EVAL_SAMPLES}{of}/{band}": count for band, (_, count) in found.items()}
