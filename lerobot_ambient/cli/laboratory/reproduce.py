# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient reproduce`: run a committed experiment again, from data to table and figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_ambient.cli.laboratory.reproduce_aloha import add_aloha
from lerobot_ambient.cli.laboratory.reproduce_arm_story import add_arm_story, add_end_effector
from lerobot_ambient.cli.laboratory.reproduce_judgement import add_judgement

if TYPE_CHECKING:
    from lerobot_ambient.benchmarks.pages.study_report import Report


STUDIES = {
    "maze": ("motion planning from 50 smooth and 5000 jagged paths (needs the extra 'maze')", "three arms"),
    "sorting": ("right decisions from 15 demonstrations, motion from 200 that decide wrongly", "three arms"),
    "pushing": ("50 demonstrations in one physics, 2000 in another (needs the extra 'pushing')", "three arms"),
    "pusht": ("gym-pusht's PushT, two planted faults in 300 episodes each (needs the extra 'pusht')", "three arms"),
    "arm7": ("seven joints, 50 smooth and 2000 raw paths (needs the extra 'arm7')", "three arms"),
    "scaling": ("pushing with 500 to 4000 source demonstrations (needs the extra 'pushing')", "three arms"),
    "vision": ("the maze with its goal in a picture only (needs the extra 'maze')", "two arms"),
    "flow": ("the maze under flow matching, and the same windows under DDPM (needs the extra 'maze')", "three arms"),
    "metaworld-push": ("Meta-World's push-v3 with planted faults (needs the extra 'metaworld')", "three arms"),
    "metaworld-pick": ("Meta-World's pick-place-v3, likewise", "three arms"),
    "metaworld-shelf": ("Meta-World's shelf-place-v3, likewise", "three arms"),
    "metaworld-peg": ("Meta-World's peg-insert-side-v3, likewise", "three arms"),
    "pays-maze": ("the maze with 10 to 200 smooth paths (needs the extra 'maze')", "three arms"),
    "pays-push": ("Meta-World's push-v3 with 10 to 200 experts (needs the extra 'metaworld')", "three arms"),
}
"""Experiments that train policies: what they are about, and what `--quick` runs of them."""

