# SPDX-License-Identifier: Apache-2.0
"""Windows put into the text of a YAML configuration, which otherwise stays as its author wrote it, comments and all.

YAML libraries write a file anew and lose comments or lay them out differently. Here the parser only says where the
sources stand, and the windows are written there. Whoever calls this reads the result back and compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

OPTIONS = ("sigma_min", "sigma_max", "windows")
"""The options of a source that say its window; those that are not given become null where they stand."""

NotedWindow = tuple[str, float | None, float | None]
"""A source's repo_id, sigma_min and sigma_max."""

_MARK = "annotate --method="
_OLD_REASON = re.compile(rf"[ \t]*# {_MARK}[^\n]*")
_PROPOSED = re.compile(r"^[ \t]*# sigma_min: [^\n]*# choose: see [^\n]*\n", re.MULTILINE)
_BEST_AFTER = ("repo_id", "root")


@dataclass(frozen=True)
class FoundWindow:
    """What `annotate` found for one source.

    Args:
        options: some of `OPTIONS`; none leaves the source as it is.
        why: method and range, for a comment beside them; without options, why there are none.
    """

    options: Mapping[str, float | str]
    why: str

    def __post_init__(self) -> None:
        assert set(self.options) <= set(OPTIONS)


@dataclass(frozen=True)
class _Edit:
    start: int
    stop: int
    text: str


def merge_windows(text: str, windows: Sequence[FoundWindow]) -> str:
    """The text of a configuration with the windows of its sources, `policy: sources:`, in their order.

    Raises:
        ValueError: the text has no such list, of another length, or two of its sources are one by an alias.
    """
    nodes = _source_nodes(text)
    if len(nodes) != len(windows):
        raise ValueError(f"the file lists {len(nodes)} sources, {len(windows)} were annotated.")
    if len({id(node) for node in nodes}) < len(nodes):
        raise ValueError("two sources of the file are one by a YAML alias; write them out, each with its own window.")
    edits = [edit for node, window in zip(nodes, windows, strict=True) for edit in _edits(text, node, window)]
    for edit in sorted(edits, key=lambda one: one.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.stop :]
    return text


def noted_windows(text: str) -> dict[NotedWindow, str]:
    """What `annotate` noted beside the windows of a configuration's sources; nothing in a text without sources.

    Returns:
        "annotate --method=spectral, the safe end" and the like by (repo_id, sigma_min, sigma_max) of the source.
    """
    try:
        nodes = _source_nodes(text)
    except (yaml.YAMLError, ValueError):
        return {}
    noted = {}
    for node in nodes:
        values = {key.value: value for key, value in node.value}
        stops = [values[name].end_mark.index for name in OPTIONS if name in values]
        notes = [match[0].strip().removeprefix("# ") for stop in stops if (match := _OLD_REASON.match(text, stop))]
        if notes and "repo_id" in values:
            scalars = [(name, values[name]) for name in ("repo_id", "sigma_min", "sigma_max") if name in values]
            read = {name: yaml.safe_load(text[one.start_mark.index : one.end_mark.index]) for name, one in scalars}
            noted[read["repo_id"], read.get("sigma_min"), read.get("sigma_max")] = notes[0]
    return noted


def _source_nodes(text: str) -> list[yaml.MappingNode]:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    for name in ("policy", "sources"):
        values = [value for key, value in getattr(node, "value", []) if key.value == name]
        if not values:
            raise ValueError(f"the file has no `policy: sources:`, '{name}' is missing.")
        node = values[0]
    if not isinstance(node, yaml.SequenceNode) or not all(isinstance(one, yaml.MappingNode) for one in node.value):
        raise ValueError("the file's `policy: sources:` is not a list of sources.")
    return list(node.value)


def _edits(text: str, node: yaml.MappingNode, window: FoundWindow) -> list[_Edit]:
    if not window.options:
        return []
    pairs = {key.value: (key, value) for key, value in node.value}
    reason = f"  # {_MARK}{window.why}"
    edits = []
    for name in OPTIONS:
        if name not in pairs:
            continue
        value = pairs[name][1]
        start, stop = value.start_mark.index, value.end_mark.index
        edits.append(_Edit(start, stop, _scalar(window.options.get(name))))
        if old := _OLD_REASON.match(text, stop):
            edits.append(_Edit(old.start(), old.end(), reason if name in window.options else ""))
    missing = {name: value for name, value in window.options.items() if name not in pairs}
    if not node.flow_style:
        span = text[node.start_mark.index : node.end_mark.index]
        begin = node.start_mark.index
        edits += [_Edit(begin + old.start(), begin + old.end(), "") for old in _PROPOSED.finditer(span)]
    if missing:
        edits.append(_insertion(text, node, missing, reason))
    return edits


def _insertion(text: str, node: yaml.MappingNode, options: Mapping[str, Any], reason: str) -> _Edit:
    pairs = [f"{name}: {_scalar(value)}" for name, value in options.items()]
    if node.flow_style:
        end = node.value[-1][1].end_mark.index
        return _Edit(end, end, "".join(f", {pair}" for pair in pairs))
    # Below the name and folder, where a reader looks for it.
    first = node.value[0][0]
    last = max(value.end_mark.index for key, value in node.value if key.value in _BEST_AFTER or key is first)
    end = text.find("\n", last)
    end = len(text) if end < 0 else end
    lines = [f"{' ' * first.start_mark.column}{pair}" for pair in pairs]
    lines[0] += reason
    return _Edit(end, end, "".join(f"\n{line}" for line in lines))


def _scalar(value: Any) -> str:
    dumped = yaml.safe_dump(value, default_flow_style=True, width=2**20, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...")
