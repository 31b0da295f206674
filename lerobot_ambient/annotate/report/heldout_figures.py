# SPDX-License-Identifier: Apache-2.0
"""The report's figures of the held-out method: the map, the curves that windows are read from, the dimensions."""

from __future__ import annotations

import numpy as np

from lerobot_ambient.annotate.heldout.curve_figures import against_best, curves_figure
from lerobot_ambient.annotate.heldout.errors import ACCELERATION, POSITION
from lerobot_ambient.annotate.heldout.evidence import HeldOutEvidence
from lerobot_ambient.annotate.heldout.figures import (
    adds_figure,
    dimension_rows,
    dimensions_figure,
    map_figure,
)
from lerobot_ambient.figures.style import Picture, png_of

GREEN_AND_RED = (
    "Green: denoisers that were also trained on the source make a smaller error on target episodes that none of them "
    "saw, so the source knows something that the target's own episodes do not tell. Red: they make a larger one, so it "
    "teaches something that is wrong for the target. Grey: no change is shown; more target episodes would tell."
)


def draw_held_out(evidence: HeldOutEvidence) -> list[Picture]:
    """The map first."""
    drawn = [_map(evidence), _curves(evidence), _dimensions(evidence), _adds(evidence)]
    return [picture for picture in drawn if picture is not None]


def _map(evidence: HeldOutEvidence) -> Picture:
    read = evidence.read
    ratio = 100.0 * np.expm1(read.ratio.log)
    best, worst = (int(chosen) for chosen in (np.argmin(ratio[:, POSITION]), np.argmax(ratio[:, ACCELERATION])))
    return Picture(
        "heldout_map.png",
        png_of(map_figure(evidence)),
        "Where the source helps and where it hurts",
        "Rows are frequencies of the error along a chunk. The two rows set apart decide the window: "
        "the error of position (where the motion goes) must not be raised, that of acceleration (how it feels) at most "
        f"by {100 * read.rule.tolerance:g} %. Full colours: the change is shown for all levels of a row at once "
        f"({100 * read.rule.confidence:g} %). Pale: a level's own interval alone speaks for it, by chance in one of "
        "twenty cells where nothing changes. Black: levels at which the source may teach.",
        f"{evidence.headline()}. Position: {ratio[best, POSITION]:+.0f} % at sigma {read.sigmas[best]:.2f}, its "
        f"lowest; acceleration: {ratio[worst, ACCELERATION]:+.0f} % at {read.sigmas[worst]:.2f}, its highest.",
    )


def _curves(evidence: HeldOutEvidence) -> Picture:
    said = "No window was trained with: it would be every level, or none."
    compared = [_compared(evidence, *each) for each in ((POSITION, "position"), (ACCELERATION, "acceleration"))]
    if all(compared):
        said = (
            f"Ambient against the better of the two others at each level: {'; '.join(compared)}. Outside the window it "
            "learns from the target alone: it forgoes what the source gains there, and what the source spoils."
        )
    return Picture(
        "heldout_curves.png",
        png_of(curves_figure(evidence)),
        "Ambient against the target alone and co-training",
        f"Held-out error over the noise level, 1 is that of the target alone; lower is better. {said} Black: the "
        f"window; bands: {100 * evidence.read.rule.confidence:g} % intervals of each level.",
        f"{evidence.headline()}. {said}",
    )


def _compared(evidence: HeldOutEvidence, column: int, name: str) -> str:
    """ "position -3 % on average, +4 % at sigma 0.40, its worst"; empty where there is nothing to compare."""
    gap = against_best(evidence, column)
    if gap is None:
        return ""
    worst = int(np.argmax(gap))
    average, most = (100.0 * np.expm1(value) for value in (gap.mean(), gap[worst]))
    return f"{name} {average:+.0f} % on average, {most:+.0f} % at sigma {evidence.read.sigmas[worst]:.2f}, its worst"


def _dimensions(evidence: HeldOutEvidence) -> Picture:
    rows = dimension_rows(evidence)
    order = np.argsort(rows.log.mean(1))
    low, high = order[0], order[-1]
    left = evidence.errors.energies[evidence.design].shape[-1] - len(rows.names)
    return Picture(
        "heldout_dimensions.png",
        png_of(dimensions_figure(evidence)),
        "Action dimension by dimension",
        "The same for the error of position of each action dimension."
        + (f" The {left} that change least are not shown." if left else ""),
        f"Least error with the source in {rows.names[low]} ({100 * np.expm1(rows.log[low].mean()):+.0f} % on average), "
        f"most in {rows.names[high]} ({100 * np.expm1(rows.log[high].mean()):+.0f} %).",
    )


def _adds(evidence: HeldOutEvidence) -> Picture | None:
    """What the source adds to the others; None where it is the only one."""
    if evidence.adds is None:
        return None
    ratio = 100.0 * np.expm1(evidence.adds.ratio.log[:, POSITION])
    return Picture(
        "heldout_adds.png",
        png_of(adds_figure(evidence)),
        "What it adds to the other sources",
        "The same map, of all sources at every level against all but this one. Grey all over: the others tell it, too.",
        f"The error of position changes by {ratio.min():+.0f} to {ratio.max():+.0f} % when it joins the others.",
    )
