# SPDX-License-Identifier: Apache-2.0
"""Statistics of the target as LeRobot's normalisers need them, checked against the numbers they describe.

LeRobot's own are kept where they fit, to the bit, except for quantiles: those of several episodes are merged by
averaging there, which is no quantile of anything, so they are computed from the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.reading.open_dataset import is_policy_feature

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_LOW, _HIGH = ("min", "q01", "q10"), ("max", "q90", "q99")


def exact_stats(values: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """LeRobot-style statistics of (N, D) or (N,) numbers: min, max, mean, std, quantiles (D,), count (1,)."""
    flat = values.reshape(len(values), -1)
    quantiles = np.quantile(flat, list(QUANTILES.values()), axis=0).astype(np.float64)
    return {
        "min": flat.min(0).astype(np.float64),
        "max": flat.max(0).astype(np.float64),
        "mean": flat.mean(0, dtype=np.float64),
        "std": flat.std(0, dtype=np.float64),
        "count": np.array([len(flat)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


def target_stats(sources: Sequence[AlignedSource]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The target's statistics, made to fit its data and safe for the sources.

    Statistics that do not describe the selected frames are computed anew. A dimension that is constant in the
    target is divided by 1e-8 in LeRobot: harmless while it never changes, but a source that moves it would be blown
    up to 1e8; it gets a range of 1 around the target's constant instead.

    Args:
        sources: aligned, the target first.

    Returns:
        The statistics, and one line for each feature that was changed.
    """
    target = sources[0]
    stats = {key: dict(values) for key, values in target.stats.items()}
    notes = []
    whole = len(target.episode_ids) == target.meta.total_episodes
    for key, values in target.columns.items():
        if not is_policy_feature(key):
            continue
        exact = _shaped(exact_stats(values), values)
        if key in target.computed:
            stats[key] = dict(exact)
        elif (misfit := _misfit(stats.get(key, {}), exact, whole=whole)) is not None:
            notes.append(f"{key}: stats.json does not fit the data of '{target.name}' ({misfit}); computed anew.")
            stats[key] = dict(exact)
        else:
            stats[key] |= {name: value for name, value in exact.items() if name in QUANTILES}
        if (dims := _widen(key, stats[key], sources)).size:
            notes.append(
                f"{key}: dimensions {dims.tolist()} are constant in the target and move in a source; range 1 is used."
            )
    return stats, notes


def _shaped(stats: dict[str, NDArray[np.float64]], values: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Statistics in the shape of one frame of (N, ...) values, as LeRobot has them; (1,) where a frame is a number."""
    shape = values.shape[1:] or (1,)
    return {name: value if name == "count" else value.reshape(shape) for name, value in stats.items()}


def merged_stats(
    stats: Mapping[str, Mapping[str, Any]], target: AlignedSource, extra: Sequence[AlignedSource]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """`target_stats` of a merged dataset: those it was written under, made safe for sources it does not hold.

    Args:
        stats: as the merged dataset has them.
        target: its target.
        extra: aligned sources besides its own.
    """
    kept = {key: dict(values) for key, values in stats.items()}
    notes = []
    for key in target.columns:
        if is_policy_feature(key) and (dims := _widen(key, kept[key], [target, *extra])).size:
            notes.append(
                f"{key}: dimensions {dims.tolist()} are constant in the target and move in a source; range 1 is used."
            )
    return kept, notes


def _misfit(stats: Mapping[str, Any], exact: Mapping[str, Any], *, whole: bool) -> str | None:
    """Why statistics do not describe the data; None when they do.

    Those of a dataset may be wider than a selection of its episodes, never narrower, and of all episodes equal.
    """
    for name in ("min", "max", "mean", "std"):
        if name not in stats:
            return f"it has no {name}"
        if np.asarray(stats[name]).size != exact[name].size:
            return f"its {name} has {np.asarray(stats[name]).size} dimensions, the data {exact[name].size}"
        if not np.isfinite(np.asarray(stats[name], dtype=np.float64)).all():
            return f"its {name} is not finite"
    given = {name: np.asarray(stats[name], dtype=np.float64).reshape(-1) for name in ("min", "max", "mean", "std")}
    exact = {name: values.reshape(-1) for name, values in exact.items()}
    slack = 1e-3 * (exact["max"] - exact["min"]) + 1e-5 * np.maximum(abs(exact["max"]), abs(exact["min"])) + 1e-7
    gaps = {"min": given["min"] - exact["min"], "max": exact["max"] - given["max"]}
    if whole:
        gaps |= {name: abs(given[name] - exact[name]) for name in ("min", "max", "mean", "std")}
    for name, gap in gaps.items():
        worst = int(np.argmax(gap - slack))
        if gap[worst] > slack[worst]:
            there, here = given[name][worst], exact[name][worst]
            return f"{name} of dimension {worst} is {there:.6g} there and {here:.6g} in the data"
    return None


def _widen(key: str, stats: dict[str, Any], sources: Sequence[AlignedSource]) -> NDArray[np.int64]:
    """Give constant dimensions that a source moves a range of 1, in place; returns them."""
    low, high = (np.asarray(stats[name], dtype=np.float64) for name in ("min", "max"))
    moved = np.zeros(low.size, dtype=bool)
    for source in sources[1:]:
        if key not in source.maps:
            continue
        values = source.columns[key].reshape(len(source), -1)
        moves = (values.max(0) > high.reshape(-1)) | (values.min(0) < low.reshape(-1))
        moved |= moves & ~source.maps[key].masked
    widen = (moved & (high == low).reshape(-1)).reshape(low.shape)
    for names, shift in ((_LOW, -0.5), (_HIGH, 0.5)):
        for name in names:
            stats[name] = np.where(widen, low + shift, stats[name])
    stats["std"] = np.where(widen, 1.0, stats["std"])
    return np.flatnonzero(widen)
