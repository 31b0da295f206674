# SPDX-License-Identifier: Apache-2.0
"""How far a step takes the arm: the gain of actions that are steps, measured from the recording.

    position[t] = state[t] + gain * step[t]

Steps in the state's own unit have gain 1. Many controllers (robosuite's, and so LIBERO and much of Open-X) take steps
in [-1, 1] and multiply; as metres such steps lie twenty times too far. Two things may be called a step, and arms follow
late, so the state's change over k frames, k up to half a second, is laid on two regressors and the best k kept of each:

    late      on the step itself:           a step is the way to a commanded position, of which the arm makes a part
    summed    on the sum of the k steps:    a step is added to where the arm was to be before

For steps that take effect within a frame both are the gain. A unit is foreign only where neither is near 1, nor `late`
relative to the same of the other side's recorded positions, which are followed late, too.

A measurement, not a calibration. Where steps explain the state's change all but exactly, the measured gain may be used,
and is told; elsewhere it tells a foreign unit from lag, and is shown for a person to confirm.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.declared.alignment import Gain

TOLERANCE = 2.0
"""Within this factor of 1 a gain is not told from lag."""

_SAMPLE = 50_000
_LONGEST_LAG = 0.5
_MOST_LAGS = 25
_TELLING = 0.7
_JUMP = 20.0
_EXACT = 0.98
_CLEARLY = 0.5


@dataclass(frozen=True, eq=False)
class MeasuredGain:
    """How far the state moves for a step of 1, by both readings; see above.

    Args:
        late, summed: (D,) slopes; NaN where steps do not tell (correlation below 0.7, no motion).
        late_fit, summed_fit: (D,) their correlations; 0 where they do not tell.
    """

    late: NDArray[np.float64]
    late_fit: NDArray[np.float64]
    summed: NDArray[np.float64]
    summed_fit: NDArray[np.float64]

    @property
    def is_exact(self) -> NDArray[np.bool_]:
        """(D,) whether the steps alone explain the state's change."""
        return np.maximum(self.late_fit, self.summed_fit) >= _EXACT

    def beside(self, positions: MeasuredGain) -> NDArray[np.float64]:
        """(D,) the gain that lays steps where another side's positions lie; NaN where steps do not tell.

        Args:
            positions: of the other side's positions, taken as steps from their states. Their lag is divided out.
        """
        is_sum = (1.0 - self.summed_fit < _CLEARLY * (1.0 - self.late_fit)) | np.isnan(self.late)
        return np.where(is_sum, self.summed, self.late / _known(positions.late))

    def is_foreign(self, positions: MeasuredGain, gain: NDArray[np.float64] | float = 1.0) -> NDArray[np.bool_]:
        """(D,) whether no reading is within a factor of 2 of this gain; False where steps do not tell."""
        return _is_far([self.late, self.summed, self.late / _known(positions.late)], gain)

    def differs_from(self, other: MeasuredGain) -> NDArray[np.bool_]:
        """(D,) whether two sides' steps have gains apart by more than a factor of 2, in both readings."""
        return _is_far([self.late / other.late, self.summed / other.summed], 1.0)


def measure_gain(step: NDArray[Any], state: NDArray[Any], episode: NDArray[np.int64], fps: float) -> MeasuredGain:
    """The gain of each dimension.

    Args:
        step, state: (N, D) of the same dimensions; the first 50 000 frames are used.
        episode: (N,) episode of each frame.
        fps: frames per second.
    """
    a, s, e = (values[:_SAMPLE] for values in (step.astype(np.float64), state.astype(np.float64), episode))
    total = np.concatenate([np.zeros_like(a[:1]), np.cumsum(a, axis=0)])
    gains, fits = np.full((2, a.shape[1]), np.nan), np.full((2, a.shape[1]), _TELLING)
    longest = max(1, round(_LONGEST_LAG * fps))
    # Every lag up to 50 fps; beyond that as many, evenly spread.
    lags = np.unique(np.linspace(1, longest, min(longest, _MOST_LAGS)).round().astype(int))
    for k in lags.tolist():
        same = e[k:] == e[:-k]
        change = (s[k:] - s[:-k])[same]
        # What was moved by hand between two frames does not count.
        usual = _JUMP * np.quantile(np.abs(change), 0.95, axis=0) if len(change) else np.zeros(a.shape[1])
        for reading, regressor in enumerate((a[:-k][same], (total[k:-1] - total[: -k - 1])[same])):
            for j in range(a.shape[1]):
                near = np.abs(change[:, j]) <= (usual[j] or np.inf)
                x, y = regressor[near, j], change[near, j]
                if len(x) < 10 or x.std() == 0.0 or y.std() == 0.0:
                    continue
                (variance, covariance), (_, other) = np.cov(x, y)
                fit = covariance / math.sqrt(variance * other)
                if fit > fits[reading, j]:
                    fits[reading, j], gains[reading, j] = fit, covariance / variance
    told = np.where(np.isfinite(gains), fits, 0.0)
    return MeasuredGain(gains[0], told[0], gains[1], told[1])


def unknown_gain(dims: int) -> MeasuredGain:
    """Of a recording that cannot tell."""
    return MeasuredGain(*(np.full(dims, value) for value in (np.nan, 0.0, np.nan, 0.0)))


def declared_gain(gain: Gain, names: Sequence[str], stays: NDArray[np.bool_], what: str) -> NDArray[np.float64] | None:
    """(D,) the declared gain of each dimension, 1 for those that are no steps; None where nothing is declared.

    Args:
        gain: as declared.
        names: of the dimensions.
        stays: (D,) dimensions that are positions in both kinds of actions: switches, and what the source lacks.
        what: the dataset and the option, for messages.

    Raises:
        ValueError: it names other dimensions, or not all that are steps.
    """
    if gain is None:
        return None
    if not isinstance(gain, Mapping):
        return np.where(stays, 1.0, gain)
    steps = [name for name, is_position in zip(names, stays, strict=True) if not is_position]
    unknown = [name for name in gain if name not in names]
    missing = [name for name in steps if name not in gain]
    if unknown or missing:
        raise ValueError(
            f"{what} must give one number for each of {steps}"
            + (f"; {missing} are missing" if missing else "")
            + (f"; {unknown} are none of the target's dimensions" if unknown else "")
            + "."
        )
    return np.array([gain.get(name, 1.0) for name in names])


def gain_line(gain: NDArray[np.float64], names: Sequence[str], stays: NDArray[np.bool_]) -> str:
    """Measured gains as they are declared, two significant digits; the median of the others where one is unknown."""
    steps = np.flatnonzero(~stays)
    known = gain[steps][~np.isnan(gain[steps])]
    values = np.where(np.isfinite(gain), gain, np.median(known) if len(known) else np.nan)
    return "{" + ", ".join(f"{names[j]}: {float(f'{values[j]:.2g}'):g}" for j in steps) + "}"


def _known(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(gain), gain, 1.0)


def _is_far(readings: Sequence[NDArray[np.float64]], gain: NDArray[np.float64] | float) -> NDArray[np.bool_]:
    """(D,) whether all known readings lie on one side of a gain, by more than the tolerance."""
    ratios = [reading / gain for reading in readings]
    low, high = (functools.reduce(choose, ratios) for choose in (np.fmin, np.fmax))
    return (low > TOLERANCE) | (high < 1.0 / TOLERANCE)
