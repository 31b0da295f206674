# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient doctor`: what would keep a training from running here, and what to do about it."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lerobot_ambient.integration.doctor import Check


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `doctor`."""
    parser = subparsers.add_parser(
        "doctor",
        help="check this installation and the data sets of a training configuration",
        description=(
            "Checks the environment, LeRobot's discovery of the plugin, the seam to lerobot-train and the video "
            "decoders; with a configuration also its data sets, down to every video and picture. All other options are "
            "lerobot-train's own. Exit code 1 if there is a problem; warnings do not count."
        ),
    )
    parser.add_argument("--config_path", help="a training configuration (YAML or JSON), as for lerobot-train")
    parser.add_argument("--json", action="store_true", help="print the checks as one JSON object")
    parser.set_defaults(run=run, takes_more=True, more=[])


def run(args: argparse.Namespace) -> int:
    """Check; `args.more` holds LeRobot's own options."""
    from lerobot_ambient.integration.doctor import captured_logs

    # LeRobot prints and logs while it is imported and opens data sets; stdout is for the report.
    with captured_logs(), contextlib.redirect_stdout(sys.stderr):
        checks = _all_checks(args)
    ok = all(check.status != "problem" for check in checks)
    if args.json:
        print(json.dumps({"checks": [dataclasses.asdict(check) for check in checks], "ok": ok}, indent=2))
    else:
        print(render(checks))
    return 0 if ok else 1


def _all_checks(args: argparse.Namespace) -> list[Check]:
    from lerobot_ambient.integration import doctor, doctor_data

    if args.config_path is None and not args.more:
        no_config = "no configuration given, so no data set was looked at"
        data = [doctor.Check("configuration", "skipped", no_config, "add --config_path or lerobot-train's options")]
    else:
        # First, because wrong options end the command.
        data = doctor_data.check_configuration(args.config_path, args.more, progress=not args.json)
    return [
        *doctor.check_environment(),
        *doctor.check_plugin(),
        *doctor.check_seam(),
        *doctor.check_decoders(),
        *data,
    ]


def render(checks: Sequence[Check]) -> str:
    """The checks as text: status, name and finding on a line; further lines and the fix are indented below."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        first, *rest = check.found.splitlines()
        lines.append(f"{check.status:<7}  {check.name:<{width}}  {first}")
        rest += [f"fix: {check.fix}"] if check.fix is not None else []
        lines += [f"{'':<{width + 11}}{line}" for line in rest]
    count = Counter(check.status for check in checks)
    return "\n".join([*lines, "", f"{_number(count['problem'], 'problem')}, {_number(count['warning'], 'warning')}"])


def _number(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
