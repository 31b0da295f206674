# SPDX-License-Identifier: Apache-2.0
"""Errors of denoisers on target episodes that none of them saw, and the ratios between two of them.

Symbols
    e        target episode; each is held out once, by the denoisers of its fold
    E_d(e)   mean energy of the error x_0_hat - x_0 that design d makes on the chunks of e, per level, band, dimension
    R        sum_e E_1(e) / sum_e E_0(e), the ratio of design 1's error to design 0's; l = log R

Errors are added up, within an episode and between them, so that the few moments at which something is decided count by
what they cost. A chunk counts at most as much as the spread of the target's chunks: whoever is further off does not
know less than one who knows nothing, and one such chunk would be louder than all others.

Beside the bands two columns are what windows are read from:
    position       the whole error, all bands added up: who knows where the motion goes
    acceleration   the error of second differences, bands weighted by (2 - 2 cos w)^2: who knows how it feels

The interval of l. With psi(e) = E_1(e) / mean E_1 - E_0(e) / mean E_0 the variance of l between episodes is
    sum psi^2 / (n (n - 1)).
Denoisers are random, too: another seed or other batches give another ratio on the same episodes. That part does not
shrink with episodes and is seen between folds, whose denoisers were trained apart: what the variance of the folds'
means of psi has beyond that of episodes is due to training. One training is like the next at all levels and bands, so
this excess is averaged over them, and never below zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.core.arrays import Floats

POSITION, ACCELERATION = -2, -1
"""Columns of an `ErrorRatio` behind those of the bands."""
_FLOOR = 1e-12
"""Energies below, a millionth of the actions' range, are rounding."""
TARGET = "target"
"""The design that every other is compared with."""


@dataclass(frozen=True, eq=False)
class HeldOutErrors:
    """What every design does to the held-out chunks.

    Args:
        sigmas: (L,) VP levels, ascending.
        bands: of a chunk.
        episode: (E,) int64 the target's episodes.
        fold: (E,) int64 in which each was held out.
        energies: by design (E, L, bands, A), means over the chunks of an episode; "target" is among them.

    Raises:
        ValueError: shapes that do not fit each other.
    """

    sigmas: Floats
    bands: Bands
    episode: NDArray[np.int64]
    fold: NDArray[np.int64]
    energies: Mapping[str, Floats]

    def __post_init__(self) -> None:
        expected = (len(self.episode), len(self.sigmas), len(self.bands))
        for design, values in self.energies.items():
            if values.shape[:3] != expected or self.fold.shape != self.episode.shape:
                raise ValueError(
                    f"errors of design '{design}' have shape {values.shape}, expected (episodes, levels, bands, "
                    f"dimensions) = ({', '.join(map(str, expected))}, ...)."
                )

    def ratio(self, design: str, base: str = TARGET, dims: NDArray[np.int64] | None = None) -> ErrorRatio:
        """The ratio of two designs' errors.

        Args:
            design, base: of the numerator and the denominator.
            dims: action dimensions that count; all when None.
        """
        first, second = (self.energies[name] for name in (design, base))
        if dims is not None:
            first, second = first[..., dims], second[..., dims]
        first, second = first.sum(-1), second.sum(-1)
        weights = np.stack([np.ones(len(self.bands)), self.bands.roughness], axis=1)
        first, second = (np.concatenate([one, one @ weights], axis=-1) for one in (first, second))
        return ErrorRatio(self.sigmas, first, second, self.fold)


@dataclass(frozen=True, eq=False)
class ErrorRatio:
    """l by level and band; the last two columns are POSITION and ACCELERATION.

    Args:
        sigmas: (L,).
        first, second: (E, L, B + 2) errors of the episodes.
        fold: (E,).
    """

    sigmas: Floats
    first: Floats
    second: Floats
    fold: NDArray[np.int64]

    @cached_property
    def log(self) -> Floats:
        """(L, B + 2) l."""
        first, second = (np.maximum(one.mean(0), _FLOOR) for one in (self.first, self.second))
        value: Floats = np.log(first) - np.log(second)
        return value

    @cached_property
    def influence(self) -> Floats:
        """(E, L, B + 2) psi, what each episode adds to l; its mean is 0."""
        first, second = (one / np.maximum(one.mean(0), _FLOOR) for one in (self.first, self.second))
        value: Floats = first - second
        return value

    @cached_property
    def standard_error(self) -> Floats:
        """(L, B + 2) of l."""
        return self.error_of(self.influence)

    def error_of(self, influence: Floats) -> Floats:
        """The standard error of a mean of l, by its influence (E, ...): episodes, and trainings beyond them."""
        count = len(influence)
        between: Floats = (influence**2).sum(0) / (count * max(count - 1, 1))
        value: Floats = np.sqrt(between + self._excess)
        return value

    @cached_property
    def _excess(self) -> float:
        """Variance of l that is due to the trainings, a mean over levels and bands."""
        folds = np.unique(self.fold)
        if len(folds) < 2:
            return 0.0
        sizes = np.array([(self.fold == k).sum() for k in folds], dtype=np.float64)
        means = np.stack([self.influence[self.fold == k].mean(0) for k in folds])
        share = (sizes / sizes.sum())[:, None, None]
        # Variance of the weighted mean of folds, and what episodes alone would give it.
        seen = (share**2 * means**2).sum(0) * len(folds) / (len(folds) - 1)
        count = len(self.influence)
        alone = (self.influence**2).sum(0) / (count * (count - 1))
        return float(max(np.mean(seen - alone), 0.0))

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """(L, B + 2) both ends of an interval of l."""
        from scipy import stats

        half = stats.t.ppf(0.5 + confidence / 2, len(self.first) - 1) * self.standard_error
        return self.log - half, self.log + half
