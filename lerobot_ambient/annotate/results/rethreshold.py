# SPDX-License-Identifier: Apache-2.0
"""Another threshold for windows whose curves are stored: no data is read and nothing is trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.classifier.held_out import Floats
from lerobot_ambient.annotate.results.by_granularity import Threshold
from lerobot_ambient.data.windows_file import WindowTable

_BLOCK = 1 << 16


def rethreshold(table: WindowTable, threshold: Threshold, *, takes: str = "safe") -> WindowTable:
    """The table with `sigma_min` read from its curves again; `sigma_max` stays.

    Args:
        table: with curves.
        threshold: the new one. What is in the file already stays as it is, to the last digit.
        takes: "safe" lowers curves by how much the dataset's may be lower, "estimate" reads them as they are.

    Raises:
        ValueError: the table holds no curves, or not how far they may be wrong.
    """
    if table.p is None:
        raise ValueError(
            f"windows of '{table.repo_id}' ({table.method}) hold no curves, so there is nothing to threshold again; "
            "make them with annotate --method=classifier."
        )
    known = table.evidence
    if takes == "safe" and not known.get("reach"):
        raise ValueError(
            f"windows of '{table.repo_id}' hold curves but not how far these may be wrong (an older version wrote "
            "them), so there is no safe end of sigma_min; annotate again, or add --take=estimate."
        )
    if (table.tau, known.get("crossing"), known.get("takes")) == (threshold.tau, threshold.crossing, takes):
        return table
    estimate = _levels(table, threshold, None)
    sigma_min = estimate
    if takes == "safe":
        sigma_min = np.maximum(estimate, _levels(table, threshold, np.asarray(known["reach"])))
    evidence = {
        **known,
        "takes": takes,
        "crossing": threshold.crossing,
        "sigma_min_estimate": float(np.median(estimate)),
        # That of another threshold would need the episodes.
        "interval": None,
    }
    return replace(table, sigma_min=sigma_min, tau=threshold.tau, evidence=evidence)


def _levels(table: WindowTable, threshold: Threshold, reach: Floats | None) -> NDArray[np.float32]:
    """(N,) levels of every frame's curve, lowered by reach (L,)."""
    assert table.p is not None
    sigmas = np.asarray(table.sigmas)
    if table.curve_of is not None:
        of_curve: NDArray[np.float32] = threshold(sigmas, table.p, reach).astype(np.float32)
        return of_curve[table.curve_of]
    sigma_min = np.empty(len(table), dtype=np.float32)
    for start in range(0, len(table), _BLOCK):
        block = table.p[start : start + _BLOCK]
        # Neighbours of one bucket share a curve.
        new = np.concatenate([[True], (block[1:] != block[:-1]).any(1)])
        sigma_min[start : start + _BLOCK] = threshold(sigmas, block[new], reach)[new.cumsum() - 1]
    return sigma_min
