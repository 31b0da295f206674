# SPDX-License-Identifier: Apache-2.0
"""The report's figures of the classifier: what it distinguishes, and how far it may be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.classifier.calibration import calibrate_as_seen
from lerobot_ambient.annotate.classifier.curves import Curve, isotonic
from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence
from lerobot_ambient.annotate.classifier.held_out import HeldOutLogits, sigmoid
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.proportions import wilson_interval
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
    from matplotlib.axes import Axes

_BINS = 8


@styled
def draw_classifier(evidence: ClassifierEvidence, finding: Finding) -> Picture:
    """p(sigma) with its band, the threshold, and sigma_min where the finding is the classifier's."""
    curve = evidence.curve
    figure = new_figure()
    curve_on(figure.subplots(), evidence, finding)
    reading = "."
    if finding.interval is not None:
        low, high = finding.interval
        reading = f"; the dataset's sigma_min lies between {low:.3f} and {high:.3f}."
    return Picture(
        "classifier.png",
        png_of(figure),
        "Classifier curve",
        "How often a classifier takes the source's noised chunks for the target's. 0 is never fooled, 0.5 is guessing. "
        "Above the threshold the source counts as alike."
        + (" As seen: if separations that may be an accident of few episodes counted in full." * _seen_apart(curve)),
        f"p(sigma) goes from {curve.p[0]:.2f} at sigma {curve.sigmas[0]:.2f} to {curve.p[-1]:.2f} at "
        f"{curve.sigmas[-1]:.2f}{reading}",
    )


def curve_on(axis: Axes, evidence: ClassifierEvidence, finding: Finding) -> None:
    """Draw p(sigma) on an axis, as `draw_classifier` does."""
    curve = evidence.curve
    low, high = curve.band()
    axis.fill_between(curve.sigmas, low, high, color=SOURCE, alpha=0.2, linewidth=0, label="95 % band")
    axis.plot(curve.sigmas, curve.p, color=SOURCE, marker="o", markersize=2.6, label="p(σ)")
    if _seen_apart(curve):
        axis.plot(curve.sigmas, curve.as_seen, color=SOURCE, linestyle=":", label="as seen")
    (monotone,) = isotonic(curve.p[None])
    if np.abs(monotone - curve.p).max() > 0.005:
        axis.plot(curve.sigmas, monotone, color=LIMIT, linestyle=":", label="closest monotone curve")
    axis.axhline(0.5, color=FAINT, linewidth=1.0)
    if finding.tau is not None:
        threshold = 0.5 - finding.tau
        axis.axhline(threshold, color=LIMIT, linestyle="--", linewidth=1.1, label=f"threshold {threshold:g}")
    if finding.interval is not None:
        _mark_sigma_min(axis, finding, finding.interval)
    sigma_axis(axis)
    axis.set_ylim(0.0, 0.6)
    axis.set_ylabel('mean probability of "target"')
    legend_above(axis, 3)


def _seen_apart(curve: Curve) -> bool:
    """Whether the curve as seen is worth a line of its own."""
    return bool(np.abs(curve.as_seen - curve.p).max() > 0.02)


@styled
def draw_distance(evidence: ClassifierEvidence) -> Picture | None:
    """The lower bound of the total variation; None without cross-fitting, from which no bound follows."""
    distance = evidence.distance
    if distance is None:
        return None
    figure = new_figure()
    axis = figure.subplots()
    low, high = distance.band()
    axis.fill_between(distance.sigmas, low, high, color=SOURCE, alpha=0.2, linewidth=0, label="95 % band")
    axis.plot(distance.sigmas, distance.separation.clip(0.0), color=SOURCE, linestyle="--", label="estimate")
    axis.plot(distance.sigmas, low, color=SOURCE, label="distance is at least")
    sigma_axis(axis)
    axis.set_ylim(0.0, 1.02)
    axis.set_ylabel("total-variation distance")
    legend_above(axis, 3)
    return Picture(
        "distance.png",
        png_of(figure),
        "Distance of the datasets, at least",
        "2 accuracy - 1 on chunks of episodes that were not trained on. The solid lower edge is a bound that holds for "
        "any classifier; the upper edge only says what this one can tell.",
        f"The lower bound falls from {low[0]:.2f} at sigma {distance.sigmas[0]:.2f} to {low[-1]:.2f} at "
        f"{distance.sigmas[-1]:.2f}.",
    )


