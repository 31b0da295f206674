# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient make-data`: write the demonstrations of a benchmark task as LeRobotDatasets."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

EXAMPLE = "lerobot-ambient make-data maze --root=outputs/data/maze"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `make-data` with one sub-command a task."""
    parser = subparsers.add_parser("make-data", help="write demonstrations of a benchmark task as datasets")
    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    aloha = tasks.add_parser(
        "aloha",
        help="good and clumsy demonstrations of ALOHA's cube transfer, with a camera (needs the extra 'aloha')",
        description=(
            "Writes ROOT/target and ROOT/source, as `lerobot-eval --env.type=aloha` shows the task to a policy. Runs "
            "again at no cost; after a kill it makes the dataset that is missing. Without a display it draws by EGL; "
            "MUJOCO_GL chooses otherwise."
        ),
    )
    _add_common(aloha, source_episodes=200)
    aloha.add_argument("--height", type=int, default=480, help="of the pictures, in pixels (default: %(default)s)")
    aloha.add_argument("--processes", type=int, default=1, help="episodes side by side (default: %(default)s)")
    aloha.set_defaults(run=_run_aloha)
    arm7 = tasks.add_parser(
        "arm7",
        help="smooth target and raw source motions of a seven-joint arm (needs the extra 'arm7')",
        description="Writes ROOT/target and ROOT/source. Runs again at no cost, and continues after a kill.",
    )
    _add_common(arm7, source_episodes=2000)
    arm7.add_argument("--processes", type=int, default=1, help="planners side by side (default: %(default)s)")
    arm7.set_defaults(run=_run_arm7)
    maze = tasks.add_parser(
        "maze",
        help="smooth target and jagged source paths through a maze (needs the extra 'maze')",
        description="Writes ROOT/target and ROOT/source. Runs again at no cost, and continues after a kill.",
    )
    _add_common(maze, source_episodes=5000)
    maze.add_argument("--processes", type=int, default=1, help="planners side by side (default: %(default)s)")
    maze.add_argument(
        "--images", type=int, metavar="SIZE", help="show the goal in pictures of SIZE pixels, in place of its position"
    )
    maze.add_argument(
        "--hide-goal", action="store_true", help="with --images: leave the goal out, for a control that cannot see it"
    )
    maze.set_defaults(run=run)
    metaworld = tasks.add_parser(
        "metaworld",
        help="Meta-World's scripted experts, and others with a planted fault (needs the extra 'metaworld')",
        description=(
            "Writes ROOT/target, successes of the expert, and ROOT/source, its demonstrations with a fault, failures "
            "included. Runs again at no cost, and continues after a kill."
        ),
    )
    _add_common(metaworld, target_episodes=25, source_episodes=500)
    metaworld.add_argument(
        "--task", dest="task_name", default="push-v3", metavar="NAME", help="Meta-World's name (default: %(default)s)"
    )
    metaworld.add_argument(
        "--fault",
        choices=("none", "tremble", "slow", "gains", "delay", "wrong_goal", "wrong_task", "broken"),
        required=True,
        help="of the source; none is the expert, for an upper bound",
    )
    metaworld.add_argument("--strength", type=float, default=1.0, help="of the fault (default: %(default)s)")
    metaworld.set_defaults(run=_run_metaworld)
    pushing = tasks.add_parser(
        "pushing",
        help="planar pushing in the target's physics and in the source's (needs the extra 'pushing')",
        description="Writes ROOT/target and ROOT/source. Runs again at no cost, and continues after a kill.",
    )
    _add_common(pushing, source_episodes=2000)
    pushing.add_argument("--processes", type=int, default=1, help="demonstrators side by side (default: %(default)s)")
    pushing.set_defaults(run=_run_pushing)
    pusht = tasks.add_parser(
        "pusht",
        help="clean demonstrations of gym-pusht's PushT, and some with a planted fault (needs the extra 'pusht')",
        description=(
            "Writes ROOT/target and ROOT/source, both by a planner that pushes with gym-pusht itself as its model. "
            "Runs again at no cost, and continues after a kill."
        ),
    )
    pusht.add_argument(
        "--fault",
        choices=("trembling", "slow", "delayed", "friction", "goal", "broken", "none"),
        required=True,
        help="of the source: shaking commands; half the speed with pauses; commands that act three steps late; a "
        "pusher that sticks; a mark elsewhere; three episodes in ten broken; or none (for an upper bound)",
    )
    pusht.add_argument(
        "--reach",
        type=float,
        default=1.0,
        help="how far from the mark the T starts, in (0, 1]; 1: gym-pusht's own starts (default: %(default)s)",
    )
    _add_common(pusht, source_episodes=300)
    pusht.add_argument("--processes", type=int, default=1, help="demonstrators side by side (default: %(default)s)")
    pusht.set_defaults(run=_run_pusht)
    so101 = tasks.add_parser(
        "so101",
        help="careful and clumsy recordings as of one SO-101, in the place of one's own",
        description=(
            "Writes ROOT/target, few careful recordings of a cube that is put into a box, and ROOT/source, more by a "
            "hand that trembles and hesitates. They are computed, not recorded. Runs again at no cost, and continues "
            "after a kill."
        ),
    )
    _add_common(so101, target_episodes=20, source_episodes=60)
    so101.add_argument(
        "--camera", type=int, metavar="SIZE", help="also a camera above the table, of SIZE pixels (default: none)"
    )
    so101.set_defaults(run=_run_so101)
    sorting = tasks.add_parser(
        "sorting",
        help="target demonstrations that sort blocks right, and source demonstrations that do not",
        description="Writes ROOT/target and ROOT/source. Runs again at no cost, and continues after a kill.",
    )
    sorting.add_argument(
        "--logic",
        choices=("opposite", "arbitrary", "right"),
        required=True,
        help="how the source chooses the bin: the wrong one, any, or the right one (for an upper bound)",
    )
    _add_common(sorting, source_episodes=200)
    sorting.add_argument("--blocks", type=int, default=3, help="in every episode (default: %(default)s)")
    sorting.add_argument(
        "--condition", action="store_true", help="end the environment state with a flag: 1 in the target, else 0"
    )
    sorting.add_argument(
        "--view",
        choices=("table", "wrist"),
        default="table",
        help="what is observed; wrist: also every block's position less the hand's (default: %(default)s)",
    )
    sorting.set_defaults(run=_run_sorting)


def run(args: argparse.Namespace) -> int:
    """Make the maze's data."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.benchmarks.tasks.maze.data import Pictures, make_maze_data

    if args.hide_goal and args.images is None:
        raise ValueError(
            "make-data maze: --hide-goal leaves the goal out of the pictures, but there are none; add --images SIZE"
        )
    pictures = None if args.images is None else Pictures(args.images, args.hide_goal)
    return _make(
        args,
        partial(make_maze_data, pictures=pictures, processes=args.processes),
        lambda one: f"mean squared acceleration {one['mean_squared_acceleration']:.2f} cells^2/s^4",
    )


