# SPDX-License-Identifier: Apache-2.0
"""The oracles' numbers as results JSON and as a page: what was asked for against what was measured."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.annotate.classifier.curves import TAU
from lerobot_ambient.benchmarks.engine.claims import Claim
from lerobot_ambient.benchmarks.estimators.oracles import OracleOutcome
from lerobot_ambient.benchmarks.estimators.oracles_cases import SigmaMaxCase, SigmaMinCase
from lerobot_ambient.benchmarks.estimators.oracles_figure import draw_oracles
from lerobot_ambient.benchmarks.pages.study_report import Report
from lerobot_ambient.core.proportions import wilson_interval
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.figures.markdown import markdown_table
from lerobot_ambient.integration.commands.machine import machine

TOLERANCE, _NULL_SHARE, _DISJOINT, _BOUND_ERRORS = 0.03, 0.95, 0.95, 0.05
_CURVES = ("sigmas", "p", "p_low", "p_high", "p_truth", "distance", "distance_low", "distance_high", "distance_truth")
_CAPTION = (
    "Left: p(σ) of the classifier (lines with 95 % bands) and of the perfect one (dashed). Middle: the accuracy's "
    "lower bound of the total variation, with its 95 % band, below the true distance (dashed). Right: the level found "
    "against the true one; harm: the same data with and without cross-fitting."
)


def write_report(outcome: OracleOutcome, command: str, results_dir: Path | None = None) -> Report:
    """Write oracles.json, oracles.md and oracles.png to `results_dir` (default: `results` in the output folder)."""
    folder = results_dir if results_dir is not None else outcome.options.output_dir / "results"
    folder.mkdir(parents=True, exist_ok=True)
    results = results_json(outcome, command)
    table = markdown(outcome, results)
    page = f"{table}\n![{_CAPTION}](oracles.png)\n\n*{_CAPTION}*\n"
    replace_file(folder / "oracles.png", draw_oracles(outcome))
    replace_file(folder / "oracles.md", page.encode())
    replace_file(folder / "oracles.json", (json.dumps(results, indent=2, ensure_ascii=False) + "\n").encode())
    return Report(results, table, folder / "oracles.md", folder / "oracles.json", [folder / "oracles.png"])


def claims(outcome: OracleOutcome) -> list[Claim]:
    """What the estimators must reach, as far as it was measured."""
    return [
        _separation(outcome),
        _bound(outcome),
        *_nulls(outcome),
        _disjoint(outcome),
        _harm(outcome),
        *_locality(outcome),
    ]


def results_json(outcome: OracleOutcome, command: str) -> dict[str, Any]:
    """Everything measured; curves only of the mixtures that are apart."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for case, found in zip(outcome.cases, outcome.results, strict=True):
        kept = {key: value for key, value in found.items() if case.group == "separation" or key not in _CURVES}
        groups.setdefault(case.group, []).append({"case": case.name, "law": repr(case.law), **kept})
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "case_seconds": round(sum(found["seconds"] for found in outcome.results)),
        "tau": TAU,
        "classifier": asdict(outcome.options.classifier),
        "claims": [claim.as_json() for claim in claims(outcome)],
        "cases": groups,
    }


def markdown(outcome: OracleOutcome, results: dict[str, Any]) -> str:
    """The page without its figure."""
    classifier = outcome.options.classifier
    lines = [
        "# Oracles: windows whose true values are known",
        "",
        f"`{results['command']}`  ",
        f"{results['date']}, {results['machine']}; "
        f"the cases took {results['case_seconds'] / 60:.0f} minutes one after the other.  ",
        f"Classifiers: {classifier.folds} folds of {classifier.steps} steps, width {classifier.width}, "
        f"{classifier.levels} levels, {classifier.draws} draws; tau = {TAU:g}.",
        "",
        "Gaussian mixtures of two modes along one line give sigma_min and the total variation exactly, by one "
        "integral; Gaussian chunks of known covariance give sigma_max. `oracles_laws.py` and `oracles_locality.py` in "
        "`lerobot_ambient/benchmarks/estimators` say how.",
        "",
        *markdown_table(
            ["asked for", "measured", ""],
            [[claim.promise, claim.measured, "held" if claim.held else "not held"] for claim in claims(outcome)],
        ),
        "",
        "## sigma_min of mixtures that are apart",
        "",
        *markdown_table(
            ["law", "episodes", "truth", "found", "95 % interval", "error", "spectra alone"],
            [
                [
                    case.label,
                    str(case.episodes),
                    *_numbers(found["truth"], found["sigma_min"]),
                    _interval(found["interval"]),
                    f"{found['sigma_min'] - found['truth']:+.3f}",
                    *_numbers(found["spectral"]),
                ]
                for case, found in (
                    *outcome.group(SigmaMinCase, "separation"),
                    *outcome.group(SigmaMinCase, "disjoint"),
                )
            ],
        ),
        "",
        "Spectra compare powers about the target's mean, so a shift below the mixture's own width is hidden from them.",
        "",
        "## With and without cross-fitting",
        "",
        "Few episodes whose chunks nearly repeat each other, of laws that differ and of one law. Without cross-fitting "
        "chunks are scored by a model that was trained on them: what it knows by heart looks like a difference.",
        "",
        *markdown_table(
            ["law", "seed", "truth", "cross-fitted", "95 % interval", "not cross-fitted", "95 % interval"],
            [
                [label, str(seed), *_numbers(fitted["truth"])]
                + [text for one in (fitted, seen) for text in (*_numbers(one["sigma_min"]), _interval(one["interval"]))]
                for label, seed, fitted, seen in _harm_pairs(outcome)
            ],
        ),
        "",
        "## sigma_max",
        "",
        *markdown_table(
            ["law", "seed", "truth", "found", "shown", "levels off"],
            [
                [
                    case.label,
                    str(case.seed),
                    *_numbers(found["truth"], found["sigma_max"], found["shown"]),
                    str(found["levels_off"]),
                ]
                for case, found in outcome.group(SigmaMaxCase, "locality")
            ],
        ),
    ]
    return "\n".join(lines) + "\n"


