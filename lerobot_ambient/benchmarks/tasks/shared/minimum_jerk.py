# SPDX-License-Identifier: Apache-2.0
"""How a person's hand goes from rest to rest: the path of least jerk (Flash and Hogan, 1985)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def minimum_jerk(steps: int) -> NDArray[np.float64]:
    """The share of the way after each of `steps` steps, shape (steps,), from above 0 to 1."""
    tau = np.arange(1, steps + 1) / steps
    share: NDArray[np.float64] = tau**3 * (10.0 + tau * (6.0 * tau - 15.0))
    return share
