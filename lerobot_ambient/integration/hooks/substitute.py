# SPDX-License-Identifier: Apache-2.0
"""A function of LeRobot's replaced where LeRobot looks it up: once, only if it has what ours needs, and marked.

LeRobot's scripts have no hooks for what a mixture needs, so names in their modules are given functions of ours that
call the original. What is asked of an original are the parameters that ours speaks of, by name. Whatever others a newer
LeRobot adds are handed on as they come. Only where ours does the work alone must they have defaults, and keep them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

_MARK = "_lerobot_ambient_original"
"""The attribute of a replacement under which the original is found."""

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class SeamError(RuntimeError):
    """This LeRobot is not one that the substitution was written for."""


def original_of(owner: Any, name: str) -> Any:
    """LeRobot's own function, replaced or not; None where `owner` has no such name."""
    found = getattr(owner, name, None)
    return getattr(found, _MARK, found)


def unfamiliar(owner: Any, name: str, needs: tuple[str, ...], *, alone: bool = False) -> str | None:
    """What keeps a function from being replaced; None where nothing does.

    Args:
        owner: a module or a class.
        name: of the function in it.
        needs: parameters that it must have.
        alone: the original is not called, so any other parameter must have a default.
    """
    found = original_of(owner, name)
    if found is None:
        return f"{owner.__name__} has no {name}"
    takes = _signature(found).parameters
    lacks = [one for one in needs if one not in takes]
    asks = [
        one.name
        for one in takes.values()
        if alone and one.name not in needs and one.default is one.empty and one.kind not in _VARIADIC
    ]
    if not lacks and not asks:
        return None
    told = [f"lacks {', '.join(lacks)}"] if lacks else []
    told += [f"asks for {', '.join(asks)} besides"] if asks else []
    return f"{name} takes {tuple(takes)}, {' and '.join(told)}"


def substitute(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    """Put `wrap(original)` in the place of a function. Idempotent."""
    original = getattr(owner, name)
    if not hasattr(original, _MARK):
        replacement = wrap(original)
        # Of a class method the function is what `getattr` shows the marks of.
        setattr(getattr(replacement, "__func__", replacement), _MARK, original)
        setattr(owner, name, replacement)


def arguments(original: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What a call gives the original, by name, with the original's own defaults."""
    bound = _signature(original).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


@cache
def _signature(original: Callable[..., Any]) -> inspect.Signature:
    """Looked up once: a training step calls one of the replaced functions."""
    return inspect.signature(original)


def refuse_others(original: Callable[..., Any], given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse a call that says more than ours understands, where the original is not called in its place.

    Args:
        original: LeRobot's function.
        given: its arguments by name, from `arguments`.
        known: parameters whose meaning ours knows.

    Raises:
        SeamError: another one has a value that is not its default.
    """
    takes = _signature(original).parameters
    for name, value in given.items():
        usual: Any = takes[name].default if takes[name].kind not in _VARIADIC else type(value)()
        if name not in known and value is not usual and (type(value) is not type(usual) or value != usual):
            raise SeamError(
                f"this LeRobot gives {original.__name__} {name}={value!r}, which ambient policies do not know. Leave "
                "the option out that asks for it, or install a newer lerobot_policy_ambient_diffusion."
            )
