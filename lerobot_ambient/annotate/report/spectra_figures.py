# SPDX-License-Identifier: Apache-2.0
"""The report's figures of the spectra: where two datasets part, and which dimension decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.annotate.chunks.cosines import frequencies
from lerobot_ambient.annotate.spectra.spectrum import SpectralEvidence, Spectrum
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.figures.style import (
    LIMIT,
    SOURCE,
    TARGET,
    WINDOW,
    Picture,
    figure_name,
    legend_above,
    new_figure,
    png_of,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POWER = "power S(f)"
_MOST = 6.0
"""Powers of 2 beyond which ratios are drawn alike."""


@styled
def draw_spectra(evidence: SpectralEvidence) -> Picture:
    """Spectra averaged over dimensions, with bands, power laws and f*."""
    figure = new_figure()
    spectra_on(figure.subplots(), evidence)
    return Picture(
        "spectra.png",
        png_of(figure),
        "Spectra, mean of the action dimensions",
        "Power of the normalised chunks by frequency, 1 is white noise of variance 1. Dotted: power laws. f* is where "
        "the spectra part in the dimension that decides.",
        f"Target {evidence.target.fit!r}; source {evidence.source.fit!r}; they part: {evidence.parts}.",
    )


def spectra_on(axis: Axes, evidence: SpectralEvidence) -> None:
    """Draw the spectra, averaged over dimensions, on an axis."""
    rate = evidence.axes.fps or 1.0
    f = evidence.frequencies[1:] * rate
    for spectrum, colour, line in ((evidence.target, TARGET, "-"), (evidence.source, SOURCE, "--")):
        mean, low, high = (values[1:] for values in (spectrum.mean, spectrum.mean_low, spectrum.mean_high))
        _spectrum(axis, f, mean, low, high, (colour, line), spectrum)
        law = spectrum.fit
        label = rf"law $f^{{-{law.alpha:.2f}}}$, R² {law.r2:.2f}"
        axis.plot(f, law.C * (f / rate) ** -law.alpha, color=colour, linestyle=":", linewidth=1.1, label=label)
    if evidence.f_star is not None and evidence.f_star > 0.0:
        _mark_f_star(axis, evidence)
    _frequency_axis(axis, evidence)
    _legend(axis)


@styled
def draw_deciding_spectrum(evidence: SpectralEvidence) -> Picture | None:
    """The dimension that sets sigma_min, with the noise that buries it; None where nothing parts."""
    if evidence.f_star is None or evidence.dim_star is None:
        return None
    figure = new_figure()
    axis = figure.subplots()
    column = int(np.flatnonzero(evidence.dims == evidence.dim_star)[0])
    frequency = evidence.frequencies * (evidence.axes.fps or 1.0)
    for spectrum, colour, line in ((evidence.target, TARGET, "-"), (evidence.source, SOURCE, "--")):
        psd, low, high = (values[:, column] for values in (spectrum.psd, spectrum.low, spectrum.high))
        _spectrum(axis, frequency, psd, low, high, (colour, line), spectrum)
    if 0.0 < evidence.sigma_min < 1.0:
        noise = evidence.sigma_min**2 / (1.0 - evidence.sigma_min**2)
        label = f"noise of σ = {evidence.sigma_min:.3f}"
        axis.axhline(noise, color=WINDOW, linestyle="-.", linewidth=1.2, label=label)
    _mark_f_star(axis, evidence)
    axis.set_yscale("log")
    axis.set_xlabel(_label(evidence))
    axis.set_ylabel(_POWER)
    _legend(axis)
    return Picture(
        "spectrum_decides.png",
        png_of(figure),
        f"The dimension that decides: {evidence.axes.dimension(evidence.dim_star)}",
        "Frequency 0 is the mean of a chunk. Noise at the green line is as strong as the strongest power at and above "
        "f*, so nothing that parts stands out of it: its level is the spectral sigma_min.",
        f"They part in {evidence.parts}; noise of level {evidence.sigma_min:.3f} buries it.",
    )


@styled
def draw_ratios(evidence: SpectralEvidence) -> Picture:
    """Which dimensions part at which frequencies."""
    dims = len(evidence.dims)
    figure = new_figure(min(5.0, 1.9 + 0.2 * dims))
    axis = figure.subplots()
    ratio = evidence.log_ratio.T / np.log(2.0)
    reach = float(np.clip(np.abs(np.nan_to_num(ratio)).max(), 1.0, _MOST))
    image = axis.imshow(ratio, aspect="auto", cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
    rows, columns = np.nonzero(evidence.parted.T)
    axis.scatter(columns, rows, s=9, color="black", marker="x", linewidths=0.9, label="shown to part")
    axis.grid(visible=False)
    horizon = len(evidence.frequencies)
    ticks = np.unique(np.linspace(0, horizon - 1, 5).round().astype(int))
    axis.set_xticks(ticks, [f"{frequencies(horizon)[k] * (evidence.axes.fps or 1.0):.3g}" for k in ticks])
    every = max(1, dims // 12)
    axis.set_yticks(range(0, dims, every), [_short(evidence, int(dim)) for dim in evidence.dims[::every]])
    axis.set_xlabel(_label(evidence))
    axis.set_ylabel("action dimension")
    figure.colorbar(image, ax=axis, label="log₂(source / target)", fraction=0.05, extend="both")
    if len(rows):
        legend_above(axis)
    which = [evidence.axes.dimension(int(evidence.dims[row])) for row in sorted(set(rows.tolist()))]
    return Picture(
        "ratios.png",
        png_of(figure),
        "Power ratio by dimension",
        "Red: the source has more power. +1 is twice as much, which still counts as alike. Crosses mark what is shown "
        "to part.",
        f"Shown to part: {', '.join(which) if which else 'none'}.",
    )


def _spectrum(
    axis: Axes, f: Floats, psd: Floats, low: Floats, high: Floats, style: tuple[str, str], of: Spectrum
) -> None:
    colour, line = style
    axis.fill_between(f, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.plot(f, psd, color=colour, linestyle=line, label=figure_name(of.name))


def _legend(axis: Axes) -> None:
    from matplotlib.patches import Patch

    legend_above(axis, 2, [*axis.get_legend_handles_labels()[0], Patch(color=LIMIT, alpha=0.2, label="95 % bands")])


def _mark_f_star(axis: Axes, evidence: SpectralEvidence) -> None:
    assert evidence.f_star is not None
    at = evidence.f_star * (evidence.axes.fps or 1.0)
    label = f"f* = {evidence.axes.frequency(evidence.f_star)}"
    axis.axvline(at, color=LIMIT, linestyle=(0, (1, 2)), label=label)


def _label(evidence: SpectralEvidence) -> str:
    return "frequency (cycles per step)" if evidence.axes.fps is None else "frequency (Hz)"


def _short(evidence: SpectralEvidence, dim: int) -> str:
    """The name of a dimension as a tick."""
    return figure_name(evidence.axes.names[dim]) if evidence.axes.names else str(dim)


def _frequency_axis(axis: Axes, evidence: SpectralEvidence) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axis.set_xscale("log")
    axis.set_yscale("log")
    ticks = [step * 10.0**power for power in range(-4, 4) for step in (1, 2, 5)]
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel(_label(evidence))
    axis.set_ylabel(_POWER)
