# SPDX-License-Identifier: Apache-2.0
"""How far apart two datasets are at least, as a distance between laws, at every noise level.

Any rule that says "target" or "source" has balanced accuracy of at most (1 + d_TV) / 2, so the accuracy of the
cross-fitted classifiers on chunks they never saw bounds the total variation d_TV(p_sigma, q_sigma) from below. The rule
is the sign of the raw logit: nothing about it was chosen by looking at what it is judged on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerobot_ambient.annotate.classifier.held_out import Scores, episode_mean, widening
from lerobot_ambient.core.arrays import Floats


@dataclass(frozen=True, eq=False)
class TotalVariation:
    """A lower bound of d_TV(p_sigma, q_sigma).

    Args:
        sigmas: (L,) levels.
        separation: (L,) 2 accuracy - 1 in [-1, 1], whose expectation is at most d_TV.
        standard_error: (L,) of it, with episodes as the unit.
        freedom: degrees of freedom of the standard error.
    """

    sigmas: Floats
    separation: Floats
    standard_error: Floats
    freedom: int

    def band(self, errors: float = 1.96) -> tuple[Floats, Floats]:
        """(L,) both edges for the expectation of `separation`, within [0, 1].

        The lower edge is the claim: at 1.96 errors d_TV lies above it with 97.5 % confidence, level by level. The upper
        edge bounds what these classifiers can tell, not d_TV: a better classifier might tell more.
        """
        reach = errors * widening(self.freedom, errors) * self.standard_error
        return np.clip(self.separation - reach, 0.0, 1.0), np.clip(self.separation + reach, 0.0, 1.0)


def total_variation(scores: Scores) -> TotalVariation:
    """The bound from held-out logits.

    Raises:
        ValueError: scores that are not cross-fitted, from which no bound follows.
    """
    if not scores.cross_fitted:
        raise ValueError(
            "the accuracy on chunks that were trained on bounds no distance; train with --folds=2 or more."
        )
    # A logit of exactly 0 says nothing and counts as half.
    hits = [
        episode_mean((0.5 * (1.0 + sign * np.sign(part.logits))).mean(-1), part.episode)
        for sign, part in ((1.0, scores.target), (-1.0, scores.source))
    ]
    return TotalVariation(
        sigmas=scores.sigmas,
        separation=hits[0].mean + hits[1].mean - 1.0,
        standard_error=np.sqrt(hits[0].variance + hits[1].variance),
        freedom=min(part.episodes for part in hits) - 1,
    )
