# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient <verb>`: runs one verb; what a user can fix becomes one line and an exit code.

Exit codes: 0 success, 1 a failure the verb itself reports, 2 wrong usage or input, 130 interrupted.
"""

import argparse
import difflib
import importlib
import importlib.abc
import itertools
import logging
import os
import re
import sys
import textwrap
import traceback
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

DISTRIBUTION = "lerobot_policy_ambient_diffusion"

VERBS = ("doctor", "catalogue", "init", "inspect", "view", "annotate", "merge", "check", "sweep", "card", "export")
"""The verb modules beside this one, in the order of a user's work and of `--help`; a verb is typed with hyphens."""

LABORATORY = ("make_data", "reproduce", "bench", "virtual_arm", "loopback_hub", "policy_server")
"""Those in `laboratory/`, which rehearse, measure and reproduce; `--help` lists them apart."""

EXTRAS = {
    "pydrake": "maze",
    "ompl": "maze",
    "gym_aloha": "aloha",
    "dm_control": "aloha",
    "metaworld": "metaworld",
    "pymunk": "pushing",
    "gym_pusht": "pusht",
    "matplotlib": "plots",
    "optuna": "sweep",
    "sklearn": "annotate",
    "scipy": "annotate",
    "jinja2": "annotate",
    "grpc": "async",
    "transformers": "multi_task_dit",  # Of a CLIP that `bench flow-step` writes; policies name extras of their own.
    "scservo_sdk": "arm",
    "serial": "arm",
    "num2words": "smolvla",
    "qwen_vl_utils": "eo1",
    "torchdiffeq": "wallx",
    "timm": "groot",
    "decord": "groot",
    "rerun": "view",
}
"""Optional modules, and the extra of the distribution that installs each."""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser with every verb; imports the verb modules and nothing heavier."""
    parser = _Parser(
        prog="lerobot-ambient",
        description="Ambient co-training for LeRobot: data, reports and reproductions around lerobot-train.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    parser.add_argument("--debug", action="store_true", help=_DEBUG_HELP)
    subparsers = parser.add_subparsers(title="verbs", dest="verb", metavar="<verb>", required=True)
    for verb in VERBS:
        _add(f"lerobot_ambient.cli.{verb}", _WithExample(subparsers))
    apart = _WithExample(subparsers, listed=False)
    for verb in LABORATORY:
        _add(f"lerobot_ambient.cli.laboratory.{verb}", apart)
    if apart.helps:
        parser.formatter_class = _KeepLines
        lines = [line for name, text in apart.helps.items() for line in _entry(name, text)]
        parser.epilog = "\n".join(["laboratory:", *lines])
    _accept_debug_below(parser)
    return parser


def _add(name: str, subparsers: Any) -> None:
    module = importlib.import_module(name)
    subparsers.example = getattr(module, "EXAMPLE", None)
    module.add_parser(subparsers)


class _WithExample:
    """Stands for argparse's subparsers in `add_parser` of a verb: adds the example, and lists the verb or not."""

    def __init__(self, subparsers: Any, *, listed: bool = True) -> None:
        self.example: str | None = None
        self.helps: dict[str, str] = {}
        self._subparsers = subparsers
        self._listed = listed

    def add_parser(self, name: str, *, help: str = "", **options: Any) -> argparse.ArgumentParser:
        if self.example is not None:
            options |= {"epilog": f"example:\n  {self.example}", "formatter_class": _KeepLines}
        if self._listed:
            options["help"] = help
        self.helps[name] = help
        parser: argparse.ArgumentParser = self._subparsers.add_parser(name, **options)
        return parser


_MISSPELT = 0.75
"""How alike an option that is not there and one of ours are from where on the one is taken for the other."""


class _Parser(argparse.ArgumentParser):
    """Names what a misspelt verb, choice or option is nearest to."""

    _words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        wrong, known = [], []
        if match := re.search(r"invalid choice: '(.+?)' \(choose from (.*)\)$", message):
            wrong, known = [match[1]], re.findall(r"'(.+?)'", match[2])
        elif match := re.match(r"unrecognized arguments: (.*)$", message):
            wrong = [word.partition("=")[0] for word in match[1].split() if word.startswith("--")]
            known = _options(self)
        elif re.search(r"\b(is|are) required", message):
            # LeRobot's options may stand here too, so only what was meant for one of ours is named.
            known = _options(self)
            typed = [word.partition("=")[0] for word in self._words if word.startswith("--")]
            wrong = [o for o in typed if o not in known and difflib.get_close_matches(o, known, cutoff=_MISSPELT)]
        near = {name: None for word in wrong for name in difflib.get_close_matches(word, known, n=1)}
        super().error(f"{message}; did you mean {' and '.join(near)}?" if near else message)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _verb_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> argparse.ArgumentParser:
    """The parser of the verb, or the task below it, that was typed."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = action.choices.get(str(getattr(args, action.dest, None)))
            return parser if below is None else _verb_of(below, args)
    return parser


def _stray_file(more: Sequence[str]) -> str | None:
    """The first word that is neither an option nor the value of one."""
    for before, word in itertools.pairwise(["", *more]):
        if not word.startswith("-") and (not before.startswith("--") or "=" in before):
            return word
    return None


class _KeepLines(argparse.HelpFormatter):
    """Wraps paragraphs, and leaves what is written in lines, such as examples, as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


def _entry(name: str, text: str) -> list[str]:
    """A verb and what it does, set as argparse sets those above."""
    first, *rest = textwrap.wrap(text, width=62)
    return [f"    {name:<14}{first}", *(f"{'':<18}{line}" for line in rest)]


class _Notice(importlib.abc.MetaPathFinder):
    """Says on stderr that LeRobot is loaded, which takes seconds, when the first of its big parts is asked for."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname in ("lerobot", "torch"):
            sys.meta_path.remove(self)
            print("lerobot-ambient: loading LeRobot ...", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (default: the process's own) and returns its exit code.

    Wrong usage and `--help` leave through argparse's SystemExit. A ValueError, an OSError (a missing file) or
    a missing optional package becomes `lerobot-ambient: error: ...` on stderr and exit code 2, with the
    traceback under `--debug`; any other exception is a bug of ours and is not caught.
    """
    parser = build_parser()
    args, more = parser.parse_known_args(argv)
    verb = _verb_of(parser, args)
    if more and not getattr(args, "takes_more", False):
        verb.error(f"unrecognized arguments: {' '.join(more)}")
    if (stray := _stray_file(more)) is not None:
        with_file = hasattr(args, "config_path") and args.config_path is None
        verb.error(
            f"'{stray}' stands alone; "
            + (f"did you mean --config_path={stray}?" if with_file else "it belongs to no option.")
        )
    args.more = more
    if not args.debug:
        # Where torchcodec does not load LeRobot prints a page at every command; `doctor` says it in a line.
        logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
    if not {"lerobot", "torch"} & set(sys.modules):
        sys.meta_path.insert(0, _Notice())
    from lerobot_ambient.integration.errors.near_options import options_of_verb

    try:
        with options_of_verb(_options(verb)):
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
