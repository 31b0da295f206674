# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient bench latency` and `kinematics`: what acting on a robot takes, a chunk of actions and its joints."""

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
    latency.set_defaults(run=run_latency)


def run_latency(args: argparse.Namespace) -> int:
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
    kinematics.set_defaults(run=run_kinematics)


def run_kinematics(args: argparse.Namespace) -> int:
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
