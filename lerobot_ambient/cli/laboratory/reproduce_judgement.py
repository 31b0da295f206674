# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient reproduce judgement`: how well `check` foretells the rollouts of a study."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path


def add_judgement(experiments: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `judgement` to the experiments."""
    parser = experiments.add_parser(
        "judgement",
        help="how well `check` foretells rollouts (needs the extra 'annotate' and the output of a study)",
        description=(
            "Judges every policy of a study on episodes that none of them has seen, as `check` does, and correlates "
            "the judgement with the rollouts that the study made. Writes a table and the numbers. The same command "
            "goes on after a kill."
        ),
    )
    parser.add_argument("--study-dir", type=Path, required=True, help="the output of a study, e.g. outputs/maze")
    parser.add_argument("--root", type=Path, required=True, help="a dataset of the same task that no run has seen")
    parser.add_argument("--repo-id", default="ambient/fresh", help="its name (%(default)s)")
    parser.add_argument("--output-dir", type=Path, default=Path("outputs/judgement"), help="default: %(default)s")
    parser.add_argument("--results-dir", type=Path, help="for table and numbers (default: OUTPUT_DIR/results)")
    parser.add_argument("--samples", type=int, default=256, help="chunks a checkpoint (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge and correlate."""
    from lerobot_ambient.benchmarks.heldout.judgement import JudgementOptions, run_judgement, write_report
    from lerobot_ambient.policy import registered as registered

    options = JudgementOptions(args.study_dir, args.root, args.repo_id, args.output_dir, args.samples, args.seed)
    # Policies print where their weights come from, and stdout is for the results.
    with redirect_stdout(sys.stderr):
        points = run_judgement(options, progress=not args.json)
    report = write_report(points, options, args.results_dir)
    print(json.dumps(report.results, indent=2) if args.json else f"{report.table}\n{report.page}")
    return 0
