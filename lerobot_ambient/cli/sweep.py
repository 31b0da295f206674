# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient sweep`: find windows and mixing by rollouts, with Optuna over stock training and evaluation."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.sweep.report import SweepReport

EXAMPLE = (
    "lerobot-ambient sweep --config_path=mine.yaml --env.type=ambient_maze --trials=20 \\\n"
    "    --space='{\"sources.0.sigma_min\": [0.05, 0.6]}'"
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `sweep`."""
    parser = subparsers.add_parser(
        "sweep",
        # LeRobot's own options are passed on; none may be taken for the beginning of one of these.
        allow_abbrev=False,
        help="search windows and mixing by rollouts: stock lerobot-train and lerobot-eval under Optuna",
        description=(
            "Each trial trains with stock lerobot-train and evaluates with stock lerobot-eval. Start the same command "
            "several times, on one machine or on many that share a database: the processes work on one study. It goes "
            "on after a kill; no trial is lost and none is done twice. All other options are lerobot-train's own: the "
            "policy, the data, --steps, --seed, --env.type, --eval.n_episodes."
        ),
    )
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    parser.add_argument(
        "--space",
        required=True,
        help='what varies, e.g. \'{"sources.0.sigma_min": [0.05, 0.6], "mixing.alpha": [0.2, 0.8]}\'; or a file',
    )
    parser.add_argument("--output-dir", type=Path, default=Path("outputs/sweep"), help="default: %(default)s")
    parser.add_argument("--trials", type=int, metavar="N", help="of all processes together (20; grid: all points)")
    parser.add_argument(
        "--judge",
        choices=("rollouts", "heldout"),
        default="rollouts",
        help="rollouts in an environment, or the score of `check` on what dataset.eval_split holds out "
        "(default: %(default)s)",
    )
    parser.add_argument("--sampler", default="tpe", help="tpe, random or grid (default: %(default)s)")
    parser.add_argument("--sampler-seed", type=int, default=0, metavar="N", help="default: %(default)s")
    parser.add_argument("--prune", metavar="RULE", help="end weak trials early: median or halving (default: never)")
    parser.add_argument("--rungs", type=int, metavar="N", help="evaluations of a trial, for --prune (3)")
    parser.add_argument(
        "--second",
        metavar="NAME:DIRECTION",
        help="a second objective, e.g. mean_squared_acceleration:minimize or avg_sum_reward:maximize",
    )
    parser.add_argument("--storage", metavar="URL", help="a database instead of OUTPUT_DIR/journal.log")
    parser.add_argument("--study", default="sweep", metavar="NAME", help="of the study (default: %(default)s)")
    parser.add_argument(
        "--eval-seed", type=int, default=50_000, metavar="N", help="of the first rollout (default: %(default)s)"
    )
    parser.add_argument(
        "--keep", type=int, default=3, metavar="N", help="best trials whose checkpoint stays (default: %(default)s)"
    )
    parser.add_argument(
        "--confirm",
        type=int,
        default=0,
        metavar="N",
        help="evaluate the N best again at the end, on other seeds (default: %(default)s)",
    )
    parser.add_argument(
        "--confirm-episodes", type=int, default=200, metavar="N", help="rollouts of each (default: %(default)s)"
    )
    parser.add_argument(
        "--confirm-seed", type=int, default=70_000, metavar="N", help="of the first of them (default: %(default)s)"
    )
    parser.add_argument("--retry-failed", action="store_true", help="try trials again that failed by themselves")
    parser.add_argument(
        "--stale-after",
        type=int,
        default=600,
        metavar="SECONDS",
        help="silence after which a process on another machine counts as dead (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Work on the sweep; `args.more` holds LeRobot's own options.

    Returns 0, or 1 if there is no winner or several trials failed one after the other.
    """
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.integration.commands.stages import StageError
    from lerobot_ambient.sweep.config import check_space, load_base
    from lerobot_ambient.sweep.space import read_space
    from lerobot_ambient.sweep.trial import Commands, Goal, TrialPlan
    from lerobot_ambient.sweep.worker import SweepOptions, run_sweep

    # Refuses what it can before the configuration is read, which takes seconds.
    options = SweepOptions(output_dir=args.output_dir, **{name: getattr(args, name) for name in _OPTIONS})
    base = load_base(args.config_path, args.more, args.judge)
    if args.second is not None and args.judge != "rollouts":
        raise ValueError(f"--second with --judge={args.judge}: it is of rollouts, and none is made; leave it out.")
    if args.second is not None:
        options = replace(options, second=Goal.read(args.second, base.env_type))
    space = read_space(args.space, base.parsed.policy)
    check_space(base, space)
    rungs = args.rungs if args.rungs is not None else 3 if args.prune is not None else 1
    plan = TrialPlan(base, space, args.eval_seed, rungs, Commands.stock())
    try:
        report = run_sweep(options, plan, progress=not args.json)
    except StageError as error:
        print(f"lerobot-ambient: error: {error}", file=sys.stderr)
        return 1
    figure = _draw(report, args.output_dir / "sweep.png")
    code = 0 if report.no_winner is None else 1
    if args.json:
        print(json.dumps(report.to_dict(), indent=2))
        return code
    print(report.render())
    print(f"\nnumbers:            {args.output_dir / 'sweep.json'}")
    if figure is not None:
        print(f"figure:             {figure}")
    if report.best is not None:
        print(f"best configuration: {args.output_dir / 'best.yaml'}")
    return code


def _draw(report: SweepReport, path: Path) -> Path | None:
    """The figure, where matplotlib is installed; an hour of trials does not end in an error for want of it."""
    from lerobot_ambient.sweep.figure import draw_sweep

    try:
        return draw_sweep(report, path)
    except ModuleNotFoundError as error:
        print(f"no figure: {error.name} is not installed (the extra 'plots' brings it)", file=sys.stderr)
        return None


_OPTIONS = (
    *("trials", "sampler", "sampler_seed", "prune", "storage", "study", "keep"),
    *("confirm", "confirm_episodes", "confirm_seed", "retry_failed", "stale_after"),
)
