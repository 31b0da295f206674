# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient reproduce aloha`: two arms and a camera through LeRobot's own commands."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_aloha(experiments: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `aloha` to the experiments."""
    story = experiments.add_parser(
        "aloha",
        help="gym-aloha's cube transfer: data, training from pictures, lerobot-eval (needs the extra 'aloha')",
        description=(
            "Makes good and clumsy demonstrations of the cube transfer, plays some of them in the stock environment, "
            "estimates the window, trains with lerobot-train and rolls out with lerobot-eval --env.type=aloha. Needs "
            "no display: it draws by EGL unless MUJOCO_GL says otherwise. The same command goes on after a kill."
        ),
    )
    story.add_argument("--quick", action="store_true", help="two episodes each and ten training steps: minutes")
    story.add_argument("--output-dir", type=Path, default=Path("outputs/aloha"), help="default: %(default)s")
    story.add_argument("--results-dir", type=Path, help="for page and numbers (default: OUTPUT_DIR/results)")
    story.add_argument("--steps", type=int, help="training steps (default: 1500, with --quick 10)")
    story.add_argument("--eval-episodes", type=int, help="rollouts (default: 4, with --quick 1)")
    story.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    story.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the story. Returns 0, or 1 after printing which stage failed and the end of its log."""
    from dataclasses import replace

    from lerobot_ambient.benchmarks.walkthroughs import aloha_story
    from lerobot_ambient.benchmarks.walkthroughs.aloha_story_report import results_of, text_of, write_page
    from lerobot_ambient.integration.commands.stages import StageError

    sizes = aloha_story.AlohaStoryOptions.quick if args.quick else aloha_story.AlohaStoryOptions
    given = {name: getattr(args, name) for name in ("steps", "eval_episodes")}
    given = {name: value for name, value in given.items() if value is not None}
    options = replace(sizes(args.output_dir), **given)
    try:
        stages = aloha_story.run_story(options, progress=not args.json)
    except StageError as error:
        print(f"lerobot-ambient: error: {error}", file=sys.stderr)
        return 1
    words = ["lerobot-ambient", "reproduce", "aloha", *(["--quick"] if args.quick else [])]
    words += [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    results = results_of(options, stages, " ".join(words))
    files = write_page(results, args.results_dir or args.output_dir / "results")
    if args.json:
        print(json.dumps(results, indent=2))
        return 0
    print(text_of(results))
    for file in files:
        print(file)
    return 0
