# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient <verb>`: runs one verb; what a user can mend becomes one line and an exit code.

Exit codes: 0 success, 1 a failure the verb itself reports, 2 wrong usage or input, 130 interrupted.
"""

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata

DISTRIBUTION = "lerobot_policy_ambient_diffusion"

VERBS = (
    *("make_data", "init", "inspect", "annotate", "merge", "sweep", "reproduce", "bench", "doctor"),
    *("virtual_arm", "card", "loopback_hub", "policy_server"),
)
"""The verb modules beside this one, in the order of `--help`; a verb is typed with hyphens."""

EXTRAS = {
    "pydrake": "maze",
    "ompl": "maze",
    "gym_aloha": "aloha",
    "dm_control": "aloha",
    "pymunk": "pushing",
    "matplotlib": "plots",
    "optuna": "sweep",
    "sklearn": "annotate",
    "scipy": "annotate",
    "jinja2": "annotate",
    "grpc": "async",
    "scservo_sdk": "arm",
    "serial": "arm",
}
"""Optional modules, and the extra of the distribution that installs each."""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser with every verb; imports the verb modules and nothing heavier."""
    parser = argparse.ArgumentParser(
        prog="lerobot-ambient",
        description="Ambient co-training for LeRobot: data, reports and reproductions around lerobot-train.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    parser.add_argument("--debug", action="store_true", help=_DEBUG_HELP)
    subparsers = parser.add_subparsers(title="verbs", dest="verb", metavar="<verb>", required=True)
    for verb in VERBS:
        importlib.import_module(f"lerobot_ambient.cli.{verb}").add_parser(subparsers)
    _accept_debug_below(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (default: the process's own) and returns its exit code.

    Wrong usage and `--help` leave through argparse's SystemExit. A ValueError, an OSError (a missing file) or
    a missing optional package becomes `lerobot-ambient: error: ...` on stderr and exit code 2, with the
    traceback under `--debug`; any other exception is a bug of ours and is not caught.
    """
    parser = build_parser()
    args, more = parser.parse_known_args(argv)
    if more and not getattr(args, "takes_more", False):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    args.more = more
    if not args.debug:
        # Where torchcodec does not load LeRobot prints a page at every command; `doctor` says it in a line.
        logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
    try:
        return args.run(args) or 0
    except KeyboardInterrupt:
        print("lerobot-ambient: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) went away; Python would complain once more when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        return _report(error, str(error), debug=args.debug)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        fix = f"pip install '{DISTRIBUTION}[{extra}]'"
        return _report(error, f"this needs {error.name}, which is not installed: {fix}", debug=args.debug)


def _version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        # `doctor` has to start where the package is only on the path, to say that it is not installed.
        return "(not installed)"


def _accept_debug_below(parser: argparse.ArgumentParser) -> None:
    """Adds `--debug` to every parser under `parser`, so that it may stand anywhere on the line."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                # Suppressed here, or this default would undo a --debug that stood further to the left.
                below.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=_DEBUG_HELP)
                _accept_debug_below(below)


def _report(error: Exception, message: str, *, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    notes = getattr(error, "__notes__", [])
    print("\n  ".join([f"lerobot-ambient: error: {message}", *notes]), file=sys.stderr)
    return 2


_DEBUG_HELP = "print the full traceback of an error"


if __name__ == "__main__":
    sys.exit(main())
