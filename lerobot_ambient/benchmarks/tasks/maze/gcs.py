# SPDX-License-Identifier: Apache-2.0
"""Smooth paths: trajectory optimisation over a graph of convex sets (Marcucci et al., arXiv 2205.04422) in Drake."""

from __future__ import annotations

import logging

import numpy as np
from pydrake.geometry.optimization import GraphOfConvexSetsOptions, HPolyhedron, Point
from pydrake.planning import GcsTrajectoryOptimization
from pydrake.solvers import ClarabelSolver

from lerobot_ambient.benchmarks.tasks.maze.geometry import Cell, Maze
from lerobot_ambient.core.arrays import Floats

ORDER = 5
_CONTINUITY = 2
_LENGTH_WEIGHT = 1.0
_BEND_WEIGHT = 1.0
_SAMPLES_PER_SEGMENT = 200


def _corridors(maze: Maze) -> Floats:
    """Free rectangles that are as long as the straight corridors of the maze, shape (corridors, 4).

    Every maximal row or column of at least two connected cells is one rectangle, so neighbours overlap in a whole
    cell and a Bezier curve has room to turn. Their union is the free space that matters for planning.
    """
    half, n = maze.wall / 2.0, maze.cells
    rectangles = []
    for across in range(n):
        for axis in (0, 1):

            def cell(k: int, axis: int = axis, across: int = across) -> Cell:
                return (k, across) if axis == 0 else (across, k)

            first = 0
            for k in range(n):
                if k + 1 < n and (cell(k), cell(k + 1)) in maze.passages:
                    continue
                if k > first:
                    low, high = np.array(cell(first)) + half, np.array(cell(k)) + 1 - half
                    rectangles.append(np.concatenate([low, high]))
                first = k + 1
    return np.array(rectangles)


def _overlaps(rectangles: Floats) -> list[tuple[int, int]]:
    """Ordered pairs of rectangles with a common interior."""
    low = np.maximum(rectangles[:, None, :2], rectangles[None, :, :2])
    high = np.minimum(rectangles[:, None, 2:], rectangles[None, :, 2:])
    meets = (low < high).all(-1) & ~np.eye(len(rectangles), dtype=bool)
    return [(int(a), int(b)) for a, b in np.argwhere(meets)]


class GcsPlanner:
    """Plans paths of Bezier curves of order 5, twice continuously differentiable, in a maze with its clearance.

    The cost is the length of the control polygons plus the squared second differences of the control points, which
    keeps the curves from hugging the corners. Clarabel solves the convex relaxation and the rounded paths. The
    result depends on the start and the goal only.
    """

    def __init__(self, maze: Maze) -> None:
        logging.getLogger("drake").setLevel(logging.ERROR)
        self._rectangles = _corridors(maze)
        self._regions = [HPolyhedron.MakeBox(row[:2], row[2:]) for row in self._rectangles]
        self._edges = _overlaps(self._rectangles)
        self._options = GraphOfConvexSetsOptions()
        self._options.convex_relaxation = True
        self._options.preprocessing = True
        self._options.max_rounded_paths = 5
        self._options.solver = ClarabelSolver()

    def plan(self, start: Floats, goal: Floats) -> Floats | None:
        """A densely sampled path (n, 2) from `start` to `goal`, or None if the solver finds none."""
        problem = GcsTrajectoryOptimization(2)
        free = problem.AddRegions(self._regions, self._edges, order=ORDER, h_min=1.0, h_max=1.0, name="free")
        source = problem.AddRegions([Point(start)], order=0, h_min=0.0, h_max=0.0, name="start")
        target = problem.AddRegions([Point(goal)], order=0, h_min=0.0, h_max=0.0, name="goal")
        problem.AddEdges(source, free)
        problem.AddEdges(free, target)
        problem.AddPathLengthCost(_LENGTH_WEIGHT)
        for vertex in free.Vertices():
            control = vertex.x()[: 2 * (ORDER + 1)].reshape((2, ORDER + 1), order="F")
            # These are symbols, whose products raise a stray floating-point flag that numpy would report.
            with np.errstate(invalid="ignore"):
                bends = control[:, 2:] - 2.0 * control[:, 1:-1] + control[:, :-2]
                vertex.AddCost(_BEND_WEIGHT * (bends**2).sum())
        for order in range(1, _CONTINUITY + 1):
            problem.AddPathContinuityConstraints(order)
        trajectory, result = problem.SolvePath(source, target, self._options)
        if not result.is_success():
            return None
        segments = [trajectory.segment(i) for i in range(trajectory.get_number_of_segments())]
        times = [np.linspace(s.start_time(), s.end_time(), _SAMPLES_PER_SEGMENT) for s in segments]
        path: Floats = np.concatenate(
            [s.vector_values(t).T for s, t in zip(segments, times, strict=True) if s.rows() == 2]
        )
        return path
