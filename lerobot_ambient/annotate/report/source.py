# SPDX-License-Identifier: Apache-2.0
"""All that is known of one source, and what it comes to in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence
from lerobot_ambient.annotate.episodes.odd import OddEpisodes
from lerobot_ambient.annotate.heldout.evidence import HeldOutEvidence
from lerobot_ambient.annotate.locality.by_moments import LocalityEvidence
from lerobot_ambient.annotate.report.trajectory_figures import Trajectories
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.annotate.results.trust import full_trust_reasons
from lerobot_ambient.annotate.spectra.spectrum import SpectralEvidence
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.windows import admits_everything

if TYPE_CHECKING:
    from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
    from lerobot_ambient.annotate.locality.by_classifier import CropEvidence
    from lerobot_ambient.annotate.mixing.mode_mix import ModeMix
    from lerobot_ambient.annotate.results.source_evidence import SourceEvidence

_SURE, ROUGH = 0.1, 0.25
"""Widths of an interval of sigma_min up to which it counts as settled, or as known roughly."""
_SPECTRAL_MARGIN = 0.025
"""By how much a classifier's level must lie below what spectra show to be called too low; the lowest usual level."""
_FEW_EPISODES = 10
"""Episodes of a dataset below which errors are themselves hardly known."""
_LITTLE = 0.2
"""Part of the noise levels; a window that admits less leaves a source next to nothing to teach."""
_BIASED = 0.05
"""Excess of a mode mix from which windows are said to bias what is learnt."""


@dataclass(frozen=True, eq=False)
class SourceReport:
    """What a report says of one source.

    Args:
        finding: its windows.
        spectral, classifier, locality: the evidence that was gathered, None where it was not.
        mode_mixes: how windows shift the mix of modes.
        odd: the episodes that stick out, None where they were not looked for.
        frame, episode: (N,) frame within the episode, and episode, of the samples.
        position: (N,) time of the samples within their episode, in [0, 1].
        trajectories: a few episodes beside the target's, None where they are not known.
        held_out: what the held-out method found, None where another was used.

    Raises:
        ValueError: numbers of samples that disagree, positions outside [0, 1].
    """

    finding: Finding
    spectral: SpectralEvidence | None
    classifier: ClassifierEvidence | None
    locality: LocalityEvidence | CropEvidence | None
    mode_mixes: tuple[ModeMix, ...]
    frame: NDArray[np.int64]
    episode: NDArray[np.int64]
    position: Floats
    trajectories: Trajectories | None = None
    held_out: HeldOutEvidence | None = None
    odd: OddEpisodes | None = None

    def __post_init__(self) -> None:
        samples = len(self.finding.sigma_min)
        for name in ("frame", "episode", "position"):
            if getattr(self, name).shape != (samples,):
                raise ValueError(
                    f"'{self.finding.source}': {name} has shape {getattr(self, name).shape}, but there are {samples} "
                    "windows; give one number per sample."
                )
        if samples == 0:
            raise ValueError(f"'{self.finding.source}' has no samples, so there is nothing to report.")
        if not bool(((self.position >= 0.0) & (self.position <= 1.0)).all()):
            raise ValueError(
                f"'{self.finding.source}': position runs from {self.position.min():g} to {self.position.max():g}; "
                "give the time within the episode as a number in [0, 1]."
            )

    @classmethod
    def of(cls, annotation: SourceEvidence, chunks: Chunks, target: Chunks | None = None) -> SourceReport:
        """Of an annotation and the samples it is about; an episode's last sample is its end.

        With the target's samples, some of its episodes are shown beside the source's.
        """
        _, which = np.unique(chunks.episode, return_inverse=True)
        last = np.zeros(int(which.max()) + 1, dtype=np.int64)
        np.maximum.at(last, which, chunks.frame)
        return cls(
            finding=annotation.finding,
            spectral=annotation.spectral,
            classifier=annotation.classifier,
            locality=annotation.locality,
            mode_mixes=annotation.mode_mixes,
            frame=chunks.frame,
            episode=chunks.episode,
            position=chunks.frame / np.maximum(last[which], 1),
            trajectories=None if target is None else Trajectories.of(target, chunks),
            held_out=annotation.heldout,
            odd=annotation.odd,
        )

    @property
    def sigma_min(self) -> float:
        """The dataset's, or the median of the samples'."""
        return float(np.median(self.finding.sigma_min))

    @property
    def sigma_max(self) -> float:
        """The dataset's, or the median of the samples'."""
        return float(np.median(self.finding.sigma_max))

    @property
    def varies(self) -> bool:
        """Whether samples have windows of their own."""
        return len(np.unique(self.finding.sigma_min)) > 1 or len(np.unique(self.finding.sigma_max)) > 1

    @property
    def episodes(self) -> int:
        return len(np.unique(self.episode))

    def admitted(self, sigmas: Floats) -> Floats:
        """(L,) share of the samples whose window admits each level (L,)."""
        low, high = self.finding.sigma_min, self.finding.sigma_max
        everything = admits_everything(low, high)
        above = np.sort(np.where(everything, -1.0, low))
        below = np.sort(np.where(everything, 0.0, high))
        count = np.searchsorted(above, sigmas, side="left")
        count += len(below) - np.searchsorted(below, sigmas, side="right")
        return count / len(low)


