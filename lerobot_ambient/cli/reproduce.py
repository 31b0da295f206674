# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient reproduce`: run a committed experiment again, from data to table and figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.experiments.maze_report import Report


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `reproduce` with one sub-command an experiment."""
    parser = subparsers.add_parser("reproduce", help="run a committed experiment: data, training, table, figures")
    experiments = parser.add_subparsers(dest="experiment", required=True, metavar="EXPERIMENT")
    maze = experiments.add_parser(
        "maze",
        help="motion planning from 50 smooth and 5000 jagged paths (needs the extra 'maze')",
        description=(
            "Makes the data, sweeps co-training's alpha and ambient's sigma_min, trains every arm with stock "
            "lerobot-train, rolls out with stock lerobot-eval, and writes the table and the figures. The same command "
            "goes on after a kill; a stage whose settings changed is moved aside (NAME.old-1) and run again."
        ),
    )
    maze.add_argument("--quick", action="store_true", help="three arms, one seed, no sweep, less data: minutes")
    maze.add_argument("--output-dir", type=Path, default=Path("outputs/maze"), help="default: %(default)s")
    maze.add_argument("--data-root", type=Path, help="use the data sets in this folder's target and source")
    maze.add_argument("--results-dir", type=Path, help="for the table and figures (default: OUTPUT_DIR/results)")
    maze.add_argument("--arms", type=_names, metavar="A,B,...", help="default: all, with --quick three")
    maze.add_argument(
        "--windows",
        type=_names,
        metavar="A,B,...",
        help="also train with estimated windows: spectral, classifier-dataset, classifier-bucket, classifier-datapoint "
        "(needs the extra 'annotate'; results are called maze-windows)",
    )
    maze.add_argument("--sigma-mins", type=_levels, metavar="S,S,...", help="levels the sweep tries (0.16,0.3)")
    maze.add_argument("--seeds", type=_numbers, metavar="N,M,...", help="training seeds of the final runs (1,2)")
    maze.add_argument("--trials", type=int, help="roll-outs a final run (250; --quick: 100)")
    maze.add_argument("--sweep-trials", type=int, help="roll-outs a run of a sweep (100)")
    maze.add_argument("--steps", type=int, help="training steps a run (7000; --quick: 6000)")
    maze.add_argument("--batch-size", type=int, help="frames a step (128)")
    maze.add_argument("--target-episodes", type=int, help="of the data that is made (50)")
    maze.add_argument("--source-episodes", type=int, help="of the data that is made (5000; --quick: 1000)")
    maze.add_argument("--jobs", type=int, help="stages side by side, one thread each (number of cores, at most 8)")
    maze.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    maze.set_defaults(run=run)
    oracles = experiments.add_parser(
        "oracles",
        help="what `annotate` finds where the answer is known in closed form (needs the extra 'annotate')",
        description=(
            "Annotates made-up data sets whose windows follow from an integral: sigma_min of Gaussian mixtures at "
            "several distances and sizes, with and without cross-fitting, data sets of one law, disjoint ones, planted "
            "locality and jitter. Writes a table, a figure and the numbers. The same command goes on after a kill."
        ),
    )
    oracles.add_argument("--quick", action="store_true", help="fewer cases and seeds: minutes")
    oracles.add_argument("--output-dir", type=Path, default=Path("outputs/oracles"), help="default: %(default)s")
    oracles.add_argument("--results-dir", type=Path, help="for the table and figure (default: OUTPUT_DIR/results)")
    oracles.add_argument("--jobs", type=int, help="cases side by side, one thread each (number of cores, at most 8)")
    oracles.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    oracles.set_defaults(run=run_oracles)
    recordings = experiments.add_parser(
        "recordings",
        help="what `annotate` finds on real recordings with and without planted jitter (needs the extra 'annotate')",
        description=(
            "Takes episodes 0 and 1 of a LeRobot data set as the target, and as sources episodes 2 and 3, a copy of "
            "them with white jitter planted in the actions, and a jittered copy of the target. Annotates all by "
            "spectra and by classifiers, and writes a table, the numbers and the report. The same command goes on "
            "after a kill."
        ),
    )
    recordings.add_argument("--root", type=Path, required=True, help="a LeRobot data set of four episodes or more")
    recordings.add_argument("--output-dir", type=Path, default=Path("outputs/recordings"), help="default: %(default)s")
    recordings.add_argument("--results-dir", type=Path, help="for table and report (default: OUTPUT_DIR/results)")
    recordings.add_argument(
        "--jitter", type=float, default=0.05, help="standard deviation in normalised actions (%(default)s)"
    )
    recordings.add_argument("--seed", type=int, default=0, help="of the jitter and the classifiers (%(default)s)")
    recordings.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    recordings.set_defaults(run=run_recordings)


def run_recordings(args: argparse.Namespace) -> int:
    """Annotate recordings with known jitter."""
    from lerobot_ambient.experiments import recordings
    from lerobot_ambient.experiments.recordings_report import write_report

    options = recordings.RecordingsOptions(args.root, args.output_dir, jitter=args.jitter, seed=args.seed)
    outcome = recordings.run_recordings(options, progress=not args.json)
    _print(write_report(outcome, args.results_dir), as_json=args.json)
    return 0


def run_oracles(args: argparse.Namespace) -> int:
    """Annotate data sets with known answers."""
    from dataclasses import replace

    from lerobot_ambient.experiments import oracles
    from lerobot_ambient.experiments.oracles_report import write_report

    options = oracles.OracleOptions.quick(args.output_dir) if args.quick else oracles.OracleOptions(args.output_dir)
    outcome = oracles.run_oracles(replace(options, jobs=_jobs(args)), progress=not args.json)
    command = "lerobot-ambient reproduce oracles" + (" --quick" if args.quick else "")
    _print(write_report(outcome, command, args.results_dir), as_json=args.json)
    return 0


def run(args: argparse.Namespace) -> int:
    """Run the experiment. Returns 0, or 1 after printing which stage failed and the end of its log."""
    # Late, so that the help of every verb stays quick.
    from dataclasses import replace

    from lerobot_ambient.experiments.maze_report import write_report
    from lerobot_ambient.experiments.maze_run import MazeOptions, run_maze
    from lerobot_ambient.experiments.stages import StageError, StageRunner

    options = MazeOptions.quick(args.output_dir) if args.quick else MazeOptions(args.output_dir)
    given = {name: value for name in _SIZES if (value := getattr(args, name)) is not None}
    options = replace(options, data_root=args.data_root, jobs=_jobs(args), **given)
    runner = StageRunner(args.output_dir.resolve(), options.jobs, progress=not args.json)
    try:
        outcome = run_maze(options, runner)
    except StageError as error:
        print(f"lerobot-ambient: error: {error}", file=sys.stderr)
        return 1
    _print(write_report(outcome, _command(args), args.results_dir), as_json=args.json)
    return 0


def _jobs(args: argparse.Namespace) -> int:
    return args.jobs if args.jobs is not None else min(8, os.cpu_count() or 1)


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(report.results, indent=2))
        return
    print(report.table)
    print(f"table:   {report.page}")
    for figure in report.figures:
        print(f"figure:  {figure}")
    print(f"numbers: {report.numbers}")


_SIZES = (
    *("arms", "windows", "sigma_mins", "seeds", "trials", "sweep_trials", "steps", "batch_size"),
    *("target_episodes", "source_episodes"),
)


def _command(args: argparse.Namespace) -> str:
    """The command that repeats the results: everything given but where files lie and how many run at once."""
    words = ["lerobot-ambient", "reproduce", "maze", *(["--quick"] if args.quick else [])]
    for name in _SIZES:
        value = getattr(args, name)
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words.append(f"--{name.replace('_', '-')}={text}")
    return " ".join(words)


def _names(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of noise levels like 0.16,0.3") from None


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers like 1,2") from None
