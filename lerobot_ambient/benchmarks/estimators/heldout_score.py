# SPDX-License-Identifier: Apache-2.0
"""What a draw's verdict is worth, by the errors of its own denoisers on fresh episodes.

Symbols
    s       true change: log ratio of the whole error on the fresh episodes, a mean over levels
    h       half of the method's interval of the change
    l, k    the same of one level, true and half of the method's interval for all levels at once
    a       as l, of accelerations; t the tolerance

An effect is larger than stated where the true value lies more than twice the half interval from what it is compared
with: where an interval of that width is missed in about one draw of forty.
    gain    s < -2 h, and at no level l > 0 or a > log(1 + t) by more than a tenth: "helps" is right
    harm    at some level l > 2 k, or a > log(1 + t) + 2 k: "hurts" is right
Read of the design with the window where the method trained one, of the source at every level where it did not.
A smaller effect is "not known", or told rightly: "helps" where s < 0, "hurts" where some level is truly worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lerobot_ambient.annotate.heldout.error_map import MapRule
from lerobot_ambient.annotate.heldout.verdict import HELPS, HURTS, NOT_KNOWN
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.windows import Window, admits

TIMES, SLACK = 2.0, 0.1
_BOUND = float(np.log1p(MapRule().tolerance))
COLUMNS = ("position", "acceleration")


@dataclass(frozen=True, eq=False)
class Score:
    """One draw.

    Args:
        found: as `HeldOutCase.run` returns it.
        episodes: of the target.
    """

    found: dict[str, Any]
    episodes: int

    @property
    def verdict(self) -> str:
        """The method's word."""
        word: str = self.found["verdict"]
        return word

    @property
    def has_window(self) -> bool:
        """Whether the method left the source some levels."""
        return not Window(*self.found["safe"]).is_nothing

    @property
    def judged(self) -> dict[str, Any]:
        """Of the design that the verdict is about: with the window, or at every level."""
        design: dict[str, Any] = self.found["confirmed"] or self.found["everywhere"]
        return design

    @cached_property
    def change(self) -> float:
        """s of the design that is judged."""
        return float(self.judged["true_change"][0])

    @property
    def gain(self) -> bool:
        """Whether it truly helps by more than stated."""
        _, low, high = self.judged["change"]
        clean = _excess(self.judged).max() < SLACK
        return bool(clean and self.change < -TIMES * (high - low) / 2)

    @property
    def harm(self) -> bool:
        """Whether it truly hurts at some level by more than stated."""
        half = TIMES * self._quantile * np.stack([np.array(self.judged[name]["error"]) for name in COLUMNS])
        return bool((_excess(self.judged) > half).any())

    @property
    def large(self) -> bool:
        """Whether there is an effect larger than stated."""
        return self.gain or self.harm

    @property
    def right(self) -> bool:
        """Whether the verdict is what it should be."""
        if self.large:
            return self.verdict == (HURTS if self.harm else HELPS)
        if self.verdict == HURTS:
            return bool(max(_excess(self.judged).max(), _excess(self.found["everywhere"]).max()) > 0.0)
        return self.verdict == NOT_KNOWN or self.change < 0.0

    @property
    def harmful_help(self) -> bool:
        """Whether it is said to help where, with its window, the fresh error is higher."""
        return self.verdict == HELPS and self.change >= 0.0

    @property
    def _quantile(self) -> float:
        levels = len(self.found["sigmas"])
        return float(stats.t.ppf(0.5 + MapRule().confidence ** (1 / levels) / 2, self.episodes - 1))

    def covered(self, name: str) -> NDArray[np.bool_]:
        """(L,) whether each level's interval holds the true ratio: of the source at every level."""
        read = self.found["everywhere"][name]
        low, true, high = (np.array(read[key]) for key in ("low", "true", "high"))
        held: NDArray[np.bool_] = (low <= true) & (true <= high)
        return held

    def admits_harm(self, window: str) -> bool:
        """Whether a window, "safe" or "estimate", admits a level at which the source is truly worse by over a tenth."""
        mask = admits(np.array(self.found["sigmas"]), *self.found[window])
        return bool((_excess(self.found["everywhere"])[:, mask] > SLACK).any())

    @property
    def change_covered(self) -> bool:
        """Whether the interval of the change holds s, of the source at every level."""
        return _holds(self.found["everywhere"])

    @property
    def confirmed_covered(self) -> bool | None:
        """Whether the interval of the change with the window holds s; None where none was trained."""
        return None if self.found["confirmed"] is None else _holds(self.found["confirmed"])

    @property
    def overstated(self) -> bool:
        """Whether the interval of the design that is judged lies below s: it promises more than is true."""
        return bool(self.judged["change"][2] < self.change)


def _holds(design: dict[str, Any]) -> bool:
    _, low, high = design["change"]
    return bool(low <= design["true_change"][0] <= high)


def _excess(design: dict[str, Any]) -> Floats:
    """(2, L) how far the true ratios of position and acceleration are above what is allowed."""
    position, acceleration = (np.array(design[name]["true"]) for name in COLUMNS)
    return np.stack([position, acceleration - _BOUND])
