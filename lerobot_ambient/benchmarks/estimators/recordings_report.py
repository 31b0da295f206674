# SPDX-License-Identifier: Apache-2.0
"""What was found on recordings as results JSON and as a page, with the report of `annotate` beside it."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.annotate.classifier.curves import TAU, sigma_min_of
from lerobot_ambient.annotate.report import write as annotate_report
from lerobot_ambient.annotate.results.found_windows import found_plan
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.benchmarks.engine.claims import Claim
from lerobot_ambient.benchmarks.estimators.recordings import (
    JITTERED,
    LATER,
    LATER_JITTERED,
    TARGET,
    TARGET_JITTERED,
    RecordingsOutcome,
    perfect_level,
)
from lerobot_ambient.benchmarks.pages.study_report import Report
from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.figures.markdown import markdown_table
from lerobot_ambient.integration.commands.machine import machine

_NEAR_ZERO = 0.025
"""Below the lowest level of the policy's schedule: every timestep is admitted."""
_METHODS = {"spectral": "spectra", "dataset": "classifier, dataset", "datapoint": "classifier, data point"}
_SHOWN = ("windows", "classifier", "spectrum_decides")
"""Ends of the names of figures that are kept beside the page."""
_SOURCES = (
    "Target: episodes 0 and 1. `later`: episodes 2 and 3, the same operator, robot and task. `later-jittered`: the "
    "same episodes with white jitter planted in the actions. `target-jittered`: the target's own episodes with the "
    "same jitter, so that nothing else differs; it joined the experiment after classifiers had missed the jitter in "
    "`later-jittered`, to tell a fault of theirs from too little data."
)
_COLUMNS = (
    "Known: what the planted jitter alone would give, from the target's spectrum with the jitter's power on top; for a "
    "classifier, a perfect one, were the coefficients Gaussian and independent. Of `later` it is 0 if all four "
    "episodes are of one law, which nobody knows. As seen: where the classifier's curve crosses if every separation "
    "is taken for real, whether or not two episodes a side can show it."
)
_HIDDEN = (
    "Classifiers find the jitter where nothing else differs, but not in `later-jittered`. A model there is trained on "
    "one episode of either side, which it can distinguish by their paths alone. Of the held-out episodes these paths "
    "say nothing, and the spread of the logits between episodes hides what the jitter adds: as seen, `later` and "
    "`later-jittered` look much the same. The intervals, nearly everything, say so too. With two episodes a side rely "
    "on spectra for jitter, and on a sweep for the rest."
)
_TOO_FEW = (
    "In `target-jittered` the classifier's level lies below the one seen: with two episodes a side a separation counts "
    "only if it is many times its error."
)


def write_report(outcome: RecordingsOutcome, results_dir: Path | None = None) -> Report:
    """Write recordings.json, recordings.md and the folder recordings/ (page and figures) to `results_dir`.

    By default `results` in the output folder. All figures of the page are in `report` of the output folder.
    """
    options = outcome.options
    folder = results_dir if results_dir is not None else options.output_dir / "results"
    folder.mkdir(parents=True, exist_ok=True)
    results = results_json(outcome)
    figures = _write_page(outcome, folder / "recordings")
    table = markdown(outcome, results)
    page = table + "\n## The report of `annotate`\n\n[One page](recordings/report.html) that needs nothing else: "
    page += "download it to read it. Some of its figures:\n"
    for figure in figures:
        page += f"\n![{_caption(figure)}](recordings/{figure.name})\n\n*{_caption(figure)}*\n"
    replace_file(folder / "recordings.md", page.encode())
    text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    replace_file(folder / "recordings.json", text.encode())
    return Report(results, table, folder / "recordings.md", folder / "recordings.json", figures)


def command(outcome: RecordingsOutcome) -> str:
    """The command that repeats the results, without the places it read and wrote."""
    return f"lerobot-ambient reproduce recordings --root=DIR --jitter={outcome.options.jitter:g} " + (
        f"--seed={outcome.options.seed}"
    )


def known(outcome: RecordingsOutcome, method: str, source: str) -> float:
    """sigma_min that what was planted would give a method that makes no errors; 0 where nothing was planted."""
    if source not in JITTERED:
        return 0.0
    planted = outcome.planted
    return planted.spectral() if method == "spectral" else planted.perfect(outcome.sigmas, TAU)


def as_seen(annotation: SourceEvidence) -> float | None:
    """sigma_min of the classifier's curve if every separation is taken for real."""
    if annotation.finding.method != "classifier" or annotation.classifier is None:
        return None
    curve = annotation.classifier.curve
    return float(sigma_min_of(curve.sigmas, curve.as_seen[None], TAU)[0])


def claims(outcome: RecordingsOutcome) -> list[Claim]:
    """What was hoped for: the same operator near 0, jitter clearly above."""
    found = []
    for method, label in _METHODS.items():
        by_name = {one.finding.source: one.finding for one in getattr(outcome, method)}
        level = float(np.median(by_name[LATER].sigma_min))
        high = by_name[LATER].known[1]
        found.append(
            Claim.exact(
                f"{label}: later is near 0",
                f"{level:.3f}" + (f", but anything up to {high:.3f} is possible" if high > _NEAR_ZERO else ""),
                level <= _NEAR_ZERO,
            )
        )
        for name in (LATER_JITTERED, TARGET_JITTERED):
            level, low = float(np.median(by_name[name].sigma_min)), by_name[name].known[0]
            found.append(
                Claim.exact(
                    f"{label}: {_short(name)} is clearly above 0",
                    f"{level:.3f}, lower end {low:.3f}",
                    min(level, low) > _NEAR_ZERO,
                )
            )
    return found


