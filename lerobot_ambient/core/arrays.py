# SPDX-License-Identifier: Apache-2.0
"""The two kinds of NumPy arrays that most functions take; their shapes stand in docstrings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
