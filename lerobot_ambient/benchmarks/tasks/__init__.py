# SPDX-License-Identifier: Apache-2.0
"""Benchmark tasks. Importing this package registers their gymnasium ids and nothing else."""

from gymnasium.envs.registration import register

ARM7_ID = "lerobot_ambient/Arm7-v0"
MAZE_ID = "lerobot_ambient/Maze-v0"
METAWORLD_ID = "lerobot_ambient/MetaWorld-v0"
PUSHING_ID = "lerobot_ambient/Pushing-v0"
PUSHT_ID = "lerobot_ambient/PushT-v0"
SORTING_ID = "lerobot_ambient/Sorting-v0"

register(id=ARM7_ID, entry_point="lerobot_ambient.benchmarks.tasks.arm7.environment:Arm7Env")
register(id=MAZE_ID, entry_point="lerobot_ambient.benchmarks.tasks.maze.environment:MazeEnv")
register(id=METAWORLD_ID, entry_point="lerobot_ambient.benchmarks.tasks.metaworld.environment:MetaWorldEnv")
register(id=PUSHING_ID, entry_point="lerobot_ambient.benchmarks.tasks.pushing.environment:PushingEnv")
register(id=PUSHT_ID, entry_point="lerobot_ambient.benchmarks.tasks.pusht.environment:KeypointPushTEnv")
register(id=SORTING_ID, entry_point="lerobot_ambient.benchmarks.tasks.sorting.environment:SortingEnv")
