# SPDX-License-Identifier: Apache-2.0
"""Gaussian laws with a planted scale: alike in short crops and unlike in long ones, or unlike already in the shortest.

The covariances are known, so sigma_max follows from them without data: the receptive field of the best linear
denoiser, and the powers of crops of that length in every direction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.locality.by_moments import PLACES
from lerobot_ambient.annotate.locality.crops import crop_starts
from lerobot_ambient.annotate.locality.receptive_field import EXCESS, crop_lengths, denoising_loss, nearest_enough
from lerobot_ambient.annotate.spectra.power_comparison import CompareOptions
from lerobot_ambient.benchmarks.estimators.oracles_laws import array_chunks
from lerobot_ambient.core.arrays import Floats


@dataclass(frozen=True)
class GaussianPair(ABC):
    """A target and a source of zero mean and known covariance."""

    @abstractmethod
    def covariance(self, *, of_target: bool) -> Floats:
        """(A, H, A, H)."""

    def sigma_max(self, sigmas: Floats) -> float:
        """What `locality_window` should find at levels (L,): the last before crops as long as the denoiser looks
        differ, in some direction, by more than the ratio that counts as the same."""
        target, source = self.covariance(of_target=True), self.covariance(of_target=False)
        dims, horizon = target.shape[:2]
        lengths = crop_lengths(horizon)
        losses = np.stack([denoising_loss(target, target, int(length), sigmas) for length in lengths])
        variance = float(np.einsum("ahah->", target)) / (dims * horizon)
        limit = np.log(CompareOptions().min_ratio)
        for i, length in enumerate(nearest_enough(lengths, losses, variance, EXCESS).tolist()):
            alpha2, sigma2 = 1.0 - sigmas[i] ** 2, sigmas[i] ** 2
            for start in crop_starts(horizon, length, PLACES):
                crop = slice(start, start + length)
                noised = [
                    alpha2 * c[:, crop, :, crop].reshape(dims * length, -1) + sigma2 * np.eye(dims * length)
                    for c in (target, source)
                ]
                ratios = np.linalg.eigvals(np.linalg.solve(*noised)).real
                if np.abs(np.log(ratios)).max() > limit:
                    return float(sigmas[i - 1]) if i else 0.0
        return 1.0

    def draw(self, *, of_target: bool, episodes: int, per_episode: int, seed: int) -> ArrayChunks:
        """Independent chunks."""
        covariance = self.covariance(of_target=of_target)
        dims, horizon = covariance.shape[:2]
        rng = np.random.default_rng(np.random.SeedSequence([seed, int(of_target)]))
        power, vectors = np.linalg.eigh(covariance.reshape(dims * horizon, -1))
        white = rng.standard_normal((episodes * per_episode, dims * horizon))
        x_0 = white @ (vectors * np.sqrt(np.maximum(power, 0.0))).T
        x_0 = x_0.reshape(-1, dims, horizon).transpose(0, 2, 1)
        return array_chunks("target" if of_target else "source", x_0, episodes)


@dataclass(frozen=True)
class InTurn(GaussianPair):
    """Two dimensions make one short motion, one after the other; in the source in the other order.

    Crops too short to hold both motions have one law in both.

    Args:
        texture: power of a rougher part that each dimension has besides, relative to the motion's; it makes the
            denoiser look further at a given level.
        width: steps over which the texture is correlated.
        swapped: whether the source's order is the other one; else the laws are one.
        motion, delay: steps of the motion, and between the two.
        horizon: H.
    """

    texture: float
    width: int
    swapped: bool = True
    motion: int = 6
    delay: int = 12
    horizon: int = 24

    def covariance(self, *, of_target: bool) -> Floats:
        delay = -self.delay if self.swapped and not of_target else self.delay
        lag = np.subtract.outer(np.arange(self.horizon), np.arange(self.horizon))
        covariance = np.empty((2, self.horizon, 2, self.horizon))
        for a in range(2):
            for b in range(2):
                covariance[a, :, b] = np.maximum(0.0, 1.0 - np.abs(lag + delay * (b - a)) / self.motion)
            covariance[a, :, a] += self.texture * np.maximum(0.0, 1.0 - np.abs(lag) / self.width)
        return covariance


@dataclass(frozen=True)
class Jittered(GaussianPair):
    """A smooth motion, and in the source white noise on top of it.

    Args:
        jitter: standard deviation of the noise; the motion's is 1.
        length: steps over which the motion is correlated.
        horizon: H.
    """

    jitter: float
    length: float = 8.0
    horizon: int = 16

    def covariance(self, *, of_target: bool) -> Floats:
        lag = np.subtract.outer(np.arange(self.horizon), np.arange(self.horizon))
        power = 0.0 if of_target else self.jitter**2
        return (np.exp(-((lag / self.length) ** 2)) + power * np.eye(self.horizon))[None, :, None]
