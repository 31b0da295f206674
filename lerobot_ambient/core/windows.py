# SPDX-License-Identifier: Apache-2.0
"""The window of a sample: the noise levels at which it may supervise the denoiser.

A window is [0, sigma_max) U (sigma_min, 1] in VP levels. Both bounds are strict: a level equal to
sigma_min or to sigma_max is outside. Above sigma_min a source's noisy actions can no longer be told from
the target's (contraction); below sigma_max only local motion is at stake (locality).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lerobot_ambient.core.noise_levels import NoiseSchedule, ve_to_vp, vp_to_ve


def admits_everything(sigma_min: Any, sigma_max: Any) -> Any:
    """Whether windows admit every level, element by element: floats, arrays or tensors of one shape."""
    return (sigma_min == 0.0) | (sigma_max > sigma_min)


def admits_nothing(sigma_min: Any, sigma_max: Any) -> Any:
    """Whether windows admit no level, element by element: floats, arrays or tensors of one shape."""
    return (sigma_min == 1.0) & (sigma_max == 0.0)


def admits(sigmas: Any, sigma_min: Any, sigma_max: Any) -> Any:
    """Whether each level lies in its window, by the rule above; arguments broadcast: floats, arrays or tensors."""
    return admits_all(sigmas, sigmas, sigma_min, sigma_max)


def admits_all(lower: Any, upper: Any, sigma_min: Any, sigma_max: Any) -> Any:
    """Whether each interval of levels [lower, upper] lies in its window as a whole; arguments broadcast."""
    return (upper < sigma_max) | (lower > sigma_min) | admits_everything(sigma_min, sigma_max)


@dataclass(frozen=True, slots=True)
class Window:
    """Admissible noise levels [0, sigma_max) U (sigma_min, 1].

    >>> la.Window(sigma_min=0.3)
    (0.3, 1]
    >>> la.Window(sigma_min=0.7, sigma_max=0.2).admits(torch.tensor([0.1, 0.2, 0.5, 0.9]))
    tensor([ True, False, False,  True])

    Args:
        sigma_min: levels strictly above it are admitted, in [0, 1]; 0 admits everything, 1 nothing above.
        sigma_max: levels strictly below it are admitted, in [0, 1]; 0 admits nothing below.

    Raises:
        ValueError: a bound outside [0, 1] or not a number.
    """

    sigma_min: float
    sigma_max: float = 0.0

    def __post_init__(self) -> None:
        for name in ("sigma_min", "sigma_max"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(
                    f"{name} = {value} is outside [0, 1]. Noise levels are variance-preserving here; "
                    "convert a VE level r with r / sqrt(1 + r^2)."
                )

    @property
    def is_everything(self) -> bool:
        return bool(admits_everything(self.sigma_min, self.sigma_max))

    @property
    def is_nothing(self) -> bool:
        return bool(admits_nothing(self.sigma_min, self.sigma_max))

    def admits(self, sigmas: Tensor) -> Tensor:
        """Boolean mask, of the shape of `sigmas`: which of these VP levels lie in the window."""
        mask: Tensor = admits(sigmas, self.sigma_min, self.sigma_max)
        return mask

    def admits_of(self, schedule: NoiseSchedule) -> Tensor:
        """(T,) bool: which timesteps of a schedule, or cells as a whole, lie in the window."""
        mask: Tensor = admits_all(schedule.lower, schedule.upper, self.sigma_min, self.sigma_max)
        return mask

    def buffered(self, max_amplification: float) -> Window:
        """The window with sigma_min raised so that the coefficients of the ambient target stay bounded.

        The ambient loss multiplies x_tmin / sqrt(1 - sigma_min^2) by r_t^2 / (r_t^2 - r_min^2), which explodes at the
        edge; it stays below `max_amplification` (s_max) exactly when r_t > r_min sqrt(1 + 1 / (s_max - 1)). The
        loss itself is not bounded by s_max alone: see docs/method.md.

        Raises:
            ValueError: an amplification that is not above 1.
        """
        if not max_amplification > 1.0:
            raise ValueError(f"the ambient loss's maximal amplification must exceed 1, got {max_amplification}.")
        if self.is_everything or self.sigma_min == 1.0:
            return self
        r_min = vp_to_ve(torch.tensor(self.sigma_min, dtype=torch.float64))
        raised = ve_to_vp(r_min * (1.0 + 1.0 / (max_amplification - 1.0)) ** 0.5)
        return Window(sigma_min=float(raised), sigma_max=self.sigma_max)

    def effective(self, schedule: NoiseSchedule) -> tuple[float | None, float | None]:
        """The levels a schedule really uses: (lowest admitted above sigma_min, highest admitted below sigma_max).

        A schedule has few small levels, so a bound quantises; None where no timestep is admitted on that side. Of
        cells, the edges of the outermost that are admitted.
        """
        if self.is_everything:
            return float(schedule.lower[0]), None
        above = schedule.lower[schedule.lower > self.sigma_min]
        below = schedule.upper[schedule.upper < self.sigma_max]
        return (
            float(above[0]) if above.numel() else None,
            float(below[-1]) if below.numel() else None,
        )

    @property
    def notation(self) -> str:
        """The window as intervals, "[0, 0.1) U (0.5, 1]". Fingerprints of checkpoints hold it, so it never changes."""
        if self.is_everything:
            return "[0, 1]"
        if self.is_nothing:
            return "nothing"
        parts = []
        if self.sigma_max > 0.0:
            parts.append(f"[0, {self.sigma_max:g})")
        if self.sigma_min < 1.0:
            parts.append(f"({self.sigma_min:g}, 1]")
        return " U ".join(parts)

    def __repr__(self) -> str:
        return self.notation


EVERYTHING = Window(sigma_min=0.0)
NOTHING = Window(sigma_min=1.0)
