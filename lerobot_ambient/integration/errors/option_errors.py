# SPDX-License-Identifier: Apache-2.0
"""What a command says of an option of ours that does not fit.

LeRobot reads the options of its commands with draccus. Where a configuration class refuses a value draccus says
"Couldn't instantiate class ..." and keeps the reason to itself, and after a misspelt option argparse prints all five
hundred that there are. The method that all of draccus goes through is replaced by one that calls the original, and then
raises the reason as a ValueError, or names the nearest options. It does so for our types only; for any other policy,
and with an unknown draccus, nothing changes.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NoReturn

import yaml

from lerobot_ambient.integration.errors.error_report import CONFIG_SUFFIXES, chain, is_for_users, options_of
from lerobot_ambient.integration.errors.near_options import (
    MISSPELT,
    alike,
    choices_of,
    chosen_types,
    config_file_typed,
    near_field,
    near_names,
    near_options,
    offered,
    verb_options,
)

_OURS = "ambient_diffusion"
_PREFIX = "ambient_"

_raising: ContextVar[bool] = ContextVar("raising", default=False)


@contextmanager
def raised_to_python() -> Iterator[None]:
    """Refuse options by a ValueError, where a command would print it and exit: nobody typed them in a terminal."""
    before = _raising.set(True)
    try:
        yield
    finally:
        _raising.reset(before)


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
        if option.startswith("--policy."):
            name = option.split(".")[1]
            if any(name == one or alike(name, one) > MISSPELT for one in _mixture_options()):
                return True
        if option.endswith(".type") and (value.startswith(_PREFIX) or alike(value, _OURS) > MISSPELT):
            return True
        if option in ("--config_path", "--policy.path"):
            path = Path(value)
            if _mentions(path / "config.json" if path.is_dir() else path):
                return True
        if not option.startswith("-") and _mentions(Path(option)):
            return True
    return config_file is not None and _mentions(Path(config_file))


@cache
def _mixture_options() -> frozenset[str]:
    """The policy's options that every ambient type has and no other."""
    from lerobot_ambient.policy.options.mixture_options import MixtureOptions

    return frozenset(field.name for field in fields(MixtureOptions))


def _mentions(file: Path) -> bool:
    return (
        file.suffix in CONFIG_SUFFIXES
        and file.is_file()
        and _OURS in file.read_text(encoding="utf-8", errors="replace")
    )


