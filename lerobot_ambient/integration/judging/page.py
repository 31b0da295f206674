# SPDX-License-Identifier: Apache-2.0
"""The report of `check --report=DIR`: one page that needs nothing else, its figures, and the numbers as JSON."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from lerobot_ambient.annotate.report.page import figure_entry, installed_versions
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.integration.judging.figures import pictures
from lerobot_ambient.integration.judging.judgement import (
    NO_ROLLOUT,
    Judgement,
    action_error,
    jerk_ratio,
    level_table,
    seam_ratio,
)
from lerobot_ambient.integration.judging.measure import LEVELS
from lerobot_ambient.integration.judging.tables import cell, heading, interval, number, percent, spans

_PAGE, _TEMPLATE = "check.html", "check.html.j2"
NUMBERS = "check.json"
"""What `--json` prints, beside the page."""


def write_page(folder: Path, judgement: Judgement, numbers: dict[str, Any], command: str) -> Path:
    """Write the page, its figures and the numbers; each file appears whole, the page last.

    Args:
        folder: made when needed.
        judgement: to show.
        numbers: the same as plain values.
        command: that was typed.

    Returns:
        The page.
    """
    drawn = pictures(judgement)
    page = _render(judgement, [figure_entry(one) for one in drawn], command)
    folder.mkdir(parents=True, exist_ok=True)
    for picture in drawn:
        replace_file(folder / picture.name, picture.png)
    replace_file(folder / NUMBERS, (json.dumps(numbers, indent=2) + "\n").encode())
    replace_file(folder / _PAGE, page.encode())
    return folder / _PAGE


def _render(judgement: Judgement, figures: list[dict[str, Any]], command: str) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    package = resources.files("lerobot_ambient.integration.judging")
    template = environment.from_string(package.joinpath(_TEMPLATE).read_text(encoding="utf-8"))
    named = {figure["name"]: figure for figure in figures}
    judged = judgement.judged
    best = judgement.of(judgement.places[0].name)
    return template.render(
        style=_house_style(),
        dataset=judged.source.repo_id,
        episodes=spans(judged.numbers),
        heading=heading(judgement)[0],
        no_rollout=NO_ROLLOUT,
        criterion=judgement.criterion,
        warnings=judged.warnings,
        rows=_rows(judgement),
        notes=_notes(judgement),
        first=[named.pop(name) for name in ("ranking.png",) if name in named],
        figures=list(named.values()),
        best=best.name,
        levels=_levels(judgement),
        samples=judgement.samples,
        seed=judgement.seed,
        command=command,
        versions=installed_versions(),
    )


def _rows(judgement: Judgement) -> list[dict[str, Any]]:
    rows = []
    for place in judgement.places:
        one = judgement.of(place.name)
        rows.append(
            {
                "name": place.name,
                "policy": one.checkpoint.stock_type,
                "score": number(place.score.value),
                "score_interval": interval(place.score),
                "behind": percent(place.behind.value) if place.behind else "best" if len(judgement.places) > 1 else "-",
                "behind_interval": "" if place.behind is None else interval(place.behind, percent),
                "verdict": "" if place.behind is None else place.verdict,
                "error": cell(action_error(one)),
                "jerk": cell(jerk_ratio(one), times=True),
                "seams": cell(seam_ratio(one), times=True),
            }
        )
    return rows


def _notes(judgement: Judgement) -> list[str]:
    found = []
    for one in judgement.measured:
        found += [f"{one.name}: no denoising error. {one.denoising}"] if isinstance(one.denoising, str) else []
        found += [f"{one.name}: no chunks: {one.predictions}."] if isinstance(one.predictions, str) else []
    return found


def _levels(judgement: Judgement) -> list[dict[str, Any]]:
    """The denoising error of each checkpoint by noise level and band."""
    found = []
    for place in judgement.places:
        one = judgement.of(place.name)
        table = level_table(one)
        if table is None or isinstance(one.denoising, str):
            continue
        rows = [(f"{sigma:g}", [number(value) for value in row]) for sigma, row in zip(LEVELS, table, strict=True)]
        found.append({"name": one.name, "bands": one.denoising.bands.names, "rows": rows})
    return found


def _house_style() -> str:
    """The style of annotate's page, for pages that belong together."""
    package = resources.files("lerobot_ambient.annotate.report")
    page = package.joinpath("report.html.j2").read_text(encoding="utf-8")
    return page.partition("<style>")[2].partition("</style>")[0]
