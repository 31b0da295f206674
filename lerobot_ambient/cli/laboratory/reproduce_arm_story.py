# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient reproduce arm-story` and `end-effector`: from recordings to rollouts on a virtual arm."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arm_story(experiments: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `arm-story` to the experiments."""
    story = experiments.add_parser(
        "arm-story",
        help="from recording to rollout on a virtual arm, with LeRobot's commands (needs the extra 'arm')",
        description=(
            "Records a steady and a trembling hand on virtual SO-101 arms with lerobot-record, estimates windows, "
            "trains with lerobot-train, pushes the policy to a Hub on this machine and pulls it from there, and moves "
            "the arm with lerobot-rollout, once plainly and once recording. "
            "Prints how long each took and whether the arm was commanded at its rate. The same command goes on after "
            "a kill."
        ),
    )
    story.add_argument("--quick", action="store_true", help="three short episodes and ten training steps: minutes")
    story.add_argument("--output-dir", type=Path, default=Path("outputs/arm-story"), help="default: %(default)s")
    story.add_argument("--steps", type=int, help="training steps (default: 300, with --quick 10)")
    story.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    story.set_defaults(run=run)


def add_end_effector(experiments: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `end-effector` to the experiments."""
    story = experiments.add_parser(
        "end-effector",
        help="a policy in end-effector space on a virtual arm (needs the extras 'arm' and 'kinematics')",
        description=(
            "Writes demonstrations of reaching four poses, few in joints of an SO-101 and many in steps of a pose in "
            "other axes, trains on both with lerobot-train in end-effector space, and lets lerobot-rollout reach each "
            "pose with the virtual arm. Prints how far from the demonstrated pose the tip ends. The same command goes "
            "on after a kill."
        ),
    )
    story.add_argument("--output-dir", type=Path, default=Path("outputs/end-effector"), help="default: %(default)s")
    story.add_argument(
        "--learn",
        choices=("absolute", "delta_base", "delta_tool"),
        default="absolute",
        help="what the policy learns: poses, or steps in the axes of the base or the tool (default: %(default)s)",
    )
    story.add_argument("--steps", type=int, default=4000, help="training steps (default: %(default)s)")
    story.add_argument("--json", action="store_true", help="print the results as JSON, without progress")
    story.set_defaults(run=run_end_effector)


def run_end_effector(args: argparse.Namespace) -> int:
    """Run the story. Returns 0, or 1 after printing which stage failed and the end of its log."""
    from lerobot_ambient.benchmarks.walkthroughs import end_effector_story as story
    from lerobot_ambient.integration.commands.stages import StageError

    options = story.EndEffectorOptions(args.output_dir, learn=args.learn, steps=args.steps)
    try:
        stages = story.run_story(options, progress=not args.json)
    except StageError as error:
        print(f"lerobot-ambient: error: {error}", file=sys.stderr)
        return 1
    results = story.results_of(stages)
    print(json.dumps(results, indent=2) if args.json else story.text_of(results))
    return 0


def run(args: argparse.Namespace) -> int:
    """Run the story. Returns 0, or 1 after printing which stage failed and the end of its log."""
    from dataclasses import replace

    from lerobot_ambient.benchmarks.walkthroughs import arm_story
    from lerobot_ambient.benchmarks.walkthroughs.arm_story_report import results_of, text_of
    from lerobot_ambient.integration.commands.stages import StageError

    sizes = arm_story.ArmStoryOptions.quick if args.quick else arm_story.ArmStoryOptions
    options = sizes(args.output_dir)
    if args.steps is not None:
        options = replace(options, steps=args.steps)
    try:
        stages = arm_story.run_story(options, progress=not args.json)
    except StageError as error:
        print(f"lerobot-ambient: error: {error}", file=sys.stderr)
        return 1
    results = results_of(options, stages)
    print(json.dumps(results, indent=2) if args.json else text_of(results))
    return 0
