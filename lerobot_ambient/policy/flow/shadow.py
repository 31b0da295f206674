# SPDX-License-Identifier: Apache-2.0
"""One method of one object replaced for the duration of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def shadowed(owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Put `wrap(owner.name)` before the method that `owner` has; afterwards all is as it was.

    The class keeps its method: only this instance sees the other one, and only inside the `with`.

    Args:
        owner: an instance, or a module whose function is replaced.
        name: of its method.
        wrap: makes the replacement of the bound original.
    """
    before = vars(owner).get(name, _ABSENT)
    replacement = wrap(getattr(owner, name))
    # Not setattr: torch's modules would take a module among the replacements for a child.
    vars(owner)[name] = replacement
    try:
        yield
    finally:
        if before is _ABSENT:
            del vars(owner)[name]
        else:
            vars(owner)[name] = before


_ABSENT = object()
