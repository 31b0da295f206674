# SPDX-License-Identifier: Apache-2.0
"""How the studies' figures look. A family of conditions has one colour in all, its variants differ by marker."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {
    "target_only": "#0072B2",
    "source_only": "#D55E00",
    "cotrain": "#E69F00",
    "ambient": "#009E73",
    "omni": "#009E73",
    "exclusive": "#CC79A7",
    "soft": "#56B4E9",
}
"""Okabe and Ito's palette, told apart by most colour-blind readers. Omni is ambient with a sigma_max."""
NAMES = {
    "target_only": "target only",
    "source_only": "source only",
    "cotrain": "co-training",
    "ambient": "ambient",
    "omni": "ambient omni",
    "exclusive": "exclusive bands",
    "soft": "soft ambient",
}
VARIANTS = {
    "spectral": "window by spectra",
    "classifier-dataset": "classifier, data set",
    "classifier-bucket": "classifier, buckets",
    "classifier-datapoint": "classifier, data points",
    "classifier-datapoint-locality": "data points, locality",
    "finetuned": "then target only",
    "conditioned": "told the logic",
    "arbitrary": "arbitrary logic",
    "arbitrary-conditioned": "arbitrary, told the logic",
    "by-size": "shares by size",
    "share": "constant share",
    "bucket": "window per bucket",
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
VARIANT_MARKERS = ("v", "X", "h", "<", ">", "d", "p", "8", "s", "D", "P", "^")


def label(condition: str) -> str:
    """A condition in words."""
    family, _, suffix = condition.partition(":")
    return NAMES[family] + (f", {VARIANTS.get(suffix, suffix)}" if suffix else "")


def colour(condition: str) -> str:
    """The colour of a condition's family."""
    return COLOURS[condition.partition(":")[0]]


def marker(condition: str, conditions: Sequence[str]) -> str:
    """The family's marker, or for a variant one of its own among the variants of `conditions`."""
    if ":" not in condition:
        return MARKERS[condition]
    family = condition.partition(":")[0]
    variants = [name for name in conditions if ":" in name and name.partition(":")[0] == family]
    free = [one for one in VARIANT_MARKERS if one != MARKERS[family]]
    return free[variants.index(condition) % len(free)]


STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "axes.axisbelow": True,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    # Without it the SVG's ids differ from run to run.
    "svg.hashsalt": "lerobot_ambient",
}


def styled[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw` under `STYLE`, whatever the caller's own settings are."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context, rcParamsDefault

        settings = {key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")}
        with rc_context({**settings, **STYLE}):
            return draw(*args, **kwargs)

    return wrapped


def subplots(rows: int, columns: int, **options: Any) -> tuple[Figure, Any]:
    """A figure on its own canvas: no window, no global state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shared = {key: options.pop(key) for key in ("sharex", "sharey") if key in options}
    figure = Figure(layout="constrained", **options)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def save(figure: Figure, path: Path) -> Path:
    from PIL import Image

    # No date, so that the same numbers give the same file.
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    # A palette of 256 colours is enough for lines, and a third of the size: these files are committed.
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png")
    picture = Image.open(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(path.with_suffix(".png"), optimize=True)
    return path.with_suffix(".png")
