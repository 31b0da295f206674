# SPDX-License-Identifier: Apache-2.0
"""What a method found for one source, the windows file made of it, and the plan that the windows of all lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
from lerobot_ambient.annotate.results.trust import (
    CHUNKS_ALONE,
    CONDITIONAL,
    CONDITIONAL_CHECK,
    TAKES,
    admits_everything,
    admits_nothing,
    full_trust_reasons,
    partly_trusted,
)
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, Mixing, Plan, make_plan
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.sampling.grouping import split_windows
from lerobot_ambient.data.windows.windows_file import WindowTable

SAMPLED = "Sampled: "
"""How the note begins that says which part of a source was looked at."""


@dataclass(frozen=True, eq=False)
class Finding:
    """The window of a source, or of each of its samples.

    Args:
        source: name of the dataset.
        method: "spectral", "classifier", "heldout".
        granularity: "dataset", "bucket" or "datapoint".
        sigma_min, sigma_max: (N,) VP levels that are written, one per sample of the source (`Chunks`); equal ones per
            dataset.
        interval: by classifier, the 95 % interval of the dataset's sigma_min; of held-out errors the estimate and the
            safe end; None by spectra, which give none.
        notes: caveats, in words.
        bury_range: the range of burying levels (`SpectralEvidence`), which is no interval of sigma_min; None without
            spectra.
        sigma_min_safe: (N,) upper ends of what sigma_min may be; None where only the estimate is known.
        safe_at_least: below which the safe end does not lie, whatever curves say.
        weak: why the classifiers show nothing by seeing no difference, in words; None where they do.
        sigma_min_estimate: (N,) what `sigma_min` was before the safe end was taken; None where it is the estimate.
        sigma_max_estimate: levels up to which nothing is found, at least sigma_max.
        sigma_max_safe: (N,) lower ends of what sigma_max may be; None where `sigma_max` is what is shown.
        sigma_max_named: (N,) what `sigma_max` was before the safe end was taken; None where it is that.
        gaussian: the Gaussian score, sigma_min of a perfect classifier of Gaussian chunks with these spectra
            (`gaussian_level`); None without spectra.
        tau: margin of a classifier, else None.
        crossing: rule that windows were read from curves by, else None.
        reach: (L,) by how much the dataset's curve may be lower (`curve_reach`); empty without curves.
        sigmas: (L,) levels of the classifier's curves, else empty.
        curves: (B, L) float32 curves that windows were read from: one of the dataset, or one per bucket or sample.
        curve_of: (N,) the curve of each sample; None where there is one for all.
        schedule: the levels that the policy draws, by which a window is full trust; None asks about all levels.
        verdict: of held-out errors, the word and the reasons; empty for other methods.
        helps: whether held-out errors show that the source helps in these windows, so that no level needs a reason.

    Raises:
        ValueError: neither an interval nor a range of burying levels.
    """

    source: str
    method: str
    granularity: str
    sigma_min: Floats
    sigma_max: Floats
    interval: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    bury_range: tuple[float, float] | None = None
    tau: float | None = None
    crossing: str | None = None
    reach: tuple[float, ...] = ()
    sigma_min_safe: Floats | None = None
    safe_at_least: float = 0.0
    weak: str | None = None
    sigma_min_estimate: Floats | None = None
    sigma_max_estimate: float | None = None
    sigma_max_safe: Floats | None = None
    sigma_max_named: Floats | None = None
    gaussian: float | None = None
    sigmas: tuple[float, ...] = ()
    curves: NDArray[np.float32] | None = None
    curve_of: NDArray[np.int64] | None = None
    schedule: NoiseSchedule | None = None
    verdict: tuple[str, ...] = ()
    helps: bool = False

    def __post_init__(self) -> None:
        if self.interval is None and self.bury_range is None:
            raise ValueError(
                f"'{self.source}': a level comes with the interval (classifier) or the bury_range (spectral) that says "
                "what is known of it; give one."
            )

    def with_notes(self, *notes: str) -> Finding:
        """The finding with further caveats."""
        return replace(self, notes=(*self.notes, *notes))

    def beside_spectra(self, bury_range: tuple[float, float], gaussian: float) -> Finding:
        """The finding of a classifier with what spectra show of the same chunks.

        Weak classifiers show nothing by seeing no difference, so the safe end is what spectra do not show to be alike.
        Of others, a dataset's is not below what spectra show to part: a classifier that finds less was trained too
        briefly. Finer windows are those of samples, of which some may be better.
        """
        finding = replace(self, bury_range=bury_range, gaussian=gaussian)
        if self.weak is not None and self.interval is not None:
            open_up_to = max(self.interval[1], bury_range[1], gaussian)
            safe = np.full(len(self.sigma_min), open_up_to)
            return replace(finding, sigma_min_safe=safe, safe_at_least=open_up_to)
        shown = max(bury_range[0], gaussian)
        if self.granularity != "dataset" or self.sigma_min_safe is None or not shown > self.sigma_min_safe[0]:
            return finding
        safe = np.full(len(self.sigma_min), shown)
        return replace(finding, sigma_min_safe=safe, safe_at_least=bury_range[0]).with_notes(
            f"The classifiers find no difference above {self.sigma_min_safe[0]:.3f}, but spectra show one up to "
            f"{shown:.3f}, and that is the safe end: more --steps or episodes may let classifiers see it too."
        )

    def taking(self, end: str) -> Finding:
        """The finding with this end of what is known of its windows, one of `TAKES`."""
        assert end in TAKES, end
        estimate = self.sigma_min if self.sigma_min_estimate is None else self.sigma_min_estimate
        named = self.sigma_max if self.sigma_max_named is None else self.sigma_max_named
        if end == "estimate":
            return replace(self, sigma_min=estimate, sigma_min_estimate=None, sigma_max=named, sigma_max_named=None)
        assert self.sigma_min_safe is not None, "a method says how far its estimates may be wrong"
        shown = named if self.sigma_max_safe is None else self.sigma_max_safe
        return replace(
            self,
            sigma_min=self.sigma_min_safe,
            sigma_min_estimate=estimate,
            sigma_max=shown,
            sigma_max_named=None if self.sigma_max_safe is None else named,
        )

    @property
    def takes(self) -> str:
        """Which end of sigma_min the windows are, one of `TAKES`."""
        return "estimate" if self.sigma_min_estimate is None else "safe"

    @property
    def estimate(self) -> float:
        """The estimated sigma_min, whichever end the windows are; the median of many."""
        return float(np.median(self.sigma_min if self.sigma_min_estimate is None else self.sigma_min_estimate))

    @property
    def known(self) -> tuple[float, float]:
        """Between which levels sigma_min is looked for: the interval, or by spectra the burying levels."""
        known = self.bury_range if self.interval is None else self.interval
        assert known is not None
        return known

    @property
    def full_trust_share(self) -> float:
        """The part of the samples whose window admits every level that is drawn, in [0, 1]."""
        return float(admits_everything(self.sigma_min, self.sigma_max, self.schedule).mean())

    @property
    def is_full_trust(self) -> bool:
        """Whether every sample's window admits every level that is drawn, and nothing shows that it should."""
        return not self.helps and self.full_trust_share == 1.0

    @property
    def is_nothing(self) -> bool:
        """Whether no sample's window admits any level."""
        return admits_nothing(self.sigma_min, self.sigma_max)

    @property
    def is_recommended(self) -> bool:
        """Whether the evidence speaks for these windows: it does neither for all levels nor for none."""
        return not (self.is_full_trust or self.is_nothing)

    @property
    def is_unshown(self) -> bool:
        """Whether nothing is written because what is named is not shown to help; the estimate would be written."""
        return self.is_nothing and self.takes == "safe" and not self.taking("estimate").is_nothing

    @property
    def as_written(self) -> tuple[float, float]:
        """sigma_min and sigma_max of the dataset, to the four digits that a configuration has of them."""
        return float(f"{self.sigma_min[0]:.4g}"), float(f"{self.sigma_max[0]:.4g}")

    @property
    def compared(self) -> str:
        """What the method looked at, and what it does not see."""
        return CONDITIONAL if self.verdict else CHUNKS_ALONE

    def headline(self) -> list[str]:
        """What was found, and what the numbers are, as lines."""
        if self.verdict:
            word, *reasons = self.verdict
            return [f"{self.source}: {word}; {self._window_in_words()}", *(f"  {reason}" for reason in reasons)]
        entry = self.to_dict()
        local = f"; sigma_max {entry['sigma_max']:.3f}" if entry["sigma_max"] > 0 else ""
        known = "; ".join([f"estimate {self.estimate:.3f}", *self._known_in_words()])
        if self.is_full_trust:
            reasons = [f"  {reason}" for reason in full_trust_reasons(self.tau)]
            return [f"{self.source}: no window to recommend ({known}{local})", *reasons]
        if self.is_nothing:
            why = "" if self.weak is None else f"{self.weak[0].upper()}{self.weak[1:]}. "
            said = f"{self.source}: no level is known to be safe ({known})"
            return [said, f"  {why}More episodes, or a sweep, decide."]
        if self.granularity == "dataset":
            end = ", the safe end" if self.takes == "safe" else ""
            return [f"{self.source}: sigma_min {entry['sigma_min']:.3f}{end} ({known}){local}"]
        few, most = entry["quantiles"]
        trusted = self.full_trust_share
        return [
            f"{self.source}: sigma_min per {self.granularity}, {few:.3f} to {most:.3f} for nine samples in ten, "
            f"median {entry['sigma_min']:.3f}{', the safe ends' if self.takes == 'safe' else ''}{local}",
            f"  median {known} for the dataset as a whole",
            *([f"  {partly_trusted(trusted)}"] if trusted else []),
        ]

    def _window_in_words(self) -> str:
        """The dataset's window, where held-out errors name one."""
        if self.is_unshown:
            return (
                f"nothing is written; what --take=estimate would write is not shown to help: {self.unshown_in_words()}"
            )
        if self.is_nothing:
            return "no window is named"
        if self.full_trust_share == 1.0:
            return "nothing is shown to be worse at any noise level"
        if self.granularity == "dataset" and self.takes == "safe" and self.as_written[0] < 1.0:
            return f"{self._bounds_in_words()}, the safe end; the estimate of sigma_min is {self.estimate:.3f}"
        return self._bounds_in_words()

    def unshown_in_words(self) -> str:
        """The windows that are named and not written, see `is_unshown`."""
        return self.taking("estimate")._bounds_in_words()

    def _bounds_in_words(self) -> str:
        """Every window that there is, once; several where parts of a source have one each."""
        windows = np.unique(np.stack([self.sigma_min, self.sigma_max], axis=1), axis=0)
        said = []
        for sigma_min, sigma_max in windows.tolist():
            bounds = [f"sigma_min {sigma_min:.3f}"] if sigma_min < 1.0 else []
            bounds += [f"sigma_max {sigma_max:.3f}"] if sigma_max > 0.0 else []
            said.append(", ".join(bounds) or "none")
        return said[0] if len(said) == 1 else f"by part {' or '.join(said)}"

    def _known_in_words(self) -> list[str]:
        """What is known of the dataset's level, each number by its name."""
        said = []
        if self.interval is not None:
            low, high = self.interval
            said.append(f"95 % interval {low:.3f} to {high:.3f}")
        if self.bury_range is not None:
            low, high = self.bury_range
            said.append(f"spectra: burying levels {low:.3f} to {high:.3f}, Gaussian score {self.gaussian or 0.0:.3f}")
        return said

    def evidence(self) -> dict[str, Any]:
        """What a windows file says of how its windows were found, beside the method; JSON values."""
        return {
            "compared": self.compared,
            "takes": self.takes,
            "sigma_min_estimate": self.estimate,
            "sigma_max_estimate": self._sigma_max_estimate,
            "interval": _listed(self.interval),
            "bury_range": _listed(self.bury_range),
            "gaussian": self.gaussian,
            "safe_at_least": self.safe_at_least,
            "crossing": self.crossing,
            "reach": [float(lower) for lower in self.reach],
        }

    def to_dict(self) -> dict[str, Any]:
        """One entry of `annotate --json`; of many windows the median, and their 5 and 95 % quantiles."""
        return {
            "source": self.source,
            "granularity": self.granularity,
            "method": self.method,
            "compared": self.compared,
            "check": None if self.verdict else CONDITIONAL_CHECK,
            "takes": self.takes,
            "sigma_min": float(np.median(self.sigma_min)),
            "sigma_min_estimate": self.estimate,
            "sigma_max": float(np.median(self.sigma_max)),
            "sigma_max_estimate": self._sigma_max_estimate,
            "full_trust": self.is_full_trust,
            "full_trust_share": self.full_trust_share,
            "recommended": self.is_recommended,
            "interval": _listed(self.interval),
            "bury_range": _listed(self.bury_range),
            "gaussian": self.gaussian,
            "quantiles": [float(level) for level in np.quantile(self.sigma_min, [0.05, 0.95])],
            "tau": self.tau,
            "notes": list(self.notes),
        }

    @property
    def _sigma_max_estimate(self) -> float:
        return float(np.median(self.sigma_max)) if self.sigma_max_estimate is None else self.sigma_max_estimate

    def table(self, mixture: AssembledMixture, index: int, chunks: Chunks) -> WindowTable:
        """Windows of every frame of the source.

        Frames at an episode's end start no sample and were not looked at; they take the window of the last one that
        was. Episodes without any take those of the sample whose sigma_min is the median.

        Args:
            mixture: it was found on.
            index: of the source in the mixture.
            chunks: the samples that `sigma_min` counts.
        """
        source, normalization = mixture.sources[index], mixture.normalizations[index]
        frames = len(source)
        local = chunks.rows.numpy() - mixture.dataset.offsets[index]
        of_frame = np.full(frames, -1, dtype=np.int64)
        of_frame[local] = np.arange(len(chunks))
        # The last sample at or before each frame, if it lies in the same episode.
        last = np.maximum.accumulate(of_frame)
        start = np.repeat(source.starts, source.stops - source.starts)
        known = (last >= 0) & (local[np.maximum(last, 0)] >= start)
        middle = int(np.argsort(self.sigma_min, kind="stable")[len(self.sigma_min) // 2])
        rows = np.where(known, last, middle)
        curve_of = None
        if self.curves is not None:
            curve_of = np.zeros(frames, dtype=np.int64) if self.curve_of is None else self.curve_of[rows]
        return WindowTable(
            repo_id=source.config.repo_id,
            revision=source.config.revision,
            episode_index=source.columns["episode_index"].astype(np.int64),
            frame_index=source.columns["frame_index"].astype(np.int64),
            sigma_min=self.sigma_min[rows].astype(np.float32),
            sigma_max=self.sigma_max[rows].astype(np.float32),
            normalization=normalization,
            method=self.method,
            granularity=self.granularity,
            tau=self.tau,
            sigmas=self.sigmas,
            p=self.curves,
            curve_of=curve_of,
            evidence=self.evidence(),
        )


def _listed(edges: tuple[float, float] | None) -> list[float] | None:
    return None if edges is None else [float(edge) for edge in edges]


def found_plan(
    mixture: AssembledMixture, chunks: Sequence[Chunks], findings: Sequence[Finding], mixing: Mixing
) -> Plan:
    """The plan of the mixture with the windows of `findings`, a finding per source.

    Samples whose window admits no timestep are left out; a source may lose all.
    """
    target = mixture.plan.groups[0]
    schedule = mixture.plan.schedule
    groups: list[Group] = [Group(0, target.name, len(chunks[0]), target.window, target.weight)]
    for index, finding in enumerate(findings, start=1):
        count = len(chunks[index])
        starts, stops = np.array([0]), np.array([count])
        bounds = (finding.sigma_min.astype(np.float32), finding.sigma_max.astype(np.float32))
        made = split_windows(*bounds, starts, stops, schedule)
        config = mixture.sources[index].config
        groups.extend(
            Group(index, chunks[index].name, samples, window, config.weight)
            for samples, window in zip(made.counts.tolist(), made.windows, strict=True)
            if bool(window.admits_of(schedule).any())
        )
    return make_plan(groups, schedule, mixing)
