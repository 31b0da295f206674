# SPDX-License-Identifier: Apache-2.0
"""What the report's figures share: colours by role, sizes, and small PNGs with the same bytes on every run."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lerobot_ambient.core.heat_map import canvas

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TARGET, SOURCE, WINDOW, LIMIT, FAINT = "#0072B2", "#D55E00", "#007A5A", "#5F6670", "#B9BEC5"
"""Okabe and Ito's blue, vermilion and (darkened) green; greys for thresholds and what is beside the point."""
WIDTH, HEIGHT = 4.8, 3.3
"""Inches. Shown about as wide as a phone, text of 9 points stays readable there."""
SIGMA = "noise level σ"
_DPI = 200
_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E6E8EB",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "axes.edgecolor": "#5F6670",
    "lines.linewidth": 1.5,
}
_NAME = 30


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Args:
        name: of the file, without folder; ends in ".png".
        png: its bytes.
        title: a few words.
        caption: how to read it.
        alt: what it shows, for those who cannot see it.
    """

    name: str
    png: bytes
    title: str
    caption: str
    alt: str


def styled[**P, R](draw: Callable[P, R]) -> Callable[P, R]:
    """Run `draw`, which draws and saves, under the report's style, whatever the caller's settings are."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context, rcParamsDefault

        settings = {key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")}
        with rc_context({**settings, **_STYLE}):
            return draw(*args, **kwargs)

    return wrapped


def new_figure(height: float = HEIGHT, width: float = WIDTH) -> Figure:
    """An empty figure of this size in inches."""
    return canvas(width, height)


def sigma_axis(axis: Axes, *, label: bool = True) -> None:
    """The horizontal axis from no noise to nothing but noise."""
    axis.set_xlim(0.0, 1.0)
    axis.set_xticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    if label:
        axis.set_xlabel(SIGMA)


def legend_above(axis: Axes, columns: int = 2, handles: Sequence[Artist] | None = None) -> None:
    """A legend that covers no curve; of what is labelled, or of other handles."""
    axis.legend(
        handles=axis.get_legend_handles_labels()[0] if handles is None else handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        borderaxespad=0.2,
        handlelength=1.6,
        columnspacing=1.2,
    )


def png_of(figure: Figure) -> bytes:
    """The figure as PNG with a palette, a third of the size; no metadata, so that equal numbers give equal bytes."""
    from PIL import Image

    pixels, small = io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, format="png", dpi=_DPI)
    picture = Image.open(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(small, format="png", optimize=True)
    return small.getvalue()


def figure_name(name: str) -> str:
    """A data set's name as figures print it: one line, shortened in the middle, never read as a formula."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    if len(printable) > _NAME:
        half = (_NAME - 1) // 2
        printable = f"{printable[: _NAME - 1 - half]}…{printable[-half:]}"
    return printable.replace("$", r"\$")
