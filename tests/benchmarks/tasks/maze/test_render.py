# SPDX-License-Identifier: Apache-2.0
"""Pictures of the maze: those of an episode continue each other, and are what a fresh painter paints."""

from __future__ import annotations

import numpy as np

from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze
from lerobot_ambient.benchmarks.tasks.maze.render import MazePainter

MAZE = Maze.from_seed(0)
GOAL = np.array([2.5, 1.5])


def path(seed: int) -> np.ndarray:
    return np.cumsum([[0.5, 0.5], *np.random.default_rng(seed).normal(0, 0.1, (12, 2))], axis=0)


def test_a_picture_does_not_depend_on_those_before() -> None:
    painter = MazePainter(MAZE, 64)
    shown = [(path(0)[:n], GOAL, 0.2) for n in range(14)]
    # Another episode, a shorter and a longer way to the same goal, another goal, another radius, and nothing yet.
    shown += [(path(1), GOAL, 0.2), (path(1)[:4], GOAL, 0.2), (path(1), GOAL, 0.2), (path(1), GOAL + 1, 0.2)]
    shown += [(path(1), GOAL + 1, 0.3), (np.empty((0, 2)), GOAL, 0.2), (path(0)[:1], GOAL, 0.2)]
    for trail, goal, radius in shown:
        picture = painter.paint(trail, goal, radius)
        assert np.array_equal(picture, MazePainter(MAZE, 64).paint(trail, goal, radius))
        picture[:] = 0


def test_a_step_paints_its_own_stretch_only(monkeypatch) -> None:
    discs = []
    original = MazePainter._disc
    monkeypatch.setattr(MazePainter, "_disc", lambda self, *given: discs.append(0) or original(self, *given))
    painter = MazePainter(MAZE, 64)
    counts = []
    for n in range(1, 100):
        discs.clear()
        painter.paint(np.linspace(0.5, 1.5, 100)[:n, None] * [1.0, 1.0], GOAL, 0.2)
        counts.append(len(discs))
    assert max(counts[2:]) <= counts[2] + 1
