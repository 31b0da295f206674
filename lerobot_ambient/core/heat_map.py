# SPDX-License-Identifier: Apache-2.0
"""The plan as a picture: which dataset is trained on at which noise level.

As HTML with nothing but text, for a notebook, and by matplotlib, which is imported only when something is drawn.
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

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLE = "Share of each dataset at each noise level"
_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Of shares 0, 1/4, ... 1; between them colours are mixed."""
_SHADES = 40
_COLUMNS = 200
_WIDTH, _ROW, _LABEL = 480, 22, 190


def shares_figure(
    shares: NDArray[np.float64],
    law: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    names: Sequence[str],
    width: float = 8.0,
    intervals: int = 8,
) -> Figure:
    """The heat map on a figure of its own.

    Args:
        shares: (S, T) share of each dataset at each timestep, in [0, 1].
        law: (S,) share of all draws.
        sigmas: (T,) noise level of each timestep.
        names: (S,) what to call the datasets.
        width: inches.
        intervals: between labelled timesteps.
    """
    figure = canvas(width, 1.6 + 0.42 * len(names))
    draw_shares(figure.subplots(), shares, law, sigmas, names, intervals)
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
    sigmas: NDArray[np.float64],
    names: Sequence[str],
    intervals: int = 8,
) -> None:
    """Draw the heat map on an axis of matplotlib; arguments as for `shares_figure`."""
    image = axis.imshow(100 * shares, aspect="auto", cmap="viridis", vmin=0, vmax=100, interpolation="nearest")
    axis.set_yticks(range(len(names)), [f"{n}\n{100 * p:.1f} % of draws" for n, p in zip(names, law, strict=True)])
    ticks = sorted({round(k * (len(sigmas) - 1) / intervals) for k in range(intervals + 1)})
    axis.set_xticks(ticks, [f"{t}\n{sigmas[t]:.3f}" for t in ticks])
    axis.set_xlabel("timestep / noise level sigma")
    axis.set_title(_TITLE, fontsize=11)
    for row in range(1, len(names)):
        axis.axhline(row - 0.5, color="white", linewidth=1.5)
    axis.figure.colorbar(image, ax=axis, label="share, %", fraction=0.05)


def shares_html(
    shares: NDArray[np.float64], law: NDArray[np.float64], sigmas: NDArray[np.float64], names: Sequence[str]
) -> str:
    """The heat map as a picture inside HTML (SVG), a row a dataset, the noise level to the right; a few kilobytes.

    Of more than 200 timesteps every k-th is shown. Arguments as for `shares_figure`.
    """
    shown = np.arange(0, len(sigmas), -(-len(sigmas) // _COLUMNS))
    step = _WIDTH / len(shown)
    height = _ROW * len(names) + 34
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
            share, sigma = shares[row, shown[columns[0]]], sigmas[shown[columns]]
            parts.append(
                f'<rect x="{_LABEL + step * columns[0]:.1f}" y="{top}" width="{step * len(columns):.1f}" '
                f'height="{_ROW - 2}" fill="{_colour(value / _SHADES)}"><title>{escape(name)}: {100 * share:.0f} % at '
                f"sigma {sigma[0]:.3f} to {sigma[-1]:.3f}</title></rect>"
            )
    bottom = _ROW * len(names) + 12
    for tick in range(5):
        place = round(tick * (len(shown) - 1) / 4)
        x = _LABEL + step * (place + 0.5)
        parts.append(f'<text x="{x:.1f}" y="{bottom}" text-anchor="middle">{sigmas[shown[place]]:.3f}</text>')
    parts.append(
        f'<text x="{_LABEL + _WIDTH / 2:.0f}" y="{bottom + 16}" text-anchor="middle">noise level sigma; dark: never '
        "shown, bright: alone</text></svg>"
    )
    return "\n".join(parts)


def _colour(share: float) -> str:
    """A colour of the map, `#rrggbb`."""
    place = share * (len(_VIRIDIS) - 1)
    left = min(int(place), len(_VIRIDIS) - 2)
    rgb = [round(a + (place - left) * (b - a)) for a, b in zip(_VIRIDIS[left], _VIRIDIS[left + 1], strict=True)]
    return "#" + "".join(f"{value:02x}" for value in rgb)
