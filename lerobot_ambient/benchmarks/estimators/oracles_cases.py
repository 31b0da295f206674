# SPDX-License-Identifier: Apache-2.0
"""One dataset pair with a known answer, put to the estimators: what they found beside the truth."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ArrayChunks
from lerobot_ambient.annotate.classifier.curves import TAU, sigma_min_interval, sigma_min_of
from lerobot_ambient.annotate.classifier.evidence import gather_evidence
from lerobot_ambient.annotate.classifier.fits import cross_fits
from lerobot_ambient.annotate.classifier.fold_training import score_levels
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.locality.by_moments import locality_window
from lerobot_ambient.annotate.spectra.spectrum import spectral_window
from lerobot_ambient.benchmarks.estimators.oracles_laws import MixturePair, Trajectories
from lerobot_ambient.benchmarks.estimators.oracles_locality import GaussianPair
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.noise_levels import NoiseSchedule

SCHEDULE = NoiseSchedule(torch.sin(torch.linspace(0.02, math.pi / 2 - 0.004, 100, dtype=torch.float64)))
"""Even in the angle, as cosine schedules are nearly."""
LOCALITY_LEVELS = score_levels(SCHEDULE, 24)


@dataclass(frozen=True)
class SigmaMinCase:
    """sigma_min and the total variation of one draw of two datasets.

    Args:
        group: what it is measured for.
        label: of the law.
        law: what target and source are drawn from.
        episodes: of the target and of the source, each.
        per_episode: chunks.
        seed: of the data, and of the classifiers.
        options: of the classifiers; their seed is replaced by `seed`.
    """

    group: str
    label: str
    law: MixturePair | Trajectories
    episodes: int
    per_episode: int
    seed: int
    options: ClassifierOptions

    @property
    def name(self) -> str:
        """Of the case among its group."""
        return f"{self.label}-{self.episodes}ep-{self.options.folds}folds-seed{self.seed}"

    def run(self) -> dict[str, Any]:
        """The estimates of the classifier and of the spectra, and the curves beside the true ones."""
        began = time.monotonic()
        target, source = _draw(self.law, self.episodes, self.episodes, self.per_episode, self.seed)
        options = ClassifierOptions(**{**vars(self.options), "seed": self.seed})
        evidence = gather_evidence(cross_fits(target, [source], SCHEDULE, options), 0)
        curve, distance = evidence.curve, evidence.distance
        found: dict[str, Any] = {
            "truth": self.law.sigma_min(TAU),
            "sigma_min": float(sigma_min_of(curve.sigmas, curve.p[None])[0]),
            "interval": list(sigma_min_interval(curve)),
            "spectral": spectral_window(target, source).sigma_min,
            "sigmas": _rounded(curve.sigmas),
            "p": _rounded(curve.p),
            "p_low": _rounded(curve.band()[0]),
            "p_high": _rounded(curve.band()[1]),
            "p_truth": _rounded(np.array([self.law.p_of(sigma) for sigma in curve.sigmas])),
        }
        if distance is not None:
            low, high = distance.band()
            found |= {
                "distance": _rounded(distance.separation),
                "distance_low": _rounded(low),
                "distance_high": _rounded(high),
                "distance_truth": _rounded(np.array([self.law.distance(sigma) for sigma in curve.sigmas])),
            }
        return {**found, "seconds": time.monotonic() - began}


@dataclass(frozen=True)
class SigmaMaxCase:
    """sigma_max by locality of one draw of two Gaussian datasets.

    Args:
        group, label, law, per_episode, seed: as in `SigmaMinCase`.
        target_episodes, source_episodes: how many of each.
    """

    group: str
    label: str
    law: GaussianPair
    target_episodes: int
    source_episodes: int
    per_episode: int
    seed: int

    @property
    def name(self) -> str:
        """Of the case among its group."""
        return f"{self.label}-{self.target_episodes}ep-seed{self.seed}"

    def run(self) -> dict[str, Any]:
        """The estimate and the truth, and by how many of the levels they differ."""
        began = time.monotonic()
        target, source = _draw(self.law, self.target_episodes, self.source_episodes, self.per_episode, self.seed)
        evidence = locality_window(target, source, LOCALITY_LEVELS)
        truth = self.law.sigma_max(LOCALITY_LEVELS)
        places = np.searchsorted(LOCALITY_LEVELS, [evidence.sigma_max, truth])
        return {
            "truth": truth,
            "sigma_max": evidence.sigma_max,
            "shown": evidence.shown,
            "levels_off": int(places[0] - places[1]),
            "seconds": time.monotonic() - began,
        }


Case = SigmaMinCase | SigmaMaxCase
"""One measurement; its fields are its identity."""


def _draw(
    law: MixturePair | Trajectories | GaussianPair, target: int, source: int, per_episode: int, seed: int
) -> tuple[ArrayChunks, ArrayChunks]:
    return (
        law.draw(of_target=True, episodes=target, per_episode=per_episode, seed=seed),
        law.draw(of_target=False, episodes=source, per_episode=per_episode, seed=seed),
    )


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 5) for value in values]
