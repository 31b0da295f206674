# SPDX-License-Identifier: Apache-2.0
"""A mixture of many datasets on one screen: a table by share of the draws, the small ones folded, and sums by group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lerobot_ambient.core.plan import Group, Plan
from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.declared.groups import MANY

_FOLDED = 4
"""Lines of one kind that are told before the rest is counted."""


@dataclass(frozen=True)
class DatasetRow:
    """What one dataset has of a mixture.

    Args:
        name: of the dataset.
        group: what it counts to; "target" for the target.
        episodes, frames, samples: how many.
        fps: frames per second.
        windows: how many differ, or the one that all samples have, as intervals.
        share: of all draws, in [0, 1].
    """

    name: str
    group: str
    episodes: int
    frames: int
    samples: int
    fps: float
    windows: str
    share: float


def dataset_rows(sources: Sequence[AlignedSource], plan: Plan) -> list[DatasetRow]:
    """What each dataset has of a plan.

    Args:
        sources: of a mixture, the target first.
        plan: of the same.
    """
    groups: list[list[Group]] = [[] for _ in sources]
    for group in plan.groups:
        groups[group.source].append(group)
    rows = []
    for source, of_source, share in zip(sources, groups, plan.by_source().sum(1).tolist(), strict=True):
        windows = {group.window.notation for group in of_source}
        rows.append(
            DatasetRow(
                name=source.name,
                group="target" if source is sources[0] else source.group,
                episodes=len(source.episodes),
                frames=len(source),
                samples=sum(group.count for group in of_source),
                fps=source.fps,
                windows=next(iter(windows)) if len(windows) == 1 else f"{len(windows)} windows",
                share=share,
            )
        )
    return rows


def by_share(rows: Sequence[DatasetRow]) -> list[DatasetRow]:
    """The target, and the sources by their share, largest first."""
    return [rows[0], *sorted(rows[1:], key=lambda row: -row.share)]


def overview_lines(rows: Sequence[DatasetRow], most: int = MANY) -> list[str]:
    """A table of the datasets with the largest shares, a line for the others, and one with the groups.

    Args:
        rows: of all datasets, the target first.
        most: sources that are shown for themselves.
    """
    ordered = by_share(rows)
    shown, folded = ordered[: 1 + most], ordered[1 + most :]
    cells = [["dataset", "episodes", "frames", "fps", "samples", "share", "window"]]
    for row in shown:
        counts = [f"{row.episodes:,}", f"{row.frames:,}", f"{row.fps:g}", f"{row.samples:,}", _percent(row.share)]
        cells.append([row.name, *counts, row.windows])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = []
    for name, *counts, windows in cells:
        told = [cell.rjust(width) for cell, width in zip(counts, widths[1:-1], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *told, windows]))
    if folded:
        lines.append(
            f"... and {len(folded)} more sources with {sum(row.samples for row in folded):,} samples, together "
            f"{_percent(sum(row.share for row in folded))} of the draws"
        )
    groups: dict[str, list[DatasetRow]] = {}
    for row in ordered[1:]:
        groups.setdefault(row.group, []).append(row)
    largest = sorted(groups.items(), key=lambda one: -sum(row.share for row in one[1]))
    sums = [f"{name} ({len(of)}) {_percent(sum(row.share for row in of))}" for name, of in largest[:most]]
    rest = [row for _, of in largest[most:] for row in of]
    if rest:
        sums.append(f"{len(largest) - most} more groups ({len(rest)}) {_percent(sum(row.share for row in rest))}")
    return [*lines, f"by group: {', '.join(sums)}"]


def folded_lines(lines: Sequence[str], what: str, most: int = _FOLDED) -> list[str]:
    """The first lines, and how many more there are.

    Args:
        lines: of one kind, each about a dataset.
        what: what they are, for the line that counts.
        most: that are told.
    """
    if len(lines) <= most + 1:
        return list(lines)
    return [*lines[:most], f"... and {len(lines) - most} more {what}; `lerobot-ambient inspect --json` has them all."]


def listed(names: Sequence[str], most: int = MANY) -> str:
    """Names with commas, those beyond the first counted: "'a', 'b' and 38 more"."""
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
