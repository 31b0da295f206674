# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient catalogue`: public datasets, what their numbers mean, and where each fact is from."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lerobot_ambient.data.catalogue.entry import Entry, FeatureSchema

EXAMPLE = "lerobot-ambient catalogue --action ee_delta --camera wrist"
_WIDTH = 100


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `catalogue`."""
    parser = subparsers.add_parser(
        "catalogue",
        help="list public datasets by robot, actions and cameras, or show what the numbers of one mean",
        description=(
            "Lists the datasets that a source can name with `catalogue: openx/toto`, or shows one: its cameras, what "
            "each dimension of its actions and states is, its quirks, where each fact is from, and what could not be "
            "verified. Nothing is downloaded. Your own entries are YAML files: name them with --add, or with the "
            "environment variable LEROBOT_AMBIENT_CATALOGUE, so that trainings find them too."
        ),
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="show this entry; all that fit are listed without")
    parser.add_argument("--robot", help="only robots, or entries, whose name has this in it, e.g. franka, so101")
    parser.add_argument(
        "--action", metavar="KIND", help="only actions of this kind, e.g. joint, ee_delta; ee for all ee_*"
    )
    parser.add_argument("--camera", metavar="ROLE", help="only with a camera that looks from there, e.g. wrist")
    parser.add_argument("--arms", type=int, choices=(1, 2), help="only robots with so many arms")
    parser.add_argument(
        "--add",
        action="append",
        default=[],
        metavar="PATH",
        help="a YAML file, or a folder of them, with entries of your own; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print everything that is known as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List, or show one."""
    from lerobot_ambient.data.catalogue import library

    wanted = {"robot": args.robot, "action": args.action, "camera": args.camera, "arms": args.arms}
    if args.name is not None:
        if any(value is not None for value in wanted.values()):
            raise ValueError(
                f"'{args.name}' names one entry, and --robot, --action, --camera, --arms choose; drop one."
            )
        one = library.entry(args.name, args.add)
        print(json.dumps(described(one), indent=2) if args.json else shown(one))
        return 0
    known = list(library.entries(args.add).values())
    found = library.chosen(known, **wanted)
    print(json.dumps([described(one) for one in found], indent=2) if args.json else listed(found, known))
    return 0 if found else 1


def described(one: Entry) -> dict[str, Any]:
    """An entry as plain values; cameras, features and facts as lists, each with its key."""
    values = asdict(one)
    for what in ("cameras", "features"):
        values[what] = [{"key": key, **value} for key, value in values[what].items()]
    for feature in values["features"]:
        feature["gripper"] = [{"name": name, **ends} for name, ends in feature["gripper"].items()]
        feature["units"] = [{"of": what, "unit": unit} for what, unit in feature["units"].items()]
        gain = feature["gain"]
        feature["gain"] = [{"name": n, "gain": g} for n, g in gain.items()] if isinstance(gain, dict) else gain
    values["rename"] = [{"key": key, "to": to} for key, to in values["rename"].items()]
    values["evidence"] = [{"fact": fact, "from": list(which)} for fact, which in values["evidence"].items()]
    values["unverified"] = [{"fact": fact, "why": why} for fact, why in values["unverified"].items()]
    return {**values, "complete": one.is_complete}


def listed(found: Sequence[Entry], known: Sequence[Entry]) -> str:
    """A line an entry; where none was found, what robots there are."""
    if not found:
        robots = ", ".join(sorted({one.robot for one in known}, key=str.lower))
        return "\n".join(
            textwrap.wrap(f"none of the {len(known)} entries has all of that; robots are {robots}.", _WIDTH)
        )
    head = ("entry", "robot", "arms", "fps", "actions", "numbers", "cameras", "dataset")
    rows = [head, *(_row(one) for one in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head) - 1)]
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1]]) for row in rows]
    return "\n".join([*lines, "", f"{len(found)} of {len(known)} entries; `lerobot-ambient catalogue NAME` shows one."])


def _row(one: Entry) -> tuple[str, ...]:
    action, state = one.action, one.state
    kind = "-" if action is None else action.kind
    numbers = "/".join("-" if feature is None else str(len(feature.names)) for feature in (action, state))
    roles = ",".join(dict.fromkeys(camera.role for camera in one.cameras.values())) or "-"
    return (one.name, one.robot, str(one.arms), f"{one.fps:g}", kind, numbers, roles, one.repo_id or "(convert one)")


