# SPDX-License-Identifier: Apache-2.0
"""What a perfect classifier would answer, were chunks Gaussian with the spectra found.

sigma_bury asks of every frequency on its own whether noise hides it. A classifier adds up what many frequencies still
leak: a jitter, which is a little of everything, is noticed well above the level that buries each of its parts. With
independent Gaussian coefficients of power S_p and S_q the log-likelihood ratio of a noised chunk is a sum of squares,
so the classifier's mean answer is known and can be held against the same tau:

    p(sigma) = E_q[c],    c = p_sigma / (p_sigma + q_sigma),    noised powers (1 - sigma^2) S + sigma^2

Only what is shown to part is taken as different; the rest would add up the errors of its estimates.
"""

from __future__ import annotations

import numpy as np

from lerobot_ambient.annotate.classifier.curves import TAU, sigma_min_of
from lerobot_ambient.annotate.spectra.spectrum import SpectralEvidence
from lerobot_ambient.core.arrays import Floats

_DRAWS = 8192
_LEVELS: Floats = np.linspace(0.01, 1.0, 100, dtype=np.float64)


def gaussian_scores(evidence: SpectralEvidence, sigmas: Floats, *, seed: int = 0) -> Floats:
    """(L,) p at levels (L,) in (0, 1]: the mean probability of "target" given to the source's noised chunks.

    1/2 where nothing parts. By 8192 draws, the same at all levels; the standard error is at most 0.004.
    """
    parted = evidence.parted.reshape(-1)
    s_p, s_q = (spectrum.psd.reshape(-1)[parted] for spectrum in (evidence.target, evidence.source))
    squares = np.random.default_rng(np.random.SeedSequence([seed, 4])).standard_normal((_DRAWS, parted.sum())) ** 2
    scores = np.empty(len(sigmas))
    for i, sigma in enumerate(sigmas):
        noised_p, noised_q = ((1.0 - sigma**2) * s + sigma**2 for s in (s_p, s_q))
        gain = 0.5 * np.log(noised_q / noised_p).sum()
        odds = 0.5 * (1.0 / noised_q - 1.0 / noised_p)
        # log p / q of chunks of either dataset; c summed over both is 1 in expectation, which halves the variance.
        of_source, of_target = gain + squares @ (noised_q * odds), gain + squares @ (noised_p * odds)
        scores[i] = 0.5 * (_logistic(of_source).mean() + 1.0 - _logistic(of_target).mean())
    return scores


def gaussian_level(evidence: SpectralEvidence, tau: float = TAU, *, seed: int = 0) -> float:
    """sigma_min of a perfect classifier that sees nothing but the powers that parted; 0 where none did.

    An approximation: coefficients are taken as Gaussian and independent, and the powers that were estimated as true.
    What a real source has besides (modes, phase, dimensions that move together) puts the level higher.
    """
    if not evidence.parted.any():
        return 0.0
    return float(sigma_min_of(_LEVELS, gaussian_scores(evidence, _LEVELS, seed=seed)[None], tau)[0])


def _logistic(x: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -x))