def results_json(outcome: RecordingsOutcome) -> dict[str, Any]:
    """Everything measured."""
    options = outcome.options
    return {
        "command": command(outcome),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "jitter": options.jitter,
        "seed": options.seed,
        "tau": TAU,
        "horizon": outcome.chunks[0].horizon,
        "classifier": asdict(options.classifier),
        "data": {one.name: {"episodes": np.unique(one.episode).tolist(), "chunks": len(one)} for one in outcome.chunks},
        "claims": [claim.as_json() for claim in claims(outcome)],
        "found": [
            {"known": known(outcome, method, one.finding.source), "as_seen": as_seen(one), **one.finding.to_dict()}
            for method in _METHODS
            for one in getattr(outcome, method)
        ],
        "perfect_on_parted_powers": {
            one.finding.source: perfect_level(one.spectral, outcome.sigmas, TAU)
            for one in outcome.spectral
            if one.spectral is not None
        },
    }


def markdown(outcome: RecordingsOutcome, results: dict[str, Any]) -> str:
    """The page without figures."""
    classifier, chunks = outcome.options.classifier, outcome.chunks
    rows = []
    for method, label in _METHODS.items():
        for one in getattr(outcome, method):
            entry, seen = one.finding.to_dict(), as_seen(one)
            low, high = one.finding.known
            rows.append(
                [
                    f"`{_short(entry['source'])}`",
                    label,
                    f"{known(outcome, method, entry['source']):.3f}",
                    f"{entry['sigma_min']:.3f}",
                    f"[{low:.3f}, {high:.3f}]",
                    "" if seen is None or method == "datapoint" else f"{seen:.3f}",
                ]
            )
    lines = [
        "# Recordings: windows found on real demonstrations",
        "",
        f"`{results['command']}`  ",
        f"{results['date']}, {results['machine']}.  ",
        f"Chunks of {chunks[0].horizon} actions of {chunks[0].dims} dimensions, "
        f"{', '.join(f'{len(one)} of `{_short(one.name)}`' for one in chunks)}; jitter of standard deviation "
        f"{outcome.options.jitter:g}, where the target's range is 2. Classifiers: {classifier.folds} folds of "
        f"{classifier.steps} steps; tau = {TAU:g}.",
        "",
        _SOURCES,
        "",
        *markdown_table(
            ["source", "method", "known", "found", "95 % interval, of spectra burying levels", "as seen"], rows
        ),
        "",
        _COLUMNS,
        "",
        "## Hoped for and measured",
        "",
        *markdown_table(
            ["hoped for", "measured", ""],
            [[one.promise, one.measured, "held" if one.held else "**missed**"] for one in claims(outcome)],
        ),
        *_reading(outcome),
    ]
    return "\n".join(lines) + "\n"


def _write_page(outcome: RecordingsOutcome, folder: Path) -> list[Path]:
    """The page of `annotate` for the windows per data point; in `folder` it and some of its figures."""
    sources = outcome.chunks[1:]
    annotations = outcome.datapoint
    plan = found_plan(outcome.mixture, outcome.chunks, [one.finding for one in annotations], Ambient())
    yaml = ["sources:"]
    for one in annotations:
        yaml += [f"  - repo_id: {one.finding.source}", "    windows: meta/ambient_windows.parquet  # annotate --write"]
    written = annotate_report.write_report(
        outcome.options.output_dir / "report",
        [annotate_report.SourceReport.of(one, chunks) for one, chunks in zip(annotations, sources, strict=True)],
        plan,
        "\n".join(yaml),
        target=TARGET,
        command=command(outcome),
    )
    folder.mkdir(parents=True, exist_ok=True)
    kept = [file for file in written.figures if file.stem.endswith(_SHOWN)]
    for file in (written.page, *kept):
        replace_file(folder / file.name, file.read_bytes())
    return [folder / file.name for file in kept]


def _caption(figure: Path) -> str:
    number, _, rest = figure.stem.partition("_")
    if not number.isdigit():
        return "The windows of all sources."
    source, _, what = rest.removeprefix("recordings-").partition("_")
    return f"{source}: {'the classifier' if what == 'classifier' else 'the dimension whose spectrum decides'}."


def _reading(outcome: RecordingsOutcome) -> list[str]:
    """Why a classifier misses what was planted, where it does."""
    level = {one.finding.source: float(one.finding.sigma_min[0]) for one in outcome.dataset}
    twin = next(one for one in outcome.dataset if one.finding.source == TARGET_JITTERED)
    lines = []
    if level[TARGET_JITTERED] > _NEAR_ZERO >= level[LATER_JITTERED]:
        lines += ["", _HIDDEN]
    if (as_seen(twin) or 0.0) > level[TARGET_JITTERED] + _NEAR_ZERO:
        lines += ["", _TOO_FEW]
    return lines


def _short(name: str) -> str:
    return name.partition("/")[2]
