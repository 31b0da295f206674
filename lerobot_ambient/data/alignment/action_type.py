# SPDX-License-Identifier: Apache-2.0
"""Whether recorded actions are absolute positions or steps from the current state, guessed from the recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_STRONG, _WEAK = 0.7, 0.5
_SAMPLE = 50_000


def guess_action_type(action: NDArray[Any], state: NDArray[Any], episode: NDArray[Any]) -> str | None:
    """ "absolute", "delta", or None where the recording does not say.

    Absolute actions follow the state itself; steps (and velocities) follow its change to the next frame. Judged by
    the median correlation over dimensions that move, on the first 50 000 frames.

    Args:
        action, state: (N, D) of the same dimensions.
        episode: (N,) episode of each frame.
    """
    a, s, e = action[:_SAMPLE].astype(np.float64), state[:_SAMPLE].astype(np.float64), episode[:_SAMPLE]
    same = e[1:] == e[:-1]
    a, now, step = a[:-1][same], s[:-1][same], (s[1:] - s[:-1])[same]
    moving = (a.std(0) > 0) & (now.std(0) > 0) & (step.std(0) > 0) if len(a) > 10 else np.zeros(a.shape[1], dtype=bool)
    if not moving.any():
        return None
    with_state = np.median([np.corrcoef(a[:, j], now[:, j])[0, 1] for j in np.flatnonzero(moving)])
    with_step = np.median([np.corrcoef(a[:, j], step[:, j])[0, 1] for j in np.flatnonzero(moving)])
    if with_state > _STRONG:
        return "absolute"
    if with_step > _STRONG and with_state < _WEAK:
        return "delta"
    return None


def to_absolute(action: NDArray[Any], state: NDArray[Any], gain: NDArray[np.float64] | float = 1.0) -> NDArray[Any]:
    """Steps from the state of their frame to positions; (N, D) each. A step of 1 moves by `gain`, (D,) or a number."""
    return action * gain + state


def to_delta(action: NDArray[Any], state: NDArray[Any], gain: NDArray[np.float64] | float = 1.0) -> NDArray[Any]:
    """Inverse of `to_absolute`."""
    return (action - state) / gain
