# SPDX-License-Identifier: Apache-2.0
"""What is said of a source: it helps, it hurts, or it is not known, and how many more episodes would tell.

Symbols
    s       mean over levels of l(sigma), the log ratio of the whole held-out error of two designs; exp(s) - 1 is the
            part by which the error changes
    n       held-out target episodes;  z  quantile of the confidence

A source helps where denoisers that were trained once more, with the window that the map chose, are better than the
target alone on episodes that none of them saw: s is shown to be below zero, and nothing is shown to be worse: at no
level the whole error, nor that of accelerations beyond the tolerance. It hurts where harm is shown and no window is
left that helps. Everything else is not known; then s would be told from zero with about n (z se(s) / s)^2 episodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lerobot_ambient.annotate.heldout.error_map import ErrorMap
from lerobot_ambient.annotate.heldout.errors import ACCELERATION, POSITION
from lerobot_ambient.core.windows import Window

HELPS, HURTS, NOT_KNOWN = "helps", "hurts", "not known"
_MOST = 10_000
_CHOSEN = "the window holds the levels at which the error is lower one by one; the interval allows for that choice"


@dataclass(frozen=True)
class Change:
    """By how much the held-out error changes, over all levels or some.

    Args:
        log: s.
        error: its standard error.
        low, high: ends of its interval.
        episodes: n.
    """

    log: float
    error: float
    low: float
    high: float
    episodes: int

    @classmethod
    def of(cls, read: ErrorMap, levels: np.ndarray | None = None, confidence: float | None = None) -> Change:
        """Of a map, over all of its levels, or those of a mask (L,); with the confidence of its rule when None."""
        from scipy import stats

        ratio = read.ratio
        chosen = np.ones(len(ratio.sigmas), dtype=bool) if levels is None else levels
        value = float(ratio.log[chosen, POSITION].mean())
        error = float(ratio.error_of(ratio.influence[:, chosen, POSITION].mean(1)))
        count = len(ratio.first)
        confidence = read.rule.confidence if confidence is None else confidence
        half = float(stats.t.ppf(0.5 + confidence / 2, max(count - 1, 1))) * error
        return cls(value, error, value - half, value + half, count)

    @property
    def more_episodes(self) -> int | None:
        """How many more episodes would tell s from zero; None where more than ten thousand, or none at all."""
        if self.low > 0 or self.high < 0:
            return 0
        half = (self.high - self.low) / 2
        needed = np.inf if self.log == 0.0 else self.episodes * (half / self.log) ** 2
        return None if needed > _MOST else int(np.ceil(needed - self.episodes))

    def __str__(self) -> str:
        part, low, high = (100.0 * np.expm1(value) for value in (self.log, self.low, self.high))
        # No "-0": what rounds to nothing has no sign.
        return "{:+.0f} % [{:+.0f}, {:+.0f}]".format(*(round(one) + 0.0 for one in (part, low, high)))

    def to_dict(self) -> dict[str, Any]:
        """JSON values: ratios of errors."""
        return {
            "ratio": float(np.exp(self.log)),
            "low": float(np.exp(self.low)),
            "high": float(np.exp(self.high)),
            "episodes": self.episodes,
        }


@dataclass(frozen=True)
class Verdict:
    """What is said of one source.

    Args:
        word: one of HELPS, HURTS, NOT_KNOWN.
        window: that it may teach in; nothing where it hurts.
        everywhere: the change where the source is admitted at every level, as in plain co-training.
        confirmed: the change with the window, by trainings of their own; None where nothing was left to confirm.
        reasons: in words.
    """

    word: str
    window: Window
    everywhere: Change
    confirmed: Change | None
    reasons: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The word, and by how much the held-out error changes."""
        if self.confirmed is None:
            return f"{self.word} (held-out error {self.everywhere} where it is admitted everywhere)"
        return f"{self.word} (held-out error {self.confirmed} with its window)"


def doubtful_part(everywhere: ErrorMap, *, safe: bool) -> Window | None:
    """The part of the levels to name where none is closed, and it is not shown that the source helps at all of them.

    It was chosen by what looked lower on these very episodes, so they confirm it only with an interval that allows for
    the choice: see `judge`.

    Args:
        everywhere: of a design that admits the source at every level.
        safe: see `ErrorMap.lower_part`.

    Returns:
        A window that is not everything, or None.
    """
    if not everywhere.window(safe=True).is_everything or Change.of(everywhere).high < 0.0:
        return None
    part = everywhere.lower_part(safe=safe)
    return None if part.is_everything or part.is_nothing else part


