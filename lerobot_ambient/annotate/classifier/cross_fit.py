# SPDX-License-Identifier: Apache-2.0
"""The cross-fitted classifiers of a target and its sources, as shards that are made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from tqdm import tqdm

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet
from lerobot_ambient.annotate.chunks.cosines import cosine_transform
from lerobot_ambient.annotate.chunks.spread import spread_over_episodes
from lerobot_ambient.annotate.classifier.calibration import Calibration, average_draws
from lerobot_ambient.annotate.classifier.episode_scores import level_near
from lerobot_ambient.annotate.classifier.fold_training import held_out, new_network, score_blocks, train_fold
from lerobot_ambient.annotate.classifier.folds import (
    GATHER,
    ChunkSample,
    draw_chunks,
    drawn,
    fold_of_chunks,
)
from lerobot_ambient.annotate.classifier.held_out import ChunkScores, HeldOutLogits, Scores
from lerobot_ambient.annotate.classifier.network import NoisyChunkClassifier
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import Arrays, Shards, WorkFolder
from lerobot_ambient.core.arrays import Floats, Ints

_VERSION = 1
"""Raise it when the same chunks and options would give other scores."""

_PROBES = 64
_PIECE = 1 << 14
"""Chunks that are scored between two saves, and that processes share out."""


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
        self._shards = Shards(None if work is None else work.path / self._key(work.identity))

    @cached_property
    def samples(self) -> list[ChunkSample]:
        """Chunks to train on and to judge by, of the target and of each source."""
        return [
            draw_chunks(chunks, self.dims, fold, self._sample_size, self.options.seed)
            for chunks, fold in zip(self.data, self.folds, strict=True)
        ]

    @cached_property
    def judged(self) -> list[ChunkSample]:
        """Chunks whose held-out logits make the dataset curves."""
        return [sample.head(self.options.score_chunks) for sample in self.samples]

    @property
    def _sample_size(self) -> int:
        return max(self.options.train_chunks, self.options.score_chunks)

    def is_fitted(self, fold: int) -> bool:
        """Whether the fold's shard is there."""
        return self._shards.has(f"fold-{fold}")

    def fit(self, fold: int, tick: Callable[[], object] = lambda: None) -> Arrays:
        """Train the fold's model, or find it: its weights, and its logits of held-out chunks."""
        return self._shards.get(f"fold-{fold}", lambda: self._fit(fold, tick))

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

    def score_episodes(self, head: int, *, of_target: bool = False) -> tuple[int, NDArray[np.float32], Ints]:
        """Held-out logits of chunks spread over every episode, at one low level.

        Args:
            head: the source.
            of_target: score the target's episodes instead, as if they were of that source.

        Returns:
            The level among `sigmas`, logits (n, draws), and the episodes (n,) of the chunks.
        """
        which, level = 0 if of_target else 1 + head, level_near(self.sigmas)
        chunks = self.data[which]
        index = spread_over_episodes(chunks.episode, sources=len(self.data) - 1)

        def make() -> Arrays:
            logits = np.empty((len(index), self.options.draws), np.float32)
            folds = self.folds[which][index]
            for fold in np.unique(folds).tolist():
                network, rows = self._network(fold), np.flatnonzero(folds == fold)
                for some in np.split(rows, range(GATHER, len(rows), GATHER)):
                    x_0 = self._network_input(which, index[some])
                    blocks = score_blocks(network, x_0, index[some], self.sigmas[level : level + 1], self.options)
                    logits[some] = np.concatenate([block[:, 0, :, head].cpu().numpy() for block in blocks])
            return {"logits": logits}

        name = f"episodes-{'target' if of_target else 'source'}-{head}"
        return level, self._shards.get(name, make)["logits"], chunks.episode[index]

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
            part, parts: do every parts-th piece from `part` on, the share of one of several processes.
            progress: show a bar.

        Returns:
            Scores in the order of the dataset, 8 L bytes per chunk, mapped from disk where there is a work folder;
            None while other processes' pieces are missing.
        """
        which = 0 if of_target else 1 + head
        count = len(self.data[which])
        digest = hashlib.sha256(np.concatenate([calibration.scale, calibration.shift]).tobytes()).hexdigest()[:12]
        name = f"every-{'target' if of_target else 'source'}-{head}-{digest}"
        if not self._shards.has(name):
            starts = range(0, count, _PIECE)
            pieces = [f"{name}-from-{start}" for start in starts]
            mine = [
                (piece, start, min(start + _PIECE, count))
                for piece, start in zip(pieces[part::parts], starts[part::parts], strict=True)
            ]
            total = sum(stop - start for _, start, stop in mine)
            with tqdm(total=total, unit="chunk", desc=f"score {self.data[which].name}", disable=not progress) as bar:
                for piece, start, stop in mine:
                    if self._shards.has(piece):
                        bar.update(stop - start)
                    else:
                        make = partial(self._score_chunks, which, head, start, stop, calibration, bar.update)
                        self._shards.get(piece, make)
            if not all(map(self._shards.has, pieces)):
                return None
            self._shards.join(name, pieces, count)
        found = self._shards.get(name, dict)
        return ChunkScores(
            np.arange(count),
            self.data[which].episode,
            self.folds[which],
            found["mean"],
            found["standard_error"],
        )

    def _fit(self, fold: int, tick: Callable[[], object]) -> Arrays:
        target, *sources = (sample.head(self.options.train_chunks) for sample in self.samples)
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
        self, which: int, head: int, start: int, stop: int, calibration: Calibration, tick: Callable[[int], object]
    ) -> Arrays:
        folds = self.folds[which][start:stop]
        mean, error = (np.empty((stop - start, len(self.sigmas)), np.float32) for _ in range(2))
        for fold in np.unique(folds).tolist():
            # Without cross-fitting all chunks are of fold 0, whose model saw them.
            network, rows = self._network(fold), np.flatnonzero(folds == fold)
            for some in np.split(rows, range(GATHER, len(rows), GATHER)):
                index = start + some
                x_0 = self._network_input(which, index)
                done = 0
                for block in score_blocks(network, x_0, index, self.sigmas, self.options):
                    scored = some[done : done + len(block)]
                    mean[scored], error[scored] = average_draws(calibration(block[..., head].cpu().numpy()))
                    done += len(block)
                    tick(len(block))
        return {"mean": mean, "standard_error": error}

    def _network_input(self, which: int, index: Ints) -> Tensor:
        """(B, D) of chunks of one of the datasets at positions index (B,)."""
        x_0, _ = self.data[which].gather(torch.from_numpy(index))
        return cosine_transform(x_0[:, :, self.dims]).flatten(1)

    def _network(self, fold: int) -> NoisyChunkClassifier:
        found = self.fit(fold)
        mean, variance = (torch.tensor(found[name]) for name in ("mean", "variance"))
        network = new_network(mean, variance, len(self.data) - 1, self.options, fold)
        vector_to_parameters(torch.tensor(found["weights"]), network.parameters())
        return network.to(self.device)

    def _gathered(self, which: int, name: str) -> HeldOutLogits:
        index = drawn(len(self.data[which]), self._sample_size, self.options.seed)[: self.options.score_chunks]
        # As the shards of the folds lie one after the other.
        index = index[np.argsort(self.folds[which][index], kind="stable")]
        logits = np.concatenate([self.fit(fold)[name] for fold in range(self.options.folds)])
        return HeldOutLogits(index, self.data[which].episode[index], self.folds[which][index], logits)

    def _key(self, identity: Sequence[str]) -> str:
        facts = {
            "version": _VERSION,
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
