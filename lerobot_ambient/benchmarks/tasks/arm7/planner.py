# SPDX-License-Identifier: Apache-2.0
"""Paths of the arm by OMPL: raw ones of a random tree, and short ones, the best of several simplified plans."""

from __future__ import annotations

import itertools

import numpy as np
from ompl import base, geometric, util

from lerobot_ambient.benchmarks.tasks.arm7.scene import ArmScene
from lerobot_ambient.benchmarks.tasks.arm7.task import CENTRE, HIGH, JOINTS, LOW, SPREAD
from lerobot_ambient.core.arrays import Floats

RANGE = 0.4
"""Longest edge of a tree, in rad: short enough that raw paths are clearly jagged."""
_GOAL_BIAS = 0.2
"""How often a raw tree grows towards the goal: enough that its detours stay within what can be learnt."""
MAX_ITERATIONS = 2000
_ROOM = 0.3
"""How far beyond the starts and goals, in rad a joint, a path may lead."""


class _FreeConfiguration(base.StateValidityChecker):  # type: ignore[misc]
    def __init__(self, information: base.SpaceInformation, scene: ArmScene) -> None:
        super().__init__(information)
        self._scene = scene

    def isValid(self, state: base.State) -> bool:  # noqa: N802 (OMPL's name)
        return self._scene.free(_angles(state))


class _FreeMotion(base.MotionValidator):  # type: ignore[misc]
    """As the environment checks motions."""

    def __init__(self, information: base.SpaceInformation, scene: ArmScene) -> None:
        super().__init__(information)
        self._scene = scene

    def checkMotion(self, start: base.State, end: base.State) -> bool:  # noqa: N802 (OMPL's name)
        return self._scene.motion_free(_angles(start), _angles(end))


class _Problem:
    """One start and goal. Everything that holds random numbers in OMPL is made anew after the seed is set, so paths
    do not depend on what was planned before in the process, although OMPL has but one global seed. The search ends
    after a number of iterations, not after a time, so that a slow machine gives the same paths."""

    def __init__(self, scene: ArmScene, start: Floats, goal: Floats, seed: int) -> None:
        # Above errors, because OMPL calls it one to set the seed twice; it does set it.
        util.setLogLevel(util.LogLevel.LOG_NONE)
        util.RNG.setSeed(seed)
        space = base.RealVectorStateSpace(JOINTS)
        bounds = base.RealVectorBounds(JOINTS)
        widest = SPREAD + _ROOM
        for joint in range(JOINTS):
            bounds.setLow(joint, max(LOW[joint], CENTRE[joint] - widest[joint]))
            bounds.setHigh(joint, min(HIGH[joint], CENTRE[joint] + widest[joint]))
        space.setBounds(bounds)
        self.information = base.SpaceInformation(space)
        # Held here, because OMPL does not keep Python's objects alive.
        self._checks = _FreeConfiguration(self.information, scene), _FreeMotion(self.information, scene)
        self.information.setStateValidityChecker(self._checks[0])
        self.information.setMotionValidator(self._checks[1])
        self.information.setup()
        self._definition = base.ProblemDefinition(self.information)
        self._definition.setStartAndGoalStates(_state(space, start), _state(space, goal))

    def solve(self, planner: base.Planner) -> geometric.PathGeometric | None:
        planner.setRange(RANGE)
        planner.setProblemDefinition(self._definition)
        planner.setup()
        iterations = itertools.count()
        planner.solve(base.PlannerTerminationCondition(lambda: next(iterations) >= MAX_ITERATIONS))
        return self._definition.getSolutionPath() if self._definition.hasExactSolution() else None


def raw_path(scene: ArmScene, start: Floats, goal: Floats, seed: int) -> Floats | None:
    """The vertices (n, 7) of the path RRT finds, as it finds it; None if it finds nothing.

    Args:
        scene: whose clearance the path keeps.
        start, goal: (7,) each.
        seed: in [1, 2**32).
    """
    problem = _Problem(scene, start, goal, seed)
    planner = geometric.RRT(problem.information)
    planner.setGoalBias(_GOAL_BIAS)
    path = problem.solve(planner)
    return None if path is None else _vertices(path)


def short_path(scene: ArmScene, start: Floats, goal: Floats, seed: int, tries: int) -> Floats | None:
    """The vertices (n, 7) of the shortest of `tries` paths of RRT-Connect, each cut short and rounded by OMPL's
    simplifier; None if none was found. The other arguments are those of `raw_path`."""
    best: Floats | None = None
    for number in range(tries):
        problem = _Problem(scene, start, goal, (seed + number) % (2**32 - 1) + 1)
        path = problem.solve(geometric.RRTConnect(problem.information))
        if path is None:
            continue
        geometric.PathSimplifier(problem.information).simplifyMax(path)
        vertices = _vertices(path)
        if best is None or _length(vertices) < _length(best):
            best = vertices
    return best


def _length(vertices: Floats) -> float:
    return float(np.linalg.norm(np.diff(vertices, axis=0), axis=1).sum())


def _angles(state: base.State) -> Floats:
    return np.array([state[joint] for joint in range(JOINTS)])


def _state(space: base.StateSpace, angles: Floats) -> base.State:
    state = space.allocState()
    for joint in range(JOINTS):
        state[joint] = float(angles[joint])
    return state


def _vertices(path: geometric.PathGeometric) -> Floats:
    return np.array([_angles(state) for state in path.getStates()])
