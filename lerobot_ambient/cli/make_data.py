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
    pushing = tasks.add_parser(
        "pushing",
        help="planar pushing in the target's physics and in the source's (needs the extra 'pushing')",
        description="Writes ROOT/target and ROOT/source. Runs again at no cost, and continues after a kill.",
    )
    pushing.add_argument("--root", type=Path, required=True, help="parent folder of the two data sets")
    pushing.add_argument("--target-episodes", type=int, default=50, help="default: %(default)s")
    pushing.add_argument("--source-episodes", type=int, default=2000, help="default: %(default)s")
    pushing.add_argument("--seed", type=int, default=0, help="of the demonstrations (default: %(default)s)")
    pushing.add_argument("--processes", type=int, default=1, help="demonstrators side by side (default: %(default)s)")
    pushing.add_argument("--json", action="store_true", help="print the summary as JSON, without progress bars")
    pushing.set_defaults(run=run_pushing)
    sorting = tasks.add_parser(
        "sorting",
        help="target demonstrations that sort blocks right, and source demonstrations that do not",
        description="Writes ROOT/target and ROOT/source. Runs again at no cost, and continues after a kill.",
    )
    sorting.add_argument("--root", type=Path, required=True, help="parent folder of the two data sets")
    sorting.add_argument(
        "--logic",
        choices=("opposite", "arbitrary", "right"),
        required=True,
        help="how the source chooses the bin: the wrong one, any, or the right one (for an upper bound)",
    )
    sorting.add_argument("--target-episodes", type=int, default=50, help="default: %(default)s")
    sorting.add_argument("--source-episodes", type=int, default=200, help="default: %(default)s")
    sorting.add_argument("--seed", type=int, default=0, help="of the demonstrations (default: %(default)s)")
    sorting.add_argument("--blocks", type=int, default=3, help="in every episode (default: %(default)s)")
    sorting.add_argument(
        "--condition", action="store_true", help="end the environment state with a flag: 1 in the target, else 0"
    )
    sorting.add_argument("--json", action="store_true", help="print the summary as JSON, without progress bars")
    sorting.set_defaults(run=run_sorting)


def run(args: argparse.Namespace) -> int:
    """Make the maze's data."""
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


def run_pushing(args: argparse.Namespace) -> int:
    """Make the data of planar pushing."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.envs.pushing_data import make_pushing_data

    began = time.perf_counter()
    summaries = make_pushing_data(
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
            f"{summary['mean_squared_acceleration']:.0f} cm^2/s^4, in {summary['root']}"
        )
    print(f"{seconds:.1f} s")
    return 0


def run_sorting(args: argparse.Namespace) -> int:
    """Make the data of block sorting."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.envs.sorting_data import make_sorting_data

    began = time.perf_counter()
    summaries = make_sorting_data(
        args.root,
        logic=args.logic,
        target_episodes=args.target_episodes,
        source_episodes=args.source_episodes,
        seed=args.seed,
        blocks=args.blocks,
        condition=args.condition,
        progress=not args.json,
    )
    seconds = time.perf_counter() - began
    if args.json:
        print(json.dumps({**summaries, "seconds": round(seconds, 2)}, indent=2))
        return 0
    for kind, summary in summaries.items():
        print(
            f"{kind}: {summary['episodes']} episodes, {summary['frames']} frames, {summary['logic']} logic, "
            f"{100 * summary['correct']:.1f} % of the blocks in the bin of their colour, in {summary['root']}"
        )
    print(f"{seconds:.1f} s")
    return 0
