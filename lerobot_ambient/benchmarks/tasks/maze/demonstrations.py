# SPDX-License-Identifier: Apache-2.0
"""Demonstrated paths of the maze in blocks, each pure in (seed, kind, block).

OMPL can be seeded once a process, so every block runs in a fresh process; this also lets blocks run side by side and
be kept when a run is killed. A path's start and goal are drawn like the environment's, from a stream of their own.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze
from lerobot_ambient.benchmarks.tasks.maze.task import CLEARANCE, draw_start_goal, resample
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import KINDS, Kind
from lerobot_ambient.core.arrays import Floats

BLOCK_SIZE = 250
ATTEMPTS = 20
_STREAM = 0x6D617A65
"""First word of every spawn key, so that no demonstration shares a stream with an environment's reset seed."""
_MODULES = {"target": "pydrake", "source": "ompl"}


class Planner(Protocol):
    """Finds a polyline (n, 2) between two points of shape (2,), or None."""

    def plan(self, start: Floats, goal: Floats) -> Floats | None: ...


@dataclass(frozen=True)
class Block:
    """The paths [index * BLOCK_SIZE, index * BLOCK_SIZE + count) of one kind. A smaller count gives a prefix."""

    kind: Kind
    maze: Maze
    seed: int
    index: int
    count: int = BLOCK_SIZE

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Block: kind is {self.kind!r}, must be one of {KINDS}")
        if not 1 <= self.count <= BLOCK_SIZE:
            raise ValueError(f"Block: count is {self.count}, must lie in [1, {BLOCK_SIZE}]")
        if self.seed < 0:
            raise ValueError(f"Block: seed is {self.seed}, must not be negative")

    @property
    def name(self) -> str:
        """A file name for the block's paths."""
        return f"{self.kind}-{self.index:05d}-{self.count}.npz"

    def sequence(self, *key: int) -> np.random.SeedSequence:
        """A child seed of the block."""
        return np.random.SeedSequence(self.seed, spawn_key=(_STREAM, KINDS.index(self.kind), self.index, *key))


def require_planner(kind: Kind) -> None:
    """Raise ModuleNotFoundError, with the command that helps, if the planner of `kind` is not installed."""
    if importlib.util.find_spec(_MODULES[kind]) is None:
        raise ModuleNotFoundError(
            f"{kind} demonstrations of the maze need {_MODULES[kind]}, which is not installed; run: "
            "pip install 'lerobot_policy_ambient_diffusion[maze]'"
        )


def _planner(block: Block) -> Planner:
    require_planner(block.kind)
    room = block.maze.thickened(CLEARANCE)
    if block.kind == "target":
        from lerobot_ambient.benchmarks.tasks.maze.gcs import GcsPlanner

        return GcsPlanner(room)
    from lerobot_ambient.benchmarks.tasks.maze.rrt import RrtPlanner

    # OMPL takes 0 for "no seed given".
    return RrtPlanner(room, int(block.sequence(0).generate_state(1)[0]) or 1)


def _demonstrate(block: Block, planner: Planner, number: int) -> NDArray[np.float32]:
    """Path `number` of the block, resampled. A pair that cannot be planned, or whose resampled path touches a wall,
    is replaced by a further draw."""
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng(block.sequence(1, number, attempt))
        start, goal = draw_start_goal(rng, block.maze)
        polyline = planner.plan(start, goal)
        if polyline is None:
            continue
        path = resample(polyline).astype(np.float32)
        if block.maze.path_free(path):
            return path
    raise RuntimeError(f"{block}: path {number} failed {ATTEMPTS} times; the maze may be too narrow")


def plan_block(block: Block) -> list[NDArray[np.float32]]:
    """The block's paths, each float32 (n, 2) at equal arc length and free of walls.

    Run at most one source block in a process.
    """
    planner = _planner(block)
    return [_demonstrate(block, planner, number) for number in range(block.count)]


def _plan_into(block: Block, folder: Path) -> Block:
    paths = plan_block(block)
    partial = folder / f"{block.name}.{os.getpid()}.partial"
    with partial.open("wb") as file:
        np.savez(file, points=np.concatenate(paths), lengths=[len(path) for path in paths])
    partial.replace(folder / block.name)
    return block


def plan_blocks(blocks: list[Block], folder: Path, processes: int = 1) -> Iterator[Block]:
    """Plan the blocks that `folder` does not hold yet, each in a fresh process, and yield every block when it is there.

    Args:
        blocks: what to plan.
        folder: where the paths are kept, one file a block; see `load_block`.
        processes: how many blocks run side by side, at least 1. It does not change the paths.
    """
    if processes < 1:
        raise ValueError(f"plan_blocks: processes is {processes}, must be at least 1")
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for block in blocks:
        if (folder / block.name).exists():
            yield block
        else:
            missing.append(block)
    if not missing:
        return
    # Forked from a server that has imported this module, but no planner: a fresh process at no cost.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(_plan_into, block, folder) for block in missing]):
            yield done.result()


def load_block(block: Block, folder: Path) -> list[NDArray[np.float32]]:
    """The paths of a block that `plan_blocks` has put into `folder`."""
    with np.load(folder / block.name) as file:
        ends = np.cumsum(file["lengths"])
        return np.split(file["points"], ends[:-1])


def blocks_for(kind: Kind, maze: Maze, seed: int, count: int) -> list[Block]:
    """The blocks that hold the first `count` paths of a kind."""
    if count < 1:
        raise ValueError(f"{kind} demonstrations: count is {count}, must be at least 1")
    return [
        Block(kind, maze, seed, index, min(BLOCK_SIZE, count - index * BLOCK_SIZE))
        for index in range(-(-count // BLOCK_SIZE))
    ]