EXAMPLE = "lerobot-ambient reproduce maze --quick --output-dir=outputs/maze"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `reproduce` with one sub-command an experiment."""
    parser = subparsers.add_parser("reproduce", help="run a committed experiment: data, training, table, figures")
    experiments = parser.add_subparsers(dest="experiment", required=True, metavar="EXPERIMENT")
    for name, study in STUDIES.items():
        _add_study(experiments, name, study)
    oracles = experiments.add_parser(
        "oracles",
        help="what `annotate` finds where the answer is known in closed form (needs the extra 'annotate')",
        description=(
            "Annotates made-up datasets whose windows follow from an integral: sigma_min of Gaussian mixtures at "
            "several distances and sizes, with and without cross-fitting, datasets of one law, disjoint ones, planted "
            "locality and jitter. Writes a table, a figure and the numbers. The same command goes on after a kill."
        ),
    )
    oracles.add_argument("--quick", action="store_true", help="fewer cases and seeds: minutes")
    oracles.add_argument("--output-dir", type=Path, default=Path("outputs/oracles"), help="default: %(default)s")
    oracles.add_argument("--results-dir", type=Path, help="for the table and figure (default: OUTPUT_DIR/results)")
    oracles.add_argument("--jobs", type=int, help="cases side by side, one thread each (number of cores, at most 8)")
    oracles.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    oracles.set_defaults(run=run_oracles)
    heldout = experiments.add_parser(
        "heldout-oracles",
        help="what the held-out map says where the truth is known (needs the extra 'annotate')",
        description=(
            "Draws datasets of a small conditional task and sources with one fault each: of one law, with jitter, at "
            "another pace, with wrong or permuted decisions, with an offset, disjoint, with heavy tails. Puts each to "
            "`annotate --method=heldout`, and its verdict, window and intervals to hundreds of fresh episodes. Writes "
            "a table and the numbers. The same command goes on after a kill."
        ),
    )
    heldout.add_argument("--quick", action="store_true", help="two draws of each kind: minutes")
    heldout.add_argument("--draws", type=int, help="of each kind of source (default: 20, with --quick 2)")
    heldout.add_argument("--many", type=int, help="of wrong and permuted decisions (default: 100, with --quick 2)")
    heldout.add_argument(
        "--output-dir", type=Path, default=Path("outputs/heldout-oracles"), help="default: %(default)s"
    )
    heldout.add_argument("--results-dir", type=Path, help="for table and numbers (default: OUTPUT_DIR/results)")
    heldout.add_argument("--jobs", type=int, help="draws side by side, one thread each (number of cores, at most 8)")
    heldout.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    heldout.set_defaults(run=run_held_out_oracles)
    recordings = experiments.add_parser(
        "recordings",
        help="what `annotate` finds on real recordings with and without planted jitter (needs the extra 'annotate')",
        description=(
            "Takes episodes 0 and 1 of a LeRobot dataset as the target, and as sources episodes 2 and 3, a copy of "
            "them with white jitter planted in the actions, and a jittered copy of the target. Annotates all by "
            "spectra and by classifiers, and writes a table, the numbers and the report. The same command goes on "
            "after a kill."
        ),
    )
    recordings.add_argument("--root", type=Path, required=True, help="a LeRobot dataset of four episodes or more")
    recordings.add_argument("--output-dir", type=Path, default=Path("outputs/recordings"), help="default: %(default)s")
    recordings.add_argument("--results-dir", type=Path, help="for table and report (default: OUTPUT_DIR/results)")
    recordings.add_argument(
        "--jitter", type=float, default=0.05, help="standard deviation in normalised actions (%(default)s)"
    )
    recordings.add_argument("--seed", type=int, default=0, help="of the jitter and the classifiers (%(default)s)")
    recordings.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    recordings.set_defaults(run=run_recordings)
    add_judgement(experiments)
    add_aloha(experiments)
    add_arm_story(experiments)
    add_end_effector(experiments)


def _add_study(
    experiments: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: tuple[str, str]
) -> None:
    """Add an experiment that trains policies."""
    summary, quick = words
    parser = experiments.add_parser(
        name,
        help=summary,
        description=(
            "Makes the data, sweeps what has to be chosen, trains every arm with stock lerobot-train, rolls out with "
            "stock lerobot-eval, and writes the table and the figures. The same command goes on after a kill; a stage "
            "whose settings changed is moved aside (NAME.old-1) and run again. Sizes that are not given are those of "
            "docs/reference/cli.md."
        ),
    )
    parser.add_argument("--quick", action="store_true", help=f"{quick}, one seed, no sweep, less data: minutes")
    parser.add_argument("--output-dir", type=Path, default=Path(f"outputs/{name}"), help="default: %(default)s")
    parser.add_argument("--data-root", type=Path, help="use the datasets in this folder's target and source")
    parser.add_argument("--results-dir", type=Path, help="for the table and figures (default: OUTPUT_DIR/results)")
    parser.add_argument("--reuse", type=Path, metavar="FILE", help="take what was made with the same settings from it")
    parser.add_argument("--arms", type=_names, metavar="A,B,...", help=f"default: all, with --quick {quick}")
    parser.add_argument("--no-sweep", action="store_true", help="train with the defaults of what is swept")
    parser.add_argument("--seeds", type=_numbers, metavar="N,M,...", help="training seeds of the final runs")
    parser.add_argument("--trials", type=int, help="rollouts a final run")
    parser.add_argument("--sweep-trials", type=int, help="rollouts a run of a sweep")
    parser.add_argument("--steps", type=int, help="training steps a run")
    parser.add_argument("--batch-size", type=int, help="frames a step")
    parser.add_argument("--target-episodes", type=int, help="of the data that is made")
    parser.add_argument("--source-episodes", type=int, help="of the data that is made")
    parser.add_argument("--jobs", type=int, help="stages side by side, one thread each (number of cores, at most 8)")
    parser.add_argument(
        "--mixed-precision", choices=["no", "bf16", "fp16"], default="no", help="of the trainings (default: float32)"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    parser.set_defaults(run=run_study)


def run_recordings(args: argparse.Namespace) -> int:
    """Annotate recordings with known jitter."""
    from lerobot_ambient.benchmarks.estimators import recordings
    from lerobot_ambient.benchmarks.estimators.recordings_report import write_report

    options = recordings.RecordingsOptions(args.root, args.output_dir, jitter=args.jitter, seed=args.seed)
    outcome = recordings.run_recordings(options, progress=not args.json)
    _print(write_report(outcome, args.results_dir), as_json=args.json)
    return 0


def run_oracles(args: argparse.Namespace) -> int:
    """Annotate datasets with known answers."""
    from dataclasses import replace

    from lerobot_ambient.benchmarks.estimators import oracles
    from lerobot_ambient.benchmarks.estimators.oracles_report import write_report

    options = oracles.OracleOptions.quick(args.output_dir) if args.quick else oracles.OracleOptions(args.output_dir)
    outcome = oracles.run_oracles(replace(options, jobs=_jobs(args)), progress=not args.json)
    command = "lerobot-ambient reproduce oracles" + (" --quick" if args.quick else "")
    _print(write_report(outcome, command, args.results_dir), as_json=args.json)
    return 0


def run_held_out_oracles(args: argparse.Namespace) -> int:
    """Put draws with a known truth to the held-out method."""
    from lerobot_ambient.benchmarks.estimators import heldout_oracles
    from lerobot_ambient.benchmarks.estimators.heldout_report import write_report

    options = heldout_oracles.HeldOutOracleOptions(
        args.output_dir,
        draws=args.draws if args.draws is not None else 2 if args.quick else 20,
        many=args.many if args.many is not None else 2 if args.quick else 100,
        jobs=_jobs(args),
    )
    outcome = heldout_oracles.run_held_out_oracles(options, progress=not args.json)
    command = f"lerobot-ambient reproduce heldout-oracles --draws={options.draws} --many={options.many}"
    _print(write_report(outcome, command, args.results_dir), as_json=args.json)
    return 0


def run_study(args: argparse.Namespace) -> int:
    """Run an experiment. Returns 0, or 1 after printing which stage failed and the end of its log."""
    # Late, so that the help of every verb stays quick.
    from lerobot_ambient.benchmarks.engine.study import SIZE_FLAGS, options_for
    from lerobot_ambient.benchmarks.engine.study_run import run_study as run
    from lerobot_ambient.benchmarks.pages.study_report import write_report
    from lerobot_ambient.benchmarks.studies.catalogue import study_named
    from lerobot_ambient.integration.commands.stages import StageError, StageRunner

    study = study_named(args.experiment)
    sizes = {name: getattr(args, name) for name in SIZE_FLAGS}
    if args.no_sweep:
        sizes["sweep"] = False
    options = options_for(
        study,
        args.output_dir,
        quick=args.quick,
        conditions=args.arms,
        data_root=args.data_root,
        jobs=_jobs(args),
        mixed_precision=args.mixed_precision,
        reuse=args.reuse,
        **sizes,
    )
    runner = StageRunner(args.output_dir.resolve(), options.jobs, progress=not args.json)
    try:
        outcome = run(study, options, runner)
    except StageError as error:
        print(f"lerobot-ambient: error: {error}", file=sys.stderr)
        return 1
    _print(write_report(outcome, _command(args, SIZE_FLAGS), args.results_dir), as_json=args.json)
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
    if report.kept is not None:
        print(f"kept:    {report.kept}")


def _command(args: argparse.Namespace, sizes: tuple[str, ...]) -> str:
    """The command that repeats the results: everything given but where files lie and how many run at once."""
    words = ["lerobot-ambient", "reproduce", args.experiment]
    words += [f"--{flag}" for flag in ("quick", "no-sweep") if getattr(args, flag.replace("-", "_"))]
    if args.mixed_precision != "no":
        words.append(f"--mixed-precision={args.mixed_precision}")
    for name in ("arms", *sizes):
        value = getattr(args, name)
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words.append(f"--{name.replace('_', '-')}={text}")
    return " ".join(words)


def _names(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers like 1,2") from None
