# SPDX-License-Identifier: Apache-2.0
"""The normalisation that noise levels are relative to.

A noise level only means something for normalised actions: a chunk scaled by 2 is twice as far above the same
noise. Windows therefore record the affine map  normalised = (raw - offset) / scale  they were made under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION
from numpy.typing import NDArray

RELATIVE_ACTION = f"{ACTION}.relative"
"""The key of the statistics of chunks relative to the current state, among those of a mixture."""

# LeRobot's NormalizationMode value -> the two statistics that define its affine map.
_RANGE_STATS = {"MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}


def affine_of(stats: Mapping[str, Any], mode: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(offset, scale) of LeRobot's normalisation of one feature; raw = normalised * scale + offset.

    Args:
        stats: LeRobot statistics of the feature, each (D,).
        mode: value of LeRobot's NormalizationMode.

    Raises:
        ValueError: statistics that the mode needs and the dataset lacks.
    """
    if mode == "IDENTITY":
        size = np.asarray(next(iter(stats.values()))).shape
        return np.zeros(size), np.ones(size)
    needed = ("mean", "std") if mode == "MEAN_STD" else _RANGE_STATS.get(mode)
    if needed is None:
        raise ValueError(f"unknown normalisation mode '{mode}'; known: IDENTITY, MEAN_STD, {', '.join(_RANGE_STATS)}.")
    missing = [name for name in needed if name not in stats]
    if missing:
        raise ValueError(f"normalisation {mode} needs the statistics {missing}, the dataset has {sorted(stats)}.")
    first, second = (np.asarray(stats[name], dtype=np.float64) for name in needed)
    if mode == "MEAN_STD":
        return first, np.where(second == 0, 1e-8, second)
    # LeRobot maps a constant dimension to -1 through a range of 1e-8.
    span = np.where(second == first, 1e-8, second - first)
    return first + span / 2, span / 2


@dataclass(frozen=True)
class ActionNormalization:
    """What the denoiser sees of an action chunk: (raw [- current state] - offset) / scale.

    Args:
        mode: LeRobot's NormalizationMode of actions.
        relative: whether chunks are relative to the current state.
        offset, scale: (A,) of the affine map.
        horizon: number of actions in a chunk.
    """

    mode: str
    relative: bool
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    horizon: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "relative": self.relative,
            "offset": list(self.offset),
            "scale": list(self.scale),
            "horizon": self.horizon,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ActionNormalization:
        return cls(
            mode=values["mode"],
            relative=values["relative"],
            offset=tuple(values["offset"]),
            scale=tuple(values["scale"]),
            horizon=values["horizon"],
        )

    def difference(self, other: ActionNormalization) -> str | None:
        """How the two differ, in words with both values; None when windows carry over between them."""
        for name in ("mode", "relative", "horizon"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                return f"{name} is {mine} there and {theirs} here"
        for name in ("offset", "scale"):
            mine, theirs = np.asarray(getattr(self, name)), np.asarray(getattr(other, name))
            if mine.shape != theirs.shape:
                return f"{mine.size} action dimensions there and {theirs.size} here"
            # An offset matters relative to the scale, not to itself.
            tolerance = 1e-3 * np.asarray(other.scale)
            worst = int(np.argmax(np.abs(mine - theirs) / tolerance))
            if abs(mine[worst] - theirs[worst]) > tolerance[worst]:
                return f"{name} of action dimension {worst} is {mine[worst]:.6g} there and {theirs[worst]:.6g} here"
        return None
