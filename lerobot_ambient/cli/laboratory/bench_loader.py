# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench loader`: samples a second against LeRobot's loaders and a bare gather, in one run.

`lerobot-ambient bench remote`: those of videos that stay on a Hub against the same files on this disk.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_loader(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `loader` to the benchmarks."""
    loader = benches.add_parser(
        "loader",
        help="samples/s against LeRobotDataset, MultiLeRobotDataset and a bare gather",
        description=(
            "Lets the loaders take turns on the same data, low-dimensional and video, with 0, 1 and 2 workers, and "
            "prints samples/s and the ratios ours / other with intervals. Progress goes to stderr."
        ),
    )
    loader.add_argument("--pairs", type=int, default=5, help="rounds in one process (default: %(default)s)")
    loader.add_argument("--batch-size", type=int, default=128, help="of low-dimensional data (default: %(default)s)")
    loader.add_argument("--video-batch-size", type=int, default=16, help="of video (default: %(default)s)")
    loader.add_argument("--workers", type=_numbers, default=(0, 1, 2), metavar="N,M,...", help="default: 0,1,2")
    loader.add_argument("--seconds", type=float, default=2.0, help="least time of a turn (default: %(default)s)")
    loader.add_argument("--video-root", type=Path, help="a dataset with a camera (default: one is generated)")
    loader.add_argument(
        "--rename", type=_rename, default={}, metavar="JSON", help='its keys to LeRobot\'s: \'{"actions": "action"}\''
    )
    loader.add_argument("--skip-video", action="store_true", help="measure low-dimensional data only")
    loader.add_argument("--out", type=Path, help="also write the JSON to this file")
    loader.add_argument("--md", type=Path, help="write the tables into this Markdown page, in place of older ones")
    loader.add_argument("--json", action="store_true", help="print the measurement as JSON")
    loader.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, write and print."""
    from lerobot_ambient.benchmarks.speed.loader import LoaderOptions, bench_loader
    from lerobot_ambient.benchmarks.speed.loader_page import render_markdown, replace_section
    from lerobot_ambient.data.files.replace_file import replace_file

    options = LoaderOptions(
        pairs=args.pairs,
        batch_size=args.batch_size,
        video_batch_size=args.video_batch_size,
        workers=args.workers,
        seconds=args.seconds,
        video=not args.skip_video,
        video_root=args.video_root,
        rename=args.rename,
    )
    for path in (args.out, args.md):
        # Found out now, not after minutes of measuring.
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: there is no folder {path.parent}; make it first.")
    measured = bench_loader(options)
    text, section = json.dumps(measured, indent=2), render_markdown(measured)
    if args.out is not None:
        replace_file(args.out, f"{text}\n".encode())
    if args.md is not None:
        page = args.md.read_text(encoding="utf-8") if args.md.exists() else ""
        replace_file(args.md, replace_section(page, section).encode())
    print(text if args.json else section)
    return 0


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
    remote.add_argument("--episodes", type=int, default=8, help="of the dataset (default: %(default)s)")
    remote.add_argument("--frames", type=int, default=120, help="of an episode (default: %(default)s)")
    remote.add_argument("--latency-ms", type=float, default=20.0, help="before an answer (default: %(default)s)")
    remote.add_argument(
        "--bound",
        type=float,
        default=0.6,
        help="size of the block cache over that of the videos (default: %(default)s)",
    )
    remote.add_argument("--out", type=Path, help="also write the JSON to this file")
    remote.add_argument("--json", action="store_true", help="print the measurement as JSON")
    remote.set_defaults(run=run_remote)


def run_remote(args: argparse.Namespace) -> int:
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


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"whole numbers separated by commas, got '{text}'") from None


def _rename(text: str) -> dict[str, str]:
    try:
        found: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): '{text}'") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise argparse.ArgumentTypeError(f"a JSON object from key to key, got '{text}'")
    return found
