# SPDX-License-Identifier: Apache-2.0
"""One policy of a study, from its training to its rollouts: two stages, and what they left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lerobot_ambient.benchmarks.engine.condition import Condition
from lerobot_ambient.benchmarks.engine.estimated_windows import windows_json
from lerobot_ambient.benchmarks.engine.kept_rollouts import Kept
from lerobot_ambient.benchmarks.engine.outcome import FinalRun
from lerobot_ambient.benchmarks.engine.recipe import Task
from lerobot_ambient.benchmarks.engine.trajectories import recorded_jerks
from lerobot_ambient.integration.commands.machine import machine
from lerobot_ambient.integration.commands.results import read_eval_info
from lerobot_ambient.integration.commands.stages import Stage
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT


@dataclass(frozen=True, eq=False)
class Chain:
    """The stages of one policy.

    Args:
        name: in the output folder.
        condition, seed: how it is trained.
        train, evaluate: the stages.
        recorded: the rollouts are recorded.
        task: what is learnt.
        windows: parent folder of the estimated windows.
        base: of the policy that is fine-tuned.
        home: the training in this policy's own folder, where `train` is one that another arm left in its.
        reused: the evaluation, if it need not be made.
        shared: the stages are those of another chain, which runs them.
    """

    name: str
    condition: Condition
    seed: int
    train: Stage
    evaluate: Stage
    recorded: bool
    task: Task
    windows: Path
    base: Chain | None = None
    home: Stage | None = None
    reused: Kept | None = None
    shared: bool = False

    @property
    def stages(self) -> list[Stage]:
        if self.reused is not None or self.shared:
            return []
        # Of a base whose rollouts are known only the training is made up for.
        training = [self.base.training] if self.base is not None and self.base.reused is not None else []
        return [*training, self.train, self.evaluate]

    @property
    def training(self) -> Stage:
        """What trained the policy, or is to: the other arm that left it may have been made anew since."""
        return self.train if self.home is None or self.train.is_done else self.home

    @property
    def pretrained(self) -> Path:
        return self.training.folder / LAST_CHECKPOINT

    @property
    def recordings(self) -> Path | None:
        return self.evaluate.run_folder / "recordings" if self.recorded and self.evaluate.is_done else None

    def kept(self) -> Kept:
        """The finished evaluation."""
        if self.reused is not None and not self.shared:
            return replace(self.reused, name=self.name)
        windows = windows_json(self.task, self.condition, self.windows)
        if self.reused is not None:
            return replace(self.reused, name=self.name, windows=windows)
        rollouts = read_eval_info(self.evaluate.run_folder / "eval_info.json")
        if self.recordings is not None:
            rollouts = replace(rollouts, jerks=recorded_jerks(self.recordings))
        train, evaluate = self.train.seconds, self.evaluate.seconds
        assert train is not None
        assert evaluate is not None
        # Stages that an older version finished do not say where.
        machines = tuple(stage.machine or machine() for stage in (self.train, self.evaluate))
        return Kept(self.name, self.evaluate.key, rollouts, train, evaluate, machines, windows)

    def final(self) -> FinalRun:
        policy = self.pretrained if self.training.is_done else None
        return FinalRun(self.condition, self.seed, self.kept(), self.recordings, policy)
