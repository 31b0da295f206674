# SPDX-License-Identifier: Apache-2.0
"""`annotate --method=heldout`: a map of each source, the window it leads to, and one more training that confirms it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks, chunks_of, length_option
from lerobot_ambient.annotate.classifier.shared_work import Processes, WorkFolder, lone_process
from lerobot_ambient.annotate.heldout.error_map import ErrorMap, MapRule
from lerobot_ambient.annotate.heldout.errors import POSITION, HeldOutErrors
from lerobot_ambient.annotate.heldout.evidence import LEAST_STEPS, HeldOutEvidence
from lerobot_ambient.annotate.heldout.scored_parts import scored_parts
from lerobot_ambient.annotate.heldout.verdict import doubtful_part, judge
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.declared.groups import MANY
from lerobot_ambient.data.files.replace_file import replace_file
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.integration.heldout.cross_fit import HeldOutCrossFit
from lerobot_ambient.integration.heldout.designs import Design, all_of, designs_of
from lerobot_ambient.integration.heldout.stand_in import DENOISERS, chosen_denoiser
from lerobot_ambient.integration.heldout.training import FitOptions, Trainer
from lerobot_ambient.integration.training.configured_mixture import mixture_without_windows
from lerobot_ambient.policy.options.train_config import TrainConfig

logger = logging.getLogger(__name__)

LEVELS = (0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 1.0)
"""Where errors are measured, by default; the nearest of the policy's levels are taken."""
_MOST_STEPS = 4000
_TIMED, _WARM = 30, 10
_BATCH = 128
_GROUPINGS = ("source", "group")
_FOR_STEPS = 0.85
"""Part of a budget that goes into steps; the rest opens data and judges."""


@dataclass(frozen=True)
class HeldOutMethod:
    """How a map is made.

    Args:
        denoiser: one of `DENOISERS`.
        shares: of the target beside a source, in (0, 1); each is a design.
        folds: of target episodes, at least 2.
        minutes: that all trainings may take together; their steps follow from it, unless `steps` says them.
        steps: of each training.
        rule: by which windows are read.
        column: of a score, by which each source is divided into parts that are judged for themselves; None for none.
        bins: parts of a score with more values.
        group_by: "source" or "group": whether sources of a group (`OpenedDataset.group`) are judged together. By group
            with more than 12 sources when None.
        seed: of all that is random.
        work: folder of the shards.

    Raises:
        ValueError: a value out of range.
    """

    denoiser: str = "auto"
    shares: tuple[float, ...] = (0.5, 0.9)
    folds: int = 5
    minutes: float = 15.0
    steps: int | None = None
    rule: MapRule = field(default_factory=MapRule)
    column: str | None = None
    bins: int = 3
    group_by: str | None = None
    seed: int = 0
    work: Path = Path("outputs/annotate")

    def __post_init__(self) -> None:
        if self.denoiser not in DENOISERS:
            raise ValueError(f"there is no denoiser '{self.denoiser}'; choose from {', '.join(DENOISERS)}.")
        if not self.shares or any(not 0.0 < share < 1.0 for share in self.shares):
            raise ValueError(f"shares = {list(self.shares)} must be numbers in (0, 1), the target's share of a level.")
        if len(set(self.shares)) < len(self.shares):
            raise ValueError(f"shares = {list(self.shares)} name one share twice.")
        if self.folds < 2:
            raise ValueError(f"folds = {self.folds} must be at least 2: no chunk is judged by a model that saw it.")
        if not self.minutes > 0:
            raise ValueError(f"budget = {self.minutes} must be a positive number of minutes.")
        if self.bins < 2:
            raise ValueError(f"bins = {self.bins} must be at least 2: a score divides a source into parts.")
        if self.group_by not in (None, *_GROUPINGS):
            raise ValueError(f"group_by must be one of {', '.join(_GROUPINGS)}; got '{self.group_by}'.")
        if self.group_by == "group" and self.column is not None:
            raise ValueError("a score divides each source, and group_by='group' joins them; choose one.")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps = {self.steps} must be at least 1.")


def held_out_evidence(
    cfg: TrainConfig,
    opened: AssembledMixture,
    *,
    seed: int,
    progress: bool,
    tolerance: float | None = None,
    **options: Any,
) -> list[HeldOutEvidence]:
    """`annotate_held_out` for a notebook, in this process alone.

    Args:
        cfg: of a training.
        opened: its datasets, see `annotate_held_out`.
        seed: of all that is random.
        progress: show bars.
        tolerance: of the rule.
        options: of `HeldOutMethod`; `work_dir` and `device` beside.

    Raises:
        ValueError: a value that does not fit, or several processes.
    """
    processes = lone_process(options.pop("device", None))
    rule = MapRule() if tolerance is None else MapRule(tolerance)
    if "work_dir" in options:
        options["work"] = Path(options.pop("work_dir"))
    if "shares" in options:
        options["shares"] = tuple(options["shares"])
    method = HeldOutMethod(rule=rule, seed=seed, **options)
    return annotate_held_out(cfg, method, processes, opened=opened, progress=progress)


