# SPDX-License-Identifier: Apache-2.0
"""The report's figures of what is mixed: modes among what windows admit, and the target's share of soft ambient."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.figures.style import (
    FAINT,
    HEIGHT,
    LIMIT,
    SOURCE,
    TARGET,
    Picture,
    legend_above,
    new_figure,
    png_of,
    sigma_axis,
    styled,
)

if TYPE_CHECKING:
    from lerobot_ambient.annotate.mixing.mode_mix import ModeMix
    from lerobot_ambient.annotate.mixing.soft_shares import SoftShares


@styled
def draw_mode_mix(mix: ModeMix) -> Picture | None:
    """The modes admitted at each level, and how far their mix is from the dataset's; None where it never is."""
    if not np.nan_to_num(mix.shift).any():
        return None
    figure = new_figure(1.3 * HEIGHT)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    shades = _colours(len(mix.whole))
    edges = np.concatenate([np.zeros((len(mix.sigmas), 1)), np.cumsum(100 * mix.mix, axis=1)], axis=1).T
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        upper.fill_between(mix.sigmas, low, high, color=shades[k], linewidth=0)
    for height in 100 * np.cumsum(mix.whole)[:-1]:
        upper.axhline(height, color="black", linestyle=":", linewidth=0.9)
    upper.set_ylim(0.0, 100.0)
    upper.set_ylabel("admitted, by mode (%)")
    lower.plot(mix.sigmas, mix.shift, color=SOURCE, marker="o", markersize=2.6, label="shift of the mix")
    lower.plot(mix.sigmas, mix.chance, color=LIMIT, linestyle="--", label="by chance")
    top = np.nanmax(np.append(np.concatenate([mix.shift, mix.chance]), 0.05))
    lower.set_ylim(0.0, 1.35 * top)
    lower.set_ylabel("total variation")
    lower.legend(loc="upper right", ncols=2)
    sigma_axis(upper, label=False)
    sigma_axis(lower)
    return Picture(
        "mode_mix.png",
        png_of(figure),
        f"Mix of modes of {mix.data}, windows per {mix.granularity}",
        f"{_sentences(mix)} Above: which modes (clusters of chunks) are admitted at each level; dotted lines are their "
        "shares of the whole dataset. Below: how far the two are apart. A shift well above chance biases what is "
        "learnt at that level. Levels that admit too little are left blank.",
        _sentences(mix),
    )


def _sentences(mix: ModeMix) -> str:
    return "; ".join(mix.lines()) + "."


def _colours(number: int) -> list[tuple[float, float, float, float]]:
    """As many colours as there are modes, from one map."""
    from matplotlib import colormaps

    return [tuple(colour) for colour in colormaps["cividis"](np.linspace(0.05, 0.95, number))]


@styled
def draw_soft(soft: SoftShares) -> Picture:
    """The target's share over the noise level."""
    figure = new_figure()
    axis = figure.subplots()
    sigmas, shares = np.array(soft.sigmas), np.array(soft.clean_shares)
    # Outside its knots the share is constant.
    x, y = np.concatenate([[0.0], sigmas, [1.0]]), 100 * np.concatenate([shares[:1], shares, shares[-1:]])
    axis.fill_between(x, y, 100.0, color=SOURCE, alpha=0.15, linewidth=0, label="sources")
    axis.fill_between(x, 0.0, y, color=TARGET, alpha=0.15, linewidth=0, label="target")
    axis.plot(x, y, color=TARGET)
    axis.plot(sigmas, 100 * shares, color=TARGET, marker="o", markersize=2.6, linestyle="none")
    sigma_axis(axis)
    axis.set_ylim(0.0, 102.0)
    axis.set_ylabel("share (%)")
    axis.axhline(0.0, color=FAINT, linewidth=0.8)
    legend_above(axis)
    return Picture(
        "soft.png",
        png_of(figure),
        "Soft clean share",
        "The target's share at each noise level that the evidence of all sources suggests; dots are the knots of the "
        f"rule. The target is used alone where the distance is {soft.alone_above:g} or more.",
        f"The target's share goes from {100 * shares[0]:.0f} % at sigma {sigmas[0]:.2f} to {100 * shares[-1]:.0f} % at "
        f"{sigmas[-1]:.2f}.",
    )
