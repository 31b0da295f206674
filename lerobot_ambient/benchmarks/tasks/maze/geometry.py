# SPDX-License-Identifier: Apache-2.0
"""Exact geometry of a square grid maze.

Symbols: the maze has ``cells`` x ``cells`` unit cells; cell (i, j) is [i, i+1] x [j, j+1], x to the right and y up.
Walls are ``wall`` thick and centred on the grid lines, so every wall reaches ``wall / 2`` into the cells beside it.
Lengths are in cells.

A rectangle is a row (x_low, y_low, x_high, y_high). Free rectangles are closed and walls are open sets: a point or a
segment that only touches a wall is free. The closed free rectangles are exactly the outer square minus the open
walls. Keeping a clearance c (in the maximum norm) is the same as moving in the maze whose walls are 2 c thicker,
so there is no clearance argument anywhere: see `Maze.thickened`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lerobot_ambient.core.arrays import Floats

Cell = tuple[int, int]
Passage = tuple[Cell, Cell]
Bools = NDArray[np.bool_]

DEFAULT_CELLS = 4
DEFAULT_LOOPS = 1
DEFAULT_MAZE_SEED = 4
_WALL_THICKNESS = 0.15


def _neighbours(cell: Cell, cells: int) -> list[Cell]:
    """Grid neighbours of `cell` in a fixed order (right, up, left, down)."""
    i, j = cell
    near = [(i + 1, j), (i, j + 1), (i - 1, j), (i, j - 1)]
    return [(a, b) for a, b in near if 0 <= a < cells and 0 <= b < cells]


def _passage(a: Cell, b: Cell) -> Passage:
    return (a, b) if a < b else (b, a)


def _all_borders(cells: int) -> list[Passage]:
    """Every pair of adjacent cells, sorted."""
    return sorted(
        {_passage((i, j), other) for i in range(cells) for j in range(cells) for other in _neighbours((i, j), cells)}
    )


def _hops(passages: frozenset[Passage], start: Cell) -> dict[Cell, int]:
    """Number of passages on the shortest way from `start` to every cell that can be reached."""
    links: dict[Cell, list[Cell]] = {}
    for a, b in passages:
        links.setdefault(a, []).append(b)
        links.setdefault(b, []).append(a)
    hops = {start: 0}
    queue = deque([start])
    while queue:
        cell = queue.popleft()
        for other in links.get(cell, []):
            if other not in hops:
                hops[other] = hops[cell] + 1
                queue.append(other)
    return hops


@dataclass(frozen=True)
class Maze:
    """A maze of unit cells, given by the pairs of adjacent cells without a wall between them.

    Args:
        cells: cells along each side, at least 2.
        passages: the open borders, each a sorted pair of adjacent cells. Every cell must be reachable.
        wall: wall thickness in (0, 1), in cells.

    Raises:
        ValueError: if a value is out of range, a pair is not adjacent, or the maze falls apart.
    """

    cells: int
    passages: frozenset[Passage]
    wall: float = _WALL_THICKNESS

    def __post_init__(self) -> None:
        if self.cells < 2:
            raise ValueError(f"Maze: cells is {self.cells}, must be at least 2")
        if not 0.0 < self.wall < 1.0:
            raise ValueError(f"Maze: wall is {self.wall}, must lie strictly between 0 and 1 cells")
        strange = self.passages - frozenset(_all_borders(self.cells))
        if strange:
            raise ValueError(
                f"Maze: passages {sorted(strange)} are not sorted pairs of adjacent cells of a "
                f"{self.cells} x {self.cells} grid"
            )
        reached = len(_hops(self.passages, (0, 0)))
        if reached != self.cells**2:
            raise ValueError(
                f"Maze: only {reached} of {self.cells**2} cells can be reached from (0, 0); open more passages"
            )

    @classmethod
    def from_seed(
        cls, maze_seed: int = DEFAULT_MAZE_SEED, cells: int = DEFAULT_CELLS, loops: int = DEFAULT_LOOPS
    ) -> Maze:
        """Draw a maze: a spanning tree by randomised depth-first search, then `loops` further openings.

        Each further opening is the closed border whose removal shortens the way between its two cells the most
        (ties by position), so that it creates a truly different route. Pure in its arguments.
        """
        borders = _all_borders(cells)
        if not 0 <= loops <= len(borders) - cells**2 + 1:
            raise ValueError(
                f"Maze: loops is {loops}, must lie in [0, {len(borders) - cells**2 + 1}] for {cells} cells a side"
            )
        rng = np.random.default_rng(np.random.SeedSequence(maze_seed))
        first = (int(rng.integers(cells)), int(rng.integers(cells)))
        stack, seen, passages = [first], {first}, set[Passage]()
        while stack:
            fresh = [other for other in _neighbours(stack[-1], cells) if other not in seen]
            if not fresh:
                stack.pop()
                continue
            chosen = fresh[int(rng.integers(len(fresh)))]
            passages.add(_passage(stack[-1], chosen))
            seen.add(chosen)
            stack.append(chosen)
        for _ in range(loops):
            closed = [border for border in borders if border not in passages]
            passages.add(max(closed, key=lambda pair: _hops(frozenset(passages), pair[0])[pair[1]]))
        return cls(cells, frozenset(passages))

    def thickened(self, clearance: float) -> Maze:
        """The same maze with every wall grown by `clearance` cells on each side."""
        return replace(self, wall=self.wall + 2.0 * clearance)

    def hops(self, start: Cell) -> dict[Cell, int]:
        """Number of passages on the shortest way from `start` to every cell."""
        return _hops(self.passages, start)

    @cached_property
    def free_rectangles(self) -> Floats:
        """Closed rectangles whose union is the free space, shape (cells**2 + passages, 4): cells, then passages."""
        half = self.wall / 2.0
        rows = [(i + half, j + half, i + 1 - half, j + 1 - half) for i in range(self.cells) for j in range(self.cells)]
        for (i, j), (a, _) in sorted(self.passages):
            if a > i:
                rows.append((a - half, j + half, a + half, j + 1 - half))
            else:
                rows.append((i + half, j + 1 - half, i + 1 - half, j + 1 + half))
        return np.array(rows, dtype=np.float64)

    @cached_property
    def wall_rectangles(self) -> Floats:
        """Open rectangles whose union is the walls, shape (walls, 4); they overlap at their ends."""
        n, half = self.cells, self.wall / 2.0
        lines = [(0, 0, 0, n), (n, 0, n, n), (0, 0, n, 0), (0, n, n, n)]
        bare = {(i, j) for i in range(1, n) for j in range(1, n)}
        for (i, j), (a, b) in _all_borders(n):
            if ((i, j), (a, b)) not in self.passages:
                ends = (a, j, a, j + 1) if a > i else (i, b, i + 1, b)
                lines.append(ends)
                bare -= {ends[:2], ends[2:]}
        lines += [(i, j, i, j) for i, j in sorted(bare)]
        grow = np.array([-half, -half, half, half])
        return np.array(lines, dtype=np.float64) + grow

    def points_free(self, points: ArrayLike) -> Bools:
        """Whether each point, shape (..., 2), lies in the closed free space. Returns shape (...)."""
        p = np.asarray(points, dtype=np.float64)[..., None, :]
        low, high = self.free_rectangles[:, :2], self.free_rectangles[:, 2:]
        return np.asarray(((p >= low) & (p <= high)).all(-1).any(-1))

    def segments_free(self, starts: ArrayLike, ends: ArrayLike) -> Bools:
        """Whether each closed segment stays in the closed free space.

        Args:
            starts, ends: points of shape (..., 2), broadcast against each other.

        Returns:
            Booleans of the broadcast shape (...). Exact up to rounding: slabs, not samples.
        """
        p, q = np.broadcast_arrays(np.asarray(starts, np.float64), np.asarray(ends, np.float64))
        origin, direction = p[..., None, :], (q - p)[..., None, :]
        low, high = self.wall_rectangles[:, :2], self.wall_rectangles[:, 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            near, far = (low - origin) / direction, (high - origin) / direction
        enter, leave = np.minimum(near, far), np.maximum(near, far)
        parallel = np.broadcast_to(direction == 0.0, enter.shape)
        within = (origin > low) & (origin < high)
        enter = np.where(parallel, np.where(within, -np.inf, np.inf), enter)
        leave = np.where(parallel, np.where(within, np.inf, -np.inf), leave)
        hit = np.maximum(enter.max(-1), 0.0) < np.minimum(leave.min(-1), 1.0)
        return np.asarray(~hit.any(-1) & self.points_free(p) & self.points_free(q))

    def segment_free(self, start: Floats, end: Floats) -> bool:
        """As `segments_free` for one segment; quick where it lies in one of the free rectangles, as most steps do."""
        low, high = self.free_rectangles[:, :2], self.free_rectangles[:, 2:]
        least, most = np.minimum(start, end), np.maximum(start, end)
        return bool(((least >= low) & (most <= high)).all(-1).any()) or bool(self.segments_free(start, end))

    def path_free(self, path: ArrayLike) -> bool:
        """Whether the polyline through `path`, shape (n, 2) with n >= 2, stays in the closed free space."""
        points = np.asarray(path, dtype=np.float64)
        return bool(self.segments_free(points[:-1], points[1:]).all())

    def picture(self) -> str:
        """The maze in characters, top row first."""
        n = self.cells
        lines = []
        for j in range(n - 1, -1, -1):
            tops = ["  " if _passage((i, j), (i, j + 1)) in self.passages else "--" for i in range(n)]
            lines.append("+" + "+".join(tops) + "+")
            gaps = [" " if ((i, j), (i + 1, j)) in self.passages else "|" for i in range(n)]
            lines.append("|" + "".join(f"  {gap}" for gap in gaps))
        return "\n".join([*lines, "+" + "+".join(["--"] * n) + "+"])
