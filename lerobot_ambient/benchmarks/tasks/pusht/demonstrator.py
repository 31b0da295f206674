# SPDX-License-Identifier: Apache-2.0
"""A demonstrator that pushes the T onto its mark, push by push, with gym-pusht itself as its model.

It chooses the push from which a second one leads nearest to the goal (`pushes.py`), measures in a copy of the world
how far that push must go, walks around the T to where it starts, pushes, and chooses again. Ways and pushes have an
even speed with soft ends.
"""

from __future__ import annotations

import heapq
import math

import numpy as np

from lerobot_ambient.benchmarks.tasks.pusht.environment import PushTEnv, put, rub
from lerobot_ambient.benchmarks.tasks.pusht.pushes import STANDOFF, STRIDE, Push, best_push, distance
from lerobot_ambient.benchmarks.tasks.pusht.styles import Style
from lerobot_ambient.benchmarks.tasks.pusht.task import OUTLINE, RADIUS, TABLE, clearance, place
from lerobot_ambient.core.arrays import Floats

_KEEP = RADIUS + 4.0
"""How near the pusher's centre may come to the T on its way to a push."""
_AROUND = RADIUS + 14.0
"""At which distance it walks around the T's corners."""
_STEP_BACK = 14.0
"""How far it steps back from the T before it walks along it."""
_RIM = 20.0
"""How near it may come to the table's rim."""
_RAMP = 2
"""Steps in which a motion gains its speed."""
_NEAR = 12.0
"""Root mean square distance of the corners below which a push aims at the goal itself, not at a place before it."""


class Imagination:
    """A copy of gym-pusht's world in which pushes are tried.

    Args:
        friction: coefficient between pusher and T.
    """

    def __init__(self, friction: float) -> None:
        self._env, self._friction = PushTEnv("state"), friction

    def poses(self, pose: Floats, start: complex, direction: complex, way: float) -> Floats:
        """The T's poses (way, 3) after every pixel of a straight push."""
        env = self._env
        # A fresh world: contacts of an earlier push would linger in this one.
        env.reset(seed=0)
        rub(env, self._friction)
        put(env, (start.real, start.imag), pose)
        # A pixel a step of gym-pusht's hundredth of a second; how fast does not matter, since the T stops at once.
        env.agent.velocity = (direction.real / env.dt, direction.imag / env.dt)
        passed = []
        for _ in range(math.ceil(way)):
            env.space.step(env.dt)
            passed.append((*env.block.position, env.block.angle))
        return np.array(passed)


class Demonstrator:
    """Plans the next push of an episode and the commands that do it.

    Args:
        style: how it moves, and where it takes the goal to be.
    """

    def __init__(self, style: Style) -> None:
        self._style, self._goal = style, style.goal
        self._world = Imagination(style.friction)

    def commands(self, pusher: Floats, pose: Floats, rng: np.random.Generator) -> tuple[Floats, Floats] | None:
        """The commands (n, 2) of the way to the next push, and those (m, 2) of the push; None if there is no way.

        Args:
            pusher: position (2,).
            pose: of the T, (3,).
            rng: of the errors of its aim.
        """
        here = complex(*pusher)
        push = best_push(pose, here, self._goal)
        too_far, aside = rng.normal(0.0, self._style.aim)
        # Not past the touch: the way up to there is free of error.
        way = STANDOFF + (self._way_of(push, pose) - STANDOFF) * max(1.0 + too_far, 0.0)
        start = push.start + aside * 1j * push.direction
        route = shortest_route(here, start, pose)
        if route is None:
            return None
        walk = along(route, self._style.walk)
        stroke = along(np.array([start, start + way * push.direction]), self._style.push)
        stay = np.full(2 + self._style.delay, stroke[-1])
        return pairs(walk), pairs(np.concatenate([stroke, stay]))

    def left(self, pose: Floats) -> float:
        """Root mean square distance of the T's corners at a pose (3,) from where they should be."""
        return self.moved(pose, self._goal)

    def moved(self, pose: Floats, other: Floats) -> float:
        """Root mean square distance of the T's corners at one pose (3,) from those at another."""
        return float(distance(np.array(complex(pose[0], pose[1])), pose[2], other))

    def _way_of(self, push: Push, pose: Floats) -> int:
        """How far to push: to where the simulated T is nearest to the planned end of the push."""
        poses = self._world.poses(pose, push.start, push.direction, push.way + 2.0 * STRIDE)
        end = self._goal if push.remaining < _NEAR and self.left(push.end) < _NEAR else push.end
        return 1 + int(np.argmin(distance(poses[:, 0] + 1j * poses[:, 1], poses[:, 2], end)))


