# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference/python.md from the docstrings of the public names: `python scripts/python_reference.py`."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lerobot_ambient as la

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "python.md"
ROOMS = {
    "Data and plan": ("Source", "Window", "Mixture", "Plan", "Group", "make_plan", "NoiseSchedule"),
    "Mixings": ("Ambient", "Soft", "Cotrain", "TargetOnly", "Exclusive", "MixingRule"),
    "Windows from data": ("annotate", "Annotations", "SourceAnnotation"),
    "Judging": ("check", "Judgement"),
    "Training": ("train", "denoising_target", "ambient_target", "ambient_pair", "renoise"),
}
HEAD = """# Python

`import lerobot_ambient as la` offers the names below; it loads nothing of LeRobot or torch before one is used. How they
go together is in [from Python](../how-to/from-python.md). This page is written from the docstrings, whose examples are
run as tests, by `scripts/python_reference.py`.
"""
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$")
ENTRY = re.compile(r"^    (\S[^:]*): (.*)$")


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for room, names in ROOMS.items():
        parts.append(f"## {room}\n")
        for name in names:
            parts.extend(described(name, inspect.unwrap(getattr(la, name))))
    return "\n".join(parts)


def described(name: str, thing: Any) -> Iterator[str]:
    """The entry of a name, and those of a class's members."""
    yield f"### `{name}`\n"
    yield f"```\n{textwrap.fill(f'la.{name}{signature(thing)}', 116, subsequent_indent='    ')}\n```\n"
    yield formatted(inspect.getdoc(thing) or "")
    if not inspect.isclass(thing):
        return
    for member, value in vars(thing).items():
        function = value.__func__ if isinstance(value, classmethod) else value
        shown = inspect.isfunction(function) or isinstance(function, property)
        if member.startswith("_") or not shown or not inspect.getdoc(function):
            continue
        arguments = "" if isinstance(function, property) else signature(function, bound=True)
        yield f"#### `{name}.{member}{arguments}`\n"
        yield formatted(inspect.getdoc(function) or "")


def signature(thing: Any, *, bound: bool = False) -> str:
    """The parameters with their defaults; the text says what they are."""
    found = [one.replace(annotation=inspect.Parameter.empty) for one in inspect.signature(thing).parameters.values()][
        int(bound) :
    ]
    shown = str(inspect.Signature(found)).replace("<factory>", "...")
    return re.sub(r"(?<=\w) = ", "=", shown)


def formatted(doc: str) -> str:
    """A docstring as Markdown: examples fenced, arguments as a list."""
    lines: list[str] = []
    section = ""
    for block in re.split(r"\n\n", doc):
        first, *rest = block.split("\n")
        if found := SECTION.match(first):
            section = found.group(1)
            lines += [f"{section}:\n", *entries(rest), ""]
        elif first.startswith(">>>"):
            lines += ["```pycon", *block.split("\n"), "```", ""]
        else:
            lines += [textwrap.fill(" ".join(block.split()), 118), ""]
    return "\n".join(lines)


def entries(lines: list[str]) -> Iterator[str]:
    """`name: text` as a list; other text as a paragraph."""
    items: list[str] = []
    for line in lines:
        if found := ENTRY.match(line):
            items.append(f"- `{found.group(1)}`: {found.group(2)}")
        elif items:
            items[-1] += f" {line.strip()}"
        else:
            items.append(line.strip())
    for item in items:
        yield textwrap.fill(item, 118, subsequent_indent="  " if item.startswith("- ") else "")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
