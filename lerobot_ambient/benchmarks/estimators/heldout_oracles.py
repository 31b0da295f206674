# SPDX-License-Identifier: Apache-2.0
"""Is the held-out map right where the truth is known? A committed experiment on draws of a conditional toy task.

    lerobot-ambient reproduce heldout-oracles

Kinds of sources
    helps   episodes of the target's law; with white jitter in the actions; at another pace
    harms   that go to the opposite goal, or to another one than is seen; with a constant offset; in another place
    nothing the target's own episodes once more
    tails   a target's law whose noise in the actions has heavy tails, in the source or in both

Every draw is a file of its own, written when it is done and found again by a hash of its settings: a run that was
killed goes on, and repeats at most one draw per process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.estimators.heldout_case import HeldOutCase, HeldOutSize
from lerobot_ambient.benchmarks.estimators.heldout_laws import Reaching
from lerobot_ambient.benchmarks.estimators.kept_cases import run_missing

VERSION = 1
"""Raise it when the same settings would measure something else."""
HELPS, HARMS, NOTHING, TAILS = "helps", "harms", "nothing", "tails"
_COPY = "copy"
_TARGET, _TAILS = Reaching(), Reaching(tails=0.03)
KINDS: dict[str, tuple[str, Reaching, Reaching]] = {
    "same": (HELPS, Reaching(), _TARGET),
    "jitter": (HELPS, Reaching(jitter=0.3), _TARGET),
    "pace": (HELPS, Reaching(warp=1.7), _TARGET),
    "opposite": (HARMS, Reaching(decides="opposite"), _TARGET),
    "permuted": (HARMS, Reaching(decides="any"), _TARGET),
    "offset": (HARMS, Reaching(offset=1.0), _TARGET),
    "disjoint": (HARMS, Reaching(elsewhere=True), _TARGET),
    _COPY: (NOTHING, _TARGET, _TARGET),
    "tails": (TAILS, _TAILS, _TARGET),
    "tails-both": (TAILS, _TAILS, _TAILS),
}
"""By label: what is expected, the source's law, and the target's."""
MANY = ("opposite", "permuted")
"""The conditional faults, which no comparison of chunks alone can see: of these there are more draws."""


@dataclass(frozen=True)
class HeldOutOracleOptions:
    """How much is measured.

    Args:
        output_dir: keeps finished draws.
        draws: of each kind of source.
        many: of those in `MANY`.
        size: of each draw.
        jobs: processes, of one thread each.

    Raises:
        ValueError: nothing to measure, or no process to do it.
    """

    output_dir: Path
    draws: int = 20
    many: int = 100
    size: HeldOutSize = field(default_factory=HeldOutSize)
    jobs: int = 1

    def __post_init__(self) -> None:
        for name in ("draws", "many", "jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1.")


@dataclass(frozen=True)
class HeldOutOracleOutcome:
    """What was measured.

    Args:
        options: how much.
        cases: all draws, in the order of `cases_of`.
        results: of each.
    """

    options: HeldOutOracleOptions
    cases: Sequence[HeldOutCase]
    results: Sequence[dict[str, Any]]

    def of(self, *labels: str) -> list[dict[str, Any]]:
        """The results of some kinds of sources, in the order of their seeds."""
        return [found for case, found in zip(self.cases, self.results, strict=True) if case.label in labels]


def cases_of(options: HeldOutOracleOptions) -> list[HeldOutCase]:
    """Everything that is measured; draws of all kinds in turn, so that a run that is cut short has some of each."""
    counts = {label: options.many if label in MANY else options.draws for label in KINDS}
    return [
        HeldOutCase(group, label, law, target, seed, options.size, copied=label == _COPY)
        for seed in range(max(counts.values()))
        for label, (group, law, target) in KINDS.items()
        if seed < counts[label]
    ]


def run_held_out_oracles(options: HeldOutOracleOptions, progress: bool = True) -> HeldOutOracleOutcome:
    """Measure every draw that is not there yet, and collect all.

    Args:
        options: how much, and where finished draws are kept.
        progress: show a bar.
    """
    cases = cases_of(options)
    files = [case_file(options.output_dir, case) for case in cases]
    run_missing(dict(zip(files, cases, strict=True)), options.jobs, progress)
    return HeldOutOracleOutcome(options, cases, [json.loads(file.read_text(encoding="utf-8")) for file in files])


def case_file(output_dir: Path, case: HeldOutCase) -> Path:
    """Where a draw's result lies; its name changes with everything the result depends on, which its group is not."""
    settings = {name: value for name, value in asdict(case).items() if name not in ("group", "label")}
    digest = hashlib.sha256(json.dumps([VERSION, settings], sort_keys=True).encode()).hexdigest()[:12]
    return output_dir / "cases" / f"{case.name}-{digest}.json"
