# SPDX-License-Identifier: Apache-2.0
"""Whether a source holds episodes of the target under another name: a target was picked from it, or both are copies.

The same folder is refused when a mixture is made. A copy has another folder, and only its numbers tell.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import numpy as np
from lerobot.utils.constants import ACTION

from lerobot_ambient.data.alignment.aligned_source import AlignedSource

_SHOWN = 10


def copied_episodes(target: AlignedSource, source: AlignedSource) -> list[int]:
    """The source's episodes whose actions are those of an episode of the target, number for number.

    Args:
        target: as opened.
        source: aligned, in the target's units.
    """
    alike: dict[Hashable, list[int]] = {}
    for episode, mark in _marks(target):
        alike.setdefault(mark, []).append(episode)
    return sorted(
        int(source.episode_ids[episode])
        for episode, mark in _marks(source)
        if any(np.array_equal(_actions(source, episode), _actions(target, one)) for one in alike.get(mark, ()))
    )


def told_of_copies(target: AlignedSource, source: AlignedSource) -> list[str]:
    """A line on the episodes that both have, if there are any."""
    copied = copied_episodes(target, source)
    if not copied:
        return []
    whole = len(copied) == len(source.episode_ids)
    which = "all its episodes are" if whole else f"{len(copied)} of its {len(source.episode_ids)} episodes are"
    more = ", ..." if len(copied) > _SHOWN else ""
    fix = "Remove the source" if whole else "Leave them out with its `episodes`"
    return [
        f"'{source.name}': {which} the target's, action for action (episodes "
        f"{', '.join(map(str, copied[:_SHOWN]))}{more}). They are suspect and trusted at once, and a held-out map of "
        f"the target, whose episodes this source teaches, is too hopeful. {fix}."
    ]


def _marks(source: AlignedSource) -> Iterator[tuple[int, Hashable]]:
    """What is the same of equal episodes and cheap to compare: length, first and last action."""
    actions = source.columns[ACTION]
    for episode, (start, stop) in enumerate(zip(source.starts.tolist(), source.stops.tolist(), strict=True)):
        yield episode, (stop - start, actions[start].tobytes(), actions[stop - 1].tobytes())


def _actions(source: AlignedSource, episode: int) -> np.ndarray:
    return source.columns[ACTION][source.starts[episode] : source.stops[episode]]
