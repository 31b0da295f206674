# SPDX-License-Identifier: Apache-2.0
"""All that the held-out method came to know of one source."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.heldout.error_map import ErrorMap
from lerobot_ambient.annotate.heldout.errors import POSITION, HeldOutErrors
from lerobot_ambient.annotate.heldout.verdict import HELPS, HURTS, Verdict
from lerobot_ambient.core.windows import Window
from lerobot_ambient.figures.style import png_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


LEAST_STEPS = 300
"""Of a training; what denoisers say that were trained for less is no evidence."""


def window_words(window: Window, sigma: str = "sigma") -> str:
    """ "sigma > 0.27", "sigma < 0.10 and sigma > 0.50", "every noise level", "no noise level"."""
    if window.is_everything:
        return "every noise level"
    if window.is_nothing:
        return "no noise level"
    below = [f"{sigma} < {window.sigma_max:.2f}"] if window.sigma_max > 0.0 else []
    above = [f"{sigma} > {window.sigma_min:.2f}"] if window.sigma_min < 1.0 else []
    return " and ".join([*below, *above])


@dataclass(frozen=True, eq=False)
class HeldOutEvidence:
    """The map of a source, and what follows of it.

    Args:
        source: its name.
        denoiser: what was trained, in words.
        share: of the target beside the source in the design that was read.
        steps: of each training.
        errors: of every design.
        design, confirming: their names in `errors`; the latter None where nothing was left to confirm.
        read: the map of the source at every level.
        confirmed: the map of the design with windows; that at every level where the window is everything.
        safe, estimate: windows.
        verdict: what is said of the source.
        adds: what the source adds to the others; None where it is the only one.
        dataset: its place in the mixture, from 1 on.
        rows: (n,) of the mixture, of a part of a source by score; None for a whole one.
        group, together: with which others it was judged, as one, and how many they are with it; None and 1 where alone.
    """

    source: str
    denoiser: str
    share: float | None
    steps: int
    errors: HeldOutErrors
    design: str
    confirming: str | None
    read: ErrorMap
    confirmed: ErrorMap | None
    safe: Window
    estimate: Window
    verdict: Verdict
    adds: ErrorMap | None = None
    dataset: int = 1
    rows: NDArray[np.int64] | None = None
    group: str | None = None
    together: int = 1

    @property
    def subject(self) -> str:
        """What the verdict is of: the source, or the group that it was judged with."""
        return self.source if self.group is None else f"{self.source} (with all {self.together} of '{self.group}')"

    @property
    def samples(self) -> int | None:
        """How many samples a part of a source has; None for a whole one."""
        return None if self.rows is None else len(self.rows)

    @property
    def named(self) -> tuple[Window, Window]:
        """The safe window and the estimate that the verdict names, shown or not; nothing where it names none."""
        if self.verdict.window.is_nothing:
            return Window(1.0), Window(1.0)
        return self.safe, self.estimate

    @property
    def shown(self) -> Window:
        """The safe window where it is shown to help, else nothing: what is not known is not trained with unasked."""
        return self.safe if self.verdict.word == HELPS else Window(1.0)

    def soft_shares(self) -> list[float]:
        """The target's share at each level by what is known there: 1 where the source is as likely to hurt as not.

        1 - (1 - share) max(0, 2 P(l < 0) - 1), with the normal law of the whole error's log ratio, and 1 where
        accelerations err more than the tolerance allows.
        """
        from scipy import stats

        ratio = self.read.ratio
        assert self.share is not None
        better = stats.norm.cdf(-ratio.log[:, POSITION] / np.maximum(ratio.standard_error[:, POSITION], 1e-12))
        known = np.where(self.read.closed(safe=False), 0.0, np.clip(2.0 * better - 1.0, 0.0, 1.0))
        return [float(value) for value in 1.0 - (1.0 - self.share) * known]

    def headline(self, sigma: str = "sigma") -> str:
        """The verdict in a line: "me/sim helps at sigma > 0.27: held-out error -12 % [-15, -9], ...".

        Args:
            sigma: what the noise level is called.
        """
        verdict, window = self.verdict, window_words(self.verdict.window, sigma)
        change = verdict.everywhere if verdict.confirmed is None else verdict.confirmed
        by = f"held-out error {change}"
        if change != verdict.everywhere:
            by += f", at every level {verdict.everywhere}"
        if verdict.word == HELPS:
            return f"{self.subject} helps at {window}: {by}"
        if verdict.word == HURTS:
            return f"{self.subject} hurts, and no window is left that helps: {by}"
        where = "no window is known" if verdict.window.is_nothing else f"not known at {window}"
        said = f"not known whether {self.subject} helps" + ("" if verdict.window.is_nothing else f" at {window}")
        if verdict.everywhere.low > 0.0 and not verdict.window.is_everything:
            said = f"{self.subject} hurts in plain co-training; {where}"
        more = change.more_episodes
        return f"{said}: {by}" + (f"; about {more} more target episodes would tell" if more else "")

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the map: green where the source lowers the held-out error, red where it raises it, grey where unshown.

        Args:
            ax: of matplotlib, to draw on; a figure of its own when None.
        """
        from lerobot_ambient.annotate.heldout.figures import plot

        return plot(self, ax)

    def __repr__(self) -> str:
        said = [self.headline()]
        said += [f"  {reason}" for reason in self.verdict.reasons]
        said.append(f"  {len(self.errors.episode)} held-out target episodes, denoised by {self.denoiser}")
        return "\n".join(said)

    def _repr_html_(self) -> str:
        headline, *more = repr(self).splitlines()
        lines = "".join(f"<li>{escape(line.strip())}</li>" for line in more)
        picture = base64.b64encode(png_of(self.plot())).decode("ascii")
        return (
            f'<div><strong>{escape(headline)}</strong><ul>{lines}</ul><img width="700" alt="{escape(headline)}" '
            f'src="data:image/png;base64,{picture}"></div>'
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values: the map as ratios of errors with both ends of their intervals, and the verdict."""
        ratio, verdict = self.read.ratio, self.verdict
        low, high = ratio.interval(self.read.rule.confidence)
        return {
            "denoiser": self.denoiser,
            "group": self.group,
            "steps": self.steps,
            "target_share": self.share,
            "episodes": len(self.errors.episode),
            "folds": int(self.errors.fold.max()) + 1,
            "tolerance": self.read.rule.tolerance,
            "confidence": self.read.rule.confidence,
            "verdict": verdict.word,
            "reasons": list(verdict.reasons),
            "everywhere": verdict.everywhere.to_dict(),
            "confirmed": None if verdict.confirmed is None else verdict.confirmed.to_dict(),
            "sigmas": ratio.sigmas.tolist(),
            "bands": [*self.read.bands, "position", "acceleration"],
            "ratio": np.exp(ratio.log).tolist(),
            "low": np.exp(low).tolist(),
            "high": np.exp(high).tolist(),
            "soft_shares": self.soft_shares(),
        }