def annotate_held_out(
    cfg: TrainConfig,
    method: HeldOutMethod,
    processes: Processes,
    *,
    opened: AssembledMixture | None = None,
    progress: bool = True,
    make_trainer: Callable[..., Trainer] = Trainer,
) -> list[HeldOutEvidence]:
    """The evidence on each source, or each part of one, in their order; in processes other than the main one nothing.

    Args:
        cfg: of a training; its windows and mixing are ignored.
        method: how.
        processes: that share the trainings.
        opened: the mixture of `cfg` without windows, where the caller has it; None opens it.
        progress: show bars, in the main process.
        make_trainer: `Trainer`, or one that looks at more than the method does.

    Raises:
        ValueError: too few target episodes, or a policy whose error at a noise level cannot be read.
    """
    cfg = deepcopy(cfg)
    opened = mixture_without_windows(cfg) if opened is None else opened
    denoiser = chosen_denoiser(cfg.policy, method.denoiser, opened.meta.features)
    option = length_option(cfg.policy)
    cfg.policy = denoiser.config
    mixture = opened if denoiser.is_own else mixture_without_windows(cfg)
    chunks = chunks_of(mixture, length_option=option)
    _require_episodes(chunks[0], method.folds)
    trainer = make_trainer(denoiser.config, mixture, processes.device)
    work = WorkFolder(method.work, mixture.fingerprint)
    parts, dataset = _parts(mixture, chunks, method)
    units = _units(mixture, len(parts) - 1, method)
    # With many units all but one are hardly different from all of them.
    designs = designs_of(units, method.shares, alone=method.column is not None or len(units) > MANY)
    fits = HeldOutCrossFit(
        trainer=trainer,
        chunks=chunks,
        parts=parts,
        dataset=dataset,
        sigmas=_levels(mixture.plan.schedule),
        folds=method.folds,
        options=FitOptions(
            steps=1,
            # A large policy takes as many samples as its training does.
            batch=cfg.batch_size if method.denoiser == "policy" else _BATCH,
            seed=method.seed,
        ),
        work=work,
    )
    if method.steps is not None and method.steps < LEAST_STEPS:
        logger.warning(
            "--steps=%d: denoisers are trained for %d steps at least where --budget sets them. Those that have hardly "
            "learnt err alike with any source, so believe nothing that they say of one.",
            *(method.steps, LEAST_STEPS),
        )
    # Each unit may take one more design, which confirms its window.
    steps = method.steps or _steps_within(fits, method, len(designs) + len(units), processes)
    fits = replace(fits, options=replace(fits.options, steps=steps))
    fits.run(designs, processes, progress=progress)
    errors = fits.errors(designs)
    # Every process reads the same map, so that all train the designs that confirm it.
    chosen = [_chosen(errors, unit, method) for unit in units]
    confirming = [_confirming(unit, one) for unit, one in zip(units, chosen, strict=True)]
    more = [design for design in confirming if design is not None]
    if more:
        fits.run(more, processes, progress=progress)
        errors = fits.errors([*designs, *more])
    if not processes.is_main:
        return []
    found: dict[int, HeldOutEvidence] = {}
    for unit, one, confirms in zip(units, chosen, confirming, strict=True):
        design, read, safe, estimate, doubtful = one
        confirmed = None
        if confirms is not None:
            confirmed = ErrorMap(errors.ratio(confirms.key), method.rule, errors.bands.names)
        elif safe.is_everything:
            confirmed = read
        adds = None if method.column is not None else _adds(errors, design, unit, units, method.rule)
        for part in unit:
            found[part] = HeldOutEvidence(
                source=parts[part].name,
                denoiser=denoiser.told,
                share=design.alpha,
                steps=steps,
                errors=errors,
                design=design.key,
                confirming=None if confirms is None else confirms.key,
                read=read,
                confirmed=confirmed,
                safe=safe,
                estimate=estimate,
                verdict=judge(read, safe, confirmed, doubtful=doubtful, shares=len(method.shares)),
                dataset=dataset[part],
                rows=None if method.column is None else parts[part].rows.numpy(),
                adds=adds,
                group=None if len(unit) == 1 else mixture.sources[dataset[part]].group,
                together=len(unit),
            )
    return [found[part] for part in sorted(found)]


def _units(mixture: AssembledMixture, number: int, method: HeldOutMethod) -> list[tuple[int, ...]]:
    """The places of what is judged together: of each part, or of the sources of each group."""
    by_group = method.group_by == "group" or (method.group_by is None and number > MANY)
    if method.column is not None or not by_group:
        return [(place,) for place in range(1, number + 1)]
    groups: dict[str, list[int]] = {}
    for place, source in enumerate(mixture.sources[1:], start=1):
        groups.setdefault(source.group, []).append(place)
    return [tuple(places) for places in groups.values()]


