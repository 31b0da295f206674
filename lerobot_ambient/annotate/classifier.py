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

A shard is what a fold's model learnt and said, or its scores of every chunk of a data set. It is written at once and
found again by a name that hashes all it depends on, so a run that was killed repeats at most one shard per process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from tqdm import tqdm

from lerobot_ambient.annotate.calibration import Calibration, average_draws
from lerobot_ambient.annotate.chunk_set import ChunkSet
from lerobot_ambient.annotate.classifier_options import ClassifierOptions
from lerobot_ambient.annotate.crossfit import held_out, new_network, score_blocks, score_levels, train_fold
from lerobot_ambient.annotate.folds import GATHER, ChunkSample, compared_dims, draw_chunks, fold_of_chunks, frequencies
from lerobot_ambient.annotate.noisy_classifier import NoisyChunkClassifier
from lerobot_ambient.annotate.scores import ChunkScores, Floats, HeldOutLogits, Scores
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.array_store import ArrayStore, store_arrays

VERSION = 1
"""Raise it when the same chunks and options would give other scores."""

_PROBES = 64

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class WorkFolder:
    """Where shards are kept.

    Args:
        path: a folder, made when needed.
        identity: lines that change with the data, a mixture's `fingerprint`.
    """

    path: Path
    identity: Sequence[str]


