# SPDX-License-Identifier: Apache-2.0
"""Noise levels and their conversions.

Symbols
    sigma   variance-preserving (VP) noise level in [0, 1]:  x_t = sqrt(1 - sigma^2) x_0 + sigma eps
    alpha   signal level sqrt(1 - sigma^2)
    r       noise-to-signal ratio sigma / alpha in [0, inf]; equals the variance-exploding (VE) level
    tau     flow-matching time in [0, 1]:  x = (1 - tau) x_0 + tau eps,  r = tau / (1 - tau)
    timestep  integer index of a scheduler's table, never called sigma
    cell      an interval of tau that a flow-matching policy draws as often as any other: a column of its plan

Two corrupted samples of different conventions carry the same information exactly when their r agree;
every conversion here goes through r. Users and files only ever see VP sigma. Nothing is assumed about
how fast a schedule moves through its levels, only that the level grows with the timestep.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def vp_to_ve(sigma: Tensor) -> Tensor:
    """VP level in [0, 1] to VE level r in [0, inf]; sigma = 1 gives inf."""
    return sigma / torch.sqrt(1.0 - sigma**2)


def ve_to_vp(r: Tensor) -> Tensor:
    """VE level r in [0, inf] to VP level in [0, 1]; inverse of `vp_to_ve`."""
    # hypot keeps precision for large r; inf / inf needs its limit.
    return torch.where(torch.isinf(r), torch.ones_like(r), r / torch.hypot(r, torch.ones_like(r)))


def vp_to_flow(sigma: Tensor) -> Tensor:
    """VP level to flow-matching time tau = r / (1 + r), noise at tau = 1 (rectified-flow convention).

    LeRobot's multi_task_dit runs time the other way (data at 1): its time is `1 - vp_to_flow(sigma)`.
    """
    alpha = torch.sqrt(1.0 - sigma**2)
    return sigma / (sigma + alpha)


def flow_to_vp(tau: Tensor) -> Tensor:
    """Flow-matching time tau in [0, 1] (noise at 1) to VP level; inverse of `vp_to_flow`. Beyond 1 it is pure noise."""
    tau = tau.clamp(0.0, 1.0)
    return tau / torch.hypot(tau, 1.0 - tau)


@dataclass(frozen=True)
class NoiseSchedule:
    """The noise levels that a policy trains at: one per timestep of a discrete diffusion, or cells of a flow's time.

    >>> la.NoiseSchedule(torch.linspace(0.1, 1.0, 10))
    NoiseSchedule(T=10, sigma 0.1000 .. 1.0000)
    >>> la.NoiseSchedule.from_alphas_cumprod(torch.tensor([0.99, 0.75, 0.0])).sigmas.numpy().round(2)
    array([0.1, 0.5, 1. ])

    A discrete diffusion has only its T levels. A flow-matching policy draws its time from a continuous law; there T
    intervals of equal probability stand in for the timesteps (`core.flow_time` makes them), and everything that asks
    whether a window admits a level asks it of the whole interval.

    Args:
        sigmas: (T,) float64 VP levels, strictly increasing, each in (0, 1]; of cells, one inside each.
        lower, upper: (T,) float64, the least and the greatest level of each cell; `sigmas` when None.
        law: what the cells are cells of, for logs and fingerprints; None for timesteps.

    Raises:
        ValueError: levels that are not one-dimensional, not increasing or outside (0, 1], or outside their cells.
    """

    sigmas: Tensor
    lower: Tensor = None  # type: ignore[assignment]
    upper: Tensor = None  # type: ignore[assignment]
    law: str | None = None

    def __post_init__(self) -> None:
        sigmas = self.sigmas
        if sigmas.ndim != 1 or sigmas.numel() == 0:
            raise ValueError(f"noise levels must be a non-empty vector, got shape {tuple(sigmas.shape)}.")
        low, high = float(sigmas.min()), float(sigmas.max())
        if not 0.0 < low <= high <= 1.0:
            raise ValueError(f"noise levels must lie in (0, 1], got {low:g} to {high:g}.")
        if not bool((sigmas.diff() > 0).all()):
            raise ValueError("noise levels must grow strictly with the timestep; this schedule's do not.")
        for name in ("lower", "upper"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, sigmas)
        if self.lower.shape != sigmas.shape or self.upper.shape != sigmas.shape:
            raise ValueError(
                f"noise levels: {len(sigmas)} with bounds of {tuple(self.lower.shape)}, {tuple(self.upper.shape)}."
            )
        if bool((self.lower > sigmas).any()) or bool((self.upper < sigmas).any()):
            raise ValueError("noise levels must lie inside their cells, lower <= sigma <= upper.")

    @classmethod
    def from_alphas_cumprod(cls, alphas_cumprod: Tensor) -> NoiseSchedule:
        """From a DDPM/DDIM table alphas_cumprod (T,), as diffusers builds it: sigma^2 = 1 - alphas_cumprod."""
        return cls(torch.sqrt(1.0 - alphas_cumprod.double()))

    @property
    def unit(self) -> str:
        """What its entries are called: timesteps, or cells of a continuous law."""
        return "timesteps" if self.law is None else "cells"

    def __len__(self) -> int:
        return self.sigmas.numel()

    def uniform(self) -> Tensor:
        """(T,) the base law p(t) of training: every timestep, or every cell, equally likely."""
        return torch.full((len(self),), 1.0 / len(self), dtype=torch.float64)

    def __str__(self) -> str:
        if self.law is not None:
            return f"{len(self)} cells of {self.law}, sigma {self.lower[0]:.4f} to {self.upper[-1]:.4f}"
        return f"{len(self)} noise levels, sigma {self.sigmas[0]:.4f} to {self.sigmas[-1]:.4f}"

    def __repr__(self) -> str:
        if self.law is not None:
            return f"NoiseSchedule({self})"
        return f"NoiseSchedule(T={len(self)}, sigma {self.sigmas[0]:.4f} .. {self.sigmas[-1]:.4f})"