def _parts(
    mixture: AssembledMixture, chunks: Sequence[Chunks], method: HeldOutMethod
) -> tuple[list[Chunks], list[int]]:
    """What takes part for itself, the target first, and the dataset of each."""
    if method.column is None:
        return list(chunks), list(range(len(chunks)))
    parts, dataset = [chunks[0]], [0]
    for place in range(1, len(chunks)):
        made = scored_parts(mixture, place, chunks[place], method.column, method.bins)
        parts += made
        dataset += [place] * len(made)
    return parts, dataset


class _Chosen(NamedTuple):
    """The design of one part that is read, its map, both windows, and whether these are a `doubtful_part`."""

    design: Design
    read: ErrorMap
    safe: Window
    estimate: Window
    doubtful: bool


def _chosen(errors: HeldOutErrors, unit: tuple[int, ...], method: HeldOutMethod) -> _Chosen:
    """The share at which a source, or a group of them, does best, its map, and both windows."""
    best: tuple[float, _Chosen] | None = None
    for share in method.shares:
        design = Design(unit, share)
        read = ErrorMap(errors.ratio(design.key), method.rule, errors.bands.names)
        safe, estimate = read.window(safe=True), read.window(safe=False)
        if (part := doubtful_part(read, safe=True)) is not None:
            safe, estimate = part, doubtful_part(read, safe=False) or estimate
        # What the window leaves of the source's effect: its levels as measured, the others as without it.
        gain = float(np.where(_open(read, safe), read.ratio.log[:, POSITION], 0.0).mean())
        if best is None or gain < best[0]:
            best = gain, _Chosen(design, read, safe, estimate, part is not None)
    assert best is not None
    return best[1]


def _open(read: ErrorMap, window: Window) -> np.ndarray:
    return window.admits(torch.from_numpy(read.sigmas)).numpy()


def _confirming(unit: tuple[int, ...], chosen: _Chosen) -> Design | None:
    """One more training with the window that was chosen; None where there is none, or it is everything."""
    if chosen.safe.is_nothing or chosen.safe.is_everything:
        return None
    return Design(unit, chosen.design.alpha, (chosen.safe,) * len(unit))


def _adds(
    errors: HeldOutErrors, design: Design, unit: tuple[int, ...], units: Sequence[tuple[int, ...]], rule: MapRule
) -> ErrorMap | None:
    """What a unit adds to the others: with all against all but it; None where it is the only one, or they are many."""
    if not 1 < len(units) <= MANY:
        return None
    rest = Design(all_of(units, but=unit), design.alpha)
    return ErrorMap(errors.ratio(Design(all_of(units), design.alpha).key, rest.key), rule, errors.bands.names)


def _levels(schedule: NoiseSchedule) -> Floats:
    sigmas = schedule.sigmas.numpy()
    return sigmas[np.unique(np.abs(sigmas[:, None] - np.array(LEVELS)).argmin(0))]


def _require_episodes(target: Chunks, folds: int) -> None:
    count = len(np.unique(target.episode))
    if count < folds:
        raise ValueError(
            f"'{target.name}' has {count} episodes, too few for {folds} folds: every episode is judged by denoisers "
            f"that never saw it. Record more, or use --folds={max(count, 2)}."
        )


def _steps_within(fits: HeldOutCrossFit, method: HeldOutMethod, designs: int, processes: Processes) -> int:
    """Steps of a training such that all of them take no longer than they may, remembered in the work folder.

    A run that goes on after a kill has to train the others as long as those that are there.
    """
    trainings = designs * method.folds
    file = fits.work.path / f"{fits.budget_name(method.minutes, processes.world)}.json"
    if processes.is_main and not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        started = []
        fits.time_steps(_WARM + _TIMED, lambda: started.append(time.perf_counter()))
        seconds = (started[-1] - started[_WARM - 1]) / _TIMED
        fitting = _FOR_STEPS * 60.0 * method.minutes * processes.world / (trainings * seconds)
        steps = int(np.clip(fitting // 100 * 100, LEAST_STEPS, _MOST_STEPS))
        if fitting < LEAST_STEPS:
            logger.warning(
                "%d trainings of the least %d steps take about %.0f minutes, more than the budget of %g; fewer "
                "--shares or --folds, or a smaller denoiser, are quicker.",
                *(trainings, LEAST_STEPS, trainings * LEAST_STEPS * seconds / 60 / processes.world, method.minutes),
            )
        replace_file(file, json.dumps({"steps": steps, "seconds_a_step": seconds}).encode())
    processes.wait()
    return int(json.loads(file.read_text(encoding="utf-8"))["steps"])
