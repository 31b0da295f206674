# SPDX-License-Identifier: Apache-2.0
"""What cross-fitted classifiers said of chunks they never saw, and means of it whose errors come from episodes.

Chunks of one episode are no independent observations: the episode is the unit of every error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.arrays import Floats, Ints


@dataclass(frozen=True, eq=False)
class HeldOutLogits:
    """Logits of chunks, each by the model that did not see its episode.

    Args:
        index: (n,) positions in the dataset.
        episode, fold: (n,) of each chunk; the fold names the model.
        logits: (n, L, draws) float32; draws 2 i and 2 i + 1 share their noise, with opposite signs.
    """

    index: Ints
    episode: Ints
    fold: Ints
    logits: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True, eq=False)
class Scores:
    """The held-out logits of a target and one source.

    Args:
        target_name, source_name: of the datasets.
        sigmas: (L,) levels.
        target, source: held-out logits of a uniform sample of each dataset's chunks.
        cross_fitted: False for one fold, whose "held-out" chunks were trained on.
    """

    target_name: str
    source_name: str
    sigmas: Floats
    target: HeldOutLogits
    source: HeldOutLogits
    cross_fitted: bool

    def __repr__(self) -> str:
        return (
            f"{self.source_name} against {self.target_name}: {len(self.source)} and {len(self.target)} chunks at "
            f"{len(self.sigmas)} levels"
        )


@dataclass(frozen=True, eq=False)
class ChunkScores:
    """c(x_sigma, sigma) of chunks, averaged over noise draws.

    Args:
        index, episode, fold: (n,) as in `HeldOutLogits`.
        mean: (n, L) float32.
        standard_error: (n, L) float32 of the mean over draws, from pairs of draws. It knows nothing of the error of
            the classifier.
    """

    index: Ints
    episode: Ints
    fold: Ints
    mean: NDArray[np.float32]
    standard_error: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.index)


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """1 / (1 + exp(-logits)), of either sign without overflow, in the precision given."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


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
