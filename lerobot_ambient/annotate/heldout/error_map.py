# SPDX-License-Identifier: Apache-2.0
"""Which levels a source may teach at, read from a ratio of held-out errors.

Symbols
    l(sigma)      log ratio of the whole error of a denoiser that saw the source to that of one that did not
    a(sigma)      the same of the error of accelerations (`errors`)
    t             tolerance: the error of accelerations may not exceed 1 + t times what it is without the source

A level is
    lowered   where l is shown to be below 0,
    raised    where l is shown to be above 0,
    rough     where a is shown to be above log(1 + t).
"Shown" means: with a probability of `confidence` for all levels at once (Sidak's correction over levels).

Why both. Nearly all energy of a motion is in its lowest bands, so the whole error says who knows where it goes: it is
raised where a source decides otherwise than the target, and deaf to a tremor. A tremor is an error in bands that hardly
hold energy; accelerations weigh them up, and their error is large exactly at the levels whose noise does not hide it
yet. The tolerance is that much, by default a half (22 % in amplitude), because the two trade: a source of other
dynamics may halve the error of where the motion goes, roughen it a little at every level, and be worth its keep.

Windows. Closed are levels that are raised, and those where a is estimated above log(1 + t). For the safe end one
level's own evidence does: where l is above 0 by the lower end of a one-sided interval, or a above log(1 + t) by the
upper end. What is open from the lowest level on ends at sigma_max, what is open up to pure noise begins at sigma_min,
and where nothing is closed the window is everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.heldout.errors import ACCELERATION, POSITION, ErrorRatio
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.windows import Window

Levels = NDArray[np.bool_]


@dataclass(frozen=True)
class MapRule:
    """How windows are read from a map.

    Args:
        tolerance: t, in (0, 10].
        confidence: with which something is shown, in [0.5, 1).

    Raises:
        ValueError: a value out of range.
    """

    tolerance: float = 0.5
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 < self.tolerance <= 10.0:
            raise ValueError(
                f"tolerance = {self.tolerance} must lie in (0, 10]: the part by which accelerations may err more."
            )
        if not 0.5 <= self.confidence < 1.0:
            raise ValueError(f"confidence = {self.confidence} must lie in [0.5, 1).")


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """One ratio, read by a rule.

    Args:
        ratio: of a design with the source to one without.
        rule: of reading.
        bands: their names.
    """

    ratio: ErrorRatio
    rule: MapRule
    bands: tuple[str, ...]

    @property
    def sigmas(self) -> Floats:
        """(L,) levels."""
        return self.ratio.sigmas

    @cached_property
    def _ends(self) -> tuple[Floats, Floats]:
        """(L, B + 2) both ends of every column, each column for all levels at once."""
        return self.ratio.interval(self.rule.confidence ** (1.0 / len(self.sigmas)))

    @property
    def lowered(self) -> Levels:
        """(L,) where the whole error is shown to be lower with the source."""
        return self._ends[1][:, POSITION] < 0.0

    @property
    def raised(self) -> Levels:
        """(L,) where the whole error is shown to be higher with the source."""
        return self._ends[0][:, POSITION] > 0.0

    @property
    def rough(self) -> Levels:
        """(L,) where the error of accelerations is shown to exceed the tolerance."""
        return self._ends[0][:, ACCELERATION] > self._bound

    @property
    def _bound(self) -> float:
        return float(np.log1p(self.rule.tolerance))

    def _one_sided(self, column: int, sign: float) -> Floats:
        """(L,) the upper (sign 1) or lower (-1) end of a one-sided interval of a column, level by level."""
        from scipy import stats

        quantile = stats.t.ppf(self.rule.confidence, max(len(self.ratio.first) - 1, 1))
        value: Floats = (self.ratio.log + sign * quantile * self.ratio.standard_error)[:, column]
        return value

    def closed(self, *, safe: bool) -> Levels:
        """(L,) where the source may not teach."""
        closed: Levels
        if safe:
            closed = (self._one_sided(POSITION, -1.0) > 0.0) | (self._one_sided(ACCELERATION, 1.0) > self._bound)
        else:
            closed = self.raised | (self.ratio.log[:, ACCELERATION] > self._bound)
        return closed

    def window(self, *, safe: bool) -> Window:
        """The window: its bounds lie on levels of the map where `safe`, else between them where curves cross.

        Where something is closed above them, low levels are admitted only as far as the source is seen to lower the
        error there; for the safe end, shown to.
        """
        closed = self.closed(safe=safe)
        if not closed.any():
            return Window(0.0)
        first, last = int(np.argmax(closed)), len(closed) - 1 - int(np.argmax(closed[::-1]))
        helped = self.lowered if safe else self.ratio.log[:, POSITION] < 0.0
        run = first if helped[:first].all() else int(np.argmin(helped[:first]))
        sigma_max = self._upper_bound(run, safe=safe)
        sigma_min = self._lower_bound(last, safe=safe)
        return Window(sigma_min, min(sigma_max, sigma_min))

    def lower_part(self, *, safe: bool) -> Window:
        """The levels from the lowest on, or up to pure noise, at which the whole error is lower with the source.

        For maps that close no level and still do not show that the source helps at all of them together. The longer of
        the two; everything where neither has two levels.

        Args:
            safe: by the upper end of each level's own one-sided interval, else by the estimate.
        """
        helped = (self._one_sided(POSITION, 1.0) if safe else self.ratio.log[:, POSITION]) < 0.0
        if helped.all():
            return Window(0.0)
        below, above = int(np.argmin(helped)), int(np.argmin(helped[::-1]))
        if max(below, above) < _LEAST_RUN:
            return Window(0.0)
        if below >= above:
            return Window(1.0, self._upper_bound(below, safe=safe))
        return Window(self._lower_bound(len(helped) - 1 - above, safe=safe))

    def _upper_bound(self, run: int, *, safe: bool) -> float:
        """sigma_max where the first `run` levels are open."""
        if run < _LEAST_RUN:
            return 0.0
        if safe:
            return float(self.sigmas[run - 1])
        return self._crossing(run - 1, run)

    def _lower_bound(self, last: int, *, safe: bool) -> float:
        """sigma_min where the last closed level is `last`."""
        top = len(self.sigmas) - 1
        # Levels strictly above sigma_min teach, and a schedule may end just below 1: from its last one on, none does.
        if last == top or (safe and last + 1 == top):
            return 1.0
        return float(self.sigmas[last + 1]) if safe else self._crossing(last, last + 1)

    def _crossing(self, low: int, high: int) -> float:
        """Between two neighbouring levels, where what closes one of them crosses its bound."""
        # How far each level is above what closes it; one is above zero, the other is not.
        excess = np.maximum(self.ratio.log[:, ACCELERATION] - self._bound, self.ratio.log[:, POSITION])[[low, high]]
        left, right = self.sigmas[[low, high]]
        if excess[0] * excess[1] >= 0.0:
            return float((left + right) / 2)
        return float(left + (right - left) * excess[0] / (excess[0] - excess[1]))


_LEAST_RUN = 2
"""Levels that have to be open at the lower end for a sigma_max: one alone is chance."""