def shown(one: Entry) -> str:
    """Everything that is known of one dataset, and the line to write."""
    from lerobot_ambient.data.catalogue.library import references

    revision = "" if one.revision is None else f" at {one.revision}"
    lines = [
        f"{one.name}: {one.repo_id or 'no copy on the Hub is known'}{revision}",
        f"  {one.robot}, {one.arms} arm{'s' if one.arms > 1 else ''}, {one.fps:g} fps, "
        f"format {one.format}, licence {one.license or 'not known'}",
        *([f"  also: {', '.join(one.also)}"] if one.also else []),
        "",
        "cameras",
        *(_camera_line(one, key) for key in one.cameras),
        *([] if one.cameras else ["  none is known"]),
    ]
    for key, feature in one.features.items():
        to = one.rename.get(key)
        lines += ["", f"{key}{f', renamed to {to}' if to else ''}", *_feature_lines(feature)]
    lines += ["", "quirks", *_bullets(one.quirks)] if one.quirks else []
    lines += ["", "could not be verified", *_bullets(f"{f}: {why}" for f, why in one.unverified.items())]
    known = references()
    used = dict.fromkeys(name for which in one.evidence.values() for name in which)
    lines += ["", "facts are from", *(f"  {fact}: {', '.join(which)}" for fact, which in one.evidence.items())]
    lines += _bullets(f"{n}: {known[n]['what']} ({known[n]['where']})" for n in used if n in known)
    lines += ["", f"in a configuration: sources: [{{catalogue: {one.name}, sigma_min: ...}}]"]
    return "\n".join([*lines, *textwrap.wrap(_in_end_effector_space(one), _WIDTH, subsequent_indent="  ")])


def _in_end_effector_space(one: Entry) -> str:
    """Whether the entry says what `policy.target_end_effector` asks of a source."""
    from lerobot_ambient.data.kinematics.from_catalogue import from_entry

    try:
        known = from_entry(one)
    except ValueError as error:
        return f"beside policy.target_end_effector: declare end_effector, since {error}"
    assert known.action is not None
    if known.state is not None:
        return f"beside policy.target_end_effector: nothing else; its actions are {known.action.kind}, its states poses"
    return (
        f"beside policy.target_end_effector: its actions are {known.action.kind}, and its states hold no pose that is "
        "known; docs/how-to/train-in-end-effector-space.md says what that asks for"
    )


def _camera_line(one: Entry, key: str) -> str:
    camera = one.cameras[key]
    size = "" if camera.shape is None else f", {camera.shape[0]}x{camera.shape[1]}"
    swapped = "; red and blue are swapped" if camera.colours == "bgr" else ""
    return f"  {key}: {camera.role}{size}{swapped}{f'; {camera.note}' if camera.note else ''}"


def _feature_lines(feature: FeatureSchema) -> list[str]:
    from lerobot_ambient.data.catalogue.entry import FRAMES, KINDS, ROTATIONS, STEPS

    lines = [f"  {feature.kind}: {KINDS[feature.kind]}"]
    if feature.frame is not None:
        lines.append(
            f"  in the axes of {FRAMES[feature.frame]}; rotation {feature.rotation}: {ROTATIONS[feature.rotation]}"
        )
    if feature.step != "relative":
        lines.append(f"  {feature.step}: {STEPS[feature.step]}")
    if feature.units:
        lines.append(f"  units: {', '.join(f'{what} {unit}' for what, unit in feature.units.items())}")
    names = ", ".join(f"{i} {name}" for i, name in enumerate(feature.names))
    lines += textwrap.wrap(names, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    for name, ends in feature.gripper.items():
        lines.append(f"  {name}: {ends['open']:g} open, {ends['closed']:g} closed")
    if feature.gain is not None:
        lines.append(f"  a step of 1 moves: {feature.gain}")
    if feature.padding:
        lines.append(f"  always 0: {', '.join(feature.padding)}")
    if feature.stored is not None:
        lines += textwrap.wrap(f"in its info.json: {', '.join(feature.stored)}", _WIDTH, initial_indent="  ")
    return lines + (textwrap.wrap(feature.note, _WIDTH, initial_indent="  ") if feature.note else [])


def _bullets(texts: Any) -> list[str]:
    return [
        line for text in texts for line in textwrap.wrap(text, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    ]
