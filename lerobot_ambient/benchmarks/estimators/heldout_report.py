# SPDX-License-Identifier: Apache-2.0
"""The held-out oracles' numbers as results JSON and as a page: what was asked for against what was measured."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.annotate.heldout.error_map import MapRule
from lerobot_ambient.annotate.heldout.verdict import HELPS, HURTS, NOT_KNOWN
from lerobot_ambient.benchmarks.engine.claims import Claim
from lerobot_ambient.benchmarks.estimators.heldout_oracles import (
    HARMS,
    KINDS,
    NOTHING,
    HeldOutOracleOutcome,
)
from lerobot_ambient.benchmarks.estimators.heldout_score import COLUMNS, SLACK, TIMES, Score
from lerobot_ambient.benchmarks.pages.study_report import Report
from lerobot_ambient.core.proportions import wilson_interval
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.figures.markdown import markdown_table
from lerobot_ambient.integration.commands.machine import machine

_RIGHT, _COVERAGE = 0.95, 0.90
_NAME = "heldout-oracles"
_FAULTS = {
    "same": "none: the target's law",
    "jitter": "white noise of 0.3 in the actions",
    "pace": "the same way at another pace",
    "opposite": "goes to the opposite of the goal that is seen",
    "permuted": "goes to another episode's goal",
    "offset": "actions 1 to the side, of goals at 2",
    "disjoint": "small circles in another place",
    "copy": "the target's own episodes once more",
    "tails": "Student noise of 1.5 degrees of freedom, scale 0.03",
    "tails-both": "none: the target has that noise, too",
}


def write_report(outcome: HeldOutOracleOutcome, command: str, results_dir: Path | None = None) -> Report:
    """Write heldout-oracles.json and .md to `results_dir` (default: `results` in the output folder)."""
    folder = results_dir if results_dir is not None else outcome.options.output_dir / "results"
    folder.mkdir(parents=True, exist_ok=True)
    results = results_json(outcome, command)
    table = markdown(outcome, results)
    replace_file(folder / f"{_NAME}.md", table.encode())
    replace_file(folder / f"{_NAME}.json", (json.dumps(results, ensure_ascii=False) + "\n").encode())
    return Report(results, table, folder / f"{_NAME}.md", folder / f"{_NAME}.json", [])


def scores(outcome: HeldOutOracleOutcome, *labels: str) -> list[Score]:
    """Of some kinds of sources."""
    return [Score(found, outcome.options.size.target) for found in outcome.of(*labels)]


def claims(outcome: HeldOutOracleOutcome) -> list[Claim]:
    """What the method must reach."""
    # The map of a copy is exactly 1: its intervals say nothing.
    every = scores(outcome, *(label for label, (group, _, _) in KINDS.items() if group != NOTHING))
    large = [one for one in every if one.large]
    small = [one for one in every if not one.large]
    harmful = {label: scores(outcome, label) for label, (group, _, _) in KINDS.items() if group == HARMS}
    windows = [one for one in every if one.confirmed_covered is not None]
    nothing = scores(outcome, *(label for label, (group, _, _) in KINDS.items() if group == NOTHING))
    return [
        _share("the verdict is right where the effect is larger than stated", [one.right for one in large], _RIGHT),
        _share(
            "elsewhere it is 'not known', or told rightly",
            [one.right for one in small],
            _RIGHT,
            f"; 'not known' in {sum(one.verdict == NOT_KNOWN for one in small)}",
        ),
        _share("a source that teaches nothing is 'not known'", [one.verdict == NOT_KNOWN for one in nothing], _RIGHT),
        *(
            Claim.exact(
                f"{label}: never 'helps' where the fresh error is higher, with its window",
                f"{sum(one.harmful_help for one in some)} of {len(some)} draws",
                not any(one.harmful_help for one in some),
            )
            for label, some in harmful.items()
        ),
        _share(
            f"the safe window admits no level that is truly worse by more than {100 * SLACK:g} %",
            [not one.admits_harm("safe") for one in every],
            _RIGHT,
            f"; the estimate none in {sum(not one.admits_harm('estimate') for one in every)}",
        ),
        *(_coverage(f"95 % intervals of {name}, level by level, hold the true ratio", name, every) for name in COLUMNS),
        _share(
            "95 % intervals of the change, over all levels, hold the true one",
            [one.change_covered for one in every],
            _COVERAGE,
        ),
        _share(
            "those of the change with a window that was chosen on the same episodes hold the true one",
            [bool(one.confirmed_covered) for one in windows],
            _COVERAGE,
            f"; {sum(one.overstated for one in windows)} promise more than is true",
        ),
    ]


def results_json(outcome: HeldOutOracleOutcome, command: str) -> dict[str, Any]:
    """Everything measured but the levels of each draw, of which coverage and extremes are kept."""
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "case_seconds": round(sum(found["seconds"] for found in outcome.results)),
        "size": asdict(outcome.options.size),
        "rule": asdict(MapRule()),
        "claims": [claim.as_json() for claim in claims(outcome)],
        "kinds": {
            label: {
                "expected": group,
                "source": law.faults,
                "target": target.faults,
                "draws": [_kept(one) for one in scores(outcome, label)],
            }
            for label, (group, law, target) in KINDS.items()
        },
    }


def markdown(outcome: HeldOutOracleOutcome, results: dict[str, Any]) -> str:
    """The page."""
    size = outcome.options.size
    lines = [
        "# Oracles of the held-out map",
        "",
        f"`{results['command']}`  ",
        f"{results['date']}, {results['machine']}; the {len(outcome.cases)} draws took "
        f"{results['case_seconds'] / 60:.0f} minutes one after the other.  ",
        f"Each draw: {size.target} target and {size.source} source episodes, {size.folds} folds of {size.steps} steps, "
        f"an MLP of width {size.width}, the target's share {size.share:g}; the truth is what the same denoisers do to "
        f"{size.fresh} fresh target episodes.",
        "",
        "A hand goes to a goal that is seen, on a bow that is a sum of eight seen numbers "
        "(`lerobot_ambient/benchmarks/estimators/heldout_laws.py`). Sources are of the same law, or have one fault.",
        "",
        f"An effect is *larger than stated* where the true value lies more than {TIMES:g} times the method's half "
        "interval from nothing: in favour, the mean over levels, with no level worse by more than "
        f"{100 * SLACK:g} %; against, one level's error, or that of its accelerations beyond the tolerance. "
        "`heldout_score.py` says it in symbols. A verdict is held against the design it speaks of: with the window "
        "where one was trained, else with the source at every level.",
        "",
        *markdown_table(
            ["asked for", "measured", ""],
            [[claim.promise, claim.measured, "held" if claim.held else "not held"] for claim in claims(outcome)],
        ),
        "",
        "Proportions have Wilson's 95 % intervals; those of levels have the interval of their mean over draws, since "
        "the levels of a draw go together. Draws of one number share their target among all kinds of sources: what is "
        "counted over kinds is less sure than its interval says.",
        "",
        "## Kind by kind",
        "",
        *markdown_table(
            [
                "source",
                "fault",
                "draws",
                "helps",
                "not known",
                "hurts",
                "true change, every level",
                "true change, as judged",
                "half interval",
                "larger than stated",
                "right there",
                "coverage: position",
                "acceleration",
                "change",
            ],
            [_row(label, scores(outcome, label)) for label in KINDS],
        ),
        "",
        "The true changes are means over draws (with their standard deviation) of exp(s) - 1, the part by which the "
        "whole error changes on fresh episodes; as judged: with the window where the method trained one. The half "
        "interval is the median of the method's own, of s. The truth is that of a draw's own denoisers: how good those "
        "are varies between draws of two dozen target episodes by the standard deviations shown.",
    ]
    return "\n".join(lines) + "\n"


def _row(label: str, some: Sequence[Score]) -> list[str]:
    words = Counter(one.verdict for one in some)
    large = [one for one in some if one.large]
    return [
        label,
        _FAULTS[label],
        str(len(some)),
        *(str(words[word]) for word in (HELPS, NOT_KNOWN, HURTS)),
        _spread([one.found["everywhere"]["true_change"][0] for one in some]),
        _spread([one.change for one in some]),
        f"{np.median([_half(one) for one in some]):.2f}",
        str(len(large)),
        f"{sum(one.right for one in large)} of {len(large)}" if large else "",
        *(f"{100 * np.mean([one.covered(name).mean() for one in some]):.0f} %" for name in COLUMNS),
        f"{sum(one.change_covered for one in some)} of {len(some)}",
    ]


def _share(promise: str, right: Sequence[bool], least: float, more: str = "") -> Claim:
    """That a share of draws is at least so large."""
    promise = f"{promise}, in {100 * least:g} % of the draws or more"
    if not right:
        return Claim.exact(promise, "no such draw", held=False)
    low, high = wilson_interval(sum(right), len(right))
    return Claim.exact(
        promise, f"{sum(right)} of {len(right)} [{low:.2f}, {high:.2f}]{more}", sum(right) >= least * len(right)
    )


def _coverage(promise: str, name: str, some: Sequence[Score]) -> Claim:
    """That levels are covered, with the interval of the mean over draws."""
    each = np.array([one.covered(name).mean() for one in some])
    error = each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else float("nan")
    return Claim.exact(
        f"{promise}, at {100 * _COVERAGE:g} % of the levels or more",
        f"{100 * each.mean():.1f} % [{100 * (each.mean() - 1.96 * error):.1f}, "
        f"{min(100 * (each.mean() + 1.96 * error), 100.0):.1f}] of {len(each)} draws' levels",
        bool(each.mean() >= _COVERAGE),
    )


def _half(one: Score) -> float:
    _, low, high = one.judged["change"]
    return float((high - low) / 2)


def _spread(values: Sequence[float]) -> str:
    """Mean and standard deviation of exp(s) - 1, in percent."""
    changes = 100.0 * np.expm1(np.array(values))
    return f"{changes.mean():+.0f} ± {changes.std():.0f} %"


def _kept(one: Score) -> dict[str, Any]:
    """What the numbers keep of a draw."""
    everywhere = one.found["everywhere"]
    return {
        "verdict": one.verdict,
        "large": one.large,
        "right": one.right,
        "window": one.found["safe"],
        "change": everywhere["change"],
        "true_change": everywhere["true_change"][0],
        "judged_change": one.judged["change"],
        "judged_true_change": one.change,
        "worst_true_level": max(one.judged["position"]["true"]),
        "covered": {name: round(float(one.covered(name).mean()), 3) for name in COLUMNS},
    }
