# SPDX-License-Identifier: Apache-2.0
"""The maze demonstrations as two LeRobotDatasets: a small smooth target and a large jagged source.

Every dataset records what it was made with in meta/ambient_make_data.json. Paths are kept in a hidden folder until
the datasets are written, so a run that was killed continues; a dataset appears under its name only when complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lerobot_ambient.benchmarks.tasks.maze.demonstrations import (
    BLOCK_SIZE,
    blocks_for,
    load_block,
    plan_blocks,
    require_planner,
)
from lerobot_ambient.benchmarks.tasks.maze.geometry import DEFAULT_CELLS, DEFAULT_LOOPS, DEFAULT_MAZE_SEED, Maze
from lerobot_ambient.benchmarks.tasks.maze.images import add_pictures
from lerobot_ambient.benchmarks.tasks.maze.render import MazePainter
from lerobot_ambient.benchmarks.tasks.maze.task import CLEARANCE, FPS, MIN_SEPARATION, SPACING, TASK
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import (
    KINDS,
    Kind,
    finished,
    summaries_of,
    write_recorded,
)
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode, write_low_dim_dataset
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration

VERSION = 1
"""Raise it when the same arguments would give other paths."""
REPO_IDS: dict[Kind, str] = {"target": "ambient/maze_target", "source": "ambient/maze_source"}
GOAL = "observation.environment_state"
FEATURES: dict[str, dict[str, Any]] = {
    "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
    GOAL: {"dtype": "float32", "shape": (2,), "names": ["goal_x", "goal_y"]},
    "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
}


def path_to_episode(path: NDArray[np.float32]) -> Episode:
    """The frames of a path (n, 2): n - 1 observations, each with the next position as its action."""
    return {
        "observation.state": path[:-1],
        GOAL: np.broadcast_to(path[-1], path[:-1].shape),
        "action": path[1:],
    }


@dataclass(frozen=True)
class Pictures:
    """How the demonstrations show the goal, in place of the feature `observation.environment_state`.

    Args:
        size: height and width in pixels, at least 16; as the environment's `observation_size`.
        hide_goal: leave the goal out, as the environment does with the same option.
    """

    size: int
    hide_goal: bool = False

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ValueError(f"pictures of the maze: the size is {self.size} pixels, must be at least 16")

    def of_path(self, painter: MazePainter, path: NDArray[np.float32]) -> NDArray[np.uint8]:
        """What the environment would show at the frames of a path (n, 2): uint8 (n - 1, size, size, 3)."""
        goal = None if self.hide_goal else path[-1]
        return np.stack([painter.observe(position, goal) for position in path[:-1]])


def _arguments(kind: Kind, episodes: int, seed: int, fps: int, maze_seed: int) -> dict[str, Any]:
    return {
        "version": VERSION,
        "experiment": "maze",
        "kind": kind,
        "episodes": episodes,
        "seed": seed,
        "fps": fps,
        "maze": {"seed": maze_seed, "cells": DEFAULT_CELLS, "loops": DEFAULT_LOOPS},
        "spacing": SPACING,
        "clearance": CLEARANCE,
        "min_separation": MIN_SEPARATION,
    }


def _paths_folder(root: Path, seed: int, maze_seed: int) -> Path:
    """Where paths wait: the name holds everything they depend on but their number, so a run with more continues."""
    basis = [_arguments(kind, 0, seed, 0, maze_seed) for kind in KINDS]
    digest = hashlib.sha256(json.dumps([basis, BLOCK_SIZE], sort_keys=True).encode()).hexdigest()
    return root / f".paths-{digest[:12]}"


def _write(
    folder: Path,
    arguments: dict[str, Any],
    paths: list[NDArray[np.float32]],
    pictures: Pictures | None,
    maze: Maze,
    progress: bool,
) -> None:
    """Write one dataset beside `folder` and move it there when it is complete."""
    kind: Kind = arguments["kind"]
    summary = {
        "root": folder.name,
        "repo_id": REPO_IDS[kind],
        "episodes": len(paths),
        "frames": sum(len(path) - 1 for path in paths),
        "mean_squared_acceleration": float(
            np.mean([mean_squared_acceleration(path, arguments["fps"]) for path in paths])
        ),
    }

    # The picture replaces the goal's position.
    features = {key: value for key, value in FEATURES.items() if pictures is None or key != GOAL}

    def write(partial: Path) -> None:
        with tqdm(total=len(paths), desc=f"write {kind}", unit="episode", disable=not progress) as bar:
            episodes = [{key: path_to_episode(path)[key] for key in features} for path in paths]
            write_low_dim_dataset(
                partial, REPO_IDS[kind], arguments["fps"], features, episodes, TASK, on_episode=bar.update
            )
        if pictures is None:
            return
        painter = MazePainter(maze, pictures.size)
        with tqdm(total=len(paths), desc=f"paint {kind}", unit="episode", disable=not progress) as bar:
            add_pictures(partial, (pictures.of_path(painter, path) for path in paths), on_episode=bar.update)

    write_recorded(folder, arguments, summary, write)


def make_maze_data(
    root: Path,
    *,
    target_episodes: int = 50,
    source_episodes: int = 5000,
    seed: int = 0,
    kinds: Sequence[Kind] = KINDS,
    fps: int = FPS,
    maze_seed: int = DEFAULT_MAZE_SEED,
    pictures: Pictures | None = None,
    processes: int = 1,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Write the maze's target and source demonstrations to `root/target` and `root/source`.

    A path depends on the seed, the maze and its number only: not on how many are made, nor on `processes`. Calling
    it again with the same arguments returns at once; after a kill it continues.

    Args:
        root: parent folder of the two datasets.
        target_episodes, source_episodes: number of episodes, at least 1.
        seed: of the demonstrations, not negative.
        kinds: which of the two to make; the other is not touched.
        fps: frames a second of the datasets; accelerations scale with fps^2.
        maze_seed: of the maze, as in the environment.
        pictures: show the goal in pictures, the feature `observation.image`, of the same paths; None gives its
            position, as `observation.environment_state`.
        processes: how many planners run side by side.
        progress: whether to show progress bars.

    Returns:
        For each of `kinds`: root, repo_id, episodes, frames and mean_squared_acceleration (the mean over
        episodes, in cells^2 / s^4).

    Raises:
        ValueError: if a dataset made with other arguments is in the way, or an argument is out of range.
        ModuleNotFoundError: if a planner is missing; the message shows how to install it.
    """
    root = Path(root)
    counts: dict[Kind, int] = {"target": target_episodes, "source": source_episodes}
    arguments = {kind: _arguments(kind, counts[kind], seed, fps, maze_seed) for kind in kinds}
    if pictures is not None:
        arguments = {kind: {**made_with, "pictures": asdict(pictures)} for kind, made_with in arguments.items()}
    maze = Maze.from_seed(maze_seed)
    blocks = {kind: blocks_for(kind, maze, seed, counts[kind]) for kind in kinds}
    open_kinds = [kind for kind in kinds if finished(root / kind, arguments[kind]) is None]
    for kind in open_kinds:
        require_planner(kind)
    cache = _paths_folder(root, seed, maze_seed)
    for kind in open_kinds:
        with tqdm(total=counts[kind], desc=f"plan {kind}", unit="path", disable=not progress) as bar:
            for block in plan_blocks(blocks[kind], cache, processes):
                bar.update(block.count)
        paths = [path for block in blocks[kind] for path in load_block(block, cache)]
        _write(root / kind, arguments[kind], paths, pictures, maze, progress)
    shutil.rmtree(cache, ignore_errors=True)
    return summaries_of(root, arguments)
