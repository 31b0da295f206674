# SPDX-License-Identifier: Apache-2.0
"""Which straight push brings the T nearest to where it should be: a model of pushing, and a search over two pushes.

gym-pusht's contact has no friction and its table stops the T at once, so a push acts along the normal of the touched
edge: the T moves by lambda along it and turns by lambda b / I about its centre of mass, where b is the lever of the
contact and I the moment of inertia over the mass; lambda is what the pusher would otherwise overlap. That is exact up
to the simulator's tolerances, while the pusher stays on the edge.

Symbols: poses are complex origins and angles, (poses, pushes) or (strides + 1, poses, pushes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerobot_ambient.benchmarks.tasks.pusht.task import CENTRE, GOAL, INERTIA, OUTLINE, RADIUS, TABLE
from lerobot_ambient.core.arrays import Floats

STANDOFF = 6.0
"""Gap between pusher and edge where a push starts."""
STRIDE, _STRIDES = 4.0, 40
"""Length of the model's strides, and how many it looks ahead."""
_KEPT = 24
"""How many first pushes are followed by a second one."""
_INNER = (15 + 30j, -15 + 30j)
_MARGIN = 22.0
"""The pusher's centre stays this far from the table's rim."""
_MEAN = complex(OUTLINE.mean())
_SPREAD = float(np.mean(np.abs(OUTLINE) ** 2))


@dataclass(frozen=True)
class Push:
    """A straight push.

    Args:
        start: the pusher's centre where it starts, complex.
        direction: of the pusher, complex, of length 1.
        way: how far it goes from there.
        end: the pose that the model says it leads to, (3,).
        remaining: root mean square distance of the T's corners from the goal, after the search's last push.
    """

    start: complex
    direction: complex
    way: float
    end: Floats
    remaining: float


_SITES = (
    *((complex(x, 0), -1j) for x in (-45, 0, 45)),  # the bar's outer edge
    *((complex(x, 30), 1j) for x in (-45, 45)),  # its inner edges
    *((complex(60 * side, 15), complex(side)) for side in (-1, 1)),  # its ends
    *((complex(15 * side, 105), complex(side)) for side in (-1, 1)),  # the sides of the stem
    (0 + 120j, 1j),  # its end
)
"""Where it pushes, in the T's frame, and the outward normals there. Ten places are enough to move and turn the T every
way, and so few that a policy can learn from some dozens of episodes which of them is next."""
_POINTS, _NORMALS = (np.array(values, dtype=complex) for values in zip(*_SITES, strict=True))


def _room() -> tuple[Floats, Floats]:
    """How far the contact of each push may slide to either side along its edge, which leads left of the normal."""
    behind, ahead = [], []
    for point, normal in _SITES:
        for corner, after in zip(OUTLINE, np.roll(OUTLINE, -1), strict=True):
            tangent = (after - corner) / abs(after - corner)
            if abs(tangent - 1j * normal) < 1e-9 and abs(((point - corner) * np.conj(normal)).real) < 1e-9:
                along = ((point - corner) * np.conj(tangent)).real
                # The pusher has no room in the two inner corners.
                low = RADIUS + 1.0 if corner in _INNER else 0.0
                high = abs(after - corner) - (RADIUS + 1.0 if after in _INNER else 0.0)
                if low <= along <= high:
                    behind.append(low - along)
                    ahead.append(high - along)
    return np.array(behind), np.array(ahead)


_BEHIND, _AHEAD = _room()
_CENTRES = (CENTRE - _POINTS) / _NORMALS
"""Where the centre of mass lies, from those points: the real part beyond the edge's line, the imaginary part along."""


def distance(origins: np.ndarray, angles: Floats, goal: Floats = GOAL) -> Floats:
    """Root mean square distance of the T's corners from where they should be, of the shape of `origins`."""
    turn = np.exp(1j * angles) - np.exp(1j * goal[2])
    shift = origins - complex(goal[0], goal[1])
    squared = np.abs(turn) ** 2 * _SPREAD + np.abs(shift) ** 2 + 2.0 * (np.conj(shift) * turn * _MEAN).real
    root: Floats = np.sqrt(np.maximum(squared, 0.0))
    return root


