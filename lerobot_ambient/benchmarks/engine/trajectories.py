# SPDX-License-Identifier: Apache-2.0
"""Paths through the maze, read back from datasets: demonstrations, and rollouts that lerobot-eval recorded."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One path.

    Args:
        points: (n, 2) positions in cells.
        goal: (2,) where it should end.
        success: whether it did; demonstrations always do.
    """

    points: NDArray[np.float32]
    goal: NDArray[np.float32]
    success: bool


def read_recordings(folder: Path, count: int = 20) -> list[Trajectory]:
    """The first rollouts that `lerobot-eval --eval.recording=true` recorded, one dataset each, by their seeds.

    A recording holds the observations before each step, so the last position is missing.

    Raises:
        ValueError: nothing was recorded there.
    """
    trajectories = []
    for file in _recordings(folder)[:count]:
        columns = ["agent_pos", "environment_state", "next.success"]
        table = ds.dataset(file).to_table(columns=columns)
        points, goals, success = (np.stack(table[name].to_numpy()) for name in columns)
        trajectories.append(Trajectory(points, goals[-1], bool(success.any())))
    return trajectories


def read_demonstrations(root: Path, count: int = 20) -> list[Trajectory]:
    """The first `count` episodes of a maze dataset."""
    columns = ["observation.state", "observation.environment_state", "episode_index"]
    table = ds.dataset(sorted(root.glob("data/**/*.parquet"))).to_table(
        columns=columns, filter=pc.field("episode_index") < count
    )
    points, goals = (np.stack(table[name].to_numpy()) for name in columns[:2])
    episodes = table["episode_index"].to_numpy()
    return [
        Trajectory(points[episodes == episode], goals[episodes == episode][-1], True) for episode in np.unique(episodes)
    ]


def _environment(file: Path) -> int:
    match = re.search(r"env_(\d+)", str(file))
    assert match is not None
    return int(match.group(1))


def recorded_jerks(folder: Path) -> NDArray[np.float64]:
    """Mean squared jerk of every recorded rollout, in the order of their seeds, shape (n,).

    The jerk of a path is its third difference times fps^3; a path of fewer than four positions has none, and 0 here.
    A recording holds the observations before each step, so the last position is missing.

    Raises:
        ValueError: nothing was recorded there.
    """
    jerks = []
    for file in _recordings(folder):
        table = ds.dataset(file).to_table(columns=["agent_pos"])
        points = np.stack(table["agent_pos"].to_numpy()).astype(np.float64)
        thirds = np.diff(points, n=3, axis=0)
        squares = np.square(thirds).sum(-1) * _fps(file) ** 6
        jerks.append(float(squares.mean()) if squares.size else 0.0)
    return np.array(jerks)


def _recordings(folder: Path) -> list[Path]:
    files = sorted(folder.glob("**/env_*/data/**/*.parquet"), key=_environment)
    if not files:
        raise ValueError(f"{folder} holds no recorded rollouts.")
    return files


def _fps(file: Path) -> float:
    root = next(parent for parent in file.parents if parent.name.startswith("env_"))
    return float(json.loads((root / "meta" / "info.json").read_text(encoding="utf-8"))["fps"])
