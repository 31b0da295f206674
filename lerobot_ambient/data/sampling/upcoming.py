# SPDX-License-Identifier: Apache-2.0
"""Draws that tell what will be drawn later: the order is a pure function of position, so it can be read ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice


class Draw(int):
    """A frame's position, as the sampler yields it, with what its reader may prepare meanwhile.

    Args:
        position: of the frame.
        upcoming: position of a frame that is drawn later; None at the very end.
        unannounced: whether no earlier draw told of this one.
    """

    upcoming: int | None
    unannounced: bool

    def __new__(cls, position: int, upcoming: int | None, unannounced: bool) -> Draw:
        draw = super().__new__(cls, position)
        draw.upcoming, draw.unannounced = upcoming, unannounced
        return draw

    def __reduce__(self) -> tuple[type[Draw], tuple[int, int | None, bool]]:
        return Draw, (int(self), self.upcoming, self.unannounced)


def with_upcoming(stream: Iterable[int], following: Iterable[int], ahead: int) -> Iterator[Draw]:
    """The stream's positions, in order, each with the one `ahead` places later.

    Args:
        stream: positions of an epoch.
        following: those of the epoch after it.
        ahead: places, at least 1.
    """
    rest, later = iter(stream), iter(following)
    waiting = deque(islice(rest, ahead))
    # In an epoch shorter than that, the next one's first frames are never announced.
    missing = ahead - len(waiting)
    drawn = 0
    for upcoming in rest:
        waiting.append(upcoming)
        yield Draw(waiting.popleft(), upcoming, drawn < ahead)
        drawn += 1
    later = islice(later, missing, None)
    while waiting:
        yield Draw(waiting.popleft(), next(later, None), drawn < ahead)
        drawn += 1
