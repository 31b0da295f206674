# SPDX-License-Identifier: Apache-2.0
"""The plan as a picture: which dataset is trained on at which noise level.

As HTML with nothing but text, for a notebook, and by matplotlib, which is imported only when something is drawn. The
columns are what the policy draws equally often: the timesteps of a discrete diffusion, or the cells of a flow's law of
time, where the place to the right is that law's quantile.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.noise_levels import NoiseSchedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE = "Share of each dataset at each noise level"
_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Of shares 0, 1/4, ... 1; between them colours are mixed."""
_SHADES = 40
_KEY = "dark: never shown, bright: alone"
_COLUMNS = 200
_WIDTH, _ROW, _LABEL = 480, 22, 190


def shares_figure(
    shares: NDArray[np.float64],
    law: NDArray[np.float64],
    schedule: NoiseSchedule,
    names: Sequence[str],
    width: float = 8.0,
    intervals: int = 8,
) -> Figure:
    """The heat map on a figure of its own.

    Args:
        shares: (S, T) share of each dataset at each timestep or cell, in [0, 1].
        law: (S,) share of all draws.
        schedule: the T noise levels.
        names: (S,) what to call the datasets.
        width: inches.
        intervals: between labelled levels.
    """
    figure = canvas(width, 1.6 + 0.42 * len(names))
    draw_shares(figure.subplots(), shares, law, schedule, names, intervals)
    return figure


def canvas(width: float, height: float) -> Figure:
    """An empty figure of so many inches: no window, no global state of pyplot; a notebook shows what is drawn on it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    # IPython knows how to show figures of pyplot only; of anything else it asks this.
    figure._repr_png_ = partial(_png, figure)  # type: ignore[attr-defined]
    return figure


def _png(figure: Figure) -> bytes:
    content = BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()


def draw_shares(
    axis: Axes,
    shares: NDArray[np.float64],
    law: NDArray[np.float64],
    schedule: NoiseSchedule,
    names: Sequence[str],
    intervals: int = 8,
) -> None:
    """Draw the heat map on an axis of matplotlib; arguments as for `shares_figure`."""
    image = axis.imshow(100 * shares, aspect="auto", cmap="viridis", vmin=0, vmax=100, interpolation="nearest")
    axis.set_yticks(range(len(names)), [f"{n}\n{100 * p:.1f} % of draws" for n, p in zip(names, law, strict=True)])
    if schedule.law is None:
        sigmas = schedule.sigmas.numpy()
        ticks = sorted({round(k * (len(sigmas) - 1) / intervals) for k in range(intervals + 1)})
        axis.set_xticks(ticks, [f"{t}\n{sigmas[t]:.3f}" for t in ticks])
        axis.set_xlabel("timestep / noise level sigma")
    else:
        edges = _edges(schedule)
        ticks = sorted({round(k * len(schedule) / intervals) for k in range(intervals + 1)})
        # A cell is as wide as a pixel of the picture, and its edges lie half a pixel beside its middle.
        axis.set_xticks([t - 0.5 for t in ticks], [f"{t / len(schedule):.3g}\n{edges[t]:.3f}" for t in ticks])
        of_law = f"{len(schedule)} cells of {schedule.law}"
        axis.set_xlabel(f"quantile of the policy's own time / noise level sigma\n{of_law}")
    axis.set_title(_TITLE, fontsize=11)
    for row in range(1, len(names)):
        axis.axhline(row - 0.5, color="white", linewidth=1.5)
    axis.figure.colorbar(image, ax=axis, label="share, %", fraction=0.05)


def _edges(schedule: NoiseSchedule) -> NDArray[np.float64]:
    """(T + 1,) noise levels of the edges of its cells."""
    return np.append(schedule.lower.numpy(), float(schedule.upper[-1]))


def shares_html(
    shares: NDArray[np.float64], law: NDArray[np.float64], schedule: NoiseSchedule, names: Sequence[str]
) -> str:
    """The heat map as a picture inside HTML (SVG), a row a dataset, the noise level to the right; a few kilobytes.

    Of more than 200 levels every k-th is shown. Arguments as for `shares_figure`.
    """
    stride = -(-len(schedule) // _COLUMNS)
    shown = np.arange(0, len(schedule), stride)
    step = _WIDTH / len(shown)
    below, above = schedule.lower.numpy(), schedule.upper.numpy()
    said = [f"noise level sigma; {_KEY}"]
    if schedule.law is not None:
        # Between two columns that are shown lie cells that are not; the range of a run takes them in.
        above = above[np.minimum(np.arange(len(schedule)) + stride, len(schedule)) - 1]
        said = ["noise level sigma at quarters of the policy's own draws of time,", f"{schedule.law}; {_KEY}"]
    height = _ROW * len(names) + 20 + 14 * len(said)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LABEL + _WIDTH + 20}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="currentColor">',
        f"<title>{escape(_TITLE)}</title>",
    ]
    for row, name in enumerate(names):
        top = _ROW * row
        label = f"{name if len(name) <= 20 else name[:19] + '…'}: {100 * law[row]:.1f} %"
        parts.append(f'<text x="{_LABEL - 6}" y="{top + 15}" text-anchor="end">{escape(label)}</text>')
        shade = np.round(_SHADES * np.clip(shares[row, shown], 0.0, 1.0)).astype(int)
        for value, run in groupby(range(len(shown)), key=shade.tolist().__getitem__):
            columns = list(run)
            share, low, high = shares[row, shown[columns[0]]], below[shown[columns[0]]], above[shown[columns[-1]]]
            parts.append(
                f'<rect x="{_LABEL + step * columns[0]:.1f}" y="{top}" width="{step * len(columns):.1f}" '
                f'height="{_ROW - 2}" fill="{_colour(value / _SHADES)}"><title>{escape(name)}: {100 * share:.0f} % at '
                f"sigma {low:.3f} to {high:.3f}</title></rect>"
            )
    bottom = _ROW * len(names) + 12
    for x, sigma in _ticks(schedule, shown, step):
        parts.append(f'<text x="{_LABEL + x:.1f}" y="{bottom}" text-anchor="middle">{sigma:.3f}</text>')
    parts += [
        f'<text x="{_LABEL + _WIDTH / 2:.0f}" y="{bottom + 16 + 14 * line}" text-anchor="middle">{escape(text)}</text>'
        for line, text in enumerate(said)
    ]
    return "\n".join(parts) + "</svg>"


def _ticks(schedule: NoiseSchedule, shown: NDArray[np.int64], step: float) -> list[tuple[float, float]]:
    """Five places from the left edge and the noise level of each: of timesteps in their middle, of cells at edges."""
    if schedule.law is not None:
        edges = _edges(schedule)
        return [(_WIDTH * k / 4, edges[round(k * len(schedule) / 4)]) for k in range(5)]
    places = [round(k * (len(shown) - 1) / 4) for k in range(5)]
    return [(step * (place + 0.5), float(schedule.sigmas[shown[place]])) for place in places]


def _colour(share: float) -> str:
    """A colour of the map, `#rrggbb`."""
    place = share * (len(_VIRIDIS) - 1)
    left = min(int(place), len(_VIRIDIS) - 2)
    rgb = [round(a + (place - left) * (b - a)) for a, b in zip(_VIRIDIS[left], _VIRIDIS[left + 1], strict=True)]
    return "#" + "".join(f"{value:02x}" for value in rgb)
