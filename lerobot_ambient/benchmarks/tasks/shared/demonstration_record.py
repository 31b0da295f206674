# SPDX-License-Identifier: Apache-2.0
"""A folder of demonstrations remembers what it was made with, and appears under its name only when it is complete."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

Kind = Literal["target", "source"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The two datasets of a task."""
RECORD = Path("meta") / "ambient_make_data.json"


def require_at_least(caller: str, **bounds: tuple[int, int]) -> None:
    """Check `name=(value, least)` for each argument of `caller`.

    Raises:
        ValueError: a value is less than its least.
    """
    for name, (value, least) in bounds.items():
        if value < least:
            raise ValueError(f"{caller}: {name} is {value}, must be at least {least}")


def finished(folder: Path, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The summary of a complete dataset made with `arguments`; None if there is no folder.

    Raises:
        ValueError: if the folder is anything else.
    """
    if not folder.exists():
        return None
    record = folder / RECORD
    if not record.is_file():
        raise ValueError(
            f"{folder} exists but was not written by make-data (no {RECORD}); move it away or choose another --root"
        )
    found = json.loads(record.read_text())
    if found["arguments"] != arguments:
        either = {**arguments, **found["arguments"]}
        keys = [key for key in either if found["arguments"].get(key) != arguments.get(key)]
        old, new = ({key: values.get(key) for key in keys} for values in (found["arguments"], arguments))
        raise ValueError(
            f"{folder} was made with {old}, not with {new}; remove it, choose another --root, or give the same values"
        )
    summary: dict[str, Any] = found["summary"]
    return summary


def write_recorded(
    folder: Path, arguments: Mapping[str, Any], summary: Mapping[str, Any], write: Callable[[Path], object]
) -> None:
    """Let `write` fill a hidden folder beside `folder`, add the record, and move it there.

    Args:
        folder: must not exist.
        arguments: what the data follows from, as JSON gives it back.
        summary: what `finished` returns later.
        write: makes the folder it is given and writes the dataset there.
    """
    partial = folder.with_name(f".{folder.name}-{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    write(partial)
    (partial / RECORD).write_text(json.dumps({"arguments": arguments, "summary": summary}, indent=2) + "\n")
    partial.rename(folder)


def summaries_of[Kind: str](root: Path, arguments: Mapping[Kind, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The summaries of datasets that are there, `root/<kind>` each, with their places."""
    summaries: dict[str, dict[str, Any]] = {}
    for kind, made_with in arguments.items():
        summary = finished(root / kind, made_with)
        assert summary is not None, f"{root / kind} was written before"
        summaries[kind] = {**summary, "root": str(root / kind)}
    return summaries
