# SPDX-License-Identifier: Apache-2.0
"""Predicted chunks beside the recorded motion: how far off, how jerky, and how they join.

Symbols
    p_j, a_j    predicted and recorded action j steps after the observation, divided by the dimension's standard
                deviation over the judged episodes
    L           steps that are compared
    n           executed actions of a chunk
    jerk        the third difference of neighbouring actions
    seam        where chunk c ends, after its first n actions, and the next one c' begins: the jump p'_0 - p_{n-1},
                beside the recorded step a_n - a_{n-1}

A recorded motion is one of several right ones. So an error against it is no fault by itself; jerk, spectrum and seams
are compared with the recording's own and need no such assumption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.integration.judging.episodes import Episodes
from lerobot_ambient.integration.judging.measure import Predictions

Floats = NDArray[np.float64]
_LEAST = 4  # Steps of a third difference.


@dataclass(frozen=True, eq=False)
class Motion:
    """Sums over each episode's chunks, of squares averaged over the action's dimensions.

    Args:
        bands: K of them, of the L steps.
        error, counts: (E, L) squared errors, and the actions that were compared, by step.
        chunks: (E,) whole chunks, which the following are of.
        band_error, band_predicted, band_recorded: (E, K) energies over L, so that the bands add up to a mean square.
        jerk_predicted, jerk_recorded: (E,) squared third differences; zeros below four steps.
        jumps, steps, seams: (E,) squared jumps at seams, squared recorded steps there, and how many there are.
    """

    bands: Bands
    error: Floats
    counts: Floats
    chunks: Floats
    band_error: Floats
    band_predicted: Floats
    band_recorded: Floats
    jerk_predicted: Floats
    jerk_recorded: Floats
    jumps: Floats
    steps: Floats
    seams: Floats


def compared_steps(predictions: Predictions, episodes: Episodes) -> int:
    """L: the chunk's length, or less where most episodes are shorter."""
    return max(1, min(predictions.chunks.shape[1], int(np.median(episodes.lengths))))


def motion_of(predictions: Predictions, episodes: Episodes, steps: int) -> Motion:
    """Compare the first `steps` actions of every chunk with what was recorded."""
    count = len(episodes.numbers)
    starts, lengths = episodes.spans[predictions.episode, 0], episodes.lengths[predictions.episode]
    scaled = episodes.actions / episodes.scale
    at = predictions.frame[:, None] + np.arange(steps)
    there: NDArray[Any] = np.less(at, lengths[:, None])
    recorded = scaled[starts[:, None] + np.minimum(at, lengths[:, None] - 1)]
    predicted = predictions.chunks[:, :steps] / episodes.scale
    squared: Floats = np.asarray(((predicted - recorded) ** 2).mean(-1)) * there
    whole: NDArray[Any] = np.asarray(there.all(1))
    owner = predictions.episode

    def by_episode(values: Floats, of: NDArray[np.int64] = owner) -> Floats:
        sums = np.zeros((count, *values.shape[1:]))
        np.add.at(sums, of, values)
        return sums

    bands = Bands(steps, episodes.axes)

    def energies(chunks: Floats) -> Floats:
        found: Floats = bands.energies(torch.from_numpy(np.ascontiguousarray(chunks))).mean(-1).numpy() / steps
        return by_episode(found * whole[:, None])

    def jerk(chunks: Floats) -> Floats:
        if steps < _LEAST:
            return np.zeros(count)
        third: Floats = np.square(np.diff(chunks, 3, axis=1)).mean((1, 2))
        return by_episode(third * whole)

    jumps, own, joined = _seams(predictions, scaled, episodes)
    return Motion(
        bands=bands,
        error=by_episode(squared),
        counts=by_episode(there.astype(np.float64)),
        chunks=by_episode(whole.astype(np.float64)),
        band_error=energies(predicted - recorded),
        band_predicted=energies(predicted),
        band_recorded=energies(recorded),
        jerk_predicted=jerk(predicted),
        jerk_recorded=jerk(recorded),
        jumps=by_episode(jumps, joined),
        steps=by_episode(own, joined),
        seams=np.bincount(joined, minlength=count).astype(np.float64),
    )


def _seams(predictions: Predictions, scaled: Floats, episodes: Episodes) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Squared jump and squared recorded step of each seam, and the episode that it lies in."""
    executed = predictions.action_steps
    chunks = predictions.chunks / episodes.scale
    place = {
        key: index
        for index, key in enumerate(zip(predictions.episode.tolist(), predictions.frame.tolist(), strict=True))
    }
    jumps, steps, owner = [], [], []
    for (episode, frame), index in place.items():
        following = place.get((episode, frame + executed))
        if following is None:
            continue
        row = int(episodes.spans[episode, 0]) + frame + executed
        jumps.append(float(((chunks[following, 0] - chunks[index, executed - 1]) ** 2).mean()))
        steps.append(float(((scaled[row] - scaled[row - 1]) ** 2).mean()))
        owner.append(episode)
    return np.array(jumps), np.array(steps), np.array(owner, dtype=np.int64)