def predict(origins: np.ndarray, angles: Floats) -> tuple[np.ndarray, Floats, np.ndarray, np.ndarray]:
    """All pushes from some poses.

    Args:
        origins, angles: (poses,).

    Returns:
        Origins and angles after 0, 1, ... strides of `STRIDE` beyond the touch, (strides + 1, poses, pushes), NaN
        once the pusher has left the edge or the table; where the pushes start and their directions, (poses, pushes).
    """
    shape = (len(origins), len(_POINTS))
    turn = np.broadcast_to(np.exp(1j * angles)[:, None], shape)
    direction = -turn * _NORMALS
    touch = origins[:, None] + turn * (_POINTS + RADIUS * _NORMALS)
    start = touch - STANDOFF * direction
    places = np.full((_STRIDES + 1, *shape), np.nan, dtype=complex)
    turned = np.full((_STRIDES + 1, *shape), np.nan)
    # Those that go on, side by side: the longest pushes are few.
    rows, pushes = np.nonzero(_on_table(start))
    origin, angle = origins[rows], angles[rows]
    places[0, rows, pushes], turned[0, rows, pushes] = origin, angle
    normal, turn, direction = _NORMALS[pushes], turn[rows, pushes], direction[rows, pushes]
    middle, pusher = origin + CENTRE * turn, touch[rows, pushes]
    behind, ahead, edge = _BEHIND[pushes], _AHEAD[pushes], _CENTRES[pushes]
    for stride in range(1, _STRIDES + 1):
        pusher = pusher + STRIDE * direction
        # Seen from the centre of mass: the real part beyond the edge's line, the imaginary part along the edge.
        seen = (pusher - middle) / (turn * normal)
        along = seen.imag + edge.imag
        going = (along >= behind) & (along <= ahead) & _on_table(pusher)
        if not going.all():
            rows, pushes, pusher, middle, direction = (
                values[going] for values in (rows, pushes, pusher, middle, direction)
            )
            normal, turn, angle, seen, behind, ahead, edge = (
                values[going] for values in (normal, turn, angle, seen, behind, ahead, edge)
            )
        if not len(rows):
            break
        lever = seen.imag
        move = (RADIUS - seen.real - edge.real) / (1.0 + lever**2 / INERTIA)
        middle = middle - move * turn * normal
        angle = angle + move * lever / INERTIA
        turn = np.exp(1j * angle)
        places[stride, rows, pushes], turned[stride, rows, pushes] = middle - CENTRE * turn, angle
    return places, turned, start, np.broadcast_to(-np.exp(1j * angles)[:, None] * _NORMALS, shape)


def _on_table(places: np.ndarray) -> np.ndarray:
    inside: np.ndarray = np.maximum(np.abs(places.real - TABLE / 2), np.abs(places.imag - TABLE / 2)) <= (
        TABLE / 2 - _MARGIN
    )
    return inside


def best_push(pose: Floats, pusher: complex, goal: Floats = GOAL, per_push: float = 2.0, per_way: float = 0.01) -> Push:
    """The push to do first, so that it and perhaps a second one bring the T nearest to its goal.

    Args:
        pose: of the T, (3,).
        pusher: where it is.
        goal: pose to reach, (3,).
        per_push, per_way: what a second push, and a pixel of way to the first one's start, count for.
    """
    origins, angles, starts, directions = predict(np.array([complex(pose[0], pose[1])]), pose[2:])
    left = distance(origins[1:, 0], angles[1:, 0], goal)
    left = np.where(np.isfinite(left), left, np.inf)
    walk = per_way * np.abs(starts[0] - pusher)
    single = np.unravel_index(np.argmin(left + walk), left.shape)
    # Ends that are near already, or from which much may be reached: every second stride of every push, the best ones.
    ends = np.argsort((left + walk)[::3].ravel(), kind="stable")[:_KEPT]
    strides, pushes = np.unravel_index(ends, left[::3].shape)
    strides = 3 * strides
    after = predict(origins[1 + strides, 0, pushes], angles[1 + strides, 0, pushes])
    twice = distance(after[0][1:], after[1][1:], goal)
    twice = np.where(np.isfinite(twice), twice, np.inf).min(axis=(0, 2)) + walk[pushes] + per_push
    second = int(np.argmin(twice))
    if twice[second] < (left + walk)[single]:
        stride, push, remaining = int(strides[second]), int(pushes[second]), float(twice[second])
    else:
        stride, push, remaining = int(single[0]), int(single[1]), float(left[single])
    origin, angle = origins[1 + stride, 0, push], angles[1 + stride, 0, push]
    return Push(
        complex(starts[0, push]),
        complex(directions[0, push]),
        STANDOFF + STRIDE * (stride + 1),
        np.array([origin.real, origin.imag, angle]),
        remaining,
    )
