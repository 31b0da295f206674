# SPDX-License-Identifier: Apache-2.0
"""A judgement as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lerobot_ambient.integration.judging.estimates import Estimate
from lerobot_ambient.integration.judging.judgement import (
    NO_ROLLOUT,
    Judgement,
    action_error,
    jerk_ratio,
    level_table,
    seam_ratio,
)
from lerobot_ambient.integration.judging.measure import LEVELS

_WIDEST = 8


def render(judgement: Judgement) -> str:
    """The ranking, what each policy's chunks look like, and the best one's denoising error by level and band."""
    lines = [f"warning: {one}" for one in judgement.judged.warnings]
    lines += ["", *heading(judgement), "", *_ranking(judgement), "", f"score: {judgement.criterion}."]
    lines += _notes(judgement)
    best = judgement.of(judgement.places[0].name)
    table = level_table(best)
    if table is not None and not isinstance(best.denoising, str):
        unit = "standard deviations of the target" if best.is_in_target_units else "normalised actions"
        lines += ["", f"denoising error of {best.name} by noise level and frequency, in {unit}:"]
        head = ["sigma", *best.denoising.bands.names]
        rows = [[f"{sigma:g}", *(f"{one:.3g}" for one in row)] for sigma, row in zip(LEVELS, table, strict=True)]
        lines += aligned(head, rows)
    return "\n".join(lines).lstrip("\n")


def heading(judgement: Judgement) -> list[str]:
    """On what it was judged, in a sentence or two."""
    judged, episodes = judgement.judged, judgement.judged.numbers
    held = "episodes" if judged.seen or judged.untold else "episodes that no checkpoint was trained on"
    if len(judgement.measured) == 1 and not (judged.seen or judged.untold):
        held = "episodes that it was not trained on"
    return [
        f"{len(judgement.measured)} checkpoint{'s' if len(judgement.measured) > 1 else ''} on {len(episodes)} {held}: "
        f"'{judged.source.repo_id}' {spans(episodes)}. 95 % intervals, whose unit is the episode.",
        NO_ROLLOUT,
    ]


def _ranking(judgement: Judgement) -> list[str]:
    head = ["checkpoint", "score", "95 %", "to the best", "95 %", "action error", "jerk", "seams"]
    rows, verdicts = [], []
    for place in judgement.places:
        one = judgement.of(place.name)
        score, low, high = (number(part) for part in (place.score.value, place.score.low, place.score.high))
        behind = ("-", "") if place.behind is None else (percent(place.behind.value), interval(place.behind, percent))
        numbers = [cell(action_error(one)), cell(jerk_ratio(one), times=True), cell(seam_ratio(one), times=True)]
        rows.append([place.name, score, f"{low} to {high}", *behind, *numbers])
        verdicts.append(place.verdict)
    if len(rows) == 1:
        # There is nothing to compare with.
        return aligned([*head[:3], *head[5:]], [[*rows[0][:3], *rows[0][5:]]])
    lines = aligned(head, rows)
    return [lines[0], lines[1], *(f"{line}  {said}" for line, said in zip(lines[2:], verdicts, strict=True))]


def _notes(judgement: Judgement) -> list[str]:
    lines = [
        "action error: root mean square over the executed steps, in the target's standard deviations. jerk: third "
        "difference of predicted chunks over the recording's. seams: jump from a chunk's executed end to the next "
        "chunk over the recording's own step. 1x is what was recorded."
    ]
    for one in judgement.measured:
        if isinstance(one.denoising, str):
            lines.append(f"{one.name}: no denoising error. {one.denoising}")
        if isinstance(one.predictions, str):
            lines.append(f"{one.name}: no chunks: {one.predictions}.")
    if len(judgement.judged.numbers) < _WIDEST:
        lines.append(
            f"{len(judgement.judged.numbers)} episodes are few: intervals are wide, and what they hold is of these few."
        )
    return lines


def cell(found: Estimate | None, *, times: bool = False) -> str:
    """A value as a table has it: "0.213", "1.4x", or "-" where there is none."""
    if found is None:
        return "-"
    return (
        f"{found.value:.2g}x" if times and found.value < 10 else f"{found.value:.0f}x" if times else number(found.value)
    )


def number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "?"


def percent(value: float) -> str:
    """0.043 to "+4.3 %"; "?" where nothing is known."""
    return f"{100 * value:+.1f} %" if math.isfinite(value) and value > -1.0 else "?"


def interval(found: Estimate, spell: Callable[[float], str] = number) -> str:
    """The ends of an interval."""
    return f"{spell(found.low)} to {spell(found.high)}"


def spans(numbers: Sequence[int]) -> str:
    """ "0-3, 7" of episode numbers in order; long lists in the middle shortened."""
    runs: list[list[int]] = []
    for one in numbers:
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    shown = [str(low) if low == high else f"{low}-{high}" for low, high in runs]
    return ", ".join(shown if len(shown) <= _WIDEST else [*shown[: _WIDEST - 1], "...", shown[-1]])


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        first = row[0].ljust(widths[0])
        return "  ".join([first, *(one.rjust(width) for one, width in zip(row[1:], widths[1:], strict=True))])

    return [line(head), "  ".join("-" * width for width in widths), *map(line, rows)]