def pairs(places: np.ndarray) -> Floats:
    """Complex places (n,) as coordinates (n, 2)."""
    return np.stack([places.real, places.imag], axis=-1)


def along(route: np.ndarray, speed: float) -> np.ndarray:
    """Places after every step of a motion along a polyline (n,) of complex corners, from rest to rest.

    It gains its speed within `_RAMP` steps and loses it as fast, so that hardly a frame shows a pusher of which cannot
    be seen whether it comes or goes. The pusher's own controller rounds the corners.
    """
    legs = np.abs(np.diff(route))
    length = float(legs.sum())
    # The ramps' speeds sum to less by what one ramp loses on either side.
    steps = max(2 * _RAMP, math.ceil(length / speed) + _RAMP)
    speeds = np.minimum(1.0, np.minimum(np.arange(1, steps + 1), np.arange(steps, 0, -1)) / (_RAMP + 1.0))
    passed = np.cumsum(speeds) / speeds.sum() * length
    ends = np.concatenate([[0.0], np.cumsum(legs)])
    return np.interp(passed, ends, route.real) + 1j * np.interp(passed, ends, route.imag)


_NORMALS = -1j * (np.roll(OUTLINE, -1) - OUTLINE) / np.abs(np.roll(OUTLINE, -1) - OUTLINE)
_POSTS = (OUTLINE + _AROUND * (_NORMALS + np.roll(_NORMALS, 1)))[[0, 1, 2, 4, 5, 7]]
"""Where it turns around the T's outer corners, in its frame."""


def shortest_route(here: complex, there: complex, pose: Floats) -> np.ndarray | None:
    """Corners of the shortest way from place to place around the T, both ends included; None if there is none."""
    backs = [_back(here, pose), _back(there, pose)]
    posts = np.concatenate([backs, place(pose, _POSTS)])
    posts = np.clip(posts.real, _RIM, TABLE - _RIM) + 1j * np.clip(posts.imag, _RIM, TABLE - _RIM)
    nodes = np.concatenate([[here, there], posts])
    best = {0: 0.0}
    before: dict[int, int] = {}
    queue = [(0.0, 0)]
    while queue:
        cost, node = heapq.heappop(queue)
        if node == 1:
            corners = [1]
            while corners[-1] != 0:
                corners.append(before[corners[-1]])
            return nodes[corners[::-1]]
        if cost > best[node]:
            continue
        for other in range(1, len(nodes)):
            further = cost + abs(nodes[other] - nodes[node])
            if further < best.get(other, math.inf) and _free(nodes[node], nodes[other], pose):
                best[other], before[other] = further, node
                heapq.heappush(queue, (further, other))
    return None


def _back(place_: complex, pose: Floats) -> complex:
    """A little farther from the T."""
    ahead, aside = clearance(place_ + np.array([0.5, 0.5j]), pose) - clearance(place_ - np.array([0.5, 0.5j]), pose)
    return complex(place_ + _STEP_BACK * complex(ahead, aside))


def _free(one: complex, other: complex, pose: Floats) -> bool:
    """Whether the pusher may go straight; it may always leave where it is, and arrive where a push starts."""
    way = abs(other - one)
    shares = np.linspace(0.0, 1.0, 2 + int(way / 4.0))
    gaps = clearance(one + shares * (other - one), pose)
    leaving, arriving = gaps[0] - 0.5 + 0.2 * shares * way, gaps[-1] - 0.5 + 0.2 * (1.0 - shares) * way
    keep = np.minimum(_KEEP, np.minimum(leaving, arriving))
    return bool((gaps >= keep).all())
