# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench flow-step`: a training step of a flow policy on a mixture, against LeRobot's own."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from dataclasses import asdict

_TARGET = 1.02


def add_flow(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `flow-step` to the benchmarks."""
    flow = benches.add_parser(
        "flow-step",
        help="a training step of a flow policy on a mixture, against the stock policy's",
        description=(
            "Takes whole training steps (forward, backward, AdamW) with one network in turn, once as LeRobot's policy "
            "and once as its ambient form on a source of 200 windows. Prints milliseconds, the ratio and the added "
            "microseconds with 95 % intervals, peak memory, and whether the losses are equal bit for bit with open "
            "windows. Without --path two multi-task DiTs of random weights are built."
        ),
    )
    flow.add_argument("--path", help="checkpoint of a flow policy, stock or ambient, or its name on the Hub")
    flow.add_argument("--pairs", type=int, default=40, help="steps of each kind (default: %(default)s)")
    flow.add_argument("--batch-size", type=int, default=8, help="default: %(default)s")
    flow.add_argument("--device", default="cpu", help="of torch (default: %(default)s)")
    flow.add_argument("--json", action="store_true", help="print the measurement as JSON")
    flow.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print. Returns 1 if a loss with open windows is not equal to stock's."""
    from lerobot_ambient.benchmarks.speed.flow_step import bench_flow_step

    # LeRobot prints on stdout that it loads weights; what is printed here may be read by a program.
    with contextlib.redirect_stdout(sys.stderr):
        measured = bench_flow_step(args.path, pairs=args.pairs, batch_size=args.batch_size, device=args.device)
    if args.json:
        print(json.dumps([asdict(one) for one in measured], indent=2))
    else:
        for one in measured:
            ratio, added = one.ratio, one.added_us
            (low, high), (least, most) = ratio["interval95"], added["interval95"]
            memory = "unknown"
            if one.stock_peak and one.ours_peak:
                memory = f"{one.ours_peak / 2**20:.0f} / {one.stock_peak / 2**20:.0f} MiB"
                memory += f" = {one.ours_peak / one.stock_peak:.3f}"
            print(f"{one.model}: {one.parameters / 1e6:.2f} M parameters, batch {one.batch_size}, {args.device}")
            of = " of processor time" if args.device == "cpu" else ""
            print(f"  step           ours {one.ours_ms:.2f} ms, stock {one.stock_ms:.2f} ms{of}")
            print(f"  ratio          {ratio['median']:.3f} ({low:.3f} to {high:.3f})")
            print(
                f"  added a step   {added['median']:.0f} us ({least:.0f} to {most:.0f}): at most {_TARGET:g} times a "
                f"stock step of {added['median'] / 1e3 / (_TARGET - 1):.0f} ms or more"
            )
            print(f"  peak memory    ours / stock {memory}")
            print(f"  open windows   loss {'equal' if one.equal else 'NOT EQUAL'} to stock's, bit for bit")
    return 0 if all(one.equal for one in measured) else 1
