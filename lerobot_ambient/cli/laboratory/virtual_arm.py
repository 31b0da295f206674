# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient virtual-arm`: an SO-100 or SO-101 without the hardware, on a pseudo-terminal."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

EXAMPLE = "lerobot-ambient virtual-arm --port=outputs/arm/follower --id=follower --motion=wave"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `virtual-arm` to the verbs."""
    parser = subparsers.add_parser(
        "virtual-arm",
        help="an SO-100 or SO-101 without the hardware: a serial port that LeRobot's drivers can open",
        description=(
            "Opens a pseudo-terminal on which six simulated STS3215 servos answer, until interrupted. LeRobot's "
            "so100 and so101 followers and leaders work with it unchanged. With --motion or --script a hand moves "
            "the joints whose torque is off, as an operator moves a leader. Commands (fault, clear, motion, "
            "power_cycle, state, quit) go to PORT.control, one a line. --make-video makes a video that stands for a "
            "camera, --draw a picture of a recorded episode; neither needs a port."
        ),
    )
    parser.add_argument("--port", type=Path, help="the name of the port, e.g. outputs/arm/follower")
    parser.add_argument("--id", help="the arm's id, as in --robot.id or --teleop.id")
    parser.add_argument(
        "--calibration-dir",
        type=Path,
        metavar="DIR",
        help="where ID.json is: read into the servos if it exists, else the shipped calibration is written there",
    )
    parser.add_argument("--uncalibrated", action="store_true", help="start as from the factory, for lerobot-calibrate")
    hand = parser.add_mutually_exclusive_group()
    hand.add_argument("--motion", choices=("still", "wave", "pick", "sweep"), help="a hand makes a built-in motion")
    hand.add_argument("--script", type=Path, metavar="FILE", help="a hand follows rows of time and six angles")
    parser.add_argument("--seed", type=int, default=0, help="of the motion and the jitter (default: %(default)s)")
    parser.add_argument(
        "--jitter", type=float, default=0.0, metavar="DEGREES", help="tremor of the hand (default: %(default)s)"
    )
    parser.add_argument(
        "--latency", type=float, default=0.02, metavar="S", help="from a goal to motion (default: %(default)s)"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="KIND[:...]",
        help="no_answer, checksum, truncated, overload, slow or unplugged, with [:motor=N][:after=S][:for=S]"
        "[:every=K][:ms=M]; may be repeated",
    )
    parser.add_argument("--make-video", type=Path, metavar="FILE", help="write a test video, e.g. table.avi, and end")
    parser.add_argument(
        "--draw", type=Path, nargs=2, metavar=("ROOT", "FILE"), help="draw a recording into a .gif or .png, and end"
    )
    parser.add_argument("--episode", type=int, default=0, help="which one --draw shows (default: %(default)s)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make a video or a picture, or serve the port until `quit`, SIGINT or SIGTERM."""
    if args.port is None and args.make_video is None and args.draw is None:
        raise ValueError("nothing to do: --port NAME serves an arm, --make-video FILE and --draw ROOT FILE make files")
    if args.make_video is not None:
        _make_video(args.make_video)
    if args.draw is not None:
        root, file = args.draw
        _draw(root, file, args.episode)
    if args.port is not None:
        _serve(args)
    return 0


def _make_video(path: Path) -> None:
    from lerobot_ambient.benchmarks.walkthroughs.arm_story_video import HEIGHT, WIDTH, write_video

    was_there = path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, fps=_VIDEO_FPS)
    camera = f"{{type: video_file, index_or_path: {path}, width: {WIDTH}, height: {HEIGHT}, fps: {_VIDEO_FPS}}}"
    _say(f"{path}: {'was there already' if was_there else 'written'}")
    _say(f"as a camera: --robot.cameras='{{table: {camera}}}'")


def _draw(root: Path, path: Path, episode: int) -> None:
    from lerobot_ambient.benchmarks.walkthroughs.arm_drawing import draw_arm_episode, read_arm_episode

    _say(f"{draw_arm_episode(read_arm_episode(root, episode), path)}: episode {episode} of {root}")


def _serve(args: argparse.Namespace) -> None:
    from lerobot_ambient.testing.virtual_arm.arm import VirtualArm
    from lerobot_ambient.testing.virtual_arm.faults import parse_fault
    from lerobot_ambient.testing.virtual_arm.joints import factory_calibration, provide_calibration, shipped_calibration
    from lerobot_ambient.testing.virtual_arm.motion import MOTIONS, Jitter, Motion, motion_of_file
    from lerobot_ambient.testing.virtual_arm.port import VirtualPort

    if (args.calibration_dir is None) != (args.id is None):
        raise ValueError("--calibration-dir and --id name one file, DIR/ID.json; give both or neither")
    if args.uncalibrated and args.calibration_dir is not None:
        raise ValueError("--uncalibrated starts without a calibration; leave out --calibration-dir and --id")
    motion: Motion | None = None
    if args.motion is not None:
        motion = MOTIONS[args.motion](args.seed)
    elif args.script is not None:
        motion = motion_of_file(args.script)
    if args.jitter != 0:
        if motion is None:
            raise ValueError(f"--jitter {args.jitter} needs a hand: add --motion or --script")
        motion = Jitter(motion, args.jitter, args.seed)
    now = time.monotonic()
    faults = [parse_fault(text, now) for text in args.fault]
    if args.uncalibrated:
        calibration = factory_calibration()
    elif args.calibration_dir is not None:
        calibration = provide_calibration(args.calibration_dir, args.id)
    else:
        calibration = shipped_calibration()
    arm = VirtualArm(calibration, motion=motion, faults=faults, latency=args.latency, now=now)
    # SIGTERM ends it like `quit`, so that the link and the pipe are removed.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with VirtualPort(arm, args.port, say=_say) as port:
            _say(f"ready: {args.port} -> {port.device}")
            port.serve()
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(line: str) -> None:
    print(line, flush=True)


_VIDEO_FPS = 30
