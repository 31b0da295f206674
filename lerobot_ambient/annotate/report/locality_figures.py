# SPDX-License-Identifier: Apache-2.0
"""The report's figures of local motion: how far the denoiser looks, and whether what it sees there is alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.annotate.locality.by_moments import LocalityEvidence
from lerobot_ambient.figures.style import (
    FAINT,
    LIMIT,
    SOURCE,
    TARGET,
    WINDOW,
    Picture,
    legend_above,
    new_figure,
    png_of,
    sigma_axis,
    styled,
)

if TYPE_CHECKING:
    from lerobot_ambient.annotate.locality.by_classifier import CropEvidence


@styled
def draw_locality(evidence: LocalityEvidence) -> Picture:
    """How far the denoiser looks, and at which levels crops of that length are alike."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    figure = new_figure()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[8, 1])
    field = evidence.field
    span = {"step": "mid", "color": TARGET, "alpha": 0.2, "linewidth": 0}
    upper.fill_between(field.sigmas, field.low, field.high, label="by other episodes", **span)
    upper.step(field.sigmas, field.steps, where="mid", color=TARGET, label="r(σ)")
    upper.set_ylabel("receptive field r(σ), steps")
    upper.set_ylim(bottom=0)
    sigma_axis(upper, label=False)
    state = np.where(evidence.parted, 2, np.where(evidence.alike, 0, 1))
    middle = (field.sigmas[1:] + field.sigmas[:-1]) / 2
    edges = np.concatenate([[0.0], middle, [1.0]])
    colours = ["#4FB394", "#E3E6E9", SOURCE]
    lower.pcolormesh(edges, [0.0, 1.0], state[None], cmap=ListedColormap(colours), vmin=-0.5, vmax=2.5)
    if evidence.sigma_max > 0.0:
        upper.axvline(evidence.shown, color=WINDOW, label=r"$σ_{\mathrm{max}}$, shown")
        upper.axvline(evidence.sigma_max, color=LIMIT, linestyle="--", label="not refuted")
    lower.set_yticks([])
    lower.grid(visible=False)
    sigma_axis(lower)
    names = ["shown to be alike", "undecided", "distinguished"]
    patches = [Patch(color=colour, label=name) for colour, name in zip(colours, names, strict=True)]
    legend_above(upper, 3, [*upper.get_legend_handles_labels()[0], *patches])
    return Picture(
        "locality.png",
        png_of(figure),
        "Local motion",
        "Steps that are enough to denoise one (band: judged on other episodes), and whether crops of that length "
        "differ between the datasets. sigma_max is where the first level fails; the solid line is what is shown, the "
        "dashed one what was not refuted.",
        f"The receptive field grows from {field.steps[0]} to {field.steps[-1]} steps; crops are shown to be alike up "
        f"to {evidence.shown:.3f} and not distinguished up to {evidence.sigma_max:.3f}.",
    )


@styled
def draw_crops(evidence: CropEvidence) -> Picture:
    """How often classifiers take crops of the source for the target's, with the length of the crops."""
    figure = new_figure()
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    sigmas, threshold = evidence.sigmas, 0.5 - evidence.tau
    upper.fill_between(sigmas, evidence.low, evidence.high, color=SOURCE, alpha=0.2, linewidth=0, label="95 % band")
    upper.plot(sigmas, evidence.p, color=SOURCE, marker="o", markersize=2.6, label="p of crops")
    upper.axhline(0.5, color=FAINT, linewidth=1.0)
    upper.axhline(threshold, color=LIMIT, linestyle="--", linewidth=1.1, label=f"threshold {threshold:g}")
    if evidence.sigma_max > 0.0:
        upper.axvline(evidence.shown, color=WINDOW, label="shown")
        upper.axvline(evidence.sigma_max, color=WINDOW, linestyle="--", label="not refuted")
    upper.set_ylim(0.0, 0.6)
    upper.set_ylabel('mean probability\nof "target"')
    legend_above(upper, 3)
    lower.step(sigmas, evidence.length, where="mid", color=TARGET)
    lower.set_ylim(0, 1.15 * int(evidence.length.max()))
    lower.set_ylabel("crop, steps")
    sigma_axis(upper, label=False)
    sigma_axis(lower)
    return Picture(
        "locality.png",
        png_of(figure),
        "Local motion",
        "As the classifier curve, but for crops as long as the denoiser looks at that level (below). sigma_max is "
        "where the curve first falls under the threshold: the solid line is what is shown, the dashed one what was not "
        "refuted.",
        f"Crops grow from {evidence.length[0]} to {evidence.length[-1]} steps; they are shown to be alike up to "
        f"{evidence.shown:.3f} and not distinguished up to {evidence.sigma_max:.3f}.",
    )
