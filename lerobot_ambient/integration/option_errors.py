# SPDX-License-Identifier: Apache-2.0
"""What a command says of an option of ours that does not fit.

LeRobot reads the options of its commands with draccus. Where a configuration class refuses a value draccus says
"Couldn't instantiate class ..." and keeps the reason to itself, and after a misspelt option argparse prints all five
hundred that there are. The method that all of draccus goes through is replaced by one that calls the original, and then
raises the reason as a ValueError, or names the nearest options. It does so for our types only; for any other policy,
and with an unknown draccus, nothing changes.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import yaml

from lerobot_ambient.integration.after_import import after_import
from lerobot_ambient.integration.error_report import chain, is_for_users, options_of

_MODULE = "draccus.argparsing"
_PARAMETERS = ("self", "args", "namespace", "is_parse_args")
_MARK = "_lerobot_ambient_original"
_OURS = "ambient_diffusion"
_PREFIX = "ambient_"
_MISSPELT = 0.8
"""How alike a word and a name are from where on the one is taken for the other; LeRobot's `diffusion` is at 0.69."""

_MANY = 30
"""Names; more are not listed in a message."""


def install_when_imported() -> None:
    """Replace the parser's method now where draccus is loaded, else as soon as it is."""
    after_import(_MODULE, install)


def install(module: ModuleType) -> None:
    """Replace `ArgumentParser.parse_known_args` of draccus; an unknown draccus is left alone. Idempotent."""
    parser = getattr(module, "ArgumentParser", None)
    original = getattr(parser, "parse_known_args", None)
    if parser is None or original is None or hasattr(original, _MARK):
        return
    if tuple(inspect.signature(original).parameters) != _PARAMETERS:
        return
    replacement = _telling(original)
    setattr(replacement, _MARK, original)
    parser.parse_known_args = replacement


def ours_are_meant(words: Sequence[str], config_class: type | None = None, config_file: Any = None) -> bool:
    """Whether a command line is about one of our types, also where its name is misspelt.

    Args:
        words: of the command line.
        config_class: what is parsed; one of our own classes is reason enough.
        config_file: YAML or JSON that is read beside the words, if any.
    """
    if config_class is not None and config_class.__module__.startswith("lerobot_ambient."):
        return True
    for option, value in options_of(words):
        if option.endswith(".type") and (value.startswith(_PREFIX) or _alike(value, _OURS) > _MISSPELT):
            return True
        if option in ("--config_path", "--policy.path"):
            path = Path(value)
            if _mentions(path / "config.json" if path.is_dir() else path):
                return True
    return config_file is not None and _mentions(Path(config_file))


def _mentions(file: Path) -> bool:
    known = file.suffix in (".yaml", ".yml", ".json", ".toml")
    return known and file.is_file() and _OURS in file.read_text(encoding="utf-8", errors="replace")


