# SPDX-License-Identifier: Apache-2.0
"""Jagged paths: a rapidly exploring random tree in OMPL, neither simplified nor smoothed."""

from __future__ import annotations

import itertools

import numpy as np
from ompl import base, geometric, util

from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze
from lerobot_ambient.core.arrays import Floats

RANGE = 0.3
"""Longest edge of the tree, in cells: short enough that the paths are clearly jagged."""
MAX_ITERATIONS = 20_000


class _FreePoint(base.StateValidityChecker):  # type: ignore[misc]
    def __init__(self, information: base.SpaceInformation, maze: Maze) -> None:
        super().__init__(information)
        self._maze = maze

    def isValid(self, state: base.State) -> bool:  # noqa: N802 (OMPL's name)
        return bool(self._maze.points_free((state[0], state[1])))


class _FreeSegment(base.MotionValidator):  # type: ignore[misc]
    """Exact, where OMPL's own validator samples the segment."""

    def __init__(self, information: base.SpaceInformation, maze: Maze) -> None:
        super().__init__(information)
        self._maze = maze
        self._walls: list[list[float]] = maze.wall_rectangles.tolist()

    def checkMotion(self, start: base.State, end: base.State) -> bool:  # noqa: N802 (OMPL's name)
        a, b, c, d = start[0], start[1], end[0], end[1]
        left, right, bottom, top = min(a, c), max(a, c), min(b, d), max(b, d)
        # Most edges are far from walls; for single segments plain floats are twenty times faster than arrays.
        for low_x, low_y, high_x, high_y in self._walls:
            if left < high_x and right > low_x and bottom < high_y and top > low_y:
                return bool(self._maze.segments_free((a, b), (c, d)))
        return True


class RrtPlanner:
    """Plans paths with OMPL's RRT in a maze with its clearance.

    OMPL seeds its generators from one global seed that must be set before the first is made, so a process may hold
    one planner only, and the k-th path depends on the seed and on the k - 1 paths before it. The search stops after
    a number of iterations, not after a time, so that a slow machine gives the same paths.

    Args:
        maze: the maze to plan in.
        seed: OMPL's global seed, in [1, 2**32).
    """

    def __init__(self, maze: Maze, seed: int) -> None:
        util.setLogLevel(util.LogLevel.LOG_ERROR)
        util.RNG.setSeed(seed)
        self._maze = maze
        self._space = base.RealVectorStateSpace(2)
        bounds = base.RealVectorBounds(2)
        bounds.setLow(0.0)
        bounds.setHigh(float(maze.cells))
        self._space.setBounds(bounds)

    def plan(self, start: Floats, goal: Floats) -> Floats | None:
        """The vertices (n, 2) of a path from `start` to `goal`, or None after `MAX_ITERATIONS`."""
        information = base.SpaceInformation(self._space)
        checker, validator = _FreePoint(information, self._maze), _FreeSegment(information, self._maze)
        information.setStateValidityChecker(checker)
        information.setMotionValidator(validator)
        information.setup()
        problem = base.ProblemDefinition(information)
        problem.setStartAndGoalStates(self._state(start), self._state(goal))
        planner = geometric.RRT(information)
        planner.setRange(RANGE)
        planner.setProblemDefinition(problem)
        planner.setup()
        iterations = itertools.count()
        planner.solve(base.PlannerTerminationCondition(lambda: next(iterations) >= MAX_ITERATIONS))
        if not problem.hasExactSolution():
            return None
        return np.array([[state[0], state[1]] for state in problem.getSolutionPath().getStates()])

    def _state(self, point: Floats) -> base.State:
        state = self._space.allocState()
        state[0], state[1] = float(point[0]), float(point[1])
        return state