def verdict(report: SourceReport) -> str:
    """Which window to use, and how sure it is, in plain words."""
    if report.held_out is not None:
        return f"{report.held_out.headline('σ')}."
    finding, sigma_min, (low, high) = report.finding, report.sigma_min, report.finding.known
    if finding.verdict:
        return ". ".join([*finding.headline()[:1], *finding.verdict[1:]]) + "."
    if finding.is_full_trust:
        said = " ".join(full_trust_reasons(finding.tau))
        if _only_spectra_part(report):
            assert report.spectral is not None
            said += (
                f" The spectra part up to {report.spectral.sigma_min:.3f}, which the classifier missed: use it only "
                "above that level."
            )
        return f"{said} A sweep by rollouts decides its window."
    if report.varies:
        a, b = np.quantile(finding.sigma_min, [0.1, 0.9])
        use = (
            f"Use it with the windows file, which has a window for each sample: half of them teach from "
            f"{sigma_min:.3f} or less on, and 80 % of the windows begin between {a:.3f} and {b:.3f}."
        )
    elif finding.is_nothing and finding.estimate < 1.0:
        use = f"No noise level is known to be safe with so few data; the estimate is {finding.estimate:.3f}."
    elif sigma_min < 1.0 and finding.estimate < sigma_min:
        use = (
            f"Use it at noise levels above {sigma_min:.3f}, the safe end of what is known. The estimate, from which on "
            f"no difference of its actions was found, is {finding.estimate:.3f}."
        )
    elif sigma_min < 1.0:
        use = f"Use it at noise levels above {sigma_min:.3f}: below, its actions can be told from the target's."
    elif report.sigma_max > 0.0:
        use = "It was told from the target at every noise level."
    else:
        use = "It was told from the target at every noise level: leave it out, or check whether it is aligned rightly."
    if not report.varies and 0.0 < report.sigma_max <= sigma_min:
        use += f" Below {report.sigma_max:.3f} it may teach local motion."
    return f"{use} {_sureness(low, high, varies=report.varies, method=finding.method)}"


def warnings(report: SourceReport, share: float, sigmas: Floats) -> list[str]:
    """What to look at first; the finding's own notes come on top.

    Args:
        report: of the source.
        share: of all draws under the plan, in [0, 1].
        sigmas: (T,) levels of the policy's schedule.
    """
    finding, evidence, spectral = report.finding, report.classifier, report.spectral
    low, high = finding.known
    found = [
        f"'{name}' has only {episodes} episodes: how episodes differ is hardly known, and a level is a hint at most."
        for name, episodes in _episodes(report)
        if episodes < _FEW_EPISODES
    ]
    if high - low > ROUGH and not finding.verdict:
        wide = (
            f"The dataset's sigma_min may lie anywhere from {low:.3f} to {high:.3f}."
            if finding.interval is not None
            else f"There is too little data to say which frequencies part: burying levels run from {low:.3f} to "
            f"{high:.3f}."
        )
        found.append(f"{wide} More episodes narrow it; a sweep by rollouts decides it.")
    if finding.weak is not None:
        found.append(
            f"Too little evidence: {finding.weak}. That they see no difference shows nothing, so the safe end is the "
            "level from which on spectra show chunks to be alike, or none."
        )
    if share == 0.0 and not (finding.verdict and finding.is_nothing):
        found.append("With these windows nothing is ever drawn from it.")
    elif little := little_left(report, share, sigmas):
        found.append(little)
    if finding.method == "classifier" and evidence is not None:
        lowest = float(evidence.scores.sigmas[0])
        if not report.varies and 0.0 < finding.estimate <= lowest:
            found.append(f"The estimate is not above the lowest level looked at, {lowest:.3f}; it may be lower.")
        if _only_spectra_part(report):
            assert spectral is not None
            found.append(
                f"Spectra part up to {spectral.sigma_min:.3f}, but the classifier's level is {finding.estimate:.3f}. "
                "A classifier that can tell the few episodes it is trained on by their paths has no need to learn such "
                "a difference: believe the spectra."
            )
        elif spectral is not None and spectral.bury_range[0] > high + _SURE:
            found.append(
                f"Spectra part up to {spectral.sigma_min:.3f}, where the classifier sees no difference any more: it "
                "may have been trained too briefly."
            )
    worst = max((mix.excess for mix in report.mode_mixes if _in_use(mix, finding)), default=0.0)
    if worst > _BIASED:
        found.append(
            f"The windows favour some kinds of motion over others: {worst:.0%} of what they admit is of a wrong mode, "
            "beyond chance. A window for the whole dataset has no such bias."
        )
    return found


