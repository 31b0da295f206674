# SPDX-License-Identifier: Apache-2.0
"""One trial of a sweep: stock training up to a rung, stock evaluation, and so on to the last rung.

Layout of a trial's folder

    train-1/        the training; its run/ holds the checkpoints of all rungs
    train-2/, ...   how it went on
    eval-1/, ...    the rollouts at each rung; the last one counts
    confirm/        further rollouts of the finished policy, on other seeds
"""

from __future__ import annotations

import json
import math
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from lerobot_ambient.core.proportions import wilson_interval
from lerobot_ambient.integration.commands import until_checkpoint
from lerobot_ambient.integration.commands.results import acceleration_measure, read_eval_info
from lerobot_ambient.integration.commands.stages import Stage, stock_command
from lerobot_ambient.sweep.config import CHECKPOINTS, BaseConfig, eval_config, render, train_config
from lerobot_ambient.sweep.evaluation import HELD_OUT, AnyEvaluation, Evaluation, HeldOutEvaluation
from lerobot_ambient.sweep.space import Space

Counts = tuple[int, int]
"""Successes, and the rollouts they were counted in."""
MIN_PEERS = 4
_KEEP_ONE_IN = 3


@dataclass(frozen=True)
class Commands:
    """What starts LeRobot's training and evaluation, as words."""

    train: tuple[str, ...]
    evaluate: tuple[str, ...]
    check: tuple[str, ...] = ()

    @classmethod
    def stock(cls) -> Commands:
        """`lerobot-train`, `lerobot-eval` and `lerobot-ambient check` of this environment."""
        return cls(
            tuple(stock_command("lerobot-train", "lerobot.scripts.lerobot_train")),
            tuple(stock_command("lerobot-eval", "lerobot.scripts.lerobot_eval")),
            (*stock_command("lerobot-ambient", "lerobot_ambient.cli"), "check"),
        )


@dataclass(frozen=True)
class Goal:
    """A second metric and where it should go.

    Args:
        name: one of `METRICS`.
        direction: "maximize" or "minimize".
    """

    name: str
    direction: str

    @classmethod
    def read(cls, text: str, env_type: str) -> Goal:
        """The goal written as NAME:minimize or NAME:maximize.

        Raises:
            ValueError: an unknown name or direction, or a metric that the environment does not offer.
        """
        name, _, direction = text.partition(":")
        offered = [known for known, (_, envs) in METRICS.items() if envs is None or env_type in envs]
        if name not in offered or direction not in ("minimize", "maximize"):
            raise ValueError(
                f"--second {text}: write NAME:minimize or NAME:maximize; environment {env_type} offers "
                f"{', '.join(offered)}."
            )
        return cls(name, direction)

    @property
    def sign(self) -> float:
        """Times a value: smaller is better."""
        return 1.0 if self.direction == "minimize" else -1.0

    @property
    def worst(self) -> float:
        return self.sign * math.inf


