# SPDX-License-Identifier: Apache-2.0
"""An experiment from data to rollouts: stock LeRobot commands as stages, sweeps first, final runs after.

Layout of the output folder

    data/<pair>/source/run/source      unless --data-root names existing data
    data/<pair>/target-<seed>/run/target
    windows/<pair>-<seed>/<method>/    estimated windows of the source, by a training's own target
    sweep/<sweep>-<value>/             train, eval: on a training seed, a target and layouts of their own
    final/<condition>-seed<seed>/      train, eval: on the same layouts for all
    results/, results.json             table, figures, numbers, kept rollouts
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.engine.chain import Chain
from lerobot_ambient.benchmarks.engine.common_conditions import target_only
from lerobot_ambient.benchmarks.engine.condition import Condition, Sweep
from lerobot_ambient.benchmarks.engine.estimated_windows import (
    SCORES,
    SELECTED,
    selection_stage,
    window_stage,
    with_numbers,
)
from lerobot_ambient.benchmarks.engine.kept_rollouts import read_kept
from lerobot_ambient.benchmarks.engine.outcome import Outcome, SweepPoint
from lerobot_ambient.benchmarks.engine.recipe import NOWHERE, Places, fine_tuning_flags, render_yaml, train_config
from lerobot_ambient.benchmarks.engine.study import SWEEP_TRAIN_SEED, Options, Study
from lerobot_ambient.benchmarks.engine.study_data import KINDS, StudyData, folder_of
from lerobot_ambient.integration.commands.stages import DONE, Stage, StageRunner, stock_command
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT, training_stage

SWEEP_EVAL_SEED, FINAL_EVAL_SEED = 50_000, 100_000
"""First evaluation seeds. All final runs are rolled out on the same layouts, those of the sweeps are others."""
TRAINING, _EVALUATION = "train", "eval"
"""Folders of a policy's two stages."""
_EVAL_BATCH = 200
VERSION = 3
"""Raise it, and the next, when the same inputs would give other results."""
_TRAINING_VERSION = 3
"""Raise it when the same inputs would give other policies, on the same data and windows."""


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
        self._data = StudyData(study, options, self._task_versions())
        self._windows: dict[tuple[str, str, int], Stage] = {}
        self._first_with: dict[str, Chain] = {}
        kept = [] if options.reuse is None else read_kept(options.reuse, study.name)
        self._reused = {one.key: one for one in kept}
        self._finished = finished_below(self.output)
        self._declared = study.conditions(study.defaults, options.sizes)
        self._alone = next((one.data for one in self._declared if one.name == target_only().name), None)

    def outcome(self) -> Outcome:
        before = [condition for condition in self._declared if condition.name in self.options.conditions]
        needs = {need for condition in before for need in condition.needs} if self.options.sizes.sweep else set()
        sweeps = [sweep for sweep in self.study.sweeps if sweep.name in needs]
        seeds = self.options.sizes.seeds
        self._data.make(
            {
                *((condition.data, seed) for condition in before for seed in seeds),
                *((sweep.condition(value).data, SWEEP_TRAIN_SEED) for sweep in sweeps for value in sweep.values),
                *((condition.data, SWEEP_TRAIN_SEED) for condition in before if condition.windows_once),
            },
            self.runner,
        )

        tried = [(sweep, value, self._trial(sweep, value)) for sweep in sweeps for value in sweep.values]
        free = [
            condition
            for condition in before
            if condition.base is None and condition.windows is None and not needs & set(condition.needs)
        ]
        first = [chain for condition in free for chain in self._finals(condition)]
        # The granularities of one dataset share what the classifiers learnt, so they come one after the other.
        estimates: dict[tuple[str, int, bool], list[Stage]] = {}
        for (data, method, seed), stage in self._needed_windows(before, needs).items():
            estimates.setdefault((data, seed, method.startswith("classifier")), []).append(stage)
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
        roots = {
            pair: {kind: self._data.folder(pair, kind, seeds[0]) for kind in KINDS}
            for pair in dict.fromkeys(condition.data for condition in before)
        }
        return Outcome(self.study, self.options, roots, choices, points, runs)

    def _run(self, chains: Sequence[Sequence[Stage]], title: str) -> None:
        if chains:
            self.runner.run(chains, title)

    def _needed_windows(self, conditions: Sequence[Condition], swept: set[str]) -> dict[tuple[str, str, int], Stage]:
        """The stages of windows that a training is still to use, or may, where a sweep has still to say which."""
        return {
            (condition.data, method, draw): self._window_stage(condition.data, method, draw)
            for condition in conditions
            if condition.windows is not None
            for seed in self.options.sizes.seeds
            if swept & set(condition.needs) or self._final(condition, seed).reused is None
            for draw in (_draw_of_windows(condition, seed),)
            for method in ((SCORES, condition.windows) if condition.windows in SELECTED else (condition.windows,))
        }

    def _task_versions(self) -> dict[str, Any]:
        """What the data and the rollouts depend on beside their arguments; both numbers only grow."""
        return _versions(VERSION + self.study.task.revision)

    def _window_stage(self, data: str, method: str, draw: int) -> Stage:
        """What estimates the windows of a pair's source on a draw of the target; one stage for all that share it."""
        key = data, method, draw
        if key not in self._windows:
            folder = self._windows_folder(data, draw)
            inputs = {"version": _versions(), "data": self._data.key(data, draw)}
            task, places, batch_size = self.study.task, self._places(data, draw, draw), self.options.sizes.batch_size
            self._windows[key] = (
                selection_stage(task, method, folder, self._window_stage(data, SCORES, draw))
                if method in SELECTED
                else window_stage(task, method, folder, places, inputs, batch_size=batch_size)
            )
        return self._windows[key]

    def _windows_folder(self, data: str, draw: int) -> Path:
        """Folder of the windows estimated on a draw of a pair's target."""
        return self.output / "windows" / f"{folder_of(data)}-{draw}"

    def _places(self, data: str, seed: int, draw: int, base: Chain | None = None) -> Places:
        """Where training `seed` finds its inputs; its windows were estimated on draw `draw` of the target."""
        return Places(
            target=str(self._data.folder(data, "target", seed)),
            source=str(self._data.folder(data, "source", seed)),
            windows=str(self._windows_folder(data, draw)),
            base=str(base.pretrained) if base is not None else "",
            frames=str(self.output / "data" / folder_of(data) / "frames"),
        )

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
        return [
            self._final(
                condition,
                seed,
                bases[condition.base, seed] if bases is not None and condition.base is not None else None,
            )
            for seed in self.options.sizes.seeds
        ]

    def _final(self, condition: Condition, seed: int, base: Chain | None = None) -> Chain:
        return self._chain(
            condition,
            self.output / "final" / f"{condition.folder}-seed{seed}",
            seed,
            FINAL_EVAL_SEED,
            self.options.sizes.trials,
            recorded=self.study.task.recorded,
            base=base,
        )

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
        task, sizes, draw = self.study.task, self.options.sizes, _draw_of_windows(condition, seed)
        if condition.share is not None:
            condition = condition.weighted(*self._data.frames(condition.data, seed))
        chosen = {"seed": seed, "steps": sizes.steps, "batch_size": sizes.batch_size}
        places = self._places(condition.data, seed, draw, base)
        declared = with_numbers(task, condition, places)
        # An estimate that leaves the source out makes an arm that of the target alone, whose policy it shares.
        left_out = condition.windows_once and declared.source is None
        trained = replace(declared, data=self._alone or condition.data) if left_out else condition
        inputs = {
            "version": _versions(_TRAINING_VERSION),
            "command": "lerobot-train",
            "data": self._data.key(trained.data, seed),
            "config": train_config(task, trained, NOWHERE, **chosen),
        }
        if trained.windows is not None:
            inputs["windows"] = self._window_stage(condition.data, trained.windows, draw).key
        if base is not None:
            inputs["base"] = base.train.key
            inputs["flags"] = fine_tuning_flags(condition, NOWHERE)
        precision = self.options.mixed_precision
        if precision != "no":
            inputs["mixed_precision"] = precision
        train_folder = folder / TRAINING
        train = training_stage(
            train_folder,
            inputs,
            [f"--config_path={train_folder / 'train.yaml'}", *fine_tuning_flags(condition, places)],
            files={"train.yaml": render_yaml(task, train_config(task, declared, places, **chosen), condition.summary)},
            # LeRobot's accelerator has no option for it, but accelerate reads this variable.
            environment={"ACCELERATE_MIXED_PRECISION": precision},
        )
        # lerobot-eval records one batch only, each rollout as a dataset of its own.
        settings = [
            *task.env_flags(condition),
            f"--eval.n_episodes={trials}",
            f"--eval.batch_size={trials if recorded else min(_EVAL_BATCH, trials)}",
            f"--env.image_size={task.picture}",
            "--eval.use_async_envs=false",
            f"--seed={first}",
            *(["--eval.recording=true"] if recorded else []),
        ]
        evaluate = Stage(
            folder / _EVALUATION,
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
                f"--output_dir={folder / _EVALUATION / 'run'}",
            ],
            product="run/eval_info.json",
        )
        chain = self._found(
            Chain(
                folder.relative_to(self.output).as_posix(),
                condition,
                seed,
                train,
                evaluate,
                recorded,
                task,
                self._windows_folder(condition.data, draw),
                base,
            )
        )
        # A sweep's winner may be a fixed condition under another name, and so may an estimate: both are one policy.
        first_with = self._first_with.setdefault(evaluate.key, chain)
        if first_with.name == chain.name:
            return chain
        return replace(
            chain,
            train=first_with.train,
            evaluate=first_with.evaluate,
            home=first_with.home,
            reused=first_with.reused,
            shared=True,
        )

    def _found(self, chain: Chain) -> Chain:
        """The same chain with its rollouts, where an earlier call made them as another arm's, or they were kept."""
        if chain.evaluate.is_done:
            return chain
        folder = self._finished.get(chain.evaluate.key)
        if folder is not None:
            made = replace(
                chain,
                train=replace(chain.train, folder=folder / TRAINING),
                home=chain.train,
                evaluate=replace(chain.evaluate, folder=folder / _EVALUATION),
            )
            if made.train.is_done:
                # Read at once: the other arm may have other settings by now, and its folder be moved aside.
                return replace(made, reused=made.kept())
        return replace(chain, reused=self._reused.get(chain.evaluate.key))

    def _choose(self, tried: Sequence[tuple[Sweep, float, Chain]]) -> list[SweepPoint]:
        points = [SweepPoint(sweep, chain.condition, value, chain.kept()) for sweep, value, chain in tried]
        for name in dict.fromkeys(point.sweep.name for point in points):
            indices = [index for index, point in enumerate(points) if point.sweep.name == name]
            best = indices[self.study.choose([points[index].rollouts for index in indices])]
            points[best] = replace(points[best], chosen=True)
        return points


def _stages_of(chains: Sequence[Chain]) -> list[list[Stage]]:
    return [stages for chain in chains if (stages := chain.stages)]


def finished_below(output: Path) -> dict[str, Path]:
    """Folders of the policies that an earlier call rolled out, by the keys of their evaluations."""
    marks = sorted(output.glob(f"*/*/{_EVALUATION}/{DONE}"))
    return {json.loads(mark.read_text(encoding="utf-8"))["key"]: mark.parent.parent for mark in marks}


def _draw_of_windows(condition: Condition, seed: int) -> int:
    """The draw of the target on which the windows of a training are estimated."""
    return SWEEP_TRAIN_SEED if condition.windows_once else seed


def _versions(experiment: int = VERSION) -> dict[str, Any]:
    names = ("lerobot_policy_ambient_diffusion", "lerobot")
    return {"experiment": experiment, **{name: metadata.version(name) for name in names}}