def _separation(outcome: OracleOutcome) -> Claim:
    errors = [found["sigma_min"] - found["truth"] for _, found in outcome.group(SigmaMinCase, "separation")]
    worst = max(errors, key=abs)
    return Claim.exact(
        f"sigma_min of mixtures at known distances is right within {TOLERANCE:g}",
        f"{len(errors)} cases, worst {worst:+.3f}",
        abs(worst) <= TOLERANCE,
    )


def _bound(outcome: OracleOutcome) -> Claim:
    found = [result for _, result in outcome.group(SigmaMinCase, "separation")]
    excess = np.array([np.subtract(one["distance_low"], one["distance_truth"]) for one in found])
    gap = np.array([np.subtract(one["distance_truth"], one["distance"]) for one in found])
    above = float((excess > 0).mean())
    return Claim.exact(
        "the lower edge of the total variation's 95 % band lies below the true distance at 95 % of the levels or more",
        f"above it at {100 * above:.1f} % of {excess.size} levels, by at most {max(excess.max(), 0.0):.3f}; the "
        f"accuracy misses {gap.mean():.3f} of the distance on average, at most {gap.max():.3f}",
        above <= _BOUND_ERRORS,
    )


def _nulls(outcome: OracleOutcome) -> list[Claim]:
    by_law: dict[str, list[dict[str, Any]]] = {}
    for case, found in outcome.group(SigmaMinCase, "null"):
        by_law.setdefault(case.label, []).append(found)
    found_claims = []
    for method, key in (("classifier", "sigma_min"), ("spectral", "spectral")):
        for label, results in by_law.items():
            zeros, trials = sum(found[key] == 0.0 for found in results), len(results)
            low, high = wilson_interval(zeros, trials)
            found_claims.append(
                Claim.exact(
                    f"one law ({label}), method {method}: sigma_min is 0 in 95 % of the draws or more",
                    f"{zeros} of {trials} [{low:.2f}, {high:.2f}], largest {max(found[key] for found in results):.3f}",
                    zeros >= _NULL_SHARE * trials,
                )
            )
    return found_claims


def _disjoint(outcome: OracleOutcome) -> Claim:
    found = [result["sigma_min"] for _, result in outcome.group(SigmaMinCase, "disjoint")]
    return Claim.exact(
        f"laws that do not overlap: sigma_min is at least {_DISJOINT:g}",
        ", ".join(f"{value:.3f}" for value in found),
        min(found) >= _DISJOINT,
    )


def _harm(outcome: OracleOutcome) -> Claim:
    same = [(fitted, seen) for _, _, fitted, seen in _harm_pairs(outcome) if fitted["truth"] == 0.0]
    fitted, seen = (float(np.mean([pair[which]["sigma_min"] for pair in same])) for which in (0, 1))
    return Claim.exact(
        "one law, chunks that resemble each other: without cross-fitting sigma_min is further from 0 than with it",
        f"mean {fitted:.3f} with, {seen:.3f} without, {len(same)} draws",
        fitted < seen,
    )


def _locality(outcome: OracleOutcome) -> list[Claim]:
    planted = [found for case, found in outcome.group(SigmaMaxCase, "locality") if not case.label.startswith("jitter")]
    jitter = [
        found["sigma_max"] for case, found in outcome.group(SigmaMaxCase, "locality") if case.label.startswith("jitter")
    ]
    near = sum(abs(found["levels_off"]) <= 1 for found in planted)
    return [
        Claim.exact(
            "planted locality: sigma_max is right within one noise level",
            f"{near} of {len(planted)}",
            near == len(planted),
        ),
        Claim.exact(
            "planted jitter: sigma_max is 0", f"largest {max(jitter):.3f} of {len(jitter)}", max(jitter) == 0.0
        ),
    ]


def _harm_pairs(outcome: OracleOutcome) -> list[tuple[str, int, dict[str, Any], dict[str, Any]]]:
    """(law, seed, cross-fitted, not cross-fitted)."""
    pairs: dict[tuple[str, int], dict[bool, dict[str, Any]]] = {}
    for case, found in outcome.group(SigmaMinCase, "harm"):
        pairs.setdefault((case.label, case.seed), {})[case.options.folds > 1] = found
    return [(*asked, pair[True], pair[False]) for asked, pair in pairs.items()]


def _numbers(*values: float) -> list[str]:
    return [f"{value:.3f}" for value in values]


def _interval(edges: Sequence[float]) -> str:
    return f"[{edges[0]:.3f}, {edges[1]:.3f}]"
