# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient doctor`: what would keep a training from running here, and what to do about it."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lerobot_ambient.cli.progress import say

if TYPE_CHECKING:
    from lerobot_ambient.integration.doctor.installation import Check

EXAMPLE = "lerobot-ambient doctor --config_path=mine.yaml"

_WIDTH = 15
"""Of the column of names; the longest usual one is `source 1 videos`."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this installation and the datasets of a training configuration",
        description=(
            "Checks the environment, whether LeRobot finds the plugin, whether its lerobot-train is one that sources "
            "can be merged in, and the video decoders; with a configuration also its datasets, down to every video "
            "and picture. All other options are lerobot-train's own. Exit code 1 if there is a problem; warnings do "
            "not count."
        ),
    )
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    parser.add_argument("--json", action="store_true", help="print the checks as one JSON object")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Check; `args.more` holds LeRobot's own options. Each finding is printed as soon as it is there."""
    from lerobot_ambient.integration.doctor.installation import captured_logs

    out = sys.stdout
    checks = []
    # LeRobot prints and logs while it is imported and opens datasets; stdout is for the report.
    with captured_logs(), contextlib.redirect_stdout(sys.stderr):
        for check in _all_checks(args):
            checks.append(check)
            if not args.json:
                print(block(check), file=out, flush=True)
    ok = all(check.status != "problem" for check in checks)
    if args.json:
        print(json.dumps({"checks": [dataclasses.asdict(check) for check in checks], "ok": ok}, indent=2))
    else:
        print(f"\n{summary(checks)}")
    return 0 if ok else 1


def _all_checks(args: argparse.Namespace) -> Iterator[Check]:
    from lerobot_ambient.integration.doctor import data as doctor_data
    from lerobot_ambient.integration.doctor import installation as doctor
    from lerobot_ambient.integration.training import configured_mixture as training

    configured = args.config_path is not None or bool(args.more)
    if configured:
        # First, because wrong options end the command; a value that does not fit is a finding, and told as one.
        with contextlib.suppress(ValueError):
            training.load_train_config(args.config_path, args.more)
    yield from doctor.check_environment()
    if not args.json:
        say("starting LeRobot in a second Python, as lerobot-train does, to see whether it finds the plugin")
    yield from doctor.check_plugin()
    yield from doctor.check_seam()
    yield from doctor.check_decoders()
    if configured:
        yield from doctor_data.check_configuration(args.config_path, args.more, progress=not args.json)
    else:
        no_config = "no configuration given, so no dataset was looked at"
        yield doctor.Check("configuration", "skipped", no_config, "add --config_path or lerobot-train's options")


def block(check: Check) -> str:
    """A check as text: status, name and finding on a line; further lines and the fix are indented below."""
    first, *rest = check.found.splitlines()
    rest += [f"fix: {check.fix}"] if check.fix is not None else []
    indent = " " * (7 + 2 + _WIDTH + 2)
    return "\n".join([f"{check.status:<7}  {check.name:<{_WIDTH}}  {first}", *(f"{indent}{line}" for line in rest)])


def summary(checks: Sequence[Check]) -> str:
    """How many problems and warnings there are."""
    count = Counter(check.status for check in checks)
    return f"{_number(count['problem'], 'problem')}, {_number(count['warning'], 'warning')}"


def _number(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