@styled
def draw_calibration(evidence: ClassifierEvidence) -> Picture:
    """Slope of held-out logits and the weight their separation has as evidence."""
    figure = new_figure()
    axis = figure.subplots()
    sigmas, calibration = evidence.scores.sigmas, evidence.calibration
    shown = np.minimum(calibration.slope, 3.0)
    axis.axhline(1.0, color=FAINT, linewidth=1.0)
    axis.plot(sigmas, shown, color=SOURCE, marker="o", markersize=2.6, label="slope (1: calibrated)")
    axis.fill_between(sigmas, calibration.evidence, color=WINDOW, alpha=0.18, linewidth=0)
    axis.plot(sigmas, calibration.evidence, color=WINDOW, label="weight of the evidence")
    sigma_axis(axis)
    axis.set_ylim(0.0, max(1.25, float(shown.max()) * 1.08))
    axis.set_ylabel("slope, weight")
    legend_above(axis)
    return Picture(
        "calibration.png",
        png_of(figure),
        "Calibration",
        "A slope below 1 says that logits are too large. The weight falls to 0 where a separation may be an accident "
        "of the episodes drawn; there p is 0.5. Slopes above 3 are drawn at 3.",
        f"Median slope {np.median(calibration.slope):.2f}; the evidence weighs {calibration.evidence[0]:.2f} at the "
        f"lowest level and {calibration.evidence[-1]:.2f} at the highest.",
    )


@styled
def draw_reliability(evidence: ClassifierEvidence) -> Picture:
    """Predicted against observed share of the target, at three levels."""
    figure = new_figure()
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=1.0)
    scores, seen = evidence.scores, calibrate_as_seen(evidence.scores)
    levels = len(scores.sigmas)
    said = []
    for level, colour, marker in zip(
        dict.fromkeys([levels // 6, levels // 2, (5 * levels) // 6]), (TARGET, SOURCE, WINDOW), "osD", strict=False
    ):
        c = [
            sigmoid(seen.scale[level] * part.logits[:, level].astype(np.float64) + seen.shift[level])
            for part in (scores.target, scores.source)
        ]
        predicted, observed, low, high = reliability(c[0], c[1], scores.target, scores.source)
        axis.errorbar(
            predicted,
            observed,
            [observed - low, high - observed],
            color=colour,
            marker=marker,
            markersize=3.5,
            linewidth=1.1,
            capsize=2,
            label=f"σ = {scores.sigmas[level]:.2f}",
        )
        gap = float(np.abs(predicted - observed).max()) if len(predicted) else 0.0
        said.append(f"{gap:.2f} at sigma {scores.sigmas[level]:.2f}")
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel('predicted probability of "target"')
    axis.set_ylabel("observed share")
    legend_above(axis, 3)
    return Picture(
        "reliability.png",
        png_of(figure),
        "Reliability",
        "Held-out chunks in bins of equal size: a calibrated classifier lies on the diagonal. Bars are 95 % with "
        "episodes as the unit, roughly. A line flatter than the diagonal is over-confident.",
        f"Largest distance from the diagonal: {', '.join(said)}.",
    )


def reliability(
    target: NDArray[np.floating],
    source: NDArray[np.floating],
    of_target: HeldOutLogits,
    of_source: HeldOutLogits,
    bins: int = _BINS,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Predicted and observed share of the target per bin, both datasets weighing the same, with its interval.

    Args:
        target, source: (n, draws) probabilities.
        of_target, of_source: whose episodes the chunks belong to.
        bins: of equal weight; those without a chunk are left out.

    Returns:
        predicted, observed and the edges of Wilson's 95 % interval, (B,) each. Episodes count as trials, which is
        rough: an episode may have chunks in many bins.
    """
    c = np.concatenate([target.ravel(), source.ravel()])
    label = np.concatenate([np.ones(target.size), np.zeros(source.size)])
    weight = np.concatenate([np.full(target.size, 0.5 / target.size), np.full(source.size, 0.5 / source.size)])
    first = int(of_target.episode.max()) + 1
    episode = np.concatenate(
        [np.repeat(of_target.episode, target.shape[1]), first + np.repeat(of_source.episode, source.shape[1])]
    )
    order = np.argsort(c, kind="stable")
    which = np.empty(len(c), dtype=np.int64)
    which[order] = np.minimum((np.cumsum(weight[order]) * bins).astype(np.int64), bins - 1)
    rows = []
    for each in np.unique(which):
        inside = which == each
        w = weight[inside] / weight[inside].sum()
        observed = min(1.0, float(w @ label[inside]))
        trials = len(np.unique(episode[inside]))
        edges = wilson_interval(observed * trials, trials)
        # A hair from 0 or 1 rounding may put an end on the wrong side, and a bar of negative length is refused.
        rows.append((float(w @ c[inside]), observed, min(observed, edges[0]), max(observed, edges[1])))
    predicted, seen, low, high = np.array(rows).T
    return predicted, seen, low, high


def _mark_sigma_min(axis: Axes, finding: Finding, interval: tuple[float, float]) -> None:
    """The interval, shaded, and sigma_min itself where the whole dataset has one."""
    axis.axvspan(*interval, color=WINDOW, alpha=0.13, linewidth=0, label=r"interval of $σ_{\mathrm{min}}$")
    if finding.granularity == "dataset":
        axis.axvline(float(finding.sigma_min[0]), color=WINDOW, label=r"$σ_{\mathrm{min}}$")
    if finding.takes == "safe":
        axis.axvline(finding.estimate, color=WINDOW, linestyle="-.", linewidth=1.1, label="its estimate")
