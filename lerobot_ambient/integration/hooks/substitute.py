# SPDX-License-Identifier: Apache-2.0
"""A function of LeRobot's replaced where LeRobot looks it up: once, only if it is the one that was read, and marked.

LeRobot's scripts have no hooks for what a mixture needs, so names in their modules are given functions of ours that
call the original. Each is compared first with the parameters it had when this package was written.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

logger = logging.getLogger(__name__)

_MARK = "_lerobot_ambient_original"
"""The attribute of a replacement under which the original is found."""


class SeamError(RuntimeError):
    """This LeRobot is not one that the substitution was written for."""


def _original_of(owner: Any, name: str) -> Any:
    """LeRobot's own function, replaced or not; None where `owner` has no such name."""
    found = getattr(owner, name, None)
    return getattr(found, _MARK, found)


def _is_substituted(owner: Any, name: str) -> bool:
    """Whether the name stands for a function of ours."""
    return hasattr(getattr(owner, name, None), _MARK)


def unfamiliar(owner: Any, name: str, parameters: tuple[str, ...], *, first: bool = False) -> str | None:
    """How a function differs from the one that was read; None where it does not.

    Args:
        owner: a module or a class.
        name: of the function in it.
        parameters: their names, in order.
        first: further parameters may follow.
    """
    found = _original_of(owner, name)
    if found is None:
        return f"{owner.__name__} has no {name}"
    takes = tuple(inspect.signature(found).parameters)
    if (takes[: len(parameters)] if first else takes) != parameters:
        return f"{name} takes {takes}, expected {parameters}{' first' if first else ''}"
    return None


def substitute(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    """Put `wrap(original)` in the place of a function. Idempotent."""
    if not _is_substituted(owner, name):
        original = getattr(owner, name)
        replacement = wrap(original)
        # Of a class method the function is what `getattr` shows the marks of.
        setattr(getattr(replacement, "__func__", replacement), _MARK, original)
        setattr(owner, name, replacement)


def substitute_or_warn(
    owner: Any, name: str, parameters: tuple[str, ...], wrap: Callable[[Any], Any], *, lost: str, first: bool = False
) -> None:
    """The same where LeRobot can do without: an unknown function stays, and the log says so. Idempotent.

    Args:
        owner, name, parameters, first: as `unfamiliar` has them.
        wrap: makes the replacement of the original.
        lost: what still works and what does not, as a sentence.
    """
    problem = unfamiliar(owner, name, parameters, first=first)
    if problem is None:
        substitute(owner, name, wrap)
    else:
        logger.warning("lerobot %s: %s. %s", version("lerobot"), problem, lost)
