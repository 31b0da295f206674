# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench remote`: videos that stay on a Hub against the same files on this disk."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_remote(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `remote` to the benchmarks."""
    remote = benches.add_parser(
        "remote",
        help="samples/s of videos on a Hub with latency, against the same videos here",
        description=(
            "Puts a generated dataset on a Hub on the loopback interface that waits before every answer, and lets the "
            "files here, the Hub with an empty block cache and the Hub with kept blocks take turns. Prints samples/s, "
            "their ratios, bytes fetched for each sample, and bytes on disk beside their bound."
        ),
    )
    remote.add_argument("--rounds", type=int, default=3, help="turns of each (default: %(default)s)")
    remote.add_argument("--workers", type=int, default=2, help="loader processes (default: %(default)s)")
    remote.add_argument("--batch-size", type=int, default=16, help="default: %(default)s")
    remote.add_argument("--batches", type=int, default=20, help="of a turn (default: %(default)s)")
    remote.add_argument("--episodes", type=int, default=4, help="of the dataset (default: %(default)s)")
    remote.add_argument("--frames", type=int, default=150, help="of an episode (default: %(default)s)")
    remote.add_argument("--latency-ms", type=float, default=20.0, help="before an answer (default: %(default)s)")
    remote.add_argument(
        "--bound",
        type=float,
        default=0.6,
        help="size of the block cache over that of the videos (default: %(default)s)",
    )
    remote.add_argument("--out", type=Path, help="also write the JSON to this file")
    remote.add_argument("--json", action="store_true", help="print the measurement as JSON")
    remote.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, write and print."""
    from lerobot_ambient.benchmarks.speed.remote import RemoteOptions, bench_remote
    from lerobot_ambient.data.files.replace_file import replace_file

    options = RemoteOptions(
        rounds=args.rounds,
        workers=args.workers,
        batch_size=args.batch_size,
        batches=args.batches,
        episodes=args.episodes,
        frames=args.frames,
        latency_ms=args.latency_ms,
        bound=args.bound,
    )
    if args.out is not None and not args.out.absolute().parent.is_dir():
        # Found out now, not after minutes of measuring.
        raise ValueError(f"{args.out}: there is no folder {args.out.parent}; make it first.")
    measured = bench_remote(options)
    text = json.dumps(measured, indent=2)
    if args.out is not None:
        replace_file(args.out, f"{text}\n".encode())
    if args.json:
        print(text)
        return 0
    rates = measured["samples_per_s"]
    print(f"{args.workers} workers, {args.latency_ms:g} ms before every answer; samples/s (medians)")
    print(f"files here {rates['local']:.1f}   Hub, nothing kept {rates['cold']:.1f}   Hub, kept {rates['kept']:.1f}")
    for kind, title in (("cold", "nothing kept"), ("kept", "kept")):
        ratio = measured[f"{kind}_vs_local"]
        low, high = ratio["interval95"]
        print(f"Hub, {title} / files here: {ratio['median']:.2f} [{low:.2f}, {high:.2f}]")
    print(
        f"fetched for each sample: {measured['bytes_per_sample'] / 1e3:.0f} kB (a frame has "
        f"{measured['bytes_of_a_frame'] / 1e3:.0f} kB); on disk at most {measured['most_kept'] / 1e6:.1f} MB of "
        f"{measured['bound'] / 1e6:.1f} MB, the videos have {measured['videos'] / 1e6:.1f} MB"
    )
    return 0
