# SPDX-License-Identifier: Apache-2.0
"""How figures look: one palette, one set of sizes, and files that have the same bytes on every run."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lerobot_ambient.core.heat_map import canvas
from lerobot_ambient.data.files.replace_file import replace_file

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, VERMILION, ORANGE, GREEN, PURPLE, SKY = "#0072B2", "#D55E00", "#E69F00", "#009E73", "#CC79A7", "#56B4E9"
"""Okabe and Ito's palette, which most colour-blind readers can distinguish."""
TARGET, SOURCE, WINDOW, LIMIT, FAINT = BLUE, VERMILION, "#007A5A", "#5F6670", "#B9BEC5"
"""Roles. A window is the palette's green, darkened for lines; greys are for thresholds and what is beside the point."""
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
    "axes.edgecolor": LIMIT,
    "lines.linewidth": 1.5,
    "svg.fonttype": "none",
    # Without it the SVG's ids differ from run to run.
    "svg.hashsalt": "lerobot_ambient",
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
    """Run `draw`, which draws and saves, under this style, whatever the caller's settings are."""

    @functools.wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context, rcParamsDefault

        settings = {key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")}
        with rc_context({**settings, **_STYLE}):
            return draw(*args, **kwargs)

    return wrapped


def new_figure(height: float = HEIGHT, width: float = WIDTH) -> Figure:
    """An empty figure on its own canvas: no window, no global state of pyplot; a notebook shows it."""
    return canvas(width, height)


def subplots(rows: int, columns: int, *, figsize: tuple[float, float], **shared: Any) -> tuple[Figure, Any]:
    """`new_figure` of (width, height) inches with (rows, columns) axes; `shared` is `sharex` and `sharey`."""
    width, height = figsize
    figure = new_figure(height, width)
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


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
        handlelength=1.4,
        columnspacing=1.0,
    )


def png_of(figure: Figure) -> bytes:
    """The figure as PNG with a palette, a third of the size; no metadata, so that equal numbers give equal bytes."""
    from PIL import Image

    pixels, small = io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, format="png", dpi=_DPI)
    picture = Image.open(pixels).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(small, format="png", optimize=True)
    return small.getvalue()


def write_figure(figure: Figure, path: Path) -> Path:
    """Write the figure at once, in the format that the suffix of `path` names; on failure an older file is kept.

    Args:
        figure: drawn.
        path: to write; its folder is made, and without a suffix it becomes a PNG.

    Returns:
        What was written.

    Raises:
        ValueError: a format that matplotlib does not write.
    """
    path = path if path.suffix else path.with_suffix(".png")
    if path.suffix == ".png":
        content = png_of(figure)
    else:
        drawing = io.BytesIO()
        # No date, so that equal numbers give equal bytes.
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(drawing, format=path.suffix[1:], metadata=metadata)
        content = drawing.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content)
    return path


def write_png_and_svg(figure: Figure, path: Path) -> Path:
    """`write_figure` in both formats, beside each other; returns the PNG's path."""
    write_figure(figure, path.with_suffix(".svg"))
    return write_figure(figure, path.with_suffix(".png"))


def figure_name(name: str) -> str:
    """A dataset's name as figures print it: one line, shortened in the middle, never read as a formula."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    if len(printable) > _NAME:
        half = (_NAME - 1) // 2
        printable = f"{printable[: _NAME - 1 - half]}…{printable[-half:]}"
    return printable.replace("$", r"\$")
