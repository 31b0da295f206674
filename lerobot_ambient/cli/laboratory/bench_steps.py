# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench train-step` and `flow-step`: a training step on a mixture, against LeRobot's own."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.benchmarks.speed.train_step import TrainStep

_TARGET = 1.02


def add_train_step(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `train-step` to the benchmarks."""
    step = benches.add_parser(
        "train-step",
        # LeRobot's own options are passed on; none may be taken for the beginning of one of these.
        allow_abbrev=False,
        help="a step of a lerobot-train configuration by its parts, against LeRobot's Adam and its diffusion policy",
        description=(
            "Takes lerobot-train's own steps of a configuration of ambient_diffusion in turns with two others on the "
            "same batches: the same policy with LeRobot's Adam, and LeRobot's diffusion policy around the same "
            "network. Prints milliseconds of each part and the ratios with 95 % intervals. Further options are "
            "lerobot-train's own, e.g. --batch_size=64."
        ),
    )
    step.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    step.add_argument("--pairs", type=int, default=100, metavar="N", help="steps of each kind (default: %(default)s)")
    step.add_argument("--json", action="store_true", help="print the measurement as JSON")
    step.set_defaults(run=run_train_step, takes_more=True, more=[])


def run_train_step(args: argparse.Namespace) -> int:
    """Measure and print; `args.more` holds options of lerobot-train."""
    from lerobot_ambient.benchmarks.speed.train_step import bench_train_step
    from lerobot_ambient.integration.training.configured_mixture import load_train_config

    # LeRobot prints on stdout how it cuts images; what is printed here may be read by a program.
    with contextlib.redirect_stdout(sys.stderr):
        measured = bench_train_step(load_train_config(args.config_path, args.more), steps=args.pairs)
    print(json.dumps(asdict(measured), indent=2) if args.json else _render(measured))
    return 0


def _render(measured: TrainStep) -> str:
    kinds, of = list(measured.ms), " of processor time" if measured.device == "cpu" else ""
    lines = [
        f"{measured.denoiser}, {measured.parameters / 1e6:.2f} M parameters, batch {measured.batch_size}, "
        f"{measured.device}, {measured.threads} thread{'s' if measured.threads > 1 else ''}; milliseconds{of}",
        f"{'':12s}" + "".join(f"{kind:>12s}" for kind in kinds),
    ]
    for part in measured.parts[kinds[0]]:
        lines.append(f"{part:12s}" + "".join(f"{measured.parts[kind][part]:12.2f}" for kind in kinds))
    lines.append(f"{'step':12s}" + "".join(f"{measured.ms[kind]:12.2f}" for kind in kinds))
    for kind, ratio in measured.ratios.items():
        low, high = ratio["interval95"]
        lines.append(f"ours / {kind}: {ratio['median']:.3f} ({low:.3f} to {high:.3f})")
    return "\n".join([*lines, *(f"not to be believed: {doubt}" for doubt in measured.doubts)])


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
