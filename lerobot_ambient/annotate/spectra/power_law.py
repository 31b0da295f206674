# SPDX-License-Identifier: Apache-2.0
"""S(f) = C f^-alpha, fitted to a spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lerobot_ambient.core.arrays import Floats

_INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class PowerLaw:
    """A fitted power law.

    Args:
        C: power at one cycle per step, in units of white noise of variance 1.
        alpha: exponent.
        r2: share of the weighted variance of log S that the line explains, at most 1.
        C_interval, alpha_interval: 95 % over resampled episodes.
    """

    C: float
    alpha: float
    r2: float
    C_interval: tuple[float, float]
    alpha_interval: tuple[float, float]

    def __repr__(self) -> str:
        low, high = self.alpha_interval
        return f"S(f) = {self.C:.3g} f^-{self.alpha:.2f} (alpha {low:.2f} .. {high:.2f}, R^2 {self.r2:.3f})"


def fit_power_law(frequencies: Floats, psd: Floats, log_error: Floats, resampled: Floats) -> PowerLaw:
    """Weighted least squares of log S on log f.

    Args:
        frequencies: (K,) positive, cycles per step.
        psd: (K,) positive.
        log_error: (K,) standard error of log S.
        resampled: (B, K) psd of resampled datasets, for the intervals.

    Raises:
        ValueError: fewer than 3 frequencies, whose line would fit whatever they are.
    """
    if len(frequencies) < 3:
        raise ValueError(
            f"a power law needs at least 3 frequencies above 0, got {len(frequencies)}; use longer chunks."
        )
    # No law holds to better than a few per cent: the best known frequencies shall not decide alone.
    weights = 1.0 / (log_error**2 + 0.05**2)
    (log_c, alpha), r2 = _line(np.log(frequencies), np.log(psd), weights)
    draws, _ = _line(np.log(frequencies), np.log(resampled), weights)
    c_low, c_high = np.quantile(np.exp(draws[0]), _INTERVAL)
    alpha_low, alpha_high = np.quantile(draws[1], _INTERVAL)
    return PowerLaw(
        C=float(np.exp(log_c)),
        alpha=float(alpha),
        r2=float(r2),
        C_interval=(float(c_low), float(c_high)),
        alpha_interval=(float(alpha_low), float(alpha_high)),
    )


def _line(log_f: Floats, log_s: Floats, weights: Floats) -> tuple[tuple[Floats, Floats], Floats]:
    """((log C, alpha), R^2) of lines through the last axis of log_s."""
    w = weights / weights.sum()
    x, y = log_f - w @ log_f, log_s - (log_s @ w)[..., None]
    slope = (y @ (w * x)) / (w @ x**2)
    residual = ((y - slope[..., None] * x) ** 2) @ w
    total = (y**2) @ w
    return (log_s @ w - slope * (w @ log_f), -slope), 1.0 - residual / np.maximum(total, 1e-300)