def _run_aloha(args: argparse.Namespace) -> int:
    """Make the data of ALOHA's cube transfer."""
    from lerobot_ambient.benchmarks.tasks.aloha.gl import choose_gl, require_gl

    require_gl()
    choose_gl()
    # Late, so that the help of every verb stays quick, and after the choice, which MuJoCo reads when it is imported.
    from lerobot_ambient.benchmarks.tasks.aloha.data import make_aloha_data

    return _make(
        args,
        partial(make_aloha_data, height=args.height, processes=args.processes),
        lambda one: (
            f"{one['attempts']} attempts, mean squared acceleration {one['mean_squared_acceleration']:.0f} rad^2/s^4"
        ),
    )


def _run_arm7(args: argparse.Namespace) -> int:
    """Make the arm's data."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.benchmarks.tasks.arm7.data import make_arm7_data

    return _make(
        args,
        partial(make_arm7_data, processes=args.processes),
        lambda one: f"mean squared acceleration {one['mean_squared_acceleration']:.2f} rad^2/s^4",
    )


def _run_metaworld(args: argparse.Namespace) -> int:
    """Make the data of a task of Meta-World."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.benchmarks.tasks.metaworld.data import make_metaworld_data

    return _make(
        args,
        partial(make_metaworld_data, task=args.task_name, fault=args.fault, strength=args.strength),
        lambda one: (
            f"fault {one['fault']}, {one['successes']} successes, mean squared acceleration "
            f"{one['mean_squared_acceleration']:.1f} m^2/s^4"
        ),
    )


