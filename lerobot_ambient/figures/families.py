# SPDX-License-Identifier: Apache-2.0
"""Names, colours and markers of the families of a study's conditions: one colour in all figures, a marker a variant."""

from __future__ import annotations

from collections.abc import Sequence

from lerobot_ambient.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION

COLOURS = {
    "target_only": BLUE,
    "source_only": VERMILION,
    "cotrain": ORANGE,
    "ambient": GREEN,
    "omni": GREEN,
    "exclusive": PURPLE,
    "soft": SKY,
}
"""Omni is ambient with a sigma_max."""
NAMES = {
    "target_only": "target only",
    "source_only": "source only",
    "cotrain": "co-training",
    "ambient": "ambient",
    "omni": "ambient omni",
    "exclusive": "exclusive bands",
    "soft": "soft ambient",
}
_VARIANTS = {
    "spectral": "window by spectra",
    "classifier-dataset": "classifier, dataset",
    "classifier-bucket": "classifier, buckets",
    "classifier-datapoint": "classifier, data points",
    "classifier-datapoint-locality": "data points, locality",
    "heldout": "window by held-out errors",
    "finetuned": "then target only",
    "conditioned": "told the logic",
    "pooled": "all frames alike",
    "pooled-finetuned": "all frames, then target only",
    "right": "right logic",
    "published": "the paper's window",
    "arbitrary": "arbitrary logic",
    "arbitrary-conditioned": "arbitrary, told the logic",
    "by-size": "shares by size",
    "share": "constant share",
    "bucket": "window per bucket",
    "unet": "U-Net, noise",
    "pretraining": "all frames alike",
    "pretrained-tuned": "all frames, then target only",
}
"""Suffixes in words; others, such as numbers, speak for themselves."""
MARKERS = {
    "target_only": "o",
    "source_only": "s",
    "cotrain": "D",
    "ambient": "*",
    "omni": "*",
    "exclusive": "P",
    "soft": "^",
}
_VARIANT_MARKERS = ("v", "X", "h", "<", ">", "d", "p", "8", "s", "D", "P", "^")


def label(condition: str) -> str:
    """A condition in words."""
    family, _, suffix = condition.partition(":")
    return NAMES[family] + (f", {_VARIANTS.get(suffix, suffix)}" if suffix else "")


def front_value(condition: str) -> float | None:
    """The swept value of a condition that is a point of a front, such as 0.5 of cotrain:0.5; None for others."""
    try:
        return float(condition.partition(":")[2])
    except ValueError:
        return None


def colour(condition: str) -> str:
    """The colour of a condition's family."""
    return COLOURS[condition.partition(":")[0]]


def marker(condition: str, conditions: Sequence[str]) -> str:
    """The family's marker; a dot for a point of a front; for a variant one of its own among those in its colour.

    Args:
        condition: its name.
        conditions: all that are drawn together.
    """
    if ":" not in condition:
        return MARKERS[condition]
    if front_value(condition) is not None:
        return "."
    variants = [
        name for name in conditions if ":" in name and front_value(name) is None and colour(name) == colour(condition)
    ]
    free = [one for one in _VARIANT_MARKERS if one != MARKERS[condition.partition(":")[0]]]
    return free[variants.index(condition) % len(free)]
