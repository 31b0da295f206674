# SPDX-License-Identifier: Apache-2.0
"""Means over chunks whose errors come from episodes: chunks of one episode are no independent observations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.classifier.held_out import Floats, Ints


@dataclass(frozen=True, eq=False)
class EpisodeMean:
    """A mean over chunks, and what each episode contributes to its deviation.

    Args:
        mean: (L,).
        influence: (E, L), the sum over an episode's chunks of (value - mean) / n; columns sum to 0.
    """

    mean: Floats
    influence: Floats

    @property
    def episodes(self) -> int:
        return len(self.influence)

    @property
    def variance(self) -> Floats:
        """(L,) of the mean, between episodes; infinite for a single episode."""
        if self.episodes < 2:
            return np.full_like(self.mean, np.inf)
        return (self.influence**2).sum(0) * self.episodes / (self.episodes - 1)


def episode_mean(values: NDArray[np.floating], episode: Ints) -> EpisodeMean:
    """The mean of values (n, L) over chunks, with episodes (n,) as the unit of its error."""
    _, which = np.unique(episode, return_inverse=True)
    count = np.bincount(which)
    sums = np.stack([np.bincount(which, weights=column) for column in values.T], axis=1)
    mean = sums.sum(0) / count.sum()
    return EpisodeMean(mean, (sums - count[:, None] * mean) / count.sum())


def widening(freedom: int, errors: float = 2.0) -> float:
    """What a standard error from few episodes must be multiplied by to cover as `errors` normal ones do.

    The ratio of the quantiles of Student's t with `freedom` degrees of freedom and of the normal law: 1.0 for many
    episodes, 1.1 for 10, 7 for 2 episodes.
    """
    # Imported here: spectra do without the extra that brings it.
    from scipy.special import ndtr, stdtrit

    return float(stdtrit(freedom, ndtr(errors))) / errors if freedom > 0 else np.inf
