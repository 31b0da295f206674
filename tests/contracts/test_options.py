# SPDX-License-Identifier: Apache-2.0
"""What is typed after LeRobot's own commands: `--policy.*`, `--env.*` and cameras, as draccus sees them."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

import draccus
import pytest
from lerobot.cameras import CameraConfig
from lerobot.configs import PreTrainedConfig
from lerobot.envs import EnvConfig

from .surfaces import PACKAGE, registered


def options(cls: type) -> dict[str, Any]:
    """Option to `type = default`; dataclasses inside are written out, so that none is called by its name."""
    hints = typing.get_type_hints(cls)
    found: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        kind, inside = _kind(hints[field.name])
        value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if value is not dataclasses.MISSING:
            kind = f"{kind} = {json.dumps(_plain(value))}"
        found[field.name] = {"type": kind, **inside} if inside else kind
    return found


def _kind(hint: Any) -> tuple[str, dict[str, Any]]:
    """A type in words, and what is inside of it."""
    inside: dict[str, Any] = {}

    def words(one: Any) -> str:
        origin, arguments = typing.get_origin(one), typing.get_args(one)
        if origin in (typing.Union, types.UnionType):
            return " | ".join(words(argument) for argument in arguments)
        if origin is typing.Literal:
            return " | ".join(map(repr, arguments))
        if origin is not None:
            return f"{origin.__name__}[{', '.join('...' if a is Ellipsis else words(a) for a in arguments)}]"
        if isinstance(one, type) and one.__module__.split(".")[0] == PACKAGE:
            if issubclass(one, draccus.ChoiceRegistry):
                choices = one.get_known_choices()
                inside["choices"] = {name: options(choice) for name, choice in sorted(choices.items())}
            else:
                inside["options"] = options(one)
            return "values"
        return "null" if one is type(None) else getattr(one, "__name__", str(one))

    return words(hint), inside


def _plain(value: Any) -> Any:
    if isinstance(value, draccus.ChoiceRegistry):
        return {"type": value.get_choice_name(type(value)), **_plain(dataclasses.asdict(value))}
    if dataclasses.is_dataclass(value):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def test_the_policys_options(contract):
    ours = {}
    for name, cls in registered(PreTrainedConfig).items():
        parent = next(base for base in cls.__mro__ if base.__module__.split(".")[0] != PACKAGE)
        theirs, found = options(parent), options(cls)
        # Those of LeRobot's policy are LeRobot's contract; ours is that they are the same.
        assert {option: found[option] for option in theirs} == theirs
        ours[name] = {option: entry for option, entry in found.items() if option not in theirs}
    contract("policy_options.json", ours)


@pytest.mark.parametrize(("kind", "registry"), [("env", EnvConfig), ("camera", CameraConfig)])
def test_registered_types(kind, registry, contract):
    contract(f"{kind}_options.json", {name: options(cls) for name, cls in registered(registry).items()})
