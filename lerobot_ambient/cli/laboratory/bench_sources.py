# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench sources`: time and memory of one run over many public datasets."""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path


def add_sources(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `sources` to the benchmarks."""
    sources = benches.add_parser(
        "sources",
        help="time and memory until the first training step on dozens of datasets",
        description=(
            "Generates small datasets with the schemas of catalogue entries (keys, names, rates, cameras, kinds of "
            "actions), aligns them as `inspect --suggest` proposes, and runs the stock commands over all of them and "
            "over one: lerobot-train to its first step, and annotate. Prints seconds, peak memory and the ratios."
        ),
    )
    sources.add_argument("--count", type=int, default=24, help="sources (default: %(default)s)")
    sources.add_argument(
        "--work", type=Path, metavar="DIR", help="keep the datasets here (default: a folder that goes)"
    )
    sources.add_argument("--json", action="store_true", help="print the measurement as JSON")
    sources.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from lerobot_ambient.benchmarks.speed.many_sources import bench_many_sources

    if args.count < 2:
        raise ValueError(f"--count={args.count} must be at least 2: one source is what it is compared with.")
    with nullcontext(args.work) if args.work is not None else tempfile.TemporaryDirectory() as folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        found = bench_many_sources(Path(folder).resolve(), args.count, progress=not args.json)
    if args.json:
        ratios = {
            "first_step_ratio": found.first_step_ratio,
            "processor_ratio": found.processor_ratio,
            "memory_ratio": found.memory_ratio,
        }
        print(json.dumps({**asdict(found), **ratios}, indent=2))
        return 0
    low, high = found.fps
    print(
        f"{found.sources} sources, {found.groups} robots, {found.frames:,} frames, {low:g} to {high:g} fps; opened, "
        f"aligned and planned in {found.open_seconds:.1f} s"
    )
    print(
        f"{'':26s}" + f"{'seconds':>9s} {'of one':>8s} {'ratio':>6s}" * 2 + f"{'GiB':>8s} {'of one':>7s} {'ratio':>6s}"
    )
    print(f"{'':26s}{'elapsed':>9s}{'':16s}{'processor':>9s}{'':16s}{'peak':>8s}")
    rows = {
        "train to the first step": (found.first_step, found.first_step_alone),
        "annotate by classifier": (found.annotate, found.annotate_alone),
    }
    for name, (many, one) in rows.items():
        cells = [f"{name:26s}"]
        for key in ("seconds", "processor_seconds"):
            value, alone = getattr(many, key), getattr(one, key)
            cells.append(f"{value:9.1f} {alone:8.1f} {value / alone:6.2f}")
        value, alone = many.peak_rss_bytes / 2**30, one.peak_rss_bytes / 2**30
        print("".join([*cells, f"{value:8.2f} {alone:7.2f} {value / alone:6.2f}"]))
    return 0
