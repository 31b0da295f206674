# SPDX-License-Identifier: Apache-2.0
"""Benchmark tasks. Importing this package registers their gymnasium ids and nothing else."""

from gymnasium.envs.registration import register

MAZE_ID = "lerobot_ambient/Maze-v0"

register(id=MAZE_ID, entry_point="lerobot_ambient.envs.maze:MazeEnv")
