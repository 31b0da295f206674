# SPDX-License-Identifier: Apache-2.0
"""Another threshold for windows whose curves are stored: no data is read and nothing is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lerobot_ambient.annotate.classifier_findings import Threshold
from lerobot_ambient.data.windows_file import WindowTable

_BLOCK = 1 << 16


def rethreshold(table: WindowTable, threshold: Threshold) -> WindowTable:
    """The table with `sigma_min` read from its curves again; `sigma_max` stays.

    Raises:
        ValueError: the table holds no curves.
    """
    if table.p is None:
        raise ValueError(
            f"windows of '{table.repo_id}' ({table.method}) hold no curves, so there is nothing to threshold again; "
            "make them with annotate --method=classifier."
        )
    sigmas = np.asarray(table.sigmas)
    if table.curve_of is not None:
        of_curve = threshold(sigmas, table.p).astype(np.float32)
        return replace(table, sigma_min=of_curve[table.curve_of], tau=threshold.tau)
    sigma_min = np.empty(len(table), dtype=np.float32)
    for start in range(0, len(table), _BLOCK):
        block = table.p[start : start + _BLOCK]
        # Neighbours of one bucket share a curve.
        new = np.concatenate([[True], (block[1:] != block[:-1]).any(1)])
        sigma_min[start : start + _BLOCK] = threshold(sigmas, block[new])[new.cumsum() - 1]
    return replace(table, sigma_min=sigma_min, tau=threshold.tau)
