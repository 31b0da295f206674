# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient make-data`: write the demonstrations of a benchmark task as LeRobotDatasets."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `make-data` with one sub-command a task."""
    parser = subparsers.add_parser("make-data", help="write demonstrations of a benchmark task as data sets")
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    maze = tasks.add_parser(
        "maze",
        help="smooth target and jagged source paths through a maze (needs the extra 'maze')",
        description="Writes ROOT/target and ROOT/source. Runs again at no cost, and continues after a kill.",
    )
    maze.add_argument("--root", type=Path, required=True, help="parent folder of the two data sets")
    maze.add_argument("--target-episodes", type=int, default=50, help="default: %(default)s")
    maze.add_argument("--source-episodes", type=int, default=5000, help="default: %(default)s")
    maze.add_argument("--seed", type=int, default=0, help="of the demonstrations (default: %(default)s)")
    maze.add_argument("--processes", type=int, default=1, help="planners side by side (default: %(default)s)")
    maze.add_argument("--json", action="store_true", help="print the summary as JSON, without progress bars")
    maze.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the data."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.envs.maze_data import make_maze_data

    began = time.perf_counter()
    summaries = make_maze_data(
        args.root,
        target_episodes=args.target_episodes,
        source_episodes=args.source_episodes,
        seed=args.seed,
        processes=args.processes,
        progress=not args.json,
    )
    seconds = time.perf_counter() - began
    if args.json:
        print(json.dumps({**summaries, "seconds": round(seconds, 2)}, indent=2))
        return 0
    for kind, summary in summaries.items():
        print(
            f"{kind}: {summary['episodes']} episodes, {summary['frames']} frames, mean squared acceleration "
            f"{summary['mean_squared_acceleration']:.2f} cells^2/s^4, in {summary['root']}"
        )
    print(f"{seconds:.1f} s")
    return 0
