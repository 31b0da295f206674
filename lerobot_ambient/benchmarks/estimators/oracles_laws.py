# SPDX-License-Identifier: Apache-2.0
"""Laws of chunks whose windows are known exactly, and draws from them.

Symbols
    p, q     laws of target and source chunks x_0 in R^D, D = H A;  p_sigma, q_sigma those of x_sigma
    Delta    (1/2) integral of (p_sigma - q_sigma)^2 / (p_sigma + q_sigma);  p(sigma) = (1 - Delta) / 2
    d_TV     (1/2) integral of |p_sigma - q_sigma|

A pair of mixtures: both laws are two equal Gaussians of one isotropic covariance whose means lie on one line through
the origin, the source's moved along it. Across the line the laws agree, so both integrals are over the line alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.core.arrays import Floats

_MODES = (-1.0, 1.0)
_GRID = 20_001
_REACH = 9.0
"""Standard deviations beyond the outermost mean that integrals reach."""
_BISECTIONS = 50


@dataclass(frozen=True)
class MixturePair:
    """A target with modes at -1 and 1 along the diagonal of R^D, and a source whose modes lie `shift` further.

    Args:
        shift: distance of the source from the target; 0 for one law.
        spread: standard deviation of a chunk about its episode's mode, per dimension of R^D.
        shared: standard deviation of what all chunks of an episode share; together the law has spread^2 + shared^2.
        horizon, dims: H and A of a chunk.

    Raises:
        ValueError: a law without width.
    """

    shift: float
    spread: float = 0.2
    shared: float = 0.0
    horizon: int = 8
    dims: int = 2

    def __post_init__(self) -> None:
        if not self.spread > 0.0 or self.shared < 0.0:
            raise ValueError(f"spread = {self.spread} must be positive and shared = {self.shared} not negative.")

    def densities(self, sigma: float) -> tuple[Floats, Floats, Floats]:
        """A grid along the line, p_sigma and q_sigma on it; sigma in [0, 1]."""
        alpha = math.sqrt(1.0 - sigma**2)
        deviation = math.sqrt(alpha**2 * (self.spread**2 + self.shared**2) + sigma**2)
        means = [alpha * np.array(_MODES), alpha * (np.array(_MODES) + self.shift)]
        edges = np.concatenate(means)
        x = np.linspace(edges.min() - _REACH * deviation, edges.max() + _REACH * deviation, _GRID)
        p, q = (
            np.exp(-0.5 * ((x[:, None] - mean) / deviation) ** 2).mean(1) / (deviation * math.sqrt(2.0 * math.pi))
            for mean in means
        )
        return x, p, q

    def p_of(self, sigma: float) -> float:
        """p(sigma) of the perfect classifier."""
        x, p, q = self.densities(sigma)
        # p q / (p + q), which is ((p + q) - (p - q)^2 / (p + q)) / 4.
        return float(np.trapezoid(p * q / np.maximum(p + q, 1e-300), x))

    def distance(self, sigma: float) -> float:
        """d_TV(p_sigma, q_sigma)."""
        x, p, q = self.densities(sigma)
        return float(0.5 * np.trapezoid(np.abs(p - q), x))

    def sigma_min(self, tau: float) -> float:
        """inf{sigma : p(sigma) > 1/2 - tau}; 0 where that holds of x_0 itself."""
        if self.p_of(0.0) > 0.5 - tau:
            return 0.0
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.p_of(middle) > 0.5 - tau else (middle, high)
        return high

    def draw(self, *, of_target: bool, episodes: int, per_episode: int, seed: int) -> ArrayChunks:
        """Chunks of either law; the mode is drawn per chunk, what is shared per episode."""
        rng = np.random.default_rng(np.random.SeedSequence([seed, int(of_target)]))
        size, count = self.horizon * self.dims, episodes * per_episode
        along = rng.choice(_MODES, count) + (0.0 if of_target else self.shift)
        x_0 = self.spread * rng.standard_normal((count, size), dtype=np.float32) + along[:, None] / math.sqrt(size)
        x_0 += np.repeat(self.shared * rng.standard_normal((episodes, size)), per_episode, axis=0)
        return array_chunks("target" if of_target else "source", x_0.reshape(count, self.horizon, self.dims), episodes)


@dataclass(frozen=True)
class Trajectories:
    """Chunks cut at every step from smooth paths: neighbours overlap, episodes go where they like.

    A path is a start, a way to a goal at a speed that rises and falls, and three waves of random phase.

    Args:
        horizon, dims: H and A of a chunk.
    """

    horizon: int = 16
    dims: int = 2

    def p_of(self, sigma: float) -> float:
        """1/2: nothing tells one law from itself."""
        return 0.5

    def distance(self, sigma: float) -> float:
        """0."""
        return 0.0

    def sigma_min(self, tau: float) -> float:
        """0."""
        return 0.0

    def draw(self, *, of_target: bool, episodes: int, per_episode: int, seed: int) -> ArrayChunks:
        """`per_episode` consecutive chunks of every path; target and source have one law."""
        rng = np.random.default_rng(np.random.SeedSequence([seed, int(of_target)]))
        steps = per_episode + self.horizon - 1
        share = np.linspace(0.0, 1.0, steps)[None, :, None]
        start, goal = (rng.uniform(-0.8, 0.8, (episodes, 1, self.dims)) for _ in range(2))
        path = start + (goal - start) * (1.0 - np.cos(np.pi * share)) / 2
        for wave in (2, 4, 8):
            phase = rng.uniform(0.0, 2.0 * np.pi, (episodes, 1, self.dims))
            path += rng.normal(0.0, 0.2 / wave, (episodes, 1, self.dims)) * np.sin(wave * np.pi * share + phase)
        windows = np.lib.stride_tricks.sliding_window_view(path, self.horizon, axis=1)
        x_0 = windows.transpose(0, 1, 3, 2).reshape(-1, self.horizon, self.dims)
        return array_chunks("target" if of_target else "source", x_0, episodes)


def array_chunks(name: str, x_0: NDArray[np.floating], episodes: int) -> ArrayChunks:
    """Chunks (N, H, A) of equally long episodes, in their order."""
    episode = np.repeat(np.arange(episodes), len(x_0) // episodes)
    return ArrayChunks(name, torch.from_numpy(np.ascontiguousarray(x_0, dtype=np.float32)), episode)
