# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench envs`: steps and resets a second of the environments."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict


def add_envs(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `envs` to the benchmarks."""
    envs = benches.add_parser(
        "envs",
        help="steps and resets a second of the environments, beside gymnasium's Pendulum",
        description=(
            "Takes small random motions in each environment, in turns with gymnasium's Pendulum, in one process. "
            "Prints steps and resets a second and the ratio ours / Pendulum of the steps. No picture is rendered."
        ),
    )
    envs.add_argument("--envs", type=_names, metavar="A,B,...", help="which (default: all, e.g. maze,sorting)")
    envs.add_argument("--steps", type=int, default=2000, help="of a round (default: %(default)s)")
    envs.add_argument("--rounds", type=int, default=3, help="of each environment (default: %(default)s)")
    envs.add_argument("--json", action="store_true", help="print the measurement as JSON")
    envs.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print, one line an environment as soon as it is known."""
    from lerobot_ambient.benchmarks.speed.environments import bench_envs, environments

    names = args.envs if args.envs is not None else environments()
    speeds = bench_envs(names, steps=args.steps, rounds=args.rounds)
    if args.json:
        print(json.dumps([asdict(speed) for speed in speeds], indent=2))
        return 0
    print("environment     steps/s   resets/s   steps/s against Pendulum's")
    for speed in speeds:
        print(
            f"{speed.env:12s} {speed.steps_per_s:10.0f} {speed.resets_per_s:10.0f} {speed.vs_pendulum:10.2f}",
            flush=True,
        )
    return 0


def _names(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
