# SPDX-License-Identifier: Apache-2.0
"""The oracles' figure: curves against the true ones, and every level found against the true one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.annotate.classifier.curves import TAU
from lerobot_ambient.benchmarks.estimators.oracles import OracleOutcome
from lerobot_ambient.benchmarks.estimators.oracles_cases import SigmaMaxCase, SigmaMinCase
from lerobot_ambient.figures.style import (
    FAINT,
    LIMIT,
    PURPLE,
    SIGMA,
    SOURCE,
    TARGET,
    WINDOW,
    new_figure,
    png_of,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (TARGET, SOURCE, WINDOW, PURPLE, "#7F7F00")


@styled
def draw_oracles(outcome: OracleOutcome) -> bytes:
    """The figure as PNG: p(sigma), total variation, and levels found against true levels."""
    figure = new_figure(width=11.0, height=3.6)
    left, middle, right = figure.subplots(1, 3)
    _curves(left, outcome, "p")
    left.axhline(0.5 - TAU, color=LIMIT, linestyle=":", linewidth=1.0)
    left.set(ylabel="p(σ)", title="classifier's mean on the source")
    _curves(middle, outcome, "distance")
    middle.set(ylabel="distance", title="total variation, bounded from below")
    middle.legend()
    _levels(right, outcome)
    return png_of(figure)


def _curves(axis: Axes, outcome: OracleOutcome, key: str) -> None:
    """The curves of the mixtures in the smallest datasets."""
    cases = outcome.group(SigmaMinCase, "separation")
    few = min(case.episodes for case, _ in cases)
    shown = [(case, found) for case, found in cases if case.episodes == few]
    for i, (case, found) in enumerate(shown):
        colour, sigmas = _COLOURS[i % len(_COLOURS)], found["sigmas"]
        axis.fill_between(sigmas, found[f"{key}_low"], found[f"{key}_high"], color=colour, alpha=0.2, linewidth=0)
        axis.plot(sigmas, found[key], color=colour, label=f"{case.label}, {few} episodes")
        axis.plot(sigmas, found[f"{key}_truth"], color="black", linestyle="--", linewidth=0.9)
    axis.set(xlabel=SIGMA, xlim=(0.0, 1.0), ylim=(0.0, None))


def _levels(axis: Axes, outcome: OracleOutcome) -> None:
    axis.plot([0.0, 1.0], [0.0, 1.0], color=FAINT, linewidth=1.0)
    harm = outcome.group(SigmaMinCase, "harm")
    groups = {
        "σ_min, mixtures": [*outcome.group(SigmaMinCase, "separation"), *outcome.group(SigmaMinCase, "disjoint")],
        "σ_min, one law": outcome.group(SigmaMinCase, "null"),
        "σ_min, harm: cross-fitted": [pair for pair in harm if pair[0].options.folds > 1],
        "σ_min, harm: not cross-fitted": [pair for pair in harm if pair[0].options.folds == 1],
    }
    points = {name: [(found["truth"], found["sigma_min"]) for _, found in some] for name, some in groups.items()}
    locality = outcome.group(SigmaMaxCase, "locality")
    points["σ_max, locality"] = [(found["truth"], found["sigma_max"]) for _, found in locality]
    for (name, some), colour, marker in zip(points.items(), _COLOURS, "oos^D", strict=True):
        axis.plot(*np.array(some).T, linestyle="", marker=marker, markersize=5, color=colour, alpha=0.7, label=name)
    axis.set(xlabel="true level", ylabel="level found", title="found against true", xlim=(-0.03, 1.03))
    axis.legend()