def telling(original: Any) -> Any:
    """draccus' `ArgumentParser.parse_known_args`, which tells of options that do not fit what would."""

    def parse_known_args(
        self: Any, args: Sequence[str] | None = None, namespace: Any = None, *, is_parse_args: bool = False
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        # The command's own words too: LeRobot takes --policy.path out before it parses.
        ours = Path(sys.argv[0] if sys.argv else "").stem == "lerobot-ambient"
        meant = ours or _raising.get() or ours_are_meant([*words, *sys.argv[1:]], self.config_class, self.config_path)
        if meant:
            self.parser.error = partial(_refuse_usage, self, words)
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
    if last.__cause__ is not None and _place(last.__cause__)[0] == path:
        cls = _place(last.__cause__)[1]  # A value for all of a class.
    return _dotted(prefix, path, _reworded(message, prefix, path, cls))


def _reworded(message: str, prefix: str, path: Sequence[str], cls: Any) -> str:
    """draccus' words for the commonest mistakes, as what to write instead."""
    if match := re.match(r"The fields (.+) are not valid for", message):
        return _no_such_field(re.findall(r"`([^`]+)`", match[1]), prefix, path, cls)
    if match := re.match(r"Expected a dict for a choice class, got (.*)$", message, flags=re.DOTALL):
        return _type_without_its_option(match[1], f"--{_join(prefix, path)}", cls)
    if match := re.match(r"Couldn't find a choice class for '(.+?)' in", message):
        return f"type '{match[1]}' is unknown{near_names([match[1]], list(choices_of(cls)))}"
    if match := re.match(r"Missing required field\(s\) (.+) for", message):
        names = re.findall(r"`([^`]+)`", match[1])
        options = [f"--{_join(prefix, (*path, name))}{'.repo_id' if name == 'dataset' else ''}" for name in names]
        return f"{', '.join(options)} is missing; every training names its target, e.g. --dataset.repo_id=me/target."
    if match := re.match(r"Failed when parsing value='(.*?)' into field .* of type ", message, flags=re.DOTALL):
        option = f"--{_join(prefix, path)}"
        if "has no attribute 'copy'" in message and is_dataclass(cls):
            return _inner_options(match[1], option, [field.name for field in fields(cls)])
        return _another_kind(match[1], option, wants_list="for a list type" in message)
    return message.split("\n", 1)[0]


def _no_such_field(wrong: Sequence[str], prefix: str, path: Sequence[str], cls: Any) -> str:
    """As the option that was typed, where it was; with the nearest beside it, or else the place that it belongs to."""
    typed = dict(options_of(sys.argv[1:]))
    options = {name: f"--{_join(prefix, (*path, name))}" for name in wrong}
    types, kind = choices_of(cls), next((name for name, one in choices_of(cls).items() if one is cls), None)
    if kind is not None and all(option in typed for option in options.values()):
        head = f"{', '.join(options.values())}: not an option of {kind}"
    else:
        head = f"there is no {', '.join(wrong)} here"
    if kind is not None and path[:1] == ("policy",) and _mixture_options().issuperset(wrong):
        # A stock type: LeRobot's own configuration has no mixture.
        if f"{_PREFIX}{kind}" in types:
            return f"{head}, and {_PREFIX}{kind} has it; write --policy.type={_PREFIX}{kind}."
        from lerobot_ambient.policy.flow.refused import why_not

        return f"{head}. {why_not(kind)}"
    others = [name for name, one in types.items() if all(w in (f.name for f in fields(one)) for w in wrong)]
    ours = cls is not None and cls.__module__.startswith("lerobot_ambient.")
    elsewhere = near_field({o: typed.get(o, "") for o in options.values()}, cls, config_file_typed()) if ours else ""
    if elsewhere:
        return head + elsewhere
    if others and len(others) <= 3:
        place = _join(prefix, path)
        # Another policy is no answer to a misplaced option; another mixing may be.
        fix = "" if place in ("", "policy") else f": add {' or '.join(f'--{place}.type={name}' for name in others)}"
        return f"{head}; {' and '.join(others)} {'has' if len(others) == 1 else 'have'} it{fix}."
    return head + near_names(wrong, [field.name for field in fields(cls)] if is_dataclass(cls) else [])


def _type_without_its_option(value: str, option: str, cls: Any) -> str:
    """`--policy.mixing=soft`, where the type is meant."""
    known = choices_of(cls)
    if value in known:
        return f"'{value}' is a type; write {option}.type={value}"
    return f"'{value}' is no type, which {option}.type names{near_names([value], list(known))}"


def _inner_options(value: str, option: str, names: Sequence[str]) -> str:
    """`--dataset=me/target`, where an option of the dataset is meant."""
    for name, meant in (("repo_id", value), ("enable", value.lower())):
        if name in names and (name != "enable" or meant in ("true", "false")):
            return f"it has options of its own; write {option}.{name}={shlex.quote(meant)}"
    return f"it has options of its own: {', '.join(f'{option}.{name}' for name in names)}"


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
    if not where or message.startswith(("--", where)):
        return message
    typed = f"--{where}" in dict(options_of(sys.argv[1:]))
    return f"{'--' if typed else ''}{where}: {message}"


def _join(prefix: str, path: Sequence[str]) -> str:
    words = [f"[{word}]" if word.isdigit() else f".{word}" for word in path]
    return f"{prefix}{''.join(words).removeprefix('.')}".removesuffix(".")


def _refuse_usage(asked: Any, words: Sequence[str], message: str) -> NoReturn:
    """In place of argparse's `error`: the nearest options instead of all of them.

    Args:
        asked: draccus' parser.
        words: that it was to parse.
        message: of argparse.

    Raises:
        ValueError: under `raised_to_python`; else SystemExit, after a line on stderr.
    """
    parser, prefix = asked.parser, _prefix(asked.config_class)
    stray = message.removeprefix("unrecognized arguments: ")
    if stray != message:
        wrong = {f"--{prefix}{option[2:]}": value for option, value in _strays(shlex.split(stray, posix=False))}
        if wrong:
            message = f"there is no option {', '.join(wrong)}{_near(asked, words, wrong)}"
        elif Path(stray).suffix in CONFIG_SUFFIXES:
            message = f"'{stray}' stands alone; did you mean --config_path={stray}?"
    elif match := re.match(r"argument (--\S+): invalid choice: '(.+?)' \(choose from (.*)\)$", message):
        choices = [choice.strip("'\" ") for choice in match[3].split(",")]
        message = f"--{prefix}{match[1][2:]}={match[2]} is unknown{near_names([match[2]], choices)}"
    if _raising.get():
        raise ValueError(message)
    parser.exit(2, f"{parser.prog}: error: {message}\n")
    raise AssertionError("argparse's exit returned")


def _strays(words: Sequence[str]) -> list[tuple[str, str]]:
    return [
        (option, "" if value.startswith("--") else value)
        for option, value in options_of(words)
        if option.startswith("--")
    ]


def _near(asked: Any, words: Sequence[str], wrong: Mapping[str, str]) -> str:
    prefix = _prefix(asked.config_class)
    chosen = chosen_types([*words, *sys.argv[1:]], asked.config_path)
    if prefix:
        chosen["policy"] = _OURS
    known = [option for action in asked.parser._actions for option in action.option_strings if option.startswith("--")]
    if prefix:
        # Beside --policy.path of a stock type an option of a mixture makes it its ambient form.
        known += [f"--{name}" for name in sorted(_mixture_options()) if f"--{name}" not in known]
    here = {place.removeprefix(prefix): kind for place, kind in chosen.items()}
    taken = {*offered(known, asked.config_class, here), *(f"--{name}" for name in _mixture_options() if prefix)}
    known = [f"--{prefix}{option[2:]}" for option in known if option in taken]
    return near_options(wrong, [*(() if prefix else verb_options()), *known], chosen, config_file_typed())