def _run_pushing(args: argparse.Namespace) -> int:
    """Make the data of planar pushing."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.benchmarks.tasks.pushing.data import make_pushing_data

    return _make(
        args,
        partial(make_pushing_data, processes=args.processes),
        lambda one: f"mean squared acceleration {one['mean_squared_acceleration']:.0f} cm^2/s^4",
    )


def _run_pusht(args: argparse.Namespace) -> int:
    """Make the data of PushT."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.benchmarks.tasks.pusht.data import make_pusht_data

    return _make(
        args,
        partial(make_pusht_data, fault=args.fault, reach=args.reach, processes=args.processes),
        lambda one: (
            f"{one['attempts']} attempts, mean squared acceleration {one['mean_squared_acceleration']:.0f} pixels^2/s^4"
        ),
    )


def _run_so101(args: argparse.Namespace) -> int:
    """Make recordings as of an SO-101."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.benchmarks.tasks.so101.data import make_so101_data

    return _make(
        args,
        partial(make_so101_data, pixels=args.camera),
        lambda one: (
            f"a {one['hand']} hand, mean squared acceleration {one['mean_squared_acceleration']:.0f} degrees^2/s^4"
        ),
    )


def _run_sorting(args: argparse.Namespace) -> int:
    """Make the data of block sorting."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.benchmarks.tasks.sorting.data import make_sorting_data

    return _make(
        args,
        partial(make_sorting_data, logic=args.logic, blocks=args.blocks, condition=args.condition, view=args.view),
        lambda one: f"{one['logic']} logic, {100 * one['correct']:.1f} % of the blocks in the bin of their colour",
    )


def _add_common(parser: argparse.ArgumentParser, *, source_episodes: int, target_episodes: int = 50) -> None:
    """Add what the data of every task takes."""
    parser.add_argument("--root", type=Path, required=True, help="parent folder of the two datasets")
    parser.add_argument("--target-episodes", type=int, default=target_episodes, help="default: %(default)s")
    parser.add_argument("--source-episodes", type=int, default=source_episodes, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the demonstrations (default: %(default)s)")
    parser.add_argument("--only", choices=("target", "source"), help="make one of the two (default: both)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON, without progress bars")
    # Parsers are made when the command starts, before anything heavy is loaded.
    parser.set_defaults(began=time.perf_counter())


def _make(
    args: argparse.Namespace,
    make: Callable[..., Mapping[str, dict[str, Any]]],
    describe: Callable[[dict[str, Any]], str],
) -> int:
    """Make the data with what every task takes, and print it as JSON or a line a dataset with what `describe` says."""
    summaries = make(
        args.root,
        target_episodes=args.target_episodes,
        source_episodes=args.source_episodes,
        seed=args.seed,
        # What is not asked for keeps its default, which each task declares.
        **({} if args.only is None else {"kinds": (args.only,)}),
        progress=not args.json,
    )
    # What the user waited for: loading the libraries takes longer than making a little data.
    seconds = time.perf_counter() - args.began
    if args.json:
        print(json.dumps({**summaries, "seconds": round(seconds, 2)}, indent=2))
        return 0
    for kind, one in summaries.items():
        print(f"{kind}: {one['episodes']} episodes, {one['frames']} frames, {describe(one)}, in {one['root']}")
    print(f"{seconds:.1f} s")
    return 0