@dataclass(frozen=True)
class TrialPlan:
    """What all trials of a sweep share.

    Args:
        base, space: their configurations.
        eval_seed: of the first rollout of every evaluation.
        rungs: evaluations of a trial, at equal distances in training steps.
        commands: what is started.
    """

    base: BaseConfig
    space: Space
    eval_seed: int
    rungs: int
    commands: Commands

    def __post_init__(self) -> None:
        if not 1 <= self.rungs <= self.base.steps:
            raise ValueError(f"--rungs {self.rungs} must lie between 1 and the training steps, {self.base.steps}.")

    @property
    def save_freq(self) -> int:
        """Steps between checkpoints; with several rungs, those between evaluations."""
        return max(1, self.base.steps // (self.rungs if self.rungs > 1 else CHECKPOINTS))

    def step(self, rung: int) -> int:
        """Training steps at which rung 1, ..., `rungs` is evaluated."""
        return self.base.steps if rung == self.rungs else rung * self.save_freq

    def checkpoint(self, folder: Path, rung: int) -> Path:
        """Where LeRobot keeps the policy of that rung."""
        digits = max(6, len(str(self.base.steps)))
        return _checkpoints(folder) / f"{self.step(rung):0{digits}d}" / "pretrained_model"

    def train(self, folder: Path, params: Mapping[str, Any], rung: int) -> Stage:
        """Training from the rung before (or from the start) to `rung`."""
        config = train_config(self.base, self.space, params, self.save_freq)
        file = folder / "train-1" / "train.yaml"
        last = _checkpoints(folder) / "last" / "pretrained_model" / "train_config.json"
        start = [*self.commands.train, f"--config_path={file}", f"--output_dir={folder / 'train-1' / 'run'}"]
        go_on = [*self.commands.train, f"--config_path={last}", "--resume=true"]
        inputs = {"version": _versions(), "command": "lerobot-train", "config": config, "until": self.step(rung)}
        own = folder / f"train-{rung}"
        return Stage(
            own,
            inputs,
            self._until(folder, rung, start if rung == 1 else go_on),
            files={file.name: render(config)},
            resume=self._until(folder, rung, go_on),
            checkpoint=last,
            product=str(Path("..", self.checkpoint(folder, rung).relative_to(folder), "train_config.json")),
        )

    def evaluate(
        self, folder: Path, params: Mapping[str, Any], rung: int, name: str, seed: int, episodes: int
    ) -> Stage:
        """Rollouts of the policy of `rung`, in the folder `name`; or its judgement on held-out episodes."""
        if self.base.judge == HELD_OUT:
            return self._check(folder, params, rung, name)
        config = eval_config(self.base, seed, episodes)
        own = folder / name
        policy = self.train(folder, params, rung).key
        return Stage(
            own,
            {"version": _versions(), "command": "lerobot-eval", "policy": policy, "config": config},
            [
                *self.commands.evaluate,
                f"--config_path={own / 'eval.yaml'}",
                f"--policy.path={self.checkpoint(folder, rung)}",
                f"--output_dir={own / 'run'}",
            ],
            files={"eval.yaml": render(config)},
            product="run/eval_info.json",
        )

    def _check(self, folder: Path, params: Mapping[str, Any], rung: int, name: str) -> Stage:
        own = folder / name
        inputs = {"version": _versions(), "command": "check", "policy": self.train(folder, params, rung).key}
        command = [*self.commands.check, str(self.checkpoint(folder, rung)), f"--report={own / 'run'}"]
        return Stage(own, inputs, command, product="run/check.json")

    def stages(self, folder: Path, params: Mapping[str, Any], rung: int) -> list[Stage]:
        """Both for one rung."""
        evaluation = self.evaluate(folder, params, rung, f"eval-{rung}", self.eval_seed, self.base.episodes)
        return [self.train(folder, params, rung), evaluation]

    def _until(self, folder: Path, rung: int, command: Sequence[str]) -> list[str]:
        if rung == self.rungs:
            return list(command)
        segment = [sys.executable, until_checkpoint.__file__, str(_checkpoints(folder)), str(self.step(rung))]
        return [*segment, "--", *command]


def read_evaluation(stage: Stage, step: int, second: Goal | None) -> AnyEvaluation:
    """What a finished evaluation left.

    Raises:
        ValueError: its eval_info.json is not LeRobot's.
    """
    judged = stage.run_folder / "check.json"
    if judged.is_file():
        found = json.loads(judged.read_text(encoding="utf-8"))
        score = found["ranking"][0]["score"]
        return HeldOutEvaluation(step, score["value"], score["low"], score["high"], len(found["dataset"]["episodes"]))
    file = stage.run_folder / "eval_info.json"
    rollouts = read_eval_info(file)
    value = METRICS[second.name][0](file) if second is not None else None
    finite = value if value is not None and math.isfinite(value) else None
    return Evaluation(step, rollouts.count, rollouts.trials, finite)


def is_behind_median(own: Counts, peers: Sequence[Counts]) -> bool:
    """Even the upper Wilson bound lies below the median of the others at this rung, of which there are enough."""
    if len(peers) < MIN_PEERS:
        return False
    return wilson_interval(*own)[1] < statistics.median(successes / episodes for successes, episodes in peers)


def is_outside_best_third(own: Counts, peers: Sequence[Counts]) -> bool:
    """Asynchronous successive halving with one of three kept: not among the best third of those that came so far.

    While there are fewer than three, only the best goes on. Ties go on. (Li et al. 2020, arXiv 1810.05934.)
    """
    rates = sorted((successes / episodes for successes, episodes in [own, *peers]), reverse=True)
    return own[0] / own[1] < rates[max(1, len(rates) // _KEEP_ONE_IN) - 1]


# Optuna's own pruners refuse a study with two objectives, and know nothing of the noise of a success rate.
PRUNERS: dict[str, Callable[[Counts, Sequence[Counts]], bool]] = {
    "median": is_behind_median,
    "halving": is_outside_best_third,
}


def delete_checkpoints(folder: Path, keep: Path | None = None) -> None:
    """Delete a trial's checkpoints except the one that holds the policy `keep`."""
    for checkpoint in _checkpoints(folder).glob("[0-9]*"):
        if keep is None or checkpoint != keep.parent:
            shutil.rmtree(checkpoint, ignore_errors=True)
    if keep is None:
        (_checkpoints(folder) / "last").unlink(missing_ok=True)


def _checkpoints(folder: Path) -> Path:
    return folder / "train-1" / "run" / "checkpoints"


def _smoothness(file: Path) -> float | None:
    return acceleration_measure("").of(read_eval_info(file))


def _average(name: str) -> Callable[[Path], float | None]:
    def read(file: Path) -> float | None:
        value = json.loads(file.read_text(encoding="utf-8"))["overall"][name]
        return float(value) if value is not None else None

    return read


METRICS: dict[str, tuple[Callable[[Path], float | None], tuple[str, ...] | None]] = {
    "mean_squared_acceleration": (_smoothness, ("ambient_maze", "ambient_pushing", "ambient_arm7")),
    "avg_sum_reward": (_average("avg_sum_reward"), None),
    "avg_max_reward": (_average("avg_max_reward"), None),
}
"""Second metrics by name: how each is read from eval_info.json, and the environments that alone offer it."""


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in ("lerobot_policy_ambient_diffusion", "lerobot")}
