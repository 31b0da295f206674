# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench scale`: time and memory of the plan and the sampler against the number of frames."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict


def add_scale(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `scale` to the benchmarks."""
    scale = benches.add_parser(
        "scale",
        help="plan and sampler for windows per frame of up to 10^8 frames",
        description=(
            "Draws a random window for every frame, then groups the frames, makes the plan and the sampler and draws "
            "from it as training does; each size in a process of its own. Prints the time to the first draw, the "
            "peak memory, the bytes a frame and the draws a second."
        ),
    )
    scale.add_argument(
        "--frames",
        type=_sizes,
        default=(10**6, 10**7, 10**8),
        metavar="N,M,...",
        help="frames of all sources together (default: 1000000,10000000,100000000)",
    )
    scale.add_argument("--sources", type=int, default=100, help="spread over so many (default: %(default)s)")
    scale.add_argument("--draws", type=int, default=3_000_000, help="frames to draw (default: %(default)s)")
    scale.add_argument("--two-sided", action="store_true", help="let sigma_max vary too, not only sigma_min")
    scale.add_argument("--json", action="store_true", help="print the measurement as JSON")
    scale.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print, one line a size as soon as it is known."""
    from tqdm import tqdm

    from lerobot_ambient.benchmarks.speed.scale import bench_scale

    for name in ("sources", "draws"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(args, name)}.")
    points = bench_scale(args.frames, sources=args.sources, draws=args.draws, two_sided=args.two_sided)
    if args.json:
        print(json.dumps([asdict(point) for point in tqdm(points, total=len(args.frames), unit="size")], indent=2))
        return 0
    print(
        f"{args.sources} sources, a window per frame, sigma_min{' and sigma_max vary' if args.two_sided else ' varies'}"
    )
    print("     frames  groups  seconds to  s per 10^6 frames  bytes per  peak GiB (after   million")
    print("                     first draw  whole    grouping      frame         imports)   draws/s")
    for point in points:
        million = point.frames / 1e6
        print(
            f"{point.frames:11d} {point.groups:7d} {point.seconds:11.2f} {point.seconds / million:6.3f} "
            f"{point.split_seconds / million:11.3f} {point.bytes_per_frame:10.2f} "
            f"{point.peak_rss_bytes / 2**30:8.2f} ({point.start_rss_bytes / 2**30:.2f}) "
            f"{point.draws_per_s / 1e6:10.2f}",
            flush=True,
        )
    print("Grouping grows with the frames; the plan and its groups cost the same however many frames there are.")
    return 0


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers like 1000000,10000000") from None
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' holds a size below 1")
    return sizes
