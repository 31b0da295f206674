# SPDX-License-Identifier: Apache-2.0
"""From held-out logits to probabilities: how far they may be trusted.

Symbols
    c       sigmoid(g l + b), per noise level; g >= 0 the scale, b the shift
    A       E_target[c] - E_source[c] over held-out chunks: how far they differ; p = (1 - A) / 2 if c is centred
    f*, e   the true logit, and the estimation error of a held-out logit l = f* + e
    a       slope of the logistic regression of the labels on held-out logits, a = 1 for calibrated ones

Of a perfect classifier E_source[c] = (1 - A) / 2, since c averages to 1/2 over the balanced mixture. Three things keep
a trained one from that, and each has its remedy here.

Prior. A shift of all logits moves E_source[c] but tells nothing: b is set so that E_target[c] + E_source[c] = 1.

Underconfidence. Short training and weight decay leave logits too small: a > 1, and they are multiplied by a.

Over-confidence. Fitted to 50 episodes, l = f* + e with an e that is independent of the held-out chunks. Softening the
logits by a < 1, as calibration does, gives the best guess for a single chunk, but a biased A: near the threshold c is
nearly linear, A is proportional to E_target[l] - E_source[l], and e does not enter its mean. Softening by
a = E[f*^2] / (E[f*^2] + E[e^2]) would shrink A by that factor (regression dilution) and find sigma_min too low. So
logits are not softened for being over-confident. But where there is nothing to find (f* = 0), A is pure noise of e. It
is told from a signal by its standard error s between episodes: g carries the factor max(0, 1 - (2 s / A)^4), which is 0
below two standard errors and 0.94 at four. Without evidence that two datasets differ, c = 1/2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.classifier.held_out import (
    ChunkScores,
    HeldOutLogits,
    Scores,
    episode_mean,
    sigmoid,
    widening,
)
from lerobot_ambient.core.arrays import Floats

_RIDGE = 1e-3
"""Keeps the slope finite where labels are separated."""
_ITERATIONS = 50
_ERRORS = 2.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """c = sigmoid(scale l + shift) per level.

    Args:
        scale, shift: (L,).
        slope: (L,) a of the raw logits; below 1 they are over-confident.
        evidence: (L,) in [0, 1], the factor in `scale` that is 0 where the separation may be an accident.
    """

    scale: Floats
    shift: Floats
    slope: Floats
    evidence: Floats

    def __call__(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """c of logits (n, L, draws), of the same shape."""
        scale, shift = (v.astype(np.float32)[:, None] for v in (self.scale, self.shift))
        return sigmoid(scale * logits + shift).astype(np.float32, copy=False)


def calibrate(scores: Scores) -> Calibration:
    """The calibration of a pair of datasets, per level."""
    taken = calibrate_as_seen(scores)
    evidence = _evidence(scores, taken)
    scale = evidence * taken.scale
    return Calibration(scale, centring_shift(scores, scale), taken.slope, evidence)


def calibrate_as_seen(scores: Scores) -> Calibration:
    """The calibration that takes every separation for real; bands and intervals are about its p."""
    target, source = scores.target.logits, scores.source.logits
    slope = np.array([_slope(target[:, level], source[:, level]) for level in range(len(scores.sigmas))])
    scale = np.maximum(slope, 1.0)
    return Calibration(scale, centring_shift(scores, scale), slope, np.ones_like(scale))


def centring_shift(scores: Scores, scale: Floats) -> Floats:
    """(L,) the b with E_target[c] + E_source[c] = 1, by bisection: the sum grows with b."""
    target, source = scores.target.logits, scores.source.logits
    shift = np.empty(len(scale))
    for level, g in enumerate(scale):
        l_p, l_q = (g * logits[:, level].astype(np.float64) for logits in (target, source))
        bound = 1.0 + max(np.abs(l_p).max(), np.abs(l_q).max())
        low, high = -bound, bound
        for _ in range(_ITERATIONS):
            b = (low + high) / 2
            if sigmoid(l_p + b).mean() + sigmoid(l_q + b).mean() > 1.0:
                high = b
            else:
                low = b
        shift[level] = (low + high) / 2
    return shift


def chunk_scores(held_out: HeldOutLogits, calibration: Calibration) -> ChunkScores:
    """The mean over noise draws of c, per chunk, with the standard error of that mean."""
    mean, error = average_draws(calibration(held_out.logits))
    return ChunkScores(held_out.index, held_out.episode, held_out.fold, mean, error)


def average_draws(c: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean (n, L) and its standard error (n, L) of c (n, L, draws), whose draws come in pairs."""
    pairs = c.reshape(*c.shape[:2], -1, 2).mean(-1)
    return pairs.mean(-1), pairs.std(-1, ddof=1) / np.float32(np.sqrt(pairs.shape[-1]))


def _evidence(scores: Scores, calibration: Calibration) -> Floats:
    """(L,) in [0, 1), how much of each level's separation is no accident of the episodes drawn."""
    target, source = (
        episode_mean(chunk_scores(part, calibration).mean, part.episode) for part in (scores.target, scores.source)
    )
    apart = target.mean - source.mean
    freedom = min(target.episodes, source.episodes) - 1
    noise = _ERRORS * widening(freedom, _ERRORS) * np.sqrt(target.variance + source.variance)
    return np.where(apart > noise, 1.0 - (noise / np.maximum(apart, 1e-12)) ** 4, 0.0)


def _slope(target: NDArray[np.float32], source: NDArray[np.float32]) -> float:
    """a >= 0 of the balanced logistic regression of labels on logits, with an intercept; Newton's method."""
    parts = [(logits.astype(np.float64).ravel(), label) for logits, label in ((target, 1.0), (source, 0.0))]
    a, b = 1.0, 0.0
    for _ in range(_ITERATIONS):
        gradient, hessian = np.array([_RIDGE * (a - 1.0), 0.0]), np.diag([_RIDGE, 1e-9])
        for logits, label in parts:
            c = sigmoid(a * logits + b)
            residual, weight = c - label, c * (1.0 - c)
            gradient += np.array([(residual * logits).mean(), residual.mean()]) / 2
            cross = (weight * logits).mean() / 2
            hessian += np.array([[(weight * logits**2).mean() / 2, cross], [cross, weight.mean() / 2]])
        step = np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
        a, b = max(a - step[0], 0.0), b - step[1]
        if np.abs(step).max() < 1e-4:
            break
    return float(a)
