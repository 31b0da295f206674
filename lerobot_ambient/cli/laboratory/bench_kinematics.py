# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench kinematics`: whether forward and inverse kinematics of an arm agree, and what they cost."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict


def add_kinematics(benches: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `kinematics` to the benchmarks."""
    kinematics = benches.add_parser(
        "kinematics",
        help="forward and inverse kinematics of an arm against each other (needs the extra 'kinematics')",
        description=(
            "Draws configurations of an arm, computes their poses as training in end-effector space does, lets "
            "LeRobot's solver find joints for each pose as a rollout does, and prints how many of these come back to "
            "it within 0.1 mm and 1 mrad, the largest differences, and the time of a pose."
        ),
    )
    kinematics.add_argument("--urdf", metavar="FILE", help="of the arm; the virtual SO-101's when not given")
    kinematics.add_argument("--tip", metavar="LINK", help="whose pose is meant, e.g. gripper_frame_link")
    kinematics.add_argument(
        "--configurations", type=int, default=10_000, metavar="N", help="to be drawn (default: %(default)s)"
    )
    kinematics.add_argument(
        "--start-degrees",
        type=float,
        default=10.0,
        metavar="DEGREES",
        help="how far from the solution the search begins in each joint (default: %(default)s)",
    )
    kinematics.add_argument("--seed", type=int, default=0, help="of the draws (default: %(default)s)")
    kinematics.add_argument("--json", action="store_true", help="print the measurement as JSON, without progress")
    kinematics.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print. Returns 1 if any configuration does not agree."""
    from lerobot_ambient.benchmarks.speed.kinematics import METRES, RADIANS, bench_kinematics
    from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
    from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf

    if (args.urdf is None) != (args.tip is None):
        raise ValueError("--urdf and --tip belong together: the file of an arm, and the link whose pose is meant.")
    if args.configurations < 1:
        raise ValueError(f"--configurations must be at least 1, got {args.configurations}.")
    config = EndEffectorConfig(chain=urdf(), tip=TIP) if args.urdf is None else EndEffectorConfig(args.urdf, args.tip)
    measured = bench_kinematics(
        config,
        configurations=args.configurations,
        start_degrees=args.start_degrees,
        seed=args.seed,
        progress=not args.json,
    )
    if args.json:
        print(json.dumps(asdict(measured), indent=2))
        return 0 if measured.agrees else 1
    forward, inverse = measured.forward, measured.inverse
    print(f"{len(measured.joints)} joints: {', '.join(measured.joints)}")
    print(
        f"forward  ours {forward['ours_us']:.2f} us a pose, placo {forward['placo_us']:.2f} us; at most "
        f"{forward['metres']:.1e} m and {forward['radians']:.1e} rad apart"
    )
    print(
        f"inverse  {inverse['agree']} of {measured.configurations} come back within {METRES:g} m and {RADIANS:g} rad, "
        f"from up to {measured.start_degrees:g} degrees away in each joint ({inverse['at_once']} at once, the others "
        f"begin again near by); at most {inverse['metres']:.1e} m and "
        f"{inverse['radians']:.1e} rad; {inverse['ms']:.2f} ms a pose"
    )
    return 0 if measured.agrees else 1
