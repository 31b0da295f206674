# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, for pages and cards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = False) -> list[str]:
    """The lines of a table, one a row and two for the head.

    Args:
        head: the columns' headings.
        rows: as many cells each; a `|` in a cell is escaped.
        numbers: set all columns to the right.
    """
    lines = [head, ["---:" if numbers else "---"] * len(head), *rows]
    assert all(len(cells) == len(head) for cells in lines), f"a row of another length than {head}"
    return [f"| {' | '.join(cell.replace('|', '\\|') for cell in cells)} |" for cells in lines]
