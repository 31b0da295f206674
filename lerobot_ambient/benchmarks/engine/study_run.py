# SPDX-License-Identifier: Apache-2.0
"""An experiment from data to rollouts: stock LeRobot commands as stages, sweeps first, final runs after.

Layout of the output folder

    data/<pair>/run/{target,source}    unless --data-root names existing data
    windows/<pair>/<method>/           estimated windows of the source
    sweep/<sweep>-<value>/             train, eval: on their own training seed and evaluation seeds
    final/<condition>-seed<seed>/      train, eval
    results/, results.json             table, figures, numbers, kept rollouts
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.engine.chain import Chain
from lerobot_ambient.benchmarks.engine.condition import Condition, Sweep
from lerobot_ambient.benchmarks.engine.estimated_windows import window_stage
from lerobot_ambient.benchmarks.engine.kept_rollouts import read_kept
from lerobot_ambient.benchmarks.engine.outcome import Outcome, SweepPoint
from lerobot_ambient.benchmarks.engine.recipe import NOWHERE, Places, fine_tuning_flags, render_yaml, train_config
from lerobot_ambient.benchmarks.engine.study import STRETCH, SWEEP_TRAIN_SEED, Options, Study
from lerobot_ambient.integration.commands.stages import Stage, StageRunner, stock_command
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT, training_stage

SWEEP_EVAL_SEED, FINAL_EVAL_SEED = 50_000, 100_000
"""First evaluation seeds. Every training seed of the final runs has its own stretch, the same for all conditions."""
_EVAL_BATCH = 50
VERSION = 2
"""Raise it, and the next, when the same inputs would give other results."""
_TRAINING_VERSION = 3
"""Raise it when the same inputs would give other policies, on the same data and windows."""
_DEFAULT_PAIR = "default"
"""Folder of the data whose key is the empty word."""


def run_study(study: Study, options: Options, runner: StageRunner) -> Outcome:
    """Make the data, sweep, train and evaluate; what is already done is not done again.

    Raises:
        StageError: a command failed.
        ValueError: `data_root` does not hold the data, or `reuse` no rollouts of the study.
    """
    return _Run(study, replace(options, output_dir=options.output_dir.resolve()), runner).outcome()


class _Run:
    def __init__(self, study: Study, options: Options, runner: StageRunner) -> None:
        self.study, self.options, self.runner = study, options, runner
        self.output = options.output_dir
        self._data_keys: dict[str, str] = {}
        self._reused = {} if options.reuse is None else read_kept(options.reuse, study.name)

    def outcome(self) -> Outcome:
        before = [
            condition
            for condition in self.study.conditions(self.study.defaults, self.options.sizes)
            if condition.name in self.options.conditions
        ]
        needs = {need for condition in before for need in condition.needs} if self.options.sizes.sweep else set()
        sweeps = [sweep for sweep in self.study.sweeps if sweep.name in needs]
        self._make_data(
            {condition.data for condition in before} | {sweep.condition(sweep.values[0]).data for sweep in sweeps}
        )

        tried = [(sweep, value, self._trial(sweep, value)) for sweep in sweeps for value in sweep.values]
        free = [
            condition
            for condition in before
            if condition.base is None and condition.windows is None and not needs & set(condition.needs)
        ]
        first = [chain for condition in free for chain in self._finals(condition)]
        # The granularities of one dataset share what the classifiers learnt, so they come one after the other.
        estimates: dict[tuple[str, bool], list[Stage]] = {}
        for (data, method), stage in self._needed_windows(before, needs).items():
            estimates.setdefault((data, method.startswith("classifier")), []).append(stage)
        swept = [chain for _, _, chain in tried]
        self._run([*estimates.values(), *_stages_of([*swept, *first])], "sweeps and arms without" if tried else "arms")

        points = self._choose(tried)
        choices = {**self.study.defaults, **{point.sweep.name: point.value for point in points if point.chosen}}
        conditions = [
            condition
            for condition in self.study.conditions(choices, self.options.sizes)
            if condition.name in self.options.conditions
        ]
        done = {condition.name for condition in free}
        second = [
            chain
            for condition in conditions
            if condition.name not in done and condition.base is None
            for chain in self._finals(condition)
        ]
        # The slowest first, so that the last one does not run alone.
        second.sort(key=lambda chain: not chain.condition.one_seed)
        self._run(_stages_of(second), "final runs")
        bases = {(chain.condition.name, chain.seed): chain for chain in [*first, *second]}
        tuned = [
            chain for condition in conditions if condition.base is not None for chain in self._finals(condition, bases)
        ]
        self._run(_stages_of(tuned), "fine-tuning")

        order = {name: index for index, name in enumerate(self.study.order)}
        runs = sorted(
            (chain.final() for chain in [*first, *second, *tuned]),
            key=lambda run: (order[run.condition.name], run.seed),
        )
        return Outcome(self.study, self.options, self._data, choices, points, runs)

    def _run(self, chains: Sequence[Sequence[Stage]], title: str) -> None:
        if chains:
            self.runner.run(chains, title)

    def _needed_windows(self, conditions: Sequence[Condition], swept: set[str]) -> dict[tuple[str, str], Stage]:
        """The stages of windows that a training is still to use, or may, where a sweep has still to say which."""
        needed = {
            (condition.data, condition.windows)
            for condition in conditions
            if condition.windows is not None
            and (swept & set(condition.needs) or any(chain.reused is None for chain in self._finals(condition)))
        }
        return {key: stage for key, stage in self._windows.items() if key in needed}

    def _make_data(self, pairs: set[str]) -> None:
        self._data: dict[str, Path] = {}
        name, root = self.study.task.name, self.options.data_root
        if root is not None:
            root = root.resolve()
            for kind in ("target", "source"):
                if not (root / kind / "meta" / "info.json").is_file():
                    raise ValueError(
                        f"--data-root {root} has no dataset {kind} (no {kind}/meta/info.json). Make it with "
                        f"`lerobot-ambient make-data {name} --root {root}`, or leave --data-root out."
                    )
        stages = []
        for pair, words in self.study.data(self.options.sizes).items():
            if pair not in pairs:
                continue
            if root is not None and pair == "":
                self._data[pair] = root
                continue
            folder = self.output / "data" / (pair or _DEFAULT_PAIR)
            # make-data itself continues after a kill, in the same folder.
            command = [
                *stock_command("lerobot-ambient", "lerobot_ambient.cli"),
                *["make-data", name, f"--root={folder / 'run'}", *words],
            ]
            stages.append(
                Stage(
                    folder,
                    {"version": self._task_versions(), "make-data": [name, *words]},
                    command,
                    resume=command,
                    checkpoint=folder / "run",
                    product="run/source/meta/info.json",
                )
            )
            self._data[pair] = folder / "run"
        if stages:
            self.runner.run([[stage] for stage in stages], "data")

    def _task_versions(self) -> dict[str, Any]:
        """What the data and the rollouts depend on beside their arguments; both numbers only grow."""
        return _versions(VERSION + self.study.task.revision)

    @cached_property
    def _windows(self) -> dict[tuple[str, str], Stage]:
        """A stage for every method and dataset that a condition needs."""
        stages = {}
        for condition in self.study.conditions(self.study.defaults, self.options.sizes):
            if (
                condition.windows is None
                or condition.name not in self.options.conditions
                or (condition.data, condition.windows) in stages
            ):
                continue
            inputs = {"version": _versions(), "data": self._data_key(condition.data)}
            folder = _windows_folder(self.output, condition)
            stages[condition.data, condition.windows] = window_stage(
                self.study.task, condition.windows, folder, self._data[condition.data], inputs
            )
        return stages

    def _data_key(self, pair: str) -> str:
        """A hash of what two datasets say about themselves: their records, counts and statistics."""
        if pair not in self._data_keys:
            digest = hashlib.sha256()
            for kind in ("target", "source"):
                for name in ("ambient_make_data.json", "info.json", "stats.json"):
                    file = self._data[pair] / kind / "meta" / name
                    digest.update(file.read_bytes() if file.is_file() else b"absent")
            self._data_keys[pair] = digest.hexdigest()[:16]
        return self._data_keys[pair]

    def _frames(self, pair: str) -> tuple[int, int]:
        """Numbers of frames of the target and the source."""
        target, source = (
            int(json.loads((self._data[pair] / kind / "meta" / "info.json").read_text())["total_frames"])
            for kind in ("target", "source")
        )
        return target, source

    def _trial(self, sweep: Sweep, value: float) -> Chain:
        folder = self.output / "sweep" / f"{sweep.name}-{value:g}"
        return self._chain(
            sweep.condition(value),
            folder,
            SWEEP_TRAIN_SEED,
            SWEEP_EVAL_SEED,
            self.options.sizes.sweep_trials,
            recorded=False,
        )

    def _finals(self, condition: Condition, bases: dict[tuple[str, int], Chain] | None = None) -> list[Chain]:
        seeds = self.options.sizes.seeds
        return [
            self._chain(
                condition,
                self.output / "final" / f"{condition.folder}-seed{seed}",
                seed,
                FINAL_EVAL_SEED + index * STRETCH,
                self.options.sizes.trials,
                recorded=self.study.task.recorded,
                base=bases[condition.base, seed] if bases is not None and condition.base is not None else None,
            )
            for index, seed in enumerate(seeds[:1] if condition.one_seed else seeds)
        ]

    def _chain(
        self,
        condition: Condition,
        folder: Path,
        seed: int,
        first: int,
        trials: int,
        *,
        recorded: bool,
        base: Chain | None = None,
    ) -> Chain:
        task, sizes = self.study.task, self.options.sizes
        if condition.share is not None:
            condition = condition.weighted(*self._frames(condition.data))
        chosen = {"seed": seed, "steps": sizes.steps, "batch_size": sizes.batch_size}
        inputs = {
            "version": _versions(_TRAINING_VERSION),
            "command": "lerobot-train",
            "data": self._data_key(condition.data),
            "config": train_config(task, condition, NOWHERE, **chosen),
        }
        if condition.windows is not None:
            inputs["windows"] = self._windows[condition.data, condition.windows].key
        if base is not None:
            inputs["base"] = base.train.key
            inputs["flags"] = fine_tuning_flags(condition, NOWHERE)
        precision = self.options.mixed_precision
        if precision != "no":
            inputs["mixed_precision"] = precision
        places = Places(
            str(self._data[condition.data]),
            str(_windows_folder(self.output, condition)),
            str(base.pretrained) if base is not None else "",
        )
        train_folder = folder / "train"
        train = training_stage(
            train_folder,
            inputs,
            [f"--config_path={train_folder / 'train.yaml'}", *fine_tuning_flags(condition, places)],
            files={"train.yaml": render_yaml(task, train_config(task, condition, places, **chosen), condition.summary)},
            # LeRobot's accelerator has no option for it, but accelerate reads this variable.
            environment={"ACCELERATE_MIXED_PRECISION": precision},
        )
        # lerobot-eval records one batch only, each rollout as a dataset of its own.
        settings = [
            *task.env_flags(condition),
            f"--eval.n_episodes={trials}",
            f"--eval.batch_size={trials if recorded else min(_EVAL_BATCH, trials)}",
            "--eval.use_async_envs=false",
            f"--seed={first}",
            *(["--eval.recording=true"] if recorded else []),
        ]
        evaluate = Stage(
            folder / "eval",
            {
                "version": self._task_versions(),
                "command": "lerobot-eval",
                "policy": train.key,
                "settings": settings,
            },
            [
                *stock_command("lerobot-eval", "lerobot.scripts.lerobot_eval"),
                f"--policy.path={train_folder / LAST_CHECKPOINT}",
                *settings,
                f"--output_dir={folder / 'eval' / 'run'}",
            ],
            product="run/eval_info.json",
        )
        return Chain(
            folder.relative_to(self.output).as_posix(),
            condition,
            seed,
            train,
            evaluate,
            recorded,
            task,
            _windows_folder(self.output, condition),
            base,
            None if evaluate.is_done else self._reused.get(evaluate.key),
        )

    def _choose(self, tried: Sequence[tuple[Sweep, float, Chain]]) -> list[SweepPoint]:
        points = [SweepPoint(sweep, chain.condition, value, chain.kept()) for sweep, value, chain in tried]
        for name in dict.fromkeys(point.sweep.name for point in points):
            indices = [index for index, point in enumerate(points) if point.sweep.name == name]
            best = indices[self.study.choose([points[index].rollouts for index in indices])]
            points[best] = replace(points[best], chosen=True)
        return points


def _stages_of(chains: Sequence[Chain]) -> list[list[Stage]]:
    return [stages for chain in chains if (stages := chain.stages)]


def _windows_folder(output: Path, condition: Condition) -> Path:
    """Folder of the estimated windows of a condition's data."""
    return output / "windows" / (condition.data or _DEFAULT_PAIR)


def _versions(experiment: int = VERSION) -> dict[str, Any]:
    names = ("lerobot_policy_ambient_diffusion", "lerobot")
    return {"experiment": experiment, **{name: metadata.version(name) for name in names}}
