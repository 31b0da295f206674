# SPDX-License-Identifier: Apache-2.0
"""The report's figure of the episodes: how often each is taken for the target's, how far each sticks out, and which to
look at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.annotate.classifier.episode_scores import EpisodeScores
from lerobot_ambient.annotate.episodes.odd import OddEpisodes
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.figures.style import (
    FAINT,
    HEIGHT,
    LIMIT,
    SOURCE,
    TARGET,
    Picture,
    legend_above,
    new_figure,
    png_of,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 25
_LABELLED = 12
_TOP = 100.0
"""Deviations above are drawn here."""


@styled
def draw_episodes(odd: OddEpisodes, source: EpisodeScores | None, target: EpisodeScores | None) -> Picture:
    """A dot per episode of the source, odd ones ringed and numbered; a classifier's scores above, if there are any.

    Args:
        odd: what sticks out.
        source, target: scores of the episodes of either dataset; None without a classifier.
    """
    reading = (
        "How far each episode sticks out of its dataset by the place of a joint, the amount of motion or the roughness "
        f"of a joint{' or the score above' if source is not None else ''}. {odd.rule}"
    )
    alt = (
        f"Look first at {', '.join(str(one.episode) for one in odd.found[:_LABELLED])}."
        if odd.found
        else "No episode sticks out."
    )
    if source is None or target is None:
        figure = new_figure()
        _deviations(figure.subplots(), odd)
        return Picture("episodes.png", png_of(figure), "Episodes", reading, alt)
    figure = new_figure(1.6 * HEIGHT)
    (dots, beside), (below, empty) = figure.subplots(
        2, 2, sharex="col", width_ratios=(3.4, 1.0), height_ratios=(1.3, 1.0)
    )
    empty.set_visible(False)
    _scores(dots, source, odd)
    _distributions(beside, source, target)
    _deviations(below, odd)
    low, high = np.quantile(source.score, [0.1, 0.9])
    return Picture(
        "episodes.png",
        png_of(figure),
        "Episodes",
        f"Above: how often the chunks of each episode are taken for the target's at sigma {source.sigma:.2f}, by "
        "classifiers that did not see it; 0.5 is guessing. A classifier can say little of an episode like neither "
        f"dataset, so it may lie anywhere. Below: {reading[0].lower()}{reading[1:]}",
        f"80 % of the source's episodes score between {low:.2f} and {high:.2f}, the median target episode "
        f"{np.median(target.score):.2f}. {alt}",
    )


def _scores(axis: Axes, source: EpisodeScores, odd: OddEpisodes) -> None:
    axis.axhline(0.5, color=FAINT, linewidth=1.0)
    usual = float(np.median(source.score))
    axis.axhline(usual, color=LIMIT, linestyle="--", linewidth=1.0, label=f"median {usual:.2f}")
    _dots(axis, odd, source.score)
    axis.set_ylim(-0.05, 1.08)
    axis.set_ylabel('mean probability\nof "target"')
    legend_above(axis, 3)


def _deviations(axis: Axes, odd: OddEpisodes) -> None:
    from matplotlib.ticker import MaxNLocator

    if np.isfinite(odd.limit):
        axis.axhline(odd.limit, color=LIMIT, linestyle="--", linewidth=1.0, label=f"limit {odd.limit:.1f}")
    _dots(axis, odd, np.clip(odd.deviations, 0.5, _TOP))
    axis.set_yscale("log")
    axis.set_ylim(0.4, 1.9 * _TOP)
    axis.set_yticks([1, 3, 10, 30, 100], ["1", "3", "10", "30", "100"])
    axis.minorticks_off()
    axis.set_xlabel("episode of the source")
    axis.set_ylabel("robust standard\ndeviations")
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend_above(axis, 3)


def _distributions(axis: Axes, source: EpisodeScores, target: EpisodeScores) -> None:
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    for scores, colour, label in ((target, TARGET, "target"), (source, SOURCE, "source")):
        share = 100.0 * np.histogram(scores.score, edges)[0] / len(scores.score)
        axis.stairs(share, edges, orientation="horizontal", fill=True, color=colour, alpha=0.25)
        axis.stairs(share, edges, orientation="horizontal", color=colour, linewidth=1.1, label=label)
    axis.set_ylim(-0.05, 1.08)
    axis.tick_params(labelleft=False, labelbottom=True)
    axis.set_xlabel("episodes (%)")
    legend_above(axis, 1)


def _dots(axis: Axes, odd: OddEpisodes, heights: Floats) -> None:
    size = float(np.clip(900.0 / len(odd.episode), 3.0, 20.0))
    axis.scatter(odd.episode, heights, s=size, color=SOURCE, alpha=0.75, linewidths=0, label="an episode")
    if not odd.found:
        return
    numbers = [one.episode for one in odd.found]
    at = heights[np.searchsorted(odd.episode, numbers)]
    axis.scatter(numbers, at, s=60, facecolors="none", edgecolors="black", linewidths=1.1, label="look first")
    for number, height in list(zip(numbers, at, strict=True))[:_LABELLED]:
        axis.annotate(
            str(number), (number, height), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7.5
        )
