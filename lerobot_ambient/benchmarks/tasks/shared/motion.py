# SPDX-License-Identifier: Apache-2.0
"""How hands move: the path of least jerk from rest to rest, and how smooth a path is.

Symbols: a path is an array (n, d) of positions at 1 / fps intervals, in a unit of length that the task chooses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def minimum_jerk(steps: int) -> NDArray[np.float64]:
    """The share of the way after each of `steps` steps, shape (steps,), from above 0 to 1 (Flash and Hogan, 1985)."""
    tau = np.arange(1, steps + 1) / steps
    share: NDArray[np.float64] = tau**3 * (10.0 + tau * (6.0 * tau - 15.0))
    return share


def squared_accelerations(path: ArrayLike, fps: float) -> NDArray[np.float64]:
    """|x[k+1] - 2 x[k] + x[k-1]|^2 fps^4 of a path (n, d), in lengths^2 / s^4. Returns shape (max(n - 2, 0),)."""
    points = np.asarray(path, dtype=np.float64)
    seconds: NDArray[np.float64] = points[2:] - 2.0 * points[1:-1] + points[:-2]
    values: NDArray[np.float64] = np.square(seconds).sum(-1) * float(fps) ** 4
    return values


def mean_squared_acceleration(path: ArrayLike, fps: float) -> float:
    """Mean of `squared_accelerations`, in lengths^2 / s^4; 0 for a path of fewer than three positions."""
    values = squared_accelerations(path, fps)
    return float(values.mean()) if values.size else 0.0