class CrossFit:
    """The cross-fitted classifiers of a target and of sources that share its action dimensions, or lack the same ones.

    Args:
        target, sources: their chunks.
        positions: of the sources among all that are annotated.
        dims: (A,) bool, the dimensions compared.
        sigmas: (L,) levels.
        options: of the method.
        work: keeps shards; without it they stay in memory.
        device: to train and score on.
    """

    def __init__(
        self,
        target: ChunkSet,
        sources: Sequence[ChunkSet],
        positions: Sequence[int],
        dims: Tensor,
        sigmas: Floats,
        options: ClassifierOptions,
        *,
        work: WorkFolder | None,
        device: torch.device,
    ) -> None:
        self.data = [target, *sources]
        self.positions = list(positions)
        self.dims = dims
        self.sigmas = sigmas
        self.options = options
        self.device = device
        self.folds = [fold_of_chunks(chunks, options.folds, options.seed) for chunks in self.data]
        self._folder = None if work is None else work.path / self._key(work.identity)
        self._memory: dict[str, Arrays] = {}

    @cached_property
    def samples(self) -> list[ChunkSample]:
        """Chunks to train on, of the target and of each source."""
        limit, seed = max(self.options.train_chunks, self.options.score_chunks), self.options.seed
        return [
            draw_chunks(chunks, self.dims, fold, limit, seed)
            for chunks, fold in zip(self.data, self.folds, strict=True)
        ]

    @cached_property
    def judged(self) -> list[ChunkSample]:
        """Chunks whose held-out logits make the data-set curves."""
        return [sample.head(self.options.score_chunks) for sample in self.samples]

    def is_fitted(self, fold: int) -> bool:
        """Whether the fold's shard is there."""
        return self._has(f"fold-{fold}")

    def fit(self, fold: int, tick: Callable[[], object] = lambda: None) -> Arrays:
        """Train the fold's model, or find it: its weights, and its logits of held-out chunks."""
        return self._shard(f"fold-{fold}", lambda: self._fit(fold, tick))

    def forget_samples(self) -> None:
        """Free the chunks that were drawn; they are drawn again when needed."""
        for name in ("samples", "judged"):
            self.__dict__.pop(name, None)

    def scores(self, head: int) -> Scores:
        """The held-out logits of one of the sources, gathered over the folds."""
        return Scores(
            target_name=self.data[0].name,
            source_name=self.data[1 + head].name,
            sigmas=self.sigmas,
            target=self._gathered(0, f"target-{head}"),
            source=self._gathered(1 + head, f"source-{head}"),
            cross_fitted=self.options.folds > 1,
        )

    def score_every_chunk(
        self,
        head: int,
        calibration: Calibration,
        *,
        of_target: bool = False,
        part: int = 0,
        parts: int = 1,
        progress: bool = True,
    ) -> ChunkScores | None:
        """c of every chunk of a source, or of the target against that source.

        Args:
            head: the source.
            calibration: of its scores.
            of_target: score the target's chunks instead.
            part, parts: do every parts-th fold from `part` on, the share of one of several processes.
            progress: show a bar.

        Returns:
            Scores in the order of the data set, or None while other processes' folds are missing.
        """
        which = 0 if of_target else 1 + head
        digest = hashlib.sha256(np.concatenate([calibration.scale, calibration.shift]).tobytes()).hexdigest()[:12]
        # Without cross-fitting any model will do, and the first has them all.
        folds = range(self.options.folds)
        names = [f"every-{'target' if of_target else 'source'}-{head}-fold-{fold}-{digest}" for fold in folds]
        mine = [fold for fold in folds if fold % parts == part]
        total = sum(int((self.folds[which] == fold).sum()) for fold in mine)
        with tqdm(total=total, unit="chunk", desc=f"score {self.data[which].name}", disable=not progress) as bar:
            for fold in mine:
                index = np.flatnonzero(self.folds[which] == fold)
                missing = len(index)

                def make(fold: int = fold, index: NDArray[np.int64] = index) -> Arrays:
                    return self._score_chunks(which, head, fold, index, calibration, bar.update)

                before = bar.n
                self._shard(names[fold], make)
                bar.update(missing - (bar.n - before))
        if not all(self._has(name) for name in names):
            return None
        found = [self._shard(name, dict) for name in names]
        order = np.argsort(np.concatenate([shard["index"] for shard in found]), kind="stable")
        joined = {key: np.concatenate([shard[key] for shard in found])[order] for key in found[0]}
        return ChunkScores(
            joined["index"],
            self.data[which].episode,
            self.folds[which],
            joined["mean"],
            joined["standard_error"],
        )

    def _fit(self, fold: int, tick: Callable[[], object]) -> Arrays:
        target, *sources = self.samples
        network = train_fold(target, sources, fold, self.sigmas, self.options, self.device, tick)
        arrays = {
            "weights": parameters_to_vector(network.parameters()).detach().cpu().numpy(),
            "mean": network.mean.cpu().numpy(),
            "variance": network.variance.cpu().numpy(),
        }
        of_target = self._logits(network, self.judged[0], fold)
        for head in range(len(sources)):
            arrays[f"target-{head}"] = of_target[..., head]
            arrays[f"source-{head}"] = self._logits(network, self.judged[1 + head], fold)[..., head]
        return arrays

    def _logits(self, network: NoisyChunkClassifier, sample: ChunkSample, fold: int) -> NDArray[np.float32]:
        mine = held_out(sample, fold, self.options.folds)
        blocks = score_blocks(
            network, sample.x_0[torch.from_numpy(mine)], sample.index[mine], self.sigmas, self.options
        )
        empty = np.empty((0, len(self.sigmas), self.options.draws, len(self.data) - 1), np.float32)
        return np.concatenate([empty, *(block.cpu().numpy() for block in blocks)])

    def _score_chunks(
        self,
        which: int,
        head: int,
        fold: int,
        index: NDArray[np.int64],
        calibration: Calibration,
        tick: Callable[[int], object],
    ) -> Arrays:
        network = self._network(fold)
        means: list[NDArray[np.float32]] = [np.empty((0, len(self.sigmas)), np.float32)]
        errors: list[NDArray[np.float32]] = [np.empty((0, len(self.sigmas)), np.float32)]
        for some in np.split(index, range(GATHER, len(index), GATHER)):
            x_0 = frequencies(self.data[which].gather(torch.from_numpy(some))[0][:, :, self.dims]).flatten(1)
            for block in score_blocks(network, x_0, some, self.sigmas, self.options):
                mean, error = average_draws(calibration(block[..., head].cpu().numpy()))
                means.append(mean)
                errors.append(error)
                tick(len(mean))
        return {"index": index, "mean": np.concatenate(means), "standard_error": np.concatenate(errors)}

    def _network(self, fold: int) -> NoisyChunkClassifier:
        found = self.fit(fold)
        mean, variance = (torch.tensor(found[name]) for name in ("mean", "variance"))
        network = new_network(mean, variance, len(self.data) - 1, self.options, fold)
        vector_to_parameters(torch.tensor(found["weights"]), network.parameters())
        return network.to(self.device)

    def _gathered(self, which: int, name: str) -> HeldOutLogits:
        sample, folds = self.judged[which], range(self.options.folds)
        order = np.concatenate([held_out(sample, fold, self.options.folds) for fold in folds])
        model = np.concatenate([np.full(len(held_out(sample, fold, self.options.folds)), fold) for fold in folds])
        logits = np.concatenate([self.fit(fold)[name] for fold in folds])
        return HeldOutLogits(sample.index[order], sample.episode[order], model, logits)

    def _shard(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        if name in self._memory:
            return self._memory[name]
        if self._folder is None:
            self._memory[name] = make()
            return self._memory[name]
        if (self._folder / name).is_dir():
            return ArrayStore(self._folder / name)
        return store_arrays(self._folder / name, make())

    def _has(self, name: str) -> bool:
        return name in self._memory or (self._folder is not None and (self._folder / name).is_dir())

    def _key(self, identity: Sequence[str]) -> str:
        facts = {
            "version": VERSION,
            "identity": list(identity),
            "data": [[chunks.name, len(chunks), _digest(chunks)] for chunks in self.data],
            "dims": self.dims.tolist(),
            "sigmas": self.sigmas.tolist(),
            "options": asdict(self.options),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        names = ", ".join(chunks.name for chunks in self.data[1:])
        return f"CrossFit of {names} against {self.data[0].name}: {self.options.folds} folds, {len(self.sigmas)} levels"


def _digest(chunks: ChunkSet) -> str:
    """Of some of the chunks: the same recordings give others under another horizon or observation length."""
    some = torch.arange(len(chunks))[:: max(1, len(chunks) // _PROBES)]
    return hashlib.sha256(chunks.gather(some)[0].contiguous().numpy().tobytes()).hexdigest()


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
        groups.setdefault(tuple(compared_dims(target, source).tolist()), []).append(position)
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


def fit_shards(fits: Sequence[CrossFit], *, part: int = 0, parts: int = 1, progress: bool = True) -> None:
    """Train every parts-th fold from `part` on; folds that are there already are skipped."""
    shards = [(fit, fold) for fit in fits for fold in range(fit.options.folds)][part::parts]
    total = sum(fit.options.steps for fit, _ in shards)
    with tqdm(total=total, unit="step", desc="train", disable=not progress, mininterval=0.5) as bar:
        for done, (fit, fold) in enumerate(shards):
            fit.fit(fold, bar.update)
            bar.update(sum(fit.options.steps for fit, _ in shards[: done + 1]) - bar.n)
            if len(fits) > 1:
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
