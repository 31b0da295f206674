# SPDX-License-Identifier: Apache-2.0
"""What a study found: the rollouts of every value that was tried and of every policy of the final comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lerobot_ambient.benchmarks.engine.condition import Choices, Condition, Sweep
from lerobot_ambient.benchmarks.engine.kept_rollouts import Kept
from lerobot_ambient.benchmarks.engine.study import Options, Study
from lerobot_ambient.benchmarks.engine.study_data import Kind
from lerobot_ambient.integration.commands.results import Rollouts


@dataclass(frozen=True, eq=False)
class SweepPoint:
    """One value of a sweep and its rollouts."""

    sweep: Sweep
    condition: Condition
    value: float
    kept: Kept
    chosen: bool = False

    @property
    def rollouts(self) -> Rollouts:
        return self.kept.rollouts


@dataclass(frozen=True, eq=False)
class FinalRun:
    """One trained policy of the final comparison.

    Args:
        condition: how it was trained.
        seed: of its training.
        kept: its evaluation.
        recordings: folder of the recorded rollouts; None where none were recorded.
        policy: folder of the pretrained policy; None where only the rollouts were kept.
    """

    condition: Condition
    seed: int
    kept: Kept
    recordings: Path | None = None
    policy: Path | None = None

    @property
    def rollouts(self) -> Rollouts:
        return self.kept.rollouts


@dataclass(frozen=True, eq=False)
class Outcome:
    """Everything the report needs.

    Args:
        study, options: what was asked for.
        data: the source of each pair, and the target of the first training.
        choices: of the sweeps.
        sweeps: every value that was tried.
        runs: every policy of the final comparison, in the order of the conditions.
    """

    study: Study
    options: Options
    data: Mapping[str, Mapping[Kind, Path]]
    choices: Choices
    sweeps: list[SweepPoint]
    runs: list[FinalRun]

    @property
    def kept(self) -> list[Kept]:
        """Every evaluation."""
        return [*(point.kept for point in self.sweeps), *(run.kept for run in self.runs)]