def little_left(report: SourceReport, share: float, sigmas: Floats) -> str | None:
    """What to do about a window at whose levels there is next to nothing to teach, below `_LITTLE` of them.

    Args:
        report: of the source.
        share: of all draws under the plan, in [0, 1].
        sigmas: (T,) levels of the policy's schedule.

    Returns:
        The share, why, and the ways on; None where the window admits enough.
    """
    finding = report.finding
    admitted = float(report.admitted(sigmas).mean())
    if finding.is_nothing or admitted >= _LITTLE:
        return None
    said = (
        f"Next to nothing is left for it to teach: this window admits {admitted:.0%} of the noise levels that the "
        f"policy draws, and {share:.1%} of a training's draws are its."
    )
    other = replace(report, finding=finding.taking("estimate"))
    more = float(other.admitted(sigmas).mean())
    if more < 2.0 * admitted:
        return (
            f"{said} The estimate, {finding.estimate:.3f}, says much the same: its chunks differ from the target's. "
            "Leave it out, or check whether it is aligned rightly."
        )
    few = " and ".join(f"{episodes} of '{name}'" for name, episodes in _episodes(report))
    why = f"There are too few episodes{f' ({few})' if few else ''} to show more"
    if other.finding.is_full_trust:
        return f"{said} {why}. Record more, or choose sigma_min by a sweep: the estimate is full trust, no window."
    return (
        f"{said} {why}. Record more, or annotate again with --take=estimate, {finding.estimate:.3f}, which admits "
        f"{more:.0%} of the levels and may be too low: then it teaches where it still differs, and rollouts tell."
    )


def _episodes(report: SourceReport) -> list[tuple[str, int]]:
    """Name and number of episodes of the target and the source, as far as evidence tells."""
    if report.classifier is not None:
        curve, scores = report.classifier.curve, report.classifier.scores
        return [(scores.target_name, curve.target.episodes), (scores.source_name, curve.source.episodes)]
    if report.spectral is not None:
        return [(each.name, each.episodes) for each in (report.spectral.target, report.spectral.source)]
    return []


def _only_spectra_part(report: SourceReport) -> bool:
    """Whether spectra show a difference within the interval of a classifier that reports a lower level."""
    spectral = report.spectral
    if report.finding.method != "classifier" or spectral is None:
        return False
    _, high = report.finding.known
    return report.finding.estimate < spectral.bury_range[0] - _SPECTRAL_MARGIN and spectral.bury_range[0] <= high


def _in_use(mix: ModeMix, finding: Finding) -> bool:
    """Whether a mix that can be judged is that of the windows found; annotations hold other granularities too."""
    named = {"dataset": "dataset", "data point": "datapoint"}
    return bool(np.isfinite(mix.excess)) and named.get(mix.granularity, "bucket") == finding.granularity


def _sureness(low: float, high: float, *, varies: bool, method: str) -> str:
    width = high - low
    between = f"at {low:.3f}" if width == 0.0 else f"between {low:.3f} and {high:.3f}"
    if method == "spectral":
        return f"The burying levels of its spectra lie {between}; they are no interval of sigma_min."
    what = "The dataset's level" if varies else "This"
    if width <= _SURE:
        return f"{what} is well settled, {between}."
    if width <= ROUGH:
        return f"{what} is known roughly, {between}."
    return f"{what} is hardly known, {between}: check it with a sweep."
