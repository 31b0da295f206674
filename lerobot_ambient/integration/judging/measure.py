# SPDX-License-Identifier: Apache-2.0
"""What one checkpoint does on the judged episodes: its denoising errors, and its chunks beside the recorded motion.

Both are taken at the same frames and with the same noise for every checkpoint, so that their differences are paired.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_PREFIX
from numpy.typing import NDArray
from torch import Tensor

from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.integration.judging.checkpoint import Checkpoint, Loaded
from lerobot_ambient.integration.judging.episodes import Episodes, evenly

LEVELS = (0.05, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 0.98)
"""Of noise, at which chunks are denoised."""

_OF_THE_TARGET = (ACTION, f"{ACTION}_is_pad")

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        samples: chunks that are denoised, and chunks that are predicted, over all episodes together.
        batch_size: of the policy's calls.
        seed: of the noise.
        reach: frames from an observation to the end of the longest chunk among the checkpoints; all begin where it
            still fits.
    """

    samples: int = 256
    batch_size: int = 32
    seed: int = 0
    reach: int = 1

    def __post_init__(self) -> None:
        for name in ("samples", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}.")


@dataclass(frozen=True, eq=False)
class Denoising:
    """Energies of the denoising error.

    Args:
        energies: (E, L, K, A) sums over an episode's chunks, by level, band and dimension, in normalised units.
        chunks: (E,) how many chunks an episode has.
        bands: K of them.
        unit: (A,) what one normalised unit is in the target's units; 0 where the policy's rule is not linear.
    """

    energies: NDArray[np.float64]
    chunks: NDArray[np.int64]
    bands: Bands
    unit: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Chunks that the policy predicts from recorded observations, in the target's units.

    Args:
        chunks: (M, L, A); the first action is that of the observed frame.
        episode: (M,) position of the episode.
        frame: (M,) frame of the episode at which it was asked.
        action_steps: how many actions are executed before the next chunk.
    """

    chunks: NDArray[np.float64]
    episode: NDArray[np.int64]
    frame: NDArray[np.int64]
    action_steps: int


def measure_denoising(
    checkpoint: Checkpoint, loaded: Loaded, episodes: Episodes, effort: Effort, progress: Progress
) -> Denoising | str:
    """The denoising error of chunks at every level, or why the policy has none."""
    if checkpoint.why_no_denoising is not None:
        return checkpoint.why_no_denoising
    policy = loaded.policy
    rows, owner = _spread(episodes, effort.samples, effort.reach)
    bands = Bands(len(checkpoint.action_deltas), episodes.axes)
    energies = np.zeros((len(episodes.numbers), len(LEVELS), len(bands), episodes.actions.shape[1]))
    pieces = _pieces(len(rows), effort.batch_size)
    for number, piece in enumerate(pieces):
        batch = loaded.preprocess(episodes.batch(rows[piece]))
        for level, sigma in enumerate(LEVELS):
            levels = torch.full((len(rows[piece]),), sigma)
            try:
                error = policy.denoising_error(batch, levels, effort.seed + number * len(LEVELS) + level)
            except NotImplementedError as told:
                return str(told)
            of_chunk = bands.energies(error.double().cpu()).numpy()
            np.add.at(energies[:, level], owner[piece], of_chunk)
        progress(number + 1, len(pieces))
    chunks = np.bincount(owner, minlength=len(episodes.numbers))
    return Denoising(energies, chunks, bands, _unit_of(loaded, episodes))


def measure_predictions(
    checkpoint: Checkpoint, loaded: Loaded, episodes: Episodes, effort: Effort, progress: Progress
) -> Predictions | str:
    """The chunks that the policy predicts, in pairs that follow one another, or why it predicts none."""
    steps = checkpoint.action_steps
    rows, owner, frame = _in_pairs(episodes, effort.samples, steps)
    made: list[NDArray[np.float64]] = []
    pieces = _pieces(len(rows), effort.batch_size)
    cuda = [torch.device(checkpoint.config.device)] if str(checkpoint.config.device).startswith("cuda") else []
    with torch.no_grad(), torch.random.fork_rng(cuda):
        for number, piece in enumerate(pieces):
            batch = as_acting_sees(episodes.batch(rows[piece]), checkpoint.config.observation_delta_indices)
            torch.manual_seed(effort.seed + number)
            try:
                chunk = _predict(loaded, batch)
            except NotImplementedError:
                return f"{checkpoint.stock_type} predicts no chunks"
            made.append(chunk.double().cpu().numpy())
            progress(number + 1, len(pieces))
    return Predictions(np.concatenate(made), owner, frame, min(steps, made[0].shape[1]))


def _predict(loaded: Loaded, batch: dict[str, Any]) -> Tensor:
    """(B, L, A) in the target's units, each call from its own observations alone."""
    policy = loaded.policy
    policy.reset()
    # A preprocessor may put the key back, with nothing in it.
    batch = {key: one for key, one in loaded.preprocess(batch).items() if key not in _OF_THE_TARGET}
    _remember(policy, batch)
    chunk = policy.predict_action_chunk(batch)
    # One step at a time, as LeRobot's policy server: processors are made for (B, A).
    return torch.stack([loaded.postprocess(chunk[:, step]) for step in range(chunk.shape[1])], dim=1)


