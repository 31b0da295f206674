# SPDX-License-Identifier: Apache-2.0
"""A few chunks of every episode, evenly spread over it: for statements about episodes, at a bounded cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PER_EPISODE, _AT_LEAST, _MOST = 32, 4, 100_000
_ALONE = 10
"""Sources up to which each may take as many chunks as one would."""


def spread_over_episodes(episode: NDArray[np.int64], sources: int = 1) -> NDArray[np.int64]:
    """Ascending positions of up to 32 chunks an episode, fewer (not below 4) where there are thousands of episodes.

    Args:
        episode: (N,) of each chunk; those of an episode lie side by side, in the order of time.
        sources: that are looked at in the same run; more than ten share what ten may take.
    """
    names, first, count = np.unique(episode, return_index=True, return_counts=True)
    allowed = _MOST * _ALONE // max(sources, _ALONE)
    most = int(np.clip(allowed // len(names), _AT_LEAST, _PER_EPISODE))
    return np.concatenate(
        [
            start + np.unique(np.linspace(0, there - 1, min(most, there)).round().astype(np.int64))
            for start, there in zip(first.tolist(), count.tolist(), strict=True)
        ]
    )
