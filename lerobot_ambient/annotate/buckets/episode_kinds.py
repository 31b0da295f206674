# SPDX-License-Identifier: Apache-2.0
"""Whether some of a source's episodes are like the target's and others far from it: one window cannot fit both.

A fault that every episode has puts their windows around one level. A fault of some episodes, a demonstration that goes
astray here and there, leaves a heap of windows at 0 and one near 1, and the dataset's own between, where it fits none.
"""

from __future__ import annotations

from lerobot_ambient.annotate.buckets.windows import BucketWindows

_CHUNKS, _EPISODES = 5, 20
"""Chunks by which an episode is judged, and episodes by which a source is."""
_FAR = 0.5
"""A sigma_min above this is far from the target."""
_ALIKE, _APART = 1 / 3, 0.1
"""Shares of the episodes. Of sources whose every episode trembles or hesitates up to 0.08 were admitted everywhere, of
mixtures with 30 % of broken episodes 0.6 (docs/results/README.md, Meta-World)."""


def two_kinds(windows: BucketWindows) -> str | None:
    """What to do with a source of two kinds of episodes, in words; None where it is of one, or too little was seen.

    Args:
        windows: of its episodes, each a bucket.
    """
    levels = windows.sigma_min[windows.sizes >= _CHUNKS]
    if len(levels) < _EPISODES:
        return None
    alike, apart = (levels == 0.0).sum(), (levels > _FAR).sum()
    if alike < _ALIKE * len(levels) or apart < _APART * len(levels):
        return None
    return (
        f"Of two kinds: {alike} of {len(levels)} episodes look like the target's at every level, {apart} differ even "
        f"above {_FAR:g}. One window fits neither: give each episode its own, --granularity=bucket --bucket=episode, "
        "or leave the others out."
    )