def as_acting_sees(batch: dict[str, Any], deltas: Sequence[int] | None) -> dict[str, Any]:
    """A training batch without what a policy that acts cannot have: the target's actions, and frames to come.

    Some policies learn to predict pictures, and their training batch holds those of the next steps.

    Args:
        batch: collated, observations (B, T, ...) where there are deltas.
        deltas: frame offsets of the observations.
    """
    kept = {key: one for key, one in batch.items() if key not in _OF_THE_TARGET}
    if deltas is None or max(deltas) <= 0:
        return kept
    past = [place for place, delta in enumerate(deltas) if delta <= 0]

    def known(one: Any) -> Any:
        # One observation comes without an axis of time, as a robot gives it.
        return one[:, past[0]] if len(past) == 1 else one[:, past]

    return {key: known(one) if key.startswith(OBS_PREFIX) else one for key, one in kept.items()}


def _remember(policy: Any, batch: dict[str, Any]) -> None:
    """Fill a policy's queues of observations from the batch's history, as so many steps of acting would.

    LeRobot's DiffusionPolicy takes a history from the batch where its queues are empty.
    """
    queues = getattr(policy, "_queues", None)
    if not isinstance(queues, dict) or hasattr(policy, "diffusion"):
        return
    if OBS_IMAGES in queues:
        batch[OBS_IMAGES] = torch.stack([batch[key] for key in policy.config.image_features], dim=-4)
    for key, queue in queues.items():
        past = getattr(policy.config, "observation_delta_indices", None)
        if key == ACTION or key not in batch or not isinstance(queue, deque) or past is None:
            continue
        queue.extend(batch[key][:, step] for step in range(len(past)))


def _unit_of(loaded: Loaded, episodes: Episodes) -> NDArray[np.float64]:
    """(A,) what one normalised unit of the denoised chunk is in the target's units; zeros where it is not one number.

    Both what normalises actions and what makes them relative to the state is affine, so three points tell.
    """
    dims, device = episodes.actions.shape[1], loaded.policy.config.device
    relative = getattr(getattr(loaded.policy, "diffusion", None), "relative", None)
    state = torch.zeros(1, dims, device=device)
    at = []
    for value in (0.0, 0.25, 0.5):
        chunk = torch.full((1, 1, dims), value, device=device)
        chunk = chunk if relative is None else relative.decode(chunk, state)
        at.append(loaded.postprocess(chunk[:, 0]).double().cpu())
    first, second = at[1] - at[0], at[2] - at[1]
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-6):
        return np.zeros(dims)
    return (4.0 * first).numpy()[0]


def _spread(episodes: Episodes, samples: int, reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows, episodes) of chunks, evenly over the episodes and within each, that end before the episode does."""
    chosen = evenly(samples, len(episodes.numbers))
    each = max(1, samples // len(chosen))
    rows, owner = [], []
    for place in chosen.tolist():
        start, length = int(episodes.spans[place, 0]), int(episodes.lengths[place])
        # Of an episode that is shorter than a chunk, from its beginning: its last action is repeated.
        found = evenly(each, max(1, length - max(reach, 1) + 1))
        rows.append(start + found)
        owner.append(np.full(len(found), place))
    return np.concatenate(rows), np.concatenate(owner)


def _in_pairs(
    episodes: Episodes, samples: int, steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(rows, episodes, frames) at which chunks are asked for: in pairs one chunk's executed length apart."""
    chosen = evenly(max(1, samples // 2), len(episodes.numbers))
    each = max(1, samples // (2 * len(chosen)))
    rows, owner, frames = [], [], []
    for place in chosen.tolist():
        start, length = int(episodes.spans[place, 0]), int(episodes.lengths[place])
        # The grid of an execution from the episode's beginning; the second chunk's first action is still recorded.
        grid = steps * evenly(each, max(1, (length - 1) // steps))
        found = np.unique(np.concatenate([grid, grid + steps]))
        found = found[found < length]
        rows.append(start + found)
        owner.append(np.full(len(found), place))
        frames.append(found)
    return np.concatenate(rows), np.concatenate(owner), np.concatenate(frames)


def _pieces(count: int, size: int) -> list[slice]:
    return [slice(at, min(at + size, count)) for at in range(0, count, size)]
