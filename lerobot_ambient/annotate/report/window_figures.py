# SPDX-License-Identifier: Apache-2.0
"""The report's figures of the windows: at a glance, over samples, and over time in the episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lerobot_ambient.annotate.report.source import SourceReport
from lerobot_ambient.figures.style import (
    LIMIT,
    SOURCE,
    WINDOW,
    Picture,
    figure_name,
    legend_above,
    new_figure,
    png_of,
    sigma_axis,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.colors import LinearSegmentedColormap

_TIMES, _EPISODES = 40, 4
"""Bins of time within the episode, and episodes drawn as lines."""


@styled
def draw_overview(reports: Sequence[SourceReport]) -> Picture:
    """A bar per source: at which levels it teaches, with the interval of sigma_min."""
    from matplotlib.colors import LinearSegmentedColormap

    figure = new_figure(1.25 + 0.72 * len(reports))
    axis = figure.subplots()
    sigmas = np.linspace(0.0, 1.0, 501, dtype=np.float64)
    shades = LinearSegmentedColormap.from_list("teaches", ["#EEF0F2", "#4FB394"])
    said = []
    for row, report in enumerate(reports):
        extent = (-0.001, 1.001, row + 0.1, row - 0.2)
        trusted = report.finding.is_full_trust
        # Green at every level would read as advice.
        share = np.zeros((1, len(sigmas))) if trusted else report.admitted(sigmas)[None]
        axis.imshow(share, extent=extent, aspect="auto", cmap=shades, vmin=0.0, vmax=1.0, interpolation="nearest")
        axis.text(0.0, row - 0.25, figure_name(report.finding.source), va="bottom")
        low, high = report.finding.known
        if not _only_below(report):
            axis.plot(
                [low, high], [row + 0.22] * 2, color="black", linewidth=1.2, marker="|", markersize=6, clip_on=False
            )
        gaussian = report.finding.gaussian
        if gaussian is not None:
            axis.plot(gaussian, row + 0.22, color=SOURCE, marker="x", markersize=5, mew=1.4, clip_on=False, zorder=3)
        height, fill = (row - 0.05, "none") if report.varies else (row + 0.22, "full")
        if trusted:
            axis.text(0.5, row - 0.05, "no window to recommend", ha="center", va="center", color=LIMIT)
            said.append(f"{report.finding.source}: no window to recommend ({low:.3f} to {high:.3f})")
            continue
        sigma_max, estimate = report.sigma_max, report.finding.estimate
        if sigma_max > 0.0:
            axis.plot(sigma_max, height, color="black", marker="s", markersize=3.8, fillstyle=fill, clip_on=False)
        bounds = f"sigma_max {sigma_max:.3f}, " if sigma_max > 0.0 else ""
        if _only_below(report):
            said.append(f"{report.finding.source}: {bounds}nothing above")
            continue
        axis.plot(estimate, row + 0.22, color="black", marker="o", markersize=3.5, fillstyle="none", clip_on=False)
        axis.plot(report.sigma_min, height, color="black", marker="D", markersize=4, fillstyle=fill, clip_on=False)
        said.append(
            f"{report.finding.source}: {bounds}sigma_min {report.sigma_min:.3f}, estimate {estimate:.3f} ({low:.3f} to "
            f"{high:.3f})"
        )
    axis.set_yticks([])
    axis.set_ylim(len(reports) - 0.6, -0.6)
    axis.grid(visible=False)
    axis.spines["left"].set_visible(False)
    sigma_axis(axis)
    legend_above(axis, 3, _overview_handles(reports, shades))
    some = (
        " A hollow diamond is the median of samples with windows of their own."
        if any(report.varies for report in reports)
        else ""
    )
    return Picture(
        "windows.png",
        png_of(figure),
        "Windows",
        "Green: noise levels at which the source teaches, paler where only some of its samples do. Diamond: sigma_min; "
        f"circle: its estimate; square: sigma_max. {_lines_mean(reports)}{some}",
        "; ".join(said) + ".",
    )


def _only_below(report: SourceReport) -> bool:
    """Whether a source teaches below a sigma_max and nowhere else, as far as is known: then sigma_min is no bound."""
    return report.sigma_max > 0.0 and report.sigma_min == 1.0 and report.finding.known == (1.0, 1.0)


def _lines_mean(reports: Sequence[SourceReport]) -> str:
    """What the lines and crosses of these methods mean."""
    known = {
        "classifier": "by classifier the dataset's 95 % interval",
        "spectral": "by spectra the burying levels, which are no interval",
        "heldout": "by held-out errors from the estimate to the safe end",
    }
    methods = {report.finding.method for report in reports}
    lines = "; ".join(words for method, words in known.items() if method in methods)
    crosses = any(report.finding.gaussian is not None for report in reports)
    return f"Line: {lines}.{' Cross: the Gaussian score of the spectra.' * crosses}"


def _overview_handles(reports: Sequence[SourceReport], shades: LinearSegmentedColormap) -> list[Artist]:
    """What the overview's legend shows, and nothing that is not drawn."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Artist] = [Patch(color=shades(0.0), label="the target alone")]
    shown = [report for report in reports if not report.finding.is_full_trust]
    if shown:
        handles.insert(0, Patch(color=shades(1.0), label="the source teaches too"))
    if any(report.varies for report in shown):
        handles.insert(1, Patch(color=shades(0.4), label="some of its samples do"))
    point: dict[str, Any] = {"color": "black", "linestyle": "none"}
    if any(report.sigma_max > 0.0 for report in shown):
        handles.append(Line2D([], [], marker="s", markersize=3.8, label=r"$σ_{\mathrm{max}}$", **point))
    bounded = [report for report in reports if not _only_below(report)]
    if [report for report in shown if not _only_below(report)]:
        handles.append(Line2D([], [], marker="D", markersize=4, label=r"$σ_{\mathrm{min}}$", **point))
        point |= {"marker": "o", "markersize": 3.5, "fillstyle": "none"}
        handles.append(Line2D([], [], label=r"estimate of $σ_{\mathrm{min}}$", **point))
    if any(report.finding.gaussian is not None for report in reports):
        cross: dict[str, Any] = {"color": SOURCE, "marker": "x", "markersize": 5, "mew": 1.4, "linestyle": "none"}
        handles.append(Line2D([], [], label="Gaussian score", **cross))
    known = {"classifier": "its 95 % interval", "spectral": "burying levels", "heldout": "estimate to safe end"}
    methods = {report.finding.method for report in bounded}
    if not methods:
        return handles
    said = known[methods.pop()] if len(methods) == 1 else "what is known of it"
    handles.append(Line2D([], [], color="black", linewidth=1.2, marker="|", markersize=6, label=said))
    return handles


