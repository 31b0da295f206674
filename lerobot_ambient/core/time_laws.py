# SPDX-License-Identifier: Apache-2.0
"""Laws from which flow-matching policies draw their training time.

Symbols
    tau     flow-matching time in [0, 1], noise at 1:  x = (1 - tau) x_0 + tau eps
    F       the law's cumulative distribution function; u = F(tau) is uniform on [0, 1]
    s       Beta(alpha, beta) variable:  tau = low + (high - low) s

Most of LeRobot's policies use Beta(1.5, 1) (Black et al., "pi0", arXiv 2410.24164, appendix B), for which F(s) = s^1.5.
Where neither exponent is 1, with s = sin^2(theta) the density is smooth,

    dF / dtheta = 2 sin(theta)^(2 alpha - 1) cos(theta)^(2 beta - 1) / B(alpha, beta),

and F is its integral by Simpson's rule over a fine grid, between the nodes by the cubic that has their values and
slopes. A special function of SciPy's would do the same; the core needs torch alone, on any device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_NODES = 4096
_NEWTON_STEPS = 6


class TimeLaw(ABC):
    """A continuous law of tau with an increasing distribution function."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """The law and its values, written out; checkpoints hold it."""

    @abstractmethod
    def cdf(self, tau: Tensor) -> Tensor:
        """F(tau) in [0, 1], float64 of the shape of tau; times outside the law's range count as its ends."""

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """tau with F(tau) = u, float64 of the shape of u in [0, 1]."""


@dataclass(frozen=True)
class BetaTime(TimeLaw):
    """tau = low + (high - low) s with s ~ Beta(alpha, beta); alpha = beta = 1 is the uniform law.


    Args:
        alpha, beta: exponents of the law, each at least 0.5; large alpha means much noise.
        low, high: the least and the greatest time; `high` may pass 1 by a rounding of the policy's.

    Raises:
        ValueError: exponents below 0.5 or not finite, or bounds in the wrong order.
    """

    alpha: float = 1.0
    beta: float = 1.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if not 0.5 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"the law of the flow's time: Beta({self.alpha}, {self.beta}) has {name} = {getattr(self, name)}; "
                    "windows need exponents of at least 0.5."
                )
        if not 0.0 <= self.low < self.high <= 1.01:
            raise ValueError(
                f"the law of the flow's time runs from {self.low} to {self.high}; expected 0 <= low < high."
            )

    @property
    def identity(self) -> str:
        base = "uniform" if self.alpha == self.beta == 1.0 else f"Beta({self.alpha:g}, {self.beta:g})"
        return base if (self.low, self.high) == (0.0, 1.0) else f"{base} on [{self.low:g}, {self.high:g}]"

    def cdf(self, tau: Tensor) -> Tensor:
        s = ((tau.double() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        if self.beta == 1.0:
            return s**self.alpha
        if self.alpha == 1.0:
            return 1.0 - (1.0 - s) ** self.beta
        theta = torch.atan2(s.sqrt(), (1.0 - s).sqrt())
        return self._table.value(theta)

    def quantile(self, u: Tensor) -> Tensor:
        u = u.double().clamp(0.0, 1.0)
        if self.beta == 1.0:
            s = u ** (1.0 / self.alpha)
        elif self.alpha == 1.0:
            s = 1.0 - (1.0 - u) ** (1.0 / self.beta)
        else:
            s = torch.sin(self._table.inverse(u)) ** 2
        return self.low + (self.high - self.low) * s

    @cached_property
    def _table(self) -> _Integral:
        return _Integral.of(self.alpha, self.beta)


@dataclass(frozen=True)
class ShiftedTime(TimeLaw):
    """tau = shift u / (1 + (shift - 1) u) with u uniform: the shifted schedule of Wan and FastWAM.


    Args:
        shift: positive; 1 is the uniform law, more puts more weight on high noise.

    Raises:
        ValueError: a shift that is not positive.
    """

    shift: float

    def __post_init__(self) -> None:
        if not 0.0 < self.shift < math.inf:
            raise ValueError(f"the law of the flow's time: shift must be positive and finite, got {self.shift}.")

    @property
    def identity(self) -> str:
        return f"uniform, shifted by {self.shift:g}"

    def cdf(self, tau: Tensor) -> Tensor:
        tau = tau.double().clamp(0.0, 1.0)
        return tau / (self.shift - (self.shift - 1.0) * tau)

    def quantile(self, u: Tensor) -> Tensor:
        u = u.double().clamp(0.0, 1.0)
        return self.shift * u / (1.0 + (self.shift - 1.0) * u)


@dataclass(frozen=True)
class _Integral:
    """F over a uniform grid of theta in [0, pi / 2], with its slopes."""

    values: Tensor
    slopes: Tensor
    step: float

    @classmethod
    def of(cls, alpha: float, beta: float) -> _Integral:
        theta = torch.linspace(0.0, math.pi / 2, 2 * _NODES + 1, dtype=torch.float64)
        density = torch.sin(theta) ** (2 * alpha - 1) * torch.cos(theta).clamp_min(0.0) ** (2 * beta - 1)
        step = math.pi / 2 / _NODES
        pieces = step / 6 * (density[:-1:2] + 4 * density[1::2] + density[2::2])
        values = torch.cat([torch.zeros(1, dtype=torch.float64), pieces.cumsum(0)])
        # The integral's own end as the constant: F(1) = 1 exactly, and B(alpha, beta) need not be known.
        return cls(values / values[-1], density[::2] / values[-1], step)

    def value(self, theta: Tensor) -> Tensor:
        cell = (theta / self.step).long().clamp(0, _NODES - 1)
        return self._cubic(cell, theta / self.step - cell)[0].clamp(0.0, 1.0)

    def inverse(self, u: Tensor) -> Tensor:
        values = self.values.to(u.device)
        cell = (torch.searchsorted(values, u.contiguous(), right=True) - 1).clamp(0, _NODES - 1)
        left, right = values[cell], values[cell + 1]
        place = (u - left) / (right - left).clamp_min(torch.finfo(torch.float64).tiny)
        for _ in range(_NEWTON_STEPS):
            value, slope = self._cubic(cell, place)
            place = (place - (value - u) / slope.clamp_min(torch.finfo(torch.float64).tiny)).clamp(0.0, 1.0)
        return (cell + place) * self.step

    def _cubic(self, cell: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Value, and slope by x, of Hermite's cubic in each cell at x in [0, 1]."""
        values, slopes = self.values.to(x.device), self.slopes.to(x.device) * self.step
        f0, f1, d0, d1 = values[cell], values[cell + 1], slopes[cell], slopes[cell + 1]
        a, b = 2 * (f0 - f1) + d0 + d1, 3 * (f1 - f0) - 2 * d0 - d1
        return ((a * x + b) * x + d0) * x + f0, (3 * a * x + 2 * b) * x + d0
