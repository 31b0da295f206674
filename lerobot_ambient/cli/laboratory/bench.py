# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench`: speed as a ratio against the stock peer, measured in the same run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lerobot_ambient.cli.laboratory.bench_envs import add_envs
from lerobot_ambient.cli.laboratory.bench_latency import add_kinematics, add_latency
from lerobot_ambient.cli.laboratory.bench_loader import add_loader, add_remote
from lerobot_ambient.cli.laboratory.bench_scale import add_scale
from lerobot_ambient.cli.laboratory.bench_sources import add_sources
from lerobot_ambient.cli.laboratory.bench_steps import add_flow, add_train_step

EXAMPLE = "lerobot-ambient bench loader --seconds=2"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `bench` with one sub-command a benchmark."""
    parser = subparsers.add_parser("bench", help="time this package against stock LeRobot, as ratios")
    benches = parser.add_subparsers(dest="benchmark", required=True, metavar="BENCHMARK")
    train = benches.add_parser(
        "train",
        help="whole lerobot-train processes, ours against --policy.type=diffusion",
        description=(
            "Runs both commands in turn on one low-dimensional dataset with the same network, batch and steps, and "
            "prints seconds and the ratio ours / stock of every pair."
        ),
    )
    train.add_argument("--root", type=Path, required=True, help="folder of the dataset, e.g. outputs/data/maze/target")
    train.add_argument("--repo-id", default="ambient/maze_target", help="default: %(default)s")
    train.add_argument("--pairs", type=int, default=3, help="runs of each command (default: %(default)s)")
    train.add_argument("--steps", type=int, default=100, help="training steps (default: %(default)s)")
    train.add_argument("--batch-size", type=int, default=64, help="default: %(default)s")
    train.add_argument("--workers", type=int, default=0, help="DataLoader workers of both (default: %(default)s)")
    train.add_argument("--json", action="store_true", help="print the measurement as JSON")
    train.set_defaults(run=run)
    add_loader(benches)
    add_remote(benches)
    add_scale(benches)
    add_sources(benches)
    add_envs(benches)
    add_latency(benches)
    add_train_step(benches)
    add_flow(benches)
    add_kinematics(benches)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from lerobot_ambient.benchmarks.speed.training import bench_train

    if not (args.root / "meta" / "info.json").is_file():
        raise ValueError(f"--root {args.root} is no LeRobot dataset (no meta/info.json).")
    for name in ("pairs", "steps", "batch_size"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(args, name)}.")
    measured = bench_train(
        args.repo_id,
        args.root,
        pairs=args.pairs,
        steps=args.steps,
        batch_size=args.batch_size,
        workers=args.workers,
    )
    if args.json:
        print(json.dumps(measured, indent=2))
        return 0
    print(f"{args.steps} steps, batch {args.batch_size}, {args.workers} workers")
    for pair in measured["pairs"]:
        print(f"ours {pair['ours']:7.1f} s   stock diffusion {pair['stock']:7.1f} s   ratio {pair['ratio']:.3f}")
    ratio = measured["ratio"]
    print(f"ratio ours / stock: median {ratio['median']:.3f} ({ratio['min']:.3f} to {ratio['max']:.3f})")
    return 0
