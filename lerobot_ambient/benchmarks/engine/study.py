# SPDX-License-Identifier: Apache-2.0
"""An experiment as a declaration: its task, data, sweeps, conditions, metrics and promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lerobot_ambient.benchmarks.engine.claims import Claim, Conditions
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition, Sweep
from lerobot_ambient.benchmarks.engine.recipe import Task
from lerobot_ambient.integration.commands.results import SUCCESS, Measure, Rollouts

if TYPE_CHECKING:
    from lerobot_ambient.benchmarks.engine.outcome import Outcome

SWEEP_TRAIN_SEED = 0
STRETCH = 10_000
"""Evaluation seeds that belong to one training seed."""
_PRECISIONS = ("no", "bf16", "fp16")
"""Of accelerate; "no" is float32."""
Figure = tuple[Path, str]
"""A PNG and its caption."""


@dataclass(frozen=True)
class Sizes:
    """How large an experiment is.

    Args:
        seeds: of the final trainings; training k starts from seed k and learns from draw k of the target. Training 0 is
            the sweeps'.
        trials: rollouts of each final run, on the same layouts for all.
        sweep_trials: rollouts of each run of a sweep.
        steps, batch_size: of every training.
        target_episodes, source_episodes: of the data that is made.
        sweep: whether to sweep; otherwise the study's defaults are used.
    """

    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    trials: int = 200
    sweep_trials: int = 100
    steps: int = 7000
    batch_size: int = 128
    target_episodes: int = 50
    source_episodes: int = 5000
    sweep: bool = True

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"--seeds {self.seeds}: give at least one, each once, none negative.")
        if self.sweep and SWEEP_TRAIN_SEED in self.seeds:
            raise ValueError(
                f"--seeds {self.seeds}: seed {SWEEP_TRAIN_SEED} trains the sweeps; the final runs need other seeds, "
                "or the winner would be judged by the run that made it win."
            )
        for name in ("trials", "sweep_trials"):
            if not 1 <= getattr(self, name) <= STRETCH:
                raise ValueError(f"--{_flag(name)} {getattr(self, name)} must lie in [1, {STRETCH}].")
        for name in ("steps", "batch_size", "target_episodes", "source_episodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{_flag(name)} must be at least 1, got {getattr(self, name)}.")


SIZE_FLAGS = tuple(entry.name for entry in fields(Sizes) if entry.name != "sweep")


def one_pair(sizes: Sizes) -> dict[str, list[str]]:
    """`Study.data` of a study with one pair of datasets."""
    return {"": [f"--target-episodes={sizes.target_episodes}", f"--source-episodes={sizes.source_episodes}"]}


def no_figures(outcome: Outcome, begin: Path) -> Sequence[Figure]:
    """`Study.draw` of a study that has nothing beside the figures of every experiment."""
    return []


@dataclass(frozen=True, eq=False)
class Study:
    """One experiment.

    Args:
        name: of its command and its files.
        title: of its page.
        task: what is learnt.
        data: gives the arguments of `make-data` for each of its pairs of datasets; conditions name them by key.
        sweeps: what is settled first.
        defaults: the value of every sweep where there is none.
        conditions: all conditions, given the sweeps' choices and the sizes.
        measures: metrics beside success.
        choose: index of the best candidate of a sweep.
        claims: promises, as far as the conditions are there.
        published: columns of published figures: heading, and the cell of each condition.
        notes: paragraphs below the table: units, sources of the published figures.
        draw: further figures; gets the outcome and the path that all of them begin with.
        full, quick: sizes.
        quick_conditions: names of the conditions of the quick form.
        question: what the study asks, a sentence or two.
        limits: what it does not show, a sentence each.
        headline: the measure by which arms are compared with each other.
        quick_claims: promises of the quick form, whose single training and fewer layouts can show less; None takes
            `claims`.
        order: names of the conditions in tables and figures.
    """

    name: str
    title: str
    task: Task
    data: Callable[[Sizes], Mapping[str, Sequence[str]]]
    sweeps: tuple[Sweep, ...]
    defaults: Choices
    conditions: Callable[[Choices, Sizes], Sequence[Condition]]
    measures: tuple[Measure, ...]
    choose: Callable[[Sequence[Rollouts]], int]
    claims: Callable[[Conditions], list[Claim]]
    published: Mapping[str, Mapping[str, str]]
    notes: tuple[str, ...]
    draw: Callable[[Outcome, Path], Sequence[Figure]]
    full: Sizes
    quick: Sizes
    quick_conditions: tuple[str, ...]
    question: str = ""
    limits: tuple[str, ...] = ()
    headline: Measure = SUCCESS
    quick_claims: Callable[[Conditions], list[Claim]] | None = None

    def __post_init__(self) -> None:
        names = [condition.name for condition in self.conditions(self.defaults, self.full)]
        assert len(set(names)) == len(names), "a condition's name is its key"
        assert set(self.quick_conditions) <= set(names)
        assert {need for condition in self.conditions(self.defaults, self.full) for need in condition.needs} <= set(
            self.defaults
        )
        assert {sweep.name for sweep in self.sweeps} == set(self.defaults)

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(condition.name for condition in self.conditions(self.defaults, self.full))


@dataclass(frozen=True)
class Options:
    """What the user decides.

    Args:
        output_dir: everything is written below it.
        sizes: of the experiment.
        conditions: names, each of `Study.order`.
        data_root: existing data to use instead of making some; parent folder of target and source.
        jobs: stages side by side.
        mixed_precision: accelerate's, of every training.
        reuse: a file of kept rollouts; what it holds with the same settings is not made again.
        quick: the quick form, with its own promises.
    """

    output_dir: Path
    sizes: Sizes
    conditions: tuple[str, ...]
    data_root: Path | None = None
    jobs: int = 2
    mixed_precision: str = "no"
    reuse: Path | None = None
    quick: bool = False

    def __post_init__(self) -> None:
        if self.mixed_precision not in _PRECISIONS:
            raise ValueError(f"--mixed-precision {self.mixed_precision} must be one of {', '.join(_PRECISIONS)}.")
        if self.jobs < 1:
            raise ValueError(f"--jobs must be at least 1, got {self.jobs}.")


def options_for(
    study: Study,
    output_dir: Path,
    *,
    quick: bool = False,
    conditions: tuple[str, ...] | None = None,
    data_root: Path | None = None,
    jobs: int = 2,
    mixed_precision: str = "no",
    reuse: Path | None = None,
    **sizes: object,
) -> Options:
    """The options of a study: its full or quick sizes, with those given instead.

    Raises:
        ValueError: a condition is unknown, twice there, or lacks the one it is fine-tuned from; a size is out of range;
            or `data_root` holds nothing that is asked for.
    """
    chosen = conditions if conditions is not None else (study.quick_conditions if quick else study.order)
    known = {condition.name: condition for condition in study.conditions(study.defaults, study.full)}
    if not chosen or len(set(chosen)) != len(chosen) or any(name not in known for name in chosen):
        raise ValueError(f"--arms {','.join(chosen)}: name each once, of {', '.join(known)}.")
    for name in chosen:
        base = known[name].base
        if base is not None and base not in chosen:
            raise ValueError(f"--arms {','.join(chosen)}: {name} is fine-tuned from {base}; name that too.")
    pairs = {known[name].data for name in chosen}
    if data_root is not None and "" not in pairs:
        raise ValueError(
            f"--data-root {data_root}: {study.name} makes pairs of datasets for {', '.join(sorted(pairs))}, and this "
            "could be none of them; leave --data-root out."
        )
    given = {name: value for name, value in sizes.items() if value is not None}
    return Options(
        output_dir,
        replace(study.quick if quick else study.full, **given),  # type: ignore[arg-type]
        chosen,
        data_root,
        jobs,
        mixed_precision,
        reuse,
        quick,
    )


def _flag(name: str) -> str:
    return name.replace("_", "-")