def _telling(original: Any) -> Any:
    def parse_known_args(
        self: Any, args: Sequence[str] | None = None, namespace: Any = None, *, is_parse_args: bool = False
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        # The command's own words too: LeRobot takes --policy.path out before it parses.
        ours = Path(sys.argv[0] if sys.argv else "").stem == "lerobot-ambient"
        meant = ours or ours_are_meant([*words, *sys.argv[1:]], self.config_class, self.config_path)
        if meant:
            self.parser.error = partial(_refuse_usage, self.parser, _prefix(self.config_class))
        try:
            return original(self, args, namespace, is_parse_args=is_parse_args)
        except yaml.YAMLError as error:
            told = _no_yaml(words) if meant else None
            if told is None:
                raise
            raise ValueError(told) from error
        except Exception as error:
            told = explain(error, _prefix(self.config_class), everything=meant)
            if told is None:
                raise
            raise ValueError(told) from error

    return parse_known_args


def explain(error: BaseException, prefix: str = "", *, everything: bool = True) -> str | None:
    """The reason for an error of draccus, with the path of the value; None where it is none of ours.

    Args:
        error: what parsing raised.
        prefix: of the options that were parsed, such as "policy.".
        everything: explain also what draccus itself found; otherwise only what a class of ours refused.
    """
    if not any(type(cause).__module__ == "draccus.utils" for cause in chain(error)):
        return None
    causes = list(chain(error))
    for outer, cause in zip([error, *causes], causes, strict=False):
        if is_for_users(cause):
            return _dotted(prefix, _place(outer)[0], str(cause))
    if not everything:
        return None
    last = [cause for cause in causes if type(cause).__module__ == "draccus.utils"][-1]
    found, cls = _place(last)
    path = tuple(getattr(last, "key_path", ()) or found)
    message = str(getattr(last, "message", last))
    if message.startswith("Couldn't instantiate class") and last.__cause__ is not None:
        # LeRobot's part of the configuration refused it.
        return _dotted(prefix, found, " ".join(str(last.__cause__).split()))
    return _dotted(prefix, path, _reworded(message, prefix, path, cls))


def _reworded(message: str, prefix: str, path: Sequence[str], cls: Any) -> str:
    """draccus' words for the commonest mistakes, as what to write instead."""
    if match := re.match(r"The fields (.+) are not valid for", message):
        wrong = re.findall(r"`([^`]+)`", match[1])
        known = [field.name for field in fields(cls)] if is_dataclass(cls) else []
        return f"there is no {', '.join(wrong)} here{_nearest(wrong, known)}"
    if match := re.match(r"Couldn't find a choice class for '(.+?)' in", message):
        known = list(cls.get_known_choices()) if hasattr(cls, "get_known_choices") else []
        return f"type '{match[1]}' is unknown{_nearest([match[1]], known)}"
    if match := re.match(r"Missing required field\(s\) (.+) for", message):
        names = re.findall(r"`([^`]+)`", match[1])
        options = [f"--{_join(prefix, (*path, name))}{'.repo_id' if name == 'dataset' else ''}" for name in names]
        return f"{', '.join(options)} is missing; every training names its target, e.g. --dataset.repo_id=me/target."
    if match := re.match(r"Failed when parsing value='(.*?)' into field .* of type ", message, flags=re.DOTALL):
        return _another_kind(match[1], f"--{_join(prefix, path)}", wants_list="for a list type" in message)
    return message.split("\n", 1)[0]


def _another_kind(value: str, option: str, *, wants_list: bool) -> str:
    """The line to write for a list or mapping that draccus did not take for one."""
    try:
        meant = yaml.safe_load(value)
    except yaml.YAMLError:
        meant = value
    if option.endswith(".sources") and isinstance(meant, str):
        meant = {"repo_id": meant}
    if wants_list and not isinstance(meant, list):
        meant = [meant]
    message = f"'{value}' " + ("is not a list" if wants_list else "is not of the kind that belongs here")
    # Beside a configuration file LeRobot reads the values of options as JSON, where words are quoted.
    return f"{message}; write {option}={shlex.quote(json.dumps(meant, default=str))}"


def _no_yaml(words: Sequence[str]) -> str | None:
    for option, value in options_of(words):
        try:
            yaml.safe_load(value)
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or str(error)
            return f"{option}: {value} cannot be read: {problem}; is a bracket or quote missing?"
    return None


def _place(error: BaseException) -> tuple[tuple[str, ...], Any]:
    """The path of the value that draccus was at, and the class it belongs to, from draccus' own variables."""
    place: tuple[tuple[str, ...], Any] = ((), None)
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name in ("decode_dataclass", "decode_choice_class"):
            place = tuple(map(str, frame.f_locals.get("path", ()))), frame.f_locals.get("cls")
        trace = trace.tb_next
    return place


def _prefix(config_class: type) -> str:
    """Of the options that LeRobot parses for a policy alone, without the word they have on the command line."""
    return "policy." if hasattr(config_class, "action_delta_indices") else ""


def _dotted(prefix: str, path: Sequence[str], message: str) -> str:
    where = _join(prefix, path)
    # Messages on a field of the policy name it themselves.
    return message if not where or message.startswith(("--", where)) else f"{where}: {message}"


def _join(prefix: str, path: Sequence[str]) -> str:
    words = [f"[{word}]" if word.isdigit() else f".{word}" for word in path]
    return f"{prefix}{''.join(words).removeprefix('.')}".removesuffix(".")


def _refuse_usage(parser: Any, prefix: str, message: str) -> NoReturn:
    """In place of argparse's `error`: the nearest options instead of all of them."""
    known = [option for action in parser._actions for option in action.option_strings if option.startswith("--")]
    stray = message.removeprefix("unrecognized arguments: ")
    if stray != message:
        wrong = [word.partition("=")[0] for word in shlex.split(stray, posix=False) if word.startswith("--")]
        message = f"there is no option {_typed(wrong, prefix)}{_nearest(wrong, known, prefix)}" if wrong else message
    elif match := re.match(r"argument (--\S+): invalid choice: '(.+?)' \(choose from (.*)\)$", message):
        choices = [choice.strip("'\" ") for choice in match[3].split(",")]
        message = f"{_typed([match[1]], prefix)}={match[2]} is unknown{_nearest([match[2]], choices)}"
    parser.exit(2, f"{parser.prog}: error: {message}\n")
    raise AssertionError("argparse's exit returned")


def _typed(options: Iterable[str], prefix: str) -> str:
    return ", ".join(f"--{prefix}{option[2:]}" for option in options)


def _nearest(wrong: Iterable[str], known: Sequence[str], prefix: str = "") -> str:
    """The known names nearest to each wrong one; those beside it where none is near and they are few."""
    found: list[str] = []
    for name in wrong:
        beside, _, leaf = name.rpartition(".")
        scores: dict[str, float] = {}
        for option in known:
            group, _, last = option.rpartition(".")
            alike = _alike(leaf.removeprefix("--"), last.removeprefix("--"))
            if alike >= (0.6 if group == beside else _MISSPELT):
                scores[option] = alike + (0.2 if group == beside else 0.0)
        best = max(scores.values(), default=0.0)
        found += [option for option in sorted(scores, key=lambda o: -scores[o]) if scores[option] > best - 0.1][:3]
        if not scores:
            siblings = [option for option in known if option.rpartition(".")[0] == beside]
            found += siblings if beside or not name.startswith("--") else []
    shown = [f"--{prefix}{option[2:]}" if prefix else option for option in dict.fromkeys(found)]
    if not 0 < len(shown) <= _MANY:
        return "; --help lists what there is."
    return f"; did you mean {' or '.join(shown)}?" if len(shown) <= 3 else f"; there are {', '.join(shown)}."


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()
