# SPDX-License-Identifier: Apache-2.0
"""Do the estimators of windows find what is known? A committed experiment on laws with exact answers.

    lerobot-ambient reproduce oracles

Groups of cases
    separation   pairs of Gaussian mixtures at three distances, 50 and 5000 episodes: sigma_min and total variation
    disjoint     laws far apart: nothing below the highest levels may be admitted
    harm         few episodes whose chunks resemble each other, with and without cross-fitting
    null         target and source of one law: everything must be admitted, by classifiers and by spectra
    locality     chunks that are alike in short crops only, or not even in those: sigma_max

Every case is a file of its own, written when it is done and found again by a hash of its settings: a run that was
killed goes on, and repeats at most one case per process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.benchmarks.estimators.kept_cases import run_missing
from lerobot_ambient.benchmarks.estimators.oracles_cases import Case, SigmaMaxCase, SigmaMinCase
from lerobot_ambient.benchmarks.estimators.oracles_laws import MixturePair, Trajectories
from lerobot_ambient.benchmarks.estimators.oracles_locality import GaussianPair, InTurn, Jittered

Law = MixturePair | Trajectories

VERSION = 1
"""Raise it when the same settings would measure something else."""
CLASSIFIER = ClassifierOptions(steps=400, levels=24, draws=4, score_chunks=2000, width=64)
"""Of all cases: a third of the defaults' training, of half their width, for chunks of at most 32 numbers."""
_CORRELATED = MixturePair(shift=1.2, spread=0.05, shared=0.3, horizon=16)
"""Chunks of an episode nearly repeat each other: what a network may learn by heart."""
_SAME_LAW = replace(_CORRELATED, shift=0.0)
"""The same with one law: whatever difference is found was learnt by heart."""


@dataclass(frozen=True)
class OracleOptions:
    """How much is measured.

    Args:
        output_dir: keeps finished cases.
        shifts: distances of the mixtures.
        sizes: (episodes, chunks per episode) of target and source alike.
        harm_seeds, null_seeds, locality_seeds: draws of those cases.
        classifier: options of all classifiers.
        jobs: processes, of one thread each.

    Raises:
        ValueError: nothing to measure, or no process to do it.
    """

    output_dir: Path
    shifts: tuple[float, ...] = (0.3, 0.6, 1.2)
    sizes: tuple[tuple[int, int], ...] = ((50, 40), (5000, 4))
    harm_seeds: int = 5
    null_seeds: int = 20
    locality_seeds: int = 3
    classifier: ClassifierOptions = CLASSIFIER
    jobs: int = 1

    def __post_init__(self) -> None:
        for name in ("harm_seeds", "null_seeds", "locality_seeds", "jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1.")
        if not self.shifts or not self.sizes:
            raise ValueError("give at least one shift and one size.")

    @classmethod
    def quick(cls, output_dir: Path) -> OracleOptions:
        """A tenth of the work: one distance, 50 episodes, fewer draws, folds and levels."""
        classifier = replace(CLASSIFIER, folds=3, levels=16)
        return cls(output_dir, (0.6,), ((50, 40),), 1, 3, 1, classifier)


@dataclass(frozen=True)
class OracleOutcome:
    """What was measured.

    Args:
        options: how much.
        cases: all cases, in the order of `cases_of`.
        results: of each.
    """

    options: OracleOptions
    cases: Sequence[Case]
    results: Sequence[dict[str, Any]]

    def group[C: Case](self, kind: type[C], name: str) -> list[tuple[C, dict[str, Any]]]:
        """The cases of a kind and group with their results."""
        pairs = zip(self.cases, self.results, strict=True)
        return [(case, found) for case, found in pairs if isinstance(case, kind) and case.group == name]


def cases_of(options: OracleOptions) -> list[Case]:
    """Everything that is measured, group by group."""
    found: list[Case] = []
    few = options.sizes[0]

    def ask(group: str, label: str, law: Law, size: tuple[int, int], seed: int, folds: int | None = None) -> None:
        classifier = options.classifier if folds is None else replace(options.classifier, folds=folds)
        found.append(SigmaMinCase(group, label, law, *size, seed, classifier))

    for shift in options.shifts:
        for size in options.sizes:
            ask("separation", f"shift{shift:g}", MixturePair(shift), size, 0)
    ask("disjoint", "disjoint", MixturePair(8.0), few, 0)
    for law in (_CORRELATED, _SAME_LAW):
        for seed in range(options.harm_seeds):
            for folds in (options.classifier.folds, 1):
                ask("harm", f"correlated{law.shift:g}", law, few, seed, folds=folds)
    nulls: dict[str, Law] = {
        "independent": MixturePair(0.0),
        "correlated0": _SAME_LAW,
        "trajectories": Trajectories(),
    }
    for label, null in nulls.items():
        for seed in range(options.null_seeds):
            ask("null", label, null, few, seed)
    planted: dict[str, GaussianPair] = {
        "texture0.4": InTurn(0.4, 1),
        "texture0.2": InTurn(0.2, 1),
        "wide-texture": InTurn(0.4, 3),
        "jitter0.05": Jittered(0.05),
        "jitter0.2": Jittered(0.2),
        "same": InTurn(0.2, 1, swapped=False),
    }
    for label, pair in planted.items():
        for seed in range(options.locality_seeds):
            found.append(SigmaMaxCase("locality", label, pair, 400, 400, 20, seed))
    return found


def run_oracles(options: OracleOptions, progress: bool = True) -> OracleOutcome:
    """Measure every case that is not there yet, and collect all.

    Args:
        options: how much, and where finished cases are kept.
        progress: show a bar.
    """
    cases = cases_of(options)
    # Two groups may ask for the same measurement.
    run_missing({case_file(options.output_dir, case): case for case in cases}, options.jobs, progress)
    results = [json.loads(case_file(options.output_dir, case).read_text(encoding="utf-8")) for case in cases]
    return OracleOutcome(options, cases, results)


def case_file(output_dir: Path, case: Case) -> Path:
    """Where a case's result lies; its name changes with everything the result depends on, which its group is not."""
    settings = {name: value for name, value in asdict(case).items() if name not in ("group", "label")}
    facts = [VERSION, type(case).__name__, settings, type(case.law).__name__]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return output_dir / "cases" / f"{case.name}-{digest}.json"
