# SPDX-License-Identifier: Apache-2.0
"""Paths through the maze, read back from data sets: demonstrations, and roll-outs that lerobot-eval recorded."""

from __future__ import annotations

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


def read_recordings(folder: Path) -> list[Trajectory]:
    """Roll-outs recorded by `lerobot-eval --eval.recording=true`, one data set each, in the order of their seeds.

    A recording holds the observations before each step, so the last position is missing.

    Raises:
        ValueError: nothing was recorded there.
    """
    files = sorted(folder.glob("**/env_*/data/**/*.parquet"), key=_environment)
    if not files:
        raise ValueError(f"{folder} holds no recorded roll-outs.")
    trajectories = []
    for file in files:
        columns = ["agent_pos", "environment_state", "next.success"]
        table = ds.dataset(file).to_table(columns=columns)
        points, goals, success = (np.stack(table[name].to_numpy()) for name in columns)
        trajectories.append(Trajectory(points, goals[-1], bool(success.any())))
    return trajectories


def read_demonstrations(root: Path, count: int = 20) -> list[Trajectory]:
    """The first `count` episodes of a maze data set."""
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
