# SPDX-License-Identifier: Apache-2.0
"""Demonstrated paths of the arm, each pure in (number, kind, seed).

Target: the shortest of several plans, rounded, with gentle starts and stops, and then smoothed as far as it stays
clear: what an engineer would run on the robot. Source: a random tree's path at constant speed, corners, detours and
all, which comes cheap and closer to the obstacles. Both are free of collisions, and end at their goals.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.arm7.planner import raw_path, short_path
from lerobot_ambient.benchmarks.tasks.arm7.scene import ArmScene
from lerobot_ambient.benchmarks.tasks.arm7.task import CLEARANCE, EPISODE_LENGTH, SPACING, draw_task
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import KINDS, Kind
from lerobot_ambient.core.arrays import Floats

CLEARANCES: dict[Kind, float] = {"target": CLEARANCE, "source": 0.01}
"""How far, in m, demonstrations keep from obstacles."""
_TRIES = 4
"""Plans from which the target takes the shortest."""
RAMP = 5
"""Steps in which the target gathers its speed, and loses it."""
_STIFFNESSES = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.0)
"""How much a smoothed path minds curvature, the most first."""
ATTEMPTS = 20
_STREAM = 0x61726D37
"""First word of every spawn key, so that no demonstration shares a stream with an environment's reset seed."""


@cache
def _scene_with(clearance: float) -> ArmScene:
    """The process's scene with a clearance: building one takes longer than a path."""
    return ArmScene(clearance)


def at_constant_speed(vertices: Floats) -> Floats:
    """The polyline (m, 7) at `SPACING` or a little more or less, both ends included; shape (n, 7)."""
    length = _along(vertices)[-1]
    return _at(vertices, np.linspace(0.0, length, max(1, round(length / SPACING)) + 1))


def with_ramps(vertices: Floats) -> Floats:
    """The polyline (m, 7) from rest to rest: the speed rises over `RAMP` steps, stays near `SPACING` a step, and
    falls as it rose; shape (n, 7)."""
    length = _along(vertices)[-1]
    steps = max(1, round(length / SPACING)) + RAMP
    before = np.arange(steps) + 0.5
    speed = np.minimum(1.0, np.minimum(before, before[::-1]) / RAMP)
    travelled = np.concatenate([[0.0], np.cumsum(speed)])
    return _at(vertices, travelled * (length / travelled[-1]))


def smoothed(path: Floats, stiffness: float) -> Floats:
    """The x (n, 7) with the ends of `path` that minimises |x - path|^2 + stiffness |second differences of x|^2.

    The arm rests before the first and after the last configuration, which counts as well, so the ramps stay gentle.
    """
    inner = len(path) - 2
    if inner < 1 or stiffness == 0.0:
        return path.copy()
    second = np.diff(np.eye(len(path) + 2), 2, axis=0)
    # The configurations of rest are copies of the ends.
    second = np.column_stack([second[:, :2].sum(1), second[:, 2:-2], second[:, -2:].sum(1)])
    curvature = second.T @ second
    free = slice(1, -1)
    ends = [0, -1]
    system = np.eye(inner) + stiffness * curvature[free, free]
    given = path[free] - stiffness * curvature[free][:, ends] @ path[ends]
    return np.vstack([path[:1], np.linalg.solve(system, given), path[-1:]])


def path_free(scene: ArmScene, path: NDArray[np.floating]) -> bool:
    """Whether the motions between neighbours of the path (n, 7) are free, and its first configuration."""
    places = np.asarray(path, np.float64)
    return scene.free(places[0]) and all(scene.motion_free(start, end) for start, end in pairwise(places))


def attempt(kind: Kind, sequence: np.random.SeedSequence) -> NDArray[np.float32] | None:
    """A path float32 (n, 7) for a start and goal of the sequence; None if no plan was found, or it takes too long
    for the environment, or did not survive sampling."""
    draw, planning = sequence.spawn(2)
    start, goal = draw_task(np.random.default_rng(draw), _scene_with(CLEARANCE))
    scene = _scene_with(CLEARANCES[kind])
    # OMPL takes 0 for "no seed given".
    seed = int(planning.generate_state(1)[0]) or 1
    if kind == "source":
        vertices = raw_path(scene, start, goal, seed)
        candidates = [] if vertices is None else [at_constant_speed(vertices)]
    else:
        vertices = short_path(scene, start, goal, seed, _TRIES)
        candidates = [] if vertices is None else [smoothed(with_ramps(vertices), one) for one in _STIFFNESSES]
    # Cutting corners and rounding cost some clearance; a third of it may go.
    kept = _scene_with(CLEARANCES[kind] * 2.0 / 3.0)
    paths = (candidate.astype(np.float32) for candidate in candidates if len(candidate) <= EPISODE_LENGTH)
    return next((path for path in paths if path_free(kept, path)), None)


def demonstration(number: int, kind: Kind, seed: int) -> NDArray[np.float32]:
    """Demonstration `number` of a kind, a path float32 (n, 7). It does not depend on how many are made."""
    for retry in range(ATTEMPTS):
        sequence = np.random.SeedSequence(seed, spawn_key=(_STREAM, KINDS.index(kind), number, retry))
        path = attempt(kind, sequence)
        if path is not None:
            return path
    raise RuntimeError(f"arm7, {kind}: demonstration {number} of seed {seed} failed {ATTEMPTS} times")


def demonstrations(kind: Kind, count: int, seed: int, processes: int) -> Iterator[NDArray[np.float32]]:
    """The first `count` demonstrations of a kind, in order; `processes` does not change them."""
    make = partial(demonstration, kind=kind, seed=seed)
    if processes == 1:
        yield from map(make, range(count))
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        yield from pool.map(make, range(count), chunksize=20 if count >= 200 else 1)


def _along(vertices: Floats) -> Floats:
    """Arc length at every vertex."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(vertices, axis=0), axis=1))])


def _at(vertices: Floats, stations: Floats) -> Floats:
    """Points of the polyline at arc lengths (n,)."""
    along = _along(vertices)
    return np.stack([np.interp(stations, along, joint) for joint in vertices.T], axis=1)
