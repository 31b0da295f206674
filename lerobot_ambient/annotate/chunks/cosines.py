# SPDX-License-Identifier: Apache-2.0
"""The cosine transform of chunks over their steps.

Symbols
    H       steps of a chunk
    k       coefficient, 0 .. H - 1
    f       its frequency k / (2 H) in cycles per step, from 0 to nearly 1/2

The orthonormal DCT-II is a rotation: noise that is white before it is white after it, with the same variance.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from lerobot_ambient.core.arrays import Floats


def frequencies(horizon: int) -> Floats:
    """(H,) f of the coefficients, in cycles per step."""
    return np.arange(horizon) / (2.0 * horizon)


def dct_matrix(horizon: int) -> Floats:
    """(H, H) orthonormal DCT-II: row k holds the cosine of frequency k / (2 H)."""
    matrix: Floats = _basis(horizon).numpy()
    return matrix


def cosine_transform(x_0: Tensor) -> Tensor:
    """The coefficients of chunks (B, H, A), of the same shape and precision."""
    return torch.einsum("fh,bha->bfa", _basis(x_0.shape[1]).to(x_0.dtype), x_0)


def _basis(horizon: int) -> Tensor:
    # Written in this order of operations: shards of scores hold what came of its last bits.
    time = (torch.arange(horizon, dtype=torch.float64) + 0.5) / horizon
    basis = torch.cos(torch.pi * torch.arange(horizon, dtype=torch.float64)[:, None] * time) * (2.0 / horizon) ** 0.5
    basis[0] /= 2.0**0.5
    return basis
