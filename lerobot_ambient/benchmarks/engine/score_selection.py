# SPDX-License-Identifier: Apache-2.0
"""Filtering and weighting by a classifier's scores: what others do with what `annotate` learns.

A chunk's score is how often the classifier takes it, hardly noised, for the target's. Both ways admit a chunk at every
noise level or at none, so they come as windows files; the policy trains on what is left as co-training does.

    filtered    the better half of the chunks
    weighted    a chunk with a probability proportional to its odds s / (1 - s), which estimate how much denser the
                target is there; odds above their 95 % quantile count as that, so that a few chunks are not all
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.windows.windows_file import WindowTable, read_windows, write_windows

SELECTIONS = ("filtered", "weighted")
_KEPT = 0.5
_CAP = 0.95
_NEVER, _ALWAYS = 1.0, 0.0
"""A sigma_min that admits a chunk at no level, and one that admits it at all."""


def select(table: WindowTable, selection: str, *, seed: int = 0) -> WindowTable:
    """The chunks that a selection keeps, as windows that are everything or nothing.

    Args:
        table: windows of single chunks with the classifier's curves, of rising levels.
        selection: one of `SELECTIONS`.
        seed: of the draw by weight.

    Raises:
        ValueError: the windows have no curves.
    """
    if table.p is None or table.curve_of is not None:
        raise ValueError(
            f"windows of '{table.repo_id}' ({table.method}, {table.granularity}) have no curve for each chunk; "
            "annotate with --method=classifier --granularity=datapoint."
        )
    scores = table.p[:, int(np.argmin(table.sigmas))]
    kept = _best(scores) if selection == "filtered" else _drawn(scores, np.random.default_rng(seed))
    return replace(
        table,
        sigma_min=np.where(kept, _ALWAYS, _NEVER).astype(np.float32),
        sigma_max=np.zeros(len(table), dtype=np.float32),
        method=f"{table.method}, {selection}",
        tau=None,
        sigmas=(),
        p=None,
        evidence={},
    )


def _best(scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The better half; of equal scores the earlier ones."""
    kept = np.zeros(len(scores), dtype=bool)
    kept[np.argsort(-scores, kind="stable")[: int(np.ceil(_KEPT * len(scores)))]] = True
    return kept


def _drawn(scores: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Drawn by their odds."""
    safe = np.clip(scores.astype(np.float64), 1e-6, 1.0 - 1e-6)
    odds = safe / (1.0 - safe)
    kept: NDArray[np.bool_] = rng.random(len(odds)) * np.quantile(odds, _CAP) < odds
    return kept


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m` this module: read a windows file, write another."""
    parser = argparse.ArgumentParser(description="keep a part of a source by a classifier's scores")
    parser.add_argument("selection", choices=SELECTIONS)
    parser.add_argument("scored", type=Path, help="windows file of single chunks, with curves")
    parser.add_argument("selected", type=Path, help="windows file to write")
    args = parser.parse_args(argv)
    table = select(read_windows(args.scored), args.selection)
    write_windows(table, args.selected)
    print(f"{args.selected.name}: {np.count_nonzero(table.sigma_min == _ALWAYS)} of {len(table)} chunks")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