def judge(
    everywhere: ErrorMap, window: Window, confirmed: ErrorMap | None, *, doubtful: bool = False, shares: int = 1
) -> Verdict:
    """The verdict on a source.

    Args:
        everywhere: of a design that admits it at every level.
        window: that was read from it.
        confirmed: of a design that admits it in that window; None where there was none to train with.
        doubtful: whether the window is a `doubtful_part`. Any of L levels may have been the end of a window below it
            or of one above, at each share, so it helps if that is shown with as many comparisons in mind (Bonferroni).
        shares: of the target, of which the best was taken.
    """
    harm = _harm(everywhere)
    all_levels = Change.of(everywhere)
    if window.is_nothing or confirmed is None:
        word = HURTS if harm else NOT_KNOWN
        return Verdict(word, Window(1.0), all_levels, None, tuple(harm) or (_without_window(everywhere, all_levels),))
    change, still = Change.of(confirmed), _harm(confirmed)
    if still:
        return Verdict(HURTS, Window(1.0), all_levels, change, tuple(f"with its window, {one}" for one in still))
    reasons = tuple(f"at every level, {one}" for one in harm)
    if doubtful:
        choices = 2 * len(confirmed.sigmas) * shares
        change = Change.of(confirmed, confidence=1.0 - (1.0 - confirmed.rule.confidence) / choices)
        reasons = (_CHOSEN,)
    if change.high < 0.0:
        return Verdict(HELPS, window, all_levels, change, reasons)
    # Nothing is shown to be worse in it; it is named where the estimate speaks for it, and never all levels.
    named = window if change.log < 0.0 and not window.is_everything else Window(1.0)
    if doubtful:
        told = (f"at every level, {_undecided(all_levels)}", f"{_CHOSEN}, and episodes of their own would tell")
        return Verdict(NOT_KNOWN, named, all_levels, change, told)
    return Verdict(NOT_KNOWN, named, all_levels, change, (*reasons, f"with its window, {_undecided(change)}"))


def _harm(read: ErrorMap) -> list[str]:
    """Where harm is shown, in words; empty where none is."""
    found = []
    if read.raised.any():
        worst = int(np.argmax(np.where(read.raised, read.ratio.log[:, POSITION], -np.inf)))
        found.append(
            f"the error is raised at sigma {_ranges(read.sigmas, read.raised)}, most at {read.sigmas[worst]:.2f} "
            f"({100 * np.expm1(read.ratio.log[worst, POSITION]):+.0f} %)"
        )
    if read.rough.any():
        worst = int(np.argmax(np.where(read.rough, read.ratio.log[:, ACCELERATION], -np.inf)))
        found.append(
            f"accelerations err more than the tolerance allows at sigma {_ranges(read.sigmas, read.rough)}, most at "
            f"{read.sigmas[worst]:.2f} ({np.exp(read.ratio.log[worst, ACCELERATION]):.1f} times as much)"
        )
    return found


def _without_window(everywhere: ErrorMap, change: Change) -> str:
    """Why no level is admitted where no harm is shown."""
    if change.high >= 0.0:
        return _undecided(change)
    # The whole error is lower: what is open is whether the motion gets rough.
    allowed = 1.0 + everywhere.rule.tolerance
    return (
        f"the whole error changes by {change}, but no window is left in which accelerations are shown to err at most "
        f"{allowed:g} times as much: more target episodes, or a larger --tolerance, would leave one"
    )


def _undecided(change: Change) -> str:
    if change.low > 0.0:
        return f"the whole error is raised, by {change}, though at no noise level alone it is shown to be"
    more = change.more_episodes
    told = (
        "no number of episodes in reach would tell" if more is None else f"about {more} more target episodes would tell"
    )
    return f"the whole error changes by {change}, which may be nothing: {told}"


def _ranges(sigmas: np.ndarray, mask: np.ndarray) -> str:
    """ "0.03 to 0.20 and 0.90 to 1.00": the runs of a mask over levels."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    runs = [(sigmas[low], sigmas[high - 1]) for low, high in edges.reshape(-1, 2)]
    return " and ".join(f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}" for low, high in runs)
