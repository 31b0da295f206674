# SPDX-License-Identifier: Apache-2.0
"""Comments of a YAML configuration, carried over to a text that says the same in another layout.

A configuration that gets more than windows is composed anew, and a YAML library knows no comments. A comment is kept
by the option it stands at: the line that it ends, or the one that it stands above. What has no such place any more
goes above the option around it, or to the end, with the line it stood in: nothing that a person wrote is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

_Place = tuple[str, ...]

_DERIVED = re.compile(
    r"# (?:Written by `"
    r"|.+ \(.+, \S+ fps\) for the target "
    r"|PROBLEM: "
    r"|note: (?:left over in |\S+ fps there, |\S+: one side names no |the (?:target|source)'s joints end at )"
    r"|nothing more is needed$"
    r"|sigma_min: .*# choose: see |normalization: own .*mapped action dimensions range elsewhere)"
)
"""Lines that `as_yaml` writes above and beside options; they are found anew, and otherwise are true no longer."""

_COMMENT = re.compile(r"(?:(?<=[ \t])|^)#.*")


@dataclass(frozen=True)
class _Comment:
    line: int
    text: str
    before: str
    """What its line says before it; blank for a comment with a line of its own."""

    @property
    def is_alone(self) -> bool:
        return not self.before.strip()


class _Text:
    """A YAML text, where its options stand, and its comments."""

    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        spans = [
            (token.start_mark, token.end_mark)
            for token in yaml.scan(text, Loader=yaml.SafeLoader)
            if isinstance(token, yaml.ScalarToken)
        ]
        self.is_open = {line for start, end in spans for line in range(start.line, end.line)}
        """Lines whose end is inside a scalar, where a comment would be part of it."""
        masked = list(text)
        for start, end in spans:
            masked[start.index : end.index] = ["\n" if c == "\n" else "x" for c in text[start.index : end.index]]
        self.comments = [
            _Comment(line, self.lines[line][match.start() :].rstrip(), self.lines[line][: match.start()])
            for line, shown in enumerate("".join(masked).splitlines())
            if (match := _COMMENT.search(shown))
        ]
        self.line_of: dict[_Place, int] = {}
        self.first: dict[int, _Place] = {}
        """What begins first in a line, such as a source of a list."""
        self.said: dict[int, _Place] = {}
        """What a comment at a line's end is about, such as a source's name."""
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        for place, line, is_wrapping in () if node is None else _places(node, ()):
            self.line_of.setdefault(place, line)
            self.first.setdefault(line, place)
            if not is_wrapping:
                self.said.setdefault(line, place)

    def below(self, line: int) -> _Place:
        """What the next option after a line is; the whole text after the last one."""
        return next((self.first[n] for n in range(line + 1, len(self.lines)) if n in self.first), ())


def _places(node: yaml.Node, above: _Place) -> Iterator[tuple[_Place, int, bool]]:
    """Every option, its line, and whether it is a list's entry that begins with an option of its own."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*above, str(key.value))
            yield place, key.start_mark.line, False
            yield from _places(value, place)
    elif isinstance(node, yaml.SequenceNode):
        seen: Counter[str] = Counter()
        for index, value in enumerate(node.value):
            name = _name(value) or str(index)
            seen[name] += 1
            place = (*above, f"{name}#{seen[name]}")
            yield place, value.start_mark.line, isinstance(value, yaml.MappingNode) and not value.flow_style
            yield from _places(value, place)


def _name(node: yaml.Node) -> str | None:
    """Of a source, which stays the same source at another place of the list."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((str(value.value) for key, value in pairs if key.value == "repo_id"), None)


def carry_comments(old: str, new: str) -> str:
    """The text `new` with the comments of `old`, but for those that it has already.

    Args:
        old: YAML with comments.
        new: YAML that says the same, or more, or with other values.
    """
    before, after = _Text(old), _Text(new)
    known = {" ".join(comment.text.split()) for comment in after.comments}
    ends = {comment.line for comment in after.comments}
    above: dict[int, list[str]] = {}
    for comment in _written_by_hand(before.comments):
        place = before.below(comment.line) if comment.is_alone else before.said.get(comment.line, ())
        line = after.line_of.get(place)
        if " ".join(comment.text.split()) in known and (comment.is_alone or line in ends):
            continue
        if line is not None and not comment.is_alone and line not in ends and line not in after.is_open:
            same = comment.before.rstrip() == after.lines[line].rstrip()
            after.lines[line] = (comment.before if same else f"{after.lines[line]}  ") + comment.text
            ends.add(line)
            continue
        # The option itself is not there any more, e.g. since it says what is the default.
        told = comment.text if comment.is_alone or line is not None else f"# {comment.before.strip()}  {comment.text}"
        while line is None and place:
            place = place[:-1]
            line = after.line_of.get(place)
        above.setdefault(len(after.lines) if line is None else line, []).append(told)
    lines = []
    for number, text in enumerate([*after.lines, None]):
        pad = " " * (len(text) - len(text.lstrip())) if text else ""
        lines += [f"{pad}{told}" for told in above.get(number, [])]
        lines += [] if text is None else [text]
    return "\n".join(lines) + "\n"


def _written_by_hand(comments: list[_Comment]) -> Iterator[_Comment]:
    """Those that are not found anew; a remark that was wrapped goes on in lines that are indented after their sign."""
    derived: int | None = None
    for comment in comments:
        goes_on = comment.line - 1 == derived and comment.text.startswith("#   ")
        if comment.is_alone and (goes_on or _DERIVED.match(comment.text)):
            derived = comment.line
        else:
            yield comment
