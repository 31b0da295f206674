# SPDX-License-Identifier: Apache-2.0
"""The maze experiment from data to roll-outs: stock LeRobot commands as stages, sweeps first, final runs after.

Layout of the output folder

    data/{target,source}           unless --data-root names existing data
    windows/<method>/              estimated windows of the source
    sweep/<arm>-<value>/           train, eval: on their own training seed and evaluation seeds
    final/<arm>-seed<seed>/        train, eval; record for the trajectories that are drawn
    results/, results.json         table, figures, numbers
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from lerobot_ambient.experiments.maze import (
    ARM_NAMES,
    COTRAIN_ALPHAS,
    Arm,
    Choices,
    make_arm,
    render_yaml,
    train_config,
)
from lerobot_ambient.experiments.maze_options import STRETCH, SWEEP_TRAIN_SEED, MazeOptions
from lerobot_ambient.experiments.maze_windows import window_stages
from lerobot_ambient.experiments.results import Rollouts, choose_best, read_eval_info
from lerobot_ambient.experiments.stages import Stage, StageRunner, stock_command

SWEEP_EVAL_SEED, FINAL_EVAL_SEED, PICTURE_SEED = 50_000, 100_000, 900_000
"""First evaluation seeds. Every training seed of the final runs has its own stretch, the same for all arms."""
PICTURES = 20
EVAL_BATCH = 50
VERSION = 1
"""Raise it when the same inputs would give other results."""
_WINDOWED = ("ambient", "exclusive", "ambient:unet")


@dataclass(frozen=True, eq=False)
class SweepPoint:
    """One value of a sweep and its roll-outs."""

    arm: Arm
    parameter: str
    value: float
    rollouts: Rollouts
    chosen: bool = False


@dataclass(frozen=True, eq=False)
class FinalRun:
    """One trained policy of the final comparison.

    Args:
        arm: how it was trained.
        seed: of its training.
        rollouts: its evaluation.
        train_seconds, eval_seconds: wall time.
        recordings: folder of the recorded roll-outs; None where none were drawn.
    """

    arm: Arm
    seed: int
    rollouts: Rollouts
    train_seconds: float
    eval_seconds: float
    recordings: Path | None


@dataclass(frozen=True, eq=False)
class MazeOutcome:
    """Everything the report needs."""

    options: MazeOptions
    data_root: Path
    choices: Choices
    sweeps: list[SweepPoint]
    runs: list[FinalRun]


@dataclass(frozen=True)
class _Chain:
    """The stages of one policy."""

    arm: Arm
    seed: int
    train: Stage
    evaluate: Stage
    record: Stage | None = None

    @property
    def stages(self) -> list[Stage]:
        return [self.train, self.evaluate, *([self.record] if self.record else [])]


def run_maze(options: MazeOptions, runner: StageRunner) -> MazeOutcome:
    """Make the data, sweep, train and evaluate; what is already done is not done again.

    Raises:
        StageError: a command failed.
        ValueError: `data_root` does not hold the data.
    """
    output = options.output_dir.resolve()
    options = replace(options, output_dir=output)
    data_root = _prepare_data(options, runner)
    data_key = _data_key(data_root)

    found = window_stages(options.windows, options.windows_root, data_root, {"version": _versions(), "data": data_key})
    windows_keys = {method: stage.key for method, stage in found.items()}

    def chain(arm: Arm, folder: str, seed: int, first: int, trials: int, picture: bool = False) -> _Chain:
        key = data_key if arm.windows is None else f"{data_key} {windows_keys[arm.windows]}"
        return _policy_chain(options, data_root, key, arm, output / folder, seed, first, trials, picture)

    def final(arm: Arm) -> list[_Chain]:
        return [
            chain(
                arm,
                f"final/{arm.name.replace(':', '-')}-seed{seed}",
                seed,
                FINAL_EVAL_SEED + index * STRETCH,
                options.trials,
                picture=index == 0,
            )
            # The U-Net is several times slower: one run, to show that it works.
            for index, seed in enumerate(options.seeds[:1] if arm.unet else options.seeds)
        ]

    sweeps: list[tuple[str, float, _Chain]] = []
    if options.sweep and "cotrain" in options.arms:
        for alpha in COTRAIN_ALPHAS:
            arm = make_arm("cotrain", Choices(cotrain_alpha=alpha))
            one = chain(arm, f"sweep/cotrain-{alpha}", SWEEP_TRAIN_SEED, SWEEP_EVAL_SEED, options.sweep_trials)
            sweeps.append(("alpha", alpha, one))
    if options.sweep and any(name in _WINDOWED for name in options.arms):
        for sigma_min in options.sigma_mins:
            arm = make_arm("ambient", Choices(sigma_min=sigma_min))
            one = chain(arm, f"sweep/ambient-{sigma_min}", SWEEP_TRAIN_SEED, SWEEP_EVAL_SEED, options.sweep_trials)
            sweeps.append(("sigma_min", sigma_min, one))

    swept = {"cotrain", *_WINDOWED} if options.sweep else set()
    chains = [one for name in options.arms if name not in swept for one in final(make_arm(name, Choices()))]
    # The granularities share what the classifiers learnt, so they come one after the other.
    classifiers = [stage for method, stage in found.items() if method.startswith("classifier")]
    others = [[stage] for method, stage in found.items() if not method.startswith("classifier")]
    first = [*([classifiers] if classifiers else []), *others]
    runner.run(
        [*first, *(one.stages for one in [*(sweep for *_, sweep in sweeps), *chains])], "sweeps and arms without"
    )
    points = _choose([(parameter, value, one) for parameter, value, one in sweeps])
    choices = Choices()
    for point in points:
        if point.chosen:
            field = "cotrain_alpha" if point.parameter == "alpha" else "sigma_min"
            choices = replace(choices, **{field: point.value})
    names = [*(name for name in options.arms if name in swept), *(f"ambient:{method}" for method in options.windows)]
    rest = [one for name in names for one in final(make_arm(name, choices))]
    # The slowest first, so that the last one does not run alone.
    rest.sort(key=lambda one: not one.arm.unet)
    runner.run([one.stages for one in rest], "final runs")
    order = {
        name: index for index, name in enumerate((*ARM_NAMES, *(f"ambient:{method}" for method in options.windows)))
    }
    runs = sorted(map(_final_run, [*chains, *rest]), key=lambda run: (order[run.arm.name], run.seed))
    return MazeOutcome(options, data_root, choices, points, runs)


def _prepare_data(options: MazeOptions, runner: StageRunner) -> Path:
    if options.data_root is not None:
        root = options.data_root.resolve()
        for kind in ("target", "source"):
            if not (root / kind / "meta" / "info.json").is_file():
                raise ValueError(
                    f"--data-root {root} has no data set {kind} (no {kind}/meta/info.json). Make it with "
                    f"`lerobot-ambient make-data maze --root {root}`, or leave --data-root out."
                )
        return root
    counts = [f"--target-episodes={options.target_episodes}", f"--source-episodes={options.source_episodes}"]
    folder = options.output_dir / "data"
    # make-data itself continues after a kill, in the same folder.
    command = [
        *stock_command("lerobot-ambient", "lerobot_ambient.cli"),
        *["make-data", "maze", f"--root={folder / 'run'}", *counts, f"--processes={options.jobs}"],
    ]
    stage = Stage(
        folder,
        {"version": _versions(), "make-data": counts},
        command,
        resume=command,
        checkpoint=folder / "run",
        product="run/source/meta/info.json",
    )
    runner.run([[stage]], "data")
    return stage.run_folder


def _policy_chain(
    options: MazeOptions,
    data_root: Path,
    data_key: str,
    arm: Arm,
    folder: Path,
    seed: int,
    first_eval_seed: int,
    trials: int,
    picture: bool,
) -> _Chain:
    sizes = {"seed": seed, "steps": options.steps, "batch_size": options.batch_size}
    # The key must not depend on where the folders lie.
    inputs = {
        "version": _versions(),
        "command": "lerobot-train",
        "data": data_key,
        "config": train_config(arm, "DATA", windows_root="WINDOWS", **sizes),
    }
    config = train_config(arm, str(data_root), windows_root=str(options.windows_root), **sizes)
    train_folder = folder / "train"
    pretrained = train_folder / "run" / "checkpoints" / "last" / "pretrained_model"
    train_command = stock_command("lerobot-train", "lerobot.scripts.lerobot_train")
    train = Stage(
        train_folder,
        inputs,
        [
            *train_command,
            f"--config_path={train_folder / 'train.yaml'}",
            f"--output_dir={train_folder / 'run'}",
        ],
        files={"train.yaml": render_yaml(config, arm.summary)},
        resume=[
            *train_command,
            f"--config_path={pretrained / 'train_config.json'}",
            "--resume=true",
        ],
        checkpoint=pretrained / "train_config.json",
        product="run/checkpoints/last/pretrained_model/model.safetensors",
    )

    def rollouts(name: str, first: int, count: int, batch: int, *flags: str) -> Stage:
        settings = [
            "--env.type=ambient_maze",
            f"--eval.n_episodes={count}",
            f"--eval.batch_size={batch}",
            "--eval.use_async_envs=false",
            f"--seed={first}",
            *flags,
        ]
        return Stage(
            folder / name,
            {"version": _versions(), "command": "lerobot-eval", "policy": train.key, "settings": settings},
            [
                *stock_command("lerobot-eval", "lerobot.scripts.lerobot_eval"),
                f"--policy.path={pretrained}",
                *settings,
                f"--output_dir={folder / name / 'run'}",
            ],
            product="run/eval_info.json",
        )

    evaluate = rollouts("eval", first_eval_seed, trials, min(EVAL_BATCH, trials))
    # lerobot-eval records one batch only, each roll-out as a data set of its own.
    pictures = min(PICTURES, trials)
    record = rollouts("record", PICTURE_SEED, pictures, pictures, "--eval.recording=true") if picture else None
    return _Chain(arm, seed, train, evaluate, record)


def _rollouts(chain: _Chain) -> Rollouts:
    return read_eval_info(chain.evaluate.run_folder / "eval_info.json")


def _choose(sweeps: Sequence[tuple[str, float, _Chain]]) -> list[SweepPoint]:
    points = [SweepPoint(one.arm, parameter, value, _rollouts(one)) for parameter, value, one in sweeps]
    for parameter in dict.fromkeys(point.parameter for point in points):
        indices = [index for index, point in enumerate(points) if point.parameter == parameter]
        best = indices[choose_best([points[index].rollouts for index in indices])]
        points[best] = replace(points[best], chosen=True)
    return points


def _final_run(chain: _Chain) -> FinalRun:
    recordings = chain.record.run_folder / "recordings" if chain.record else None
    train, evaluate = chain.train.seconds, chain.evaluate.seconds
    assert train is not None
    assert evaluate is not None
    return FinalRun(chain.arm, chain.seed, _rollouts(chain), train, evaluate, recordings)


def _versions() -> dict[str, Any]:
    names = ("lerobot_policy_ambient_diffusion", "lerobot")
    return {"experiment": VERSION, **{name: metadata.version(name) for name in names}}


def _data_key(root: Path) -> str:
    """A hash of what the two data sets say about themselves: their records, counts and statistics."""
    digest = hashlib.sha256()
    for kind in ("target", "source"):
        for name in ("ambient_make_data.json", "info.json", "stats.json"):
            file = root / kind / "meta" / name
            digest.update(file.read_bytes() if file.is_file() else b"absent")
    return digest.hexdigest()[:16]
