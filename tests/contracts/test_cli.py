# SPDX-License-Identifier: Apache-2.0
"""What is typed after `lerobot-ambient`: verbs, options, defaults, choices and what `--help` says of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from .surfaces import parser


@pytest.fixture(scope="module")
def command() -> argparse.ArgumentParser:
    return parser()


def below(command: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (verbs,) = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(verbs.choices)


def described(one: argparse.ArgumentParser) -> dict[str, Any]:
    """A parser as plain values; what argparse would fill in by itself is left out."""
    found: dict[str, Any] = {"description": one.description, "epilog": one.epilog}
    if one.get_default("takes_more"):
        found["passes_on"] = "the other options"
    exclusive = [[_flags(action) for action in group._group_actions] for group in one._mutually_exclusive_groups]
    if exclusive:
        found["one_of"] = exclusive
    titles = {id(action): group.title for group in one._action_groups for action in group._group_actions}
    usual = {one._positionals.title, one._optionals.title}
    options, verbs = [], {}
    for action in one._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            verbs = {name: {"help": helps.get(name), **described(parser)} for name, parser in action.choices.items()}
        # `--help` is argparse's, `--debug` the command's own and everywhere.
        elif not {"--help", "--debug"} & set(action.option_strings):
            title = titles[id(action)]
            options.append({**_option(action), **({} if title in usual else {"group": title})})
    found |= {"options": options} | ({"verbs": verbs} if verbs else {})
    return {key: value for key, value in found.items() if value not in (None, [])}


def _flags(action: argparse.Action) -> str:
    return ", ".join(action.option_strings) or action.dest


def _option(action: argparse.Action) -> dict[str, Any]:
    plain = {"_StoreAction": None, "_StoreTrueAction": "switch", "_AppendAction": "may be given several times"}
    kind = plain.get(type(action).__name__, type(action).__name__)
    types = {int: "int", float: "float", Path: "path", None: None, str: None}
    default = action.default
    values = {
        "kind": kind,
        "type": types.get(action.type, "own") if kind != "switch" else None,
        "nargs": action.nargs if kind != "switch" else None,
        "choices": None if action.choices is None else list(action.choices),
        "default": None if kind == "switch" or default in ([], argparse.SUPPRESS) else _plain(default),
        "required": (action.required and bool(action.option_strings)) or None,
        "metavar": action.metavar,
        "help": action.help,
    }
    return {"name": _flags(action), **{key: value for key, value in values.items() if value is not None}}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float | str | dict | None) else str(value)


def test_verbs_come_in_the_order_of_a_users_work(command, contract):
    listed = described(command)
    # The version is of a release.
    listed["options"] = [option for option in listed["options"] if option["name"] != "--version"]
    verbs = {name: verb["help"] for name, verb in listed.pop("verbs").items()}
    contract("cli.json", {**listed, "verbs": verbs})


def test_a_verb_keeps_its_options(command, contract, updating):
    verbs = below(command)
    golden = Path(__file__).with_name("golden") / "cli"
    if updating:
        for path in golden.glob("*.json"):
            path.unlink()
    else:
        assert {path.stem for path in golden.glob("*.json")} == set(verbs)
    for name, verb in verbs.items():
        contract(f"cli/{name}.json", described(verb))


def test_every_verb_has_an_example_and_the_full_traceback(command):
    for name, verb in below(command).items():
        assert f"example:\n  lerobot-ambient {name}" in (verb.epilog or ""), name
        assert "--debug" in verb.format_usage() + verb.format_help(), name
