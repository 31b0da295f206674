# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench latency`: milliseconds for a chunk of actions, against stock diffusion."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from dataclasses import asdict


def add_latency(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `latency` to the benchmarks."""
    latency = benches.add_parser(
        "latency",
        help="milliseconds for a chunk of actions, against LeRobot's diffusion policy with the same weights",
        description=(
            "Lets a checkpoint and LeRobot's diffusion policy with its weights predict chunks in turn, for one robot, "
            "with several samplers. Prints milliseconds, the ratio ours / stock, whether the actions are equal bit "
            "for bit, and the highest control rate at which a chunk takes no longer than one step; and says when "
            "the machine is too busy to believe them."
        ),
    )
    latency.add_argument("--path", required=True, help="checkpoint of type ambient_diffusion, or its name on the Hub")
    latency.add_argument("--samplers", metavar="KIND:STEPS,...", help="default: DDIM:2, 4, 8, 16 and DDPM:100")
    latency.add_argument("--rounds", type=int, default=5, help="chunks of each policy (default: %(default)s)")
    latency.add_argument("--json", action="store_true", help="print the measurement as JSON")
    latency.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print. Returns 1 if the actions of any sampler are not equal to stock's."""
    from lerobot_ambient.benchmarks.speed.latency import DEFAULT_STEPS, bench_latency

    samplers = DEFAULT_STEPS if args.samplers is None else [word.strip() for word in args.samplers.split(",")]
    # LeRobot prints on stdout that it loads weights; what is printed here may be read by a program.
    with contextlib.redirect_stdout(sys.stderr):
        measured = bench_latency(args.path, samplers=samplers, rounds=args.rounds)
    if args.json:
        print(json.dumps([asdict(one) for one in measured], indent=2))
    else:
        print("sampler      ours ms   stock ms   ratio   equal   control rate up to")
        for one in measured:
            equal = "yes" if one.equal else "NO"
            print(
                f"{one.sampler:9s} {one.ours_ms:10.1f} {one.stock_ms:10.1f} {one.ratio:7.3f}   {equal:5s} "
                f"{1000 / one.ours_ms:12.0f} Hz{' ?' if one.doubts else ''}"
            )
        reasons: dict[str, list[str]] = {}
        for one in measured:
            for doubt in one.doubts:
                reasons.setdefault(doubt, []).append(one.sampler)
        if reasons:
            print("\nThe machine is too busy to believe the rows marked '?':")
            for doubt, samplers in reasons.items():
                print(f"  {doubt} ({'all' if len(samplers) == len(measured) else ', '.join(samplers)})")
            print("Run it again on a quiet machine, or with more --rounds.")
    return 0 if all(one.equal for one in measured) else 1
