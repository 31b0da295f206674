# SPDX-License-Identifier: Apache-2.0
"""What is said of many datasets in the same words is said of a few, and the others are named in one line."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_OF = "lerobot_ambient.data"
_TOLD, _NAMED, _WORDS = 2, 12, 8
"""Messages that stand in full, names in the line for the others, and words by which messages are alike."""
_QUOTED = re.compile(r"'([^']*)'")
_OWN = re.compile(r"'[^']*'|\S*[/\d]\S*")
"""What is of one dataset: names in quotes, paths, repo ids, numbers."""


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def alike_together(*, many: bool) -> Iterator[None]:
    """Hold back what is logged of data inside, and log it afterwards with alike messages together.

    Args:
        many: whether there are so many datasets that it is worth it; else everything is logged at once, as ever.
    """
    if not many:
        yield
        return
    logger, kept = logging.getLogger(_OF), _Kept()
    propagates = logger.propagate
    logger.addHandler(kept)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(kept)
        logger.propagate = propagates
        for record in together(kept.records):
            logging.getLogger(record.name).handle(record)


def together(records: Sequence[logging.LogRecord]) -> list[logging.LogRecord]:
    """The records in the order of their messages, whatever thread was first; of alike ones two and a line of names."""
    alike: dict[tuple[int, str], list[logging.LogRecord]] = {}
    for record in sorted(records, key=lambda record: record.getMessage()):
        alike.setdefault((record.levelno, _kind(record.getMessage())), []).append(record)
    found: list[logging.LogRecord] = []
    for (level, _), same in alike.items():
        found += same[:_TOLD]
        rest = same[_TOLD:]
        if len(rest) == 1:
            found += rest
        elif rest:
            names = list(dict.fromkeys(name for record in rest if (name := _name(record.getMessage()))))
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            listed = ", ".join(f"'{name}'" for name in names[:_NAMED])
            text = f"... {len(rest)} more messages like this one: {listed}{more}"
            found.append(logging.LogRecord(same[0].name, level, same[0].pathname, same[0].lineno, text, None, None))
    return found


def _kind(message: str) -> str:
    """The first words of a message, without those that are of one dataset."""
    return " ".join(_OWN.sub("", message).split()[:_WORDS])


def _name(message: str) -> str | None:
    """The dataset, which messages quote first."""
    found = _QUOTED.search(message)
    return None if found is None else found[1]
