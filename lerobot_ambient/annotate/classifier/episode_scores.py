# SPDX-License-Identifier: Apache-2.0
"""How often each episode of a source is taken for the target's, at one low noise level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.classifier.calibration import Calibration
from lerobot_ambient.annotate.classifier.held_out import sigmoid
from lerobot_ambient.core.arrays import Floats, Ints

LEVEL = 0.1
"""The scores are those of the level nearest to it: noise that hides rounding and leaves the motion."""


@dataclass(frozen=True, eq=False)
class EpisodeScores:
    """Held-out scores of the episodes of one dataset, each by the model that did not see it.

    Args:
        sigma: the level.
        episode: (E,) numbers, ascending.
        score: (E,) mean of c over chunks of the episode and noise, as if every separation were real.
        log_odds: (E,) mean of the logits behind it, which does not saturate.
    """

    sigma: float
    episode: Ints
    score: Floats
    log_odds: Floats


def level_near(sigmas: Floats) -> int:
    """Which of the levels (L,) scores are given at."""
    return int(np.abs(sigmas - LEVEL).argmin())


def episode_scores(
    sigmas: Floats, level: int, logits: NDArray[np.floating], episode: Ints, seen: Calibration
) -> EpisodeScores:
    """Scores of episodes from logits of some of their chunks.

    Args:
        sigmas: (L,) levels.
        level: which of them.
        logits: (n, draws) raw, at that level.
        episode: (n,) of the chunks.
        seen: the calibration that takes every separation for real.
    """
    calibrated = seen.scale[level] * logits.astype(np.float64) + seen.shift[level]
    names, which = np.unique(episode, return_inverse=True)
    count = np.bincount(which)
    score, log_odds = (
        np.bincount(which, weights=values.mean(1)) / count for values in (sigmoid(calibrated), calibrated)
    )
    return EpisodeScores(float(sigmas[level]), names, score, log_odds)
