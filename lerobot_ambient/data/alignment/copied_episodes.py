# SPDX-License-Identifier: Apache-2.0
"""Whether a source holds episodes of the target under another name: a target was picked from it, or both are copies.

The same folder is refused when a mixture is made. A copy has another folder, and only its numbers tell.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

import numpy as np
from lerobot.utils.constants import ACTION

from lerobot_ambient.data.alignment.aligned_source import AlignedSource

_SHOWN = 10


def told_of_copies(target: AlignedSource, sources: Sequence[AlignedSource]) -> list[str]:
    """A line on each source that holds episodes of the target.

    Args:
        target: as opened.
        sources: aligned, in the target's units.
    """
    marked = by_mark(target)
    found = [(source, copied_episodes(target, source, marked)) for source in sources]
    return [_line(source, copied) for source, copied in found if copied]


def by_mark(target: AlignedSource) -> Mapping[Hashable, Sequence[int]]:
    """The places of the target's episodes by their marks, for `copied_episodes` of every source."""
    found: dict[Hashable, list[int]] = {}
    for episode, mark in _marks(target):
        found.setdefault(mark, []).append(episode)
    return found


def copied_episodes(
    target: AlignedSource, source: AlignedSource, marked: Mapping[Hashable, Sequence[int]]
) -> list[int]:
    """The source's episodes whose actions are those of an episode of the target, number for number."""
    return sorted(
        int(source.episode_ids[episode])
        for episode, mark in _marks(source)
        if any(np.array_equal(_actions(source, episode), _actions(target, one)) for one in marked.get(mark, ()))
    )


def _line(source: AlignedSource, copied: Sequence[int]) -> str:
    whole = len(copied) == len(source.episode_ids)
    which = "all its episodes are" if whole else f"{len(copied)} of its {len(source.episode_ids)} episodes are"
    more = ", ..." if len(copied) > _SHOWN else ""
    fix = "Remove the source" if whole else "Leave them out with its `episodes`"
    return (
        f"'{source.name}': {which} the target's, action for action (episodes "
        f"{', '.join(map(str, copied[:_SHOWN]))}{more}). They are suspect and trusted at once, and a held-out map of "
        f"the target, whose episodes this source teaches, is too hopeful. {fix}."
    )


def _marks(source: AlignedSource) -> Iterator[tuple[int, Hashable]]:
    """What is the same of equal episodes and cheap to compare: length, first and last action."""
    actions = source.columns[ACTION]
    for episode, (start, stop) in enumerate(zip(source.starts.tolist(), source.stops.tolist(), strict=True)):
        yield episode, (stop - start, actions[start].tobytes(), actions[stop - 1].tobytes())


def _actions(source: AlignedSource, episode: int) -> np.ndarray:
    return source.columns[ACTION][source.starts[episode] : source.stops[episode]]