@styled
def draw_histogram(report: SourceReport) -> Picture | None:
    """How the samples' bounds are spread; None where all are equal."""
    if not report.varies:
        return None
    figure = new_figure()
    axis = figure.subplots()
    finding, edges = report.finding, np.linspace(0.0, 1.0, 51)
    percent = 100.0 / len(finding.sigma_min)
    spread = percent * np.histogram(finding.sigma_min, edges)[0]
    axis.stairs(spread, edges, fill=True, color=WINDOW, alpha=0.75, label=r"$σ_{\mathrm{min}}$")
    if finding.sigma_max.max() > 0.0:
        spread = percent * np.histogram(finding.sigma_max, edges)[0]
        axis.stairs(spread, edges, color=SOURCE, linewidth=1.5, label=r"$σ_{\mathrm{max}}$")
    axis.axvline(report.sigma_min, color="black", linewidth=1.2, label=f"median {report.sigma_min:.3f}")
    sigma_axis(axis)
    axis.set_ylabel("samples (%)")
    legend_above(axis, 3)
    low, high = np.quantile(finding.sigma_min, [0.1, 0.9])
    at_0, at_1 = (100 * float((finding.sigma_min == edge).mean()) for edge in (0.0, 1.0))
    return Picture(
        "histogram.png",
        png_of(figure),
        "Windows of the samples",
        f"80 % of the samples have a sigma_min between {low:.3f} and {high:.3f}; {at_0:.1f} % have 0, "
        f"{at_1:.1f} % have 1.",
        f"Histogram of sigma_min with median {report.sigma_min:.3f}.",
    )


@styled
def draw_over_time(report: SourceReport) -> Picture | None:
    """sigma_min against the time within the episode; None where all samples have the same."""
    if len(np.unique(report.finding.sigma_min)) == 1:
        return None
    figure = new_figure()
    axis = figure.subplots()
    sigma_min = report.finding.sigma_min
    which = np.minimum((report.position * _TIMES).astype(np.int64), _TIMES - 1)
    order = np.argsort(which, kind="stable")
    bins, starts = np.unique(which[order], return_index=True)
    groups = np.split(sigma_min[order], starts[1:])
    times = (bins + 0.5) / _TIMES
    quantiles = np.array([np.quantile(group, [0.1, 0.25, 0.5, 0.75, 0.9]) for group in groups]).T
    axis.fill_between(times, quantiles[0], quantiles[4], color=WINDOW, alpha=0.13, linewidth=0, label="80 % of samples")
    axis.fill_between(times, quantiles[1], quantiles[3], color=WINDOW, alpha=0.25, linewidth=0, label="half of them")
    episodes = np.unique(report.episode)
    some = episodes[np.unique(np.linspace(0, len(episodes) - 1, _EPISODES).round().astype(int))]
    for k, episode in enumerate(some):
        rows = np.flatnonzero(report.episode == episode)
        rows = rows[np.argsort(report.frame[rows], kind="stable")]
        label = f"{len(some)} episodes" if k == 0 else None
        axis.plot(report.position[rows], sigma_min[rows], color=LIMIT, linewidth=0.7, alpha=0.8, label=label)
    axis.plot(times, quantiles[2], color=WINDOW, linewidth=2.0, label="median")
    axis.set_xlim(0.0, 1.0)
    axis.set_ylim(-0.02, 1.02)
    axis.set_xlabel("time within the episode (0 start, 1 end)")
    axis.set_ylabel(r"$σ_{\mathrm{min}}$")
    legend_above(axis, 4)
    return Picture(
        "over_time.png",
        png_of(figure),
        "Over the episode",
        "Where in an episode the source is close to the target (low) and where it is not (high).",
        f"Median sigma_min is {quantiles[2][0]:.3f} at the start of episodes, "
        f"{quantiles[2][len(bins) // 2]:.3f} in the middle and {quantiles[2][-1]:.3f} at the end.",
    )
