# SPDX-License-Identifier: Apache-2.0
"""Suggestions as YAML to be pasted under `policy: sources:`, with the reasons as comments."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from lerobot_ambient.data.suggest.suggest import Option, Suggestion

_FLOW = {"dimensions": 3, "cameras": 2}
"""Options that stand in one line from this depth on."""
_FARTHEST_COMMENT = 72
_WIDTH = 110


def to_yaml(suggestions: Sequence[Suggestion], indent: int = 4) -> str:
    """All sources as one YAML list, or as comments alone when none of them needs anything.

    A source that needs nothing is listed as it was declared, so that the block replaces the whole list.

    Args:
        indent: spaces before every line.
    """
    if not any(suggestion.is_needed for suggestion in suggestions):
        lines = [line for suggestion in suggestions for line in _head(suggestion, "")]
        fits = not any(suggestion.problems for suggestion in suggestions)
        return "\n".join([*lines, *(["# Nothing is needed: every source fits as it is declared."] if fits else [])])
    return sources_block(suggestions, indent)


def sources_block(suggestions: Sequence[Suggestion], indent: int = 4) -> str:
    """All sources as one YAML list, each with what it needs and why, also where none of them needs anything.

    Args:
        indent: spaces before every line.
    """
    return "\n".join(line for suggestion in suggestions for line in _entry(suggestion, " " * indent))


def _head(suggestion: Suggestion, pad: str) -> list[str]:
    remarks = [suggestion.heading, *(f"PROBLEM: {problem}" for problem in suggestion.problems)]
    remarks += [f"note: {note}" for note in suggestion.notes]
    wrapped = [line for remark in remarks for line in textwrap.wrap(remark, _WIDTH, subsequent_indent="  ")]
    return [f"{pad}# {line}" for line in wrapped]


def _entry(suggestion: Suggestion, pad: str) -> list[str]:
    scalars = {key: value for key, value in suggestion.config.items() if not isinstance(value, Mapping)}
    nested = {key: value for key, value in suggestion.config.items() if isinstance(value, Mapping)}
    body = [
        *_block(scalars, (), pad + "  ", suggestion.reasons),
        *_aligned([(f"{pad}  # {line}", why) for line, why in suggestion.alternatives]),
        *_block(nested, (), pad + "  ", suggestion.reasons),
    ]
    nothing = [] if suggestion.is_needed or suggestion.problems else [f"{pad}# nothing more is needed"]
    return [*_head(suggestion, pad), *nothing, f"{pad}- {body[0].lstrip()}", *body[1:]]


def _block(values: Mapping[str, Any], above: Option, pad: str, reasons: Mapping[Option, str]) -> list[str]:
    lines: list[str] = []
    flat: list[tuple[str, str]] = []
    for key, value in values.items():
        option = (*above, key)
        if isinstance(value, Mapping) and value and len(option) < _FLOW.get(option[0], math.inf):
            lines += [f"{pad}{_scalar(key)}:", *_block(value, option, pad + "  ", reasons)]
        else:
            flat.append((f"{pad}{_scalar(key)}: {_scalar(value)}", reasons.get(option, "")))
    return _aligned(flat) + lines


def _aligned(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Comments of one block under each other, unless a long line would push them away."""
    column = max((len(line) for line, why in lines if why and len(line) <= _FARTHEST_COMMENT), default=0)
    return [f"{line.ljust(column)}  # {why}" if why else line for line, why in lines]


def _scalar(value: Any) -> str:
    """A value in one line, quoted where YAML would read something else."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
