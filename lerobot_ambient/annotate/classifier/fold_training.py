# SPDX-License-Identifier: Apache-2.0
"""Training of one fold's classifier, and the logits it gives to chunks whose episodes it never saw.

Every draw is pure in the options' seed: a fold's batches come from a generator of its own, and the noise a chunk is
scored with belongs to the chunk, so that its score does not depend on what else is scored. The same noise is used at
all levels, which makes curves smooth, and with both signs, which cancels what is odd in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lerobot_ambient.annotate.classifier.folds import ChunkSample
from lerobot_ambient.annotate.classifier.network import NoisyChunkClassifier
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.core.draws import frame_noise
from lerobot_ambient.core.noise_levels import NoiseSchedule

_SCORE_BLOCK = 256
"""Chunks scored at once; with all their draws they still fit a core's cache."""
_MIN_ROWS = 64
_WARM_UP = 50
_WEIGHT_STREAM, _BATCH_STREAM, _NOISE_STREAM = 3, 4, 5


def score_levels(schedule: NoiseSchedule, count: int) -> NDArray[np.float64]:
    """(L,) at most `count` of the schedule's levels, its first and last among them, even in the angle arcsin sigma.

    Even steps of the angle are even steps of a cosine schedule; a schedule that hurries through its small levels still
    gets some of them.
    """
    angles = np.arcsin(np.minimum(schedule.sigmas.double().numpy(), 1.0))
    wanted = np.linspace(angles[0], angles[-1], min(count, len(angles)))
    return np.sin(angles[np.unique(np.abs(angles[:, None] - wanted).argmin(0))])


def new_network(
    mean: Tensor, variance: Tensor, sources: int, options: ClassifierOptions, fold: int
) -> NoisyChunkClassifier:
    """The untrained network of a fold, for chunks (D,) of that mean and variance."""
    return NoisyChunkClassifier(
        mean,
        variance,
        sources,
        width=options.width,
        blocks=options.blocks,
        dropout=options.dropout,
        generator=torch.Generator().manual_seed(_child(options.seed, _WEIGHT_STREAM, fold)),
    )


def train_fold(
    target: ChunkSample,
    sources: Sequence[ChunkSample],
    fold: int,
    sigmas: NDArray[np.float64],
    options: ClassifierOptions,
    device: torch.device,
    tick: Callable[[], object],
) -> NoisyChunkClassifier:
    """The classifier of all sources, trained on every episode outside `fold` (on all of them with one fold).

    Each step weighs target and source equally, for each source: the loss is the mean over sources of the balanced
    binary cross-entropy. Levels are stratified over the batch, even in the angle arcsin sigma.

    Args:
        target, sources: samples with their folds.
        fold: held out.
        sigmas: (L,), training covers their range.
        options: of training.
        device: to train on.
        tick: called after every step.
    """
    seen = [_outside(sample, fold, options.folds).to(device) for sample in (target, *sources)]
    network = new_network(*_moments(seen), len(sources), options, fold).to(device)
    sizes = [options.batch, *[max(options.batch // len(sources), min(options.batch, _MIN_ROWS))] * len(sources)]
    head = torch.arange(len(sources), device=device).repeat_interleave(sizes[1])
    low, high = math.asin(sigmas[0]), math.asin(min(sigmas[-1], 1.0))
    generator = torch.Generator(device).manual_seed(_child(options.seed, _BATCH_STREAM, fold))
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay)
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * _rate(step, options.steps)
        x_0 = torch.cat([_rows(x, size, generator) for x, size in zip(seen, sizes, strict=True)])
        angle = torch.cat([low + (high - low) * _strata(size, generator) for size in sizes])
        eps = torch.randn(x_0.shape, generator=generator, device=device)
        x = torch.cos(angle).unsqueeze(1) * x_0 + torch.sin(angle).unsqueeze(1) * eps
        logits = network(x, torch.sin(angle), generator)
        of_target, of_source = logits[: sizes[0]], logits[sizes[0] :].gather(1, head.unsqueeze(1))
        loss = (F.softplus(-of_target).mean() + F.softplus(of_source).mean()) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tick()
    return network


def held_out(sample: ChunkSample, fold: int, folds: int) -> NDArray[np.int64]:
    """Positions in the sample that the model of `fold` scores; its whole share of them with one fold."""
    return np.flatnonzero(sample.fold == fold) if folds > 1 else np.arange(len(sample))


@torch.no_grad()
def score_blocks(
    network: NoisyChunkClassifier,
    x_0: Tensor,
    index: NDArray[np.int64],
    sigmas: NDArray[np.float64],
    options: ClassifierOptions,
) -> Iterator[Tensor]:
    """Logits (B, L, draws, S) of consecutive blocks of chunks, on the network's device.

    Args:
        network: that scores.
        x_0: (n, D) chunks.
        index: (n,) their positions in the dataset, which determine their noise.
        sigmas: (L,) levels.
        options: number of draws and seed. Draws 2 i and 2 i + 1 are a pair (eps, -eps).
    """
    device = network.answer.weight.device
    seed = _child(options.seed, _NOISE_STREAM)
    pairs = options.draws // 2
    levels = torch.tensor(sigmas, dtype=torch.float32, device=device)
    alphas = torch.tensor(np.sqrt(np.maximum(1.0 - sigmas**2, 0.0)), dtype=torch.float32, device=device)
    for start in range(0, len(index), _SCORE_BLOCK):
        block = x_0[start : start + _SCORE_BLOCK].to(device)
        keys = torch.from_numpy(index[start : start + _SCORE_BLOCK]).to(device).unsqueeze(1)
        keys = (keys * pairs + torch.arange(pairs, device=device)).flatten()
        eps = frame_noise(keys, (block.shape[1],), seed=seed).reshape(len(block), pairs, 1, -1)
        noise = torch.cat([eps, -eps], dim=2).flatten(0, 2)
        clean = block.repeat_interleave(options.draws, dim=0)
        logits = [
            network(alphas[level] * clean + levels[level] * noise, levels[level : level + 1])
            for level in range(len(sigmas))
        ]
        yield torch.stack(logits, dim=1).reshape(len(block), options.draws, len(sigmas), -1).transpose(1, 2)


def _outside(sample: ChunkSample, fold: int, folds: int) -> Tensor:
    return sample.x_0[torch.from_numpy(sample.fold != fold)] if folds > 1 else sample.x_0


def _moments(seen: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(D,) mean and variance of the balanced mixture: half target, half sources in equal parts."""
    weights = [0.5, *[0.5 / (len(seen) - 1)] * (len(seen) - 1)]
    mean = torch.stack([w * x.mean(0) for w, x in zip(weights, seen, strict=True)]).sum(0)
    variance = torch.stack([w * ((x - mean) ** 2).mean(0) for w, x in zip(weights, seen, strict=True)]).sum(0)
    return mean.cpu(), variance.cpu()


def _rows(x: Tensor, size: int, generator: torch.Generator) -> Tensor:
    return x[torch.randint(len(x), (size,), generator=generator, device=x.device)]


def _strata(size: int, generator: torch.Generator) -> Tensor:
    """(size,) one uniform draw from each of `size` equal parts of [0, 1]."""
    device = generator.device
    return (torch.arange(size, device=device) + torch.rand(size, generator=generator, device=device)) / size


def _rate(step: int, steps: int) -> float:
    """Learning rate relative to its peak: a linear start, then half a cosine down to zero."""
    return min(1.0, (step + 1) / _WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def _child(seed: int, *stream: int) -> int:
    return int(np.random.SeedSequence([seed, *stream]).generate_state(1, np.uint32)[0])
