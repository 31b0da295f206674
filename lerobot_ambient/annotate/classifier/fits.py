# SPDX-License-Identifier: Apache-2.0
"""The classifier method from chunks to held-out scores: one training per fold for all sources, in resumable shards.

    work = WorkFolder(path, mixture.fingerprint)
    fits = cross_fits(target, sources, schedule, options, work=work)
    fit_shards(fits)                        # hours or seconds; fit_shards(fits, part=rank, parts=world) shares it out
    scores = collect(fits)                  # per source, held-out logits of a sample of chunks
    calibration = calibrate(scores[0])
    curve = data_set_curve(scores[0], calibration)
    low, high = sigma_min_interval(curve)
    fit, head = find(fits, 0)
    chunks = fit.score_every_chunk(head, calibration)    # for windows per bucket or per data point

A shard is what a fold's model learnt and said, or scores of a stretch of a dataset's chunks. It is written at once and
found again by a name that hashes data and options, so a run that was killed repeats at most one shard per process. The
device is not in it: what a GPU learnt is used on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from tqdm import tqdm

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet, shared_dims
from lerobot_ambient.annotate.classifier.cross_fit import CrossFit
from lerobot_ambient.annotate.classifier.fold_training import score_levels
from lerobot_ambient.annotate.classifier.held_out import Scores
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import WorkFolder
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.noise_levels import NoiseSchedule


def cross_fits(
    target: ChunkSet,
    sources: Sequence[ChunkSet],
    schedule: NoiseSchedule,
    options: ClassifierOptions,
    *,
    sigmas: Floats | None = None,
    work: WorkFolder | None = None,
    device: torch.device | str = "cpu",
) -> list[CrossFit]:
    """The trainings needed: one for all sources, or one per set of dimensions that sources share with the target.

    Args:
        target, sources: chunks of one mixture.
        schedule: of the policy.
        options: of the method.
        sigmas: (L,) levels to train and score on; by default `options.levels` of the schedule's.
        work: keeps shards; without it they stay in memory.
        device: to train and score on.

    Raises:
        ValueError: no source, too few episodes for the folds, chunks that cannot be compared.
    """
    if not sources:
        raise ValueError("there is no source to compare with the target.")
    groups: dict[tuple[bool, ...], list[int]] = {}
    for position, source in enumerate(sources):
        groups.setdefault(tuple(shared_dims(target, source).tolist()), []).append(position)
    _require_episodes([target, *sources], options.folds)
    sigmas = score_levels(schedule, options.levels) if sigmas is None else sigmas
    return [
        CrossFit(
            target,
            [sources[position] for position in positions],
            positions,
            torch.tensor(dims),
            sigmas,
            options,
            work=work,
            device=torch.device(device),
        )
        for dims, positions in groups.items()
    ]


def _require_episodes(data: Sequence[ChunkSet], folds: int) -> None:
    """Name all datasets with too few episodes at once; `fold_of_chunks` refuses one.

    Raises:
        ValueError: several have fewer episodes than folds.
    """
    few = {chunks.name: count for chunks in data if (count := len(np.unique(chunks.episode))) < folds}
    if len(few) > 1:
        named = ", ".join(f"'{name}' ({count})" for name, count in few.items())
        raise ValueError(
            f"{len(few)} datasets have fewer episodes than the {folds} folds, of which each is scored by a model that "
            f"never saw it: {named}. Use --folds={max(2, min(few.values()))}, or leave out "
            "those with the fewest."
        )


def fit_shards(fits: Sequence[CrossFit], *, part: int = 0, parts: int = 1, progress: bool = True) -> None:
    """Train every parts-th fold from `part` on; folds that are there already are skipped."""
    shards = [(fit, fold) for fit in fits for fold in range(fit.options.folds)][part::parts]
    total = sum(fit.options.steps for fit, _ in shards)
    with tqdm(total=total, unit="step", desc="train", disable=not progress, mininterval=0.5) as bar:
        for done, (fit, fold) in enumerate(shards):
            fit.fit(fold, bar.update)
            bar.update(sum(fit.options.steps for fit, _ in shards[: done + 1]) - bar.n)
            if done + 1 == len(shards) or shards[done + 1][0] is not fit:
                # Crops of every length and place would be held at once.
                fit.forget_samples()


def collect(fits: Sequence[CrossFit]) -> list[Scores]:
    """Scores per source, in the order the sources were given; folds still missing are trained here."""
    found = {position: fit.scores(head) for fit in fits for head, position in enumerate(fit.positions)}
    return [found[position] for position in sorted(found)]


def find(fits: Sequence[CrossFit], source: int) -> tuple[CrossFit, int]:
    """The training that serves a source, and the source's place in it."""
    return next((fit, fit.positions.index(source)) for fit in fits if source in fit.positions)


def annotate_classifier(
    target: ChunkSet,
    sources: Sequence[ChunkSet],
    schedule: NoiseSchedule,
    options: ClassifierOptions,
    *,
    work: WorkFolder | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> list[Scores]:
    """Train and score in this process: held-out scores of each source."""
    fits = cross_fits(target, sources, schedule, options, work=work, device=device)
    fit_shards(fits, progress=progress)
    return collect(fits)
