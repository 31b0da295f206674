# SPDX-License-Identifier: Apache-2.0
"""All that a method came to know of one source: its windows, and the evidence they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence
from lerobot_ambient.annotate.episodes.odd import OddEpisodes
from lerobot_ambient.annotate.heldout.evidence import LEAST_STEPS, HeldOutEvidence, window_words
from lerobot_ambient.annotate.heldout.verdict import HELPS
from lerobot_ambient.annotate.locality.by_classifier import CropEvidence
from lerobot_ambient.annotate.locality.by_moments import LocalityEvidence
from lerobot_ambient.annotate.mixing.mode_mix import ModeMix
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.annotate.spectra.spectrum import SpectralEvidence
from lerobot_ambient.core.noise_levels import NoiseSchedule

_TOO_FEW = (
    f"Fewer than {LEAST_STEPS} steps a training: denoisers that have hardly learnt err alike with any source, so this "
    "is no evidence for it."
)
_MAY_TURN = (
    "A mixture learns slower than the target alone, and more in the end: with more --steps a source may be shown to "
    "help that these trainings do not show to."
)
_LOW_ONLY = (
    "A window below a sigma_max alone suits a source that decides wrongly and moves well. Where motion was at fault it "
    "did harm in rollouts that the held-out error had not foretold (docs/results): look at episodes, or at rollouts."
)


@dataclass(frozen=True, eq=False)
class SourceEvidence:
    """What is known of one source.

    Args:
        finding: its windows.
        spectral: of its spectra; None where chunks are too short for any.
        classifier: what classifiers said, for the classifier method.
        locality: the evidence for sigma_max, if it was asked for.
        odd: the episodes that stick out of the source; None where they were not looked for.
        mode_mixes: how each granularity shifts the mix of modes, of the target and of the source.
        heldout: what denoisers of held-out target episodes said, for the held-out method.
        parts: the same of each part of like score, where the source was divided by one.
    """

    finding: Finding
    spectral: SpectralEvidence | None = None
    classifier: ClassifierEvidence | None = None
    locality: LocalityEvidence | CropEvidence | None = None
    odd: OddEpisodes | None = None
    mode_mixes: tuple[ModeMix, ...] = ()
    heldout: HeldOutEvidence | None = None
    parts: tuple[HeldOutEvidence, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """One entry of `annotate --json`."""
        entry = self.finding.to_dict()
        if self.odd is not None:
            entry["look_at_first"] = [one.to_dict() for one in self.odd.found]
            entry["look_at_first_rule"] = self.odd.rule
        if self.classifier is not None:
            curve, distance = self.classifier.curve, self.classifier.distance
            low, high = curve.band()
            entry["curve"] = {
                "sigmas": curve.sigmas.tolist(),
                "p": curve.p.tolist(),
                "low": low.tolist(),
                "high": high.tolist(),
                "total_variation_at_least": None if distance is None else distance.band()[0].tolist(),
            }
            scores = self.classifier.episodes
            if scores is not None:
                entry["episode_scores"] = {
                    "sigma": scores.sigma,
                    "episode": scores.episode.tolist(),
                    "score": [round(float(one), 4) for one in scores.score],
                }
        if self.heldout is not None:
            entry["heldout"] = self.heldout.to_dict()
        if self.parts:
            entry["parts"] = [{"part": one.source, "samples": one.samples, **one.to_dict()} for one in self.parts]
        if self.mode_mixes:
            entry["mode_mixes"] = [
                {
                    "data": mix.data,
                    "granularity": mix.granularity,
                    "excess": None if np.isnan(mix.excess) else mix.excess,
                }
                for mix in self.mode_mixes
            ]
        return entry

    @classmethod
    def of_held_out(cls, evidence: HeldOutEvidence, chunks: int, schedule: NoiseSchedule) -> SourceEvidence:
        """What held-out errors say of a source of so many samples, by a policy that draws these levels."""
        verdict, (safe, estimate), shown = evidence.verdict, evidence.named, evidence.shown
        finding = Finding(
            source=evidence.source,
            method="heldout",
            granularity="dataset",
            sigma_min=np.full(chunks, estimate.sigma_min),
            sigma_max=np.full(chunks, safe.sigma_max),
            interval=(estimate.sigma_min, shown.sigma_min),
            sigma_min_safe=np.full(chunks, shown.sigma_min),
            sigma_max_safe=np.full(chunks, shown.sigma_max),
            sigma_max_estimate=estimate.sigma_max,
            schedule=schedule,
            verdict=(verdict.headline, *verdict.reasons),
            helps=verdict.word == HELPS,
            notes=(
                f"Judged by {evidence.denoiser}, {evidence.steps} steps a training.",
                *([_TOO_FEW] if evidence.steps < LEAST_STEPS else []),
                *([_MAY_TURN] if verdict.word != HELPS else []),
                *([_LOW_ONLY] if safe.sigma_min >= 1.0 and safe.sigma_max > 0.0 else []),
            ),
        )
        return cls(finding, heldout=evidence)

    @classmethod
    def of_scored_parts(
        cls, source: Chunks, parts: Sequence[HeldOutEvidence], schedule: NoiseSchedule
    ) -> SourceEvidence:
        """What held-out errors say of a source's samples by their score, a window for each part of like score.

        Args:
            source: its samples.
            parts: the evidence of each; together they hold every sample.
            schedule: the levels that the policy draws.
        """
        rows = source.rows.numpy()
        safe, estimate, sigma_max, shown_max = (np.ones(len(rows)) for _ in range(4))
        for part in parts:
            assert part.rows is not None
            mine = np.isin(rows, part.rows)
            (window, guess), shown = part.named, part.shown
            estimate[mine], sigma_max[mine] = guess.sigma_min, window.sigma_max
            safe[mine], shown_max[mine] = shown.sigma_min, shown.sigma_max
        finding = Finding(
            source=source.name,
            method="heldout",
            granularity="bucket",
            sigma_min=estimate,
            sigma_max=sigma_max,
            interval=(float(np.median(estimate)), float(np.median(safe))),
            sigma_min_safe=safe,
            sigma_max_safe=shown_max,
            schedule=schedule,
            verdict=(
                f"{len(parts)} parts by score",
                *(f"{part.source}: {part.verdict.headline}; {_window_of(part)}" for part in parts),
            ),
            helps=any(part.verdict.word == HELPS for part in parts),
            notes=(f"Judged by {parts[0].denoiser}, {parts[0].steps} steps a training.",),
        )
        return cls(finding, parts=tuple(parts))

    def taking(self, end: str) -> SourceEvidence:
        """The annotation with this end of what is known of sigma_min as its windows (`Finding.taking`)."""
        return replace(self, finding=self.finding.taking(end))

    def drawn_at(self, schedule: NoiseSchedule) -> SourceEvidence:
        """The annotation for a policy that draws the levels of `schedule`: full trust is all of these."""
        return replace(self, finding=replace(self.finding, schedule=schedule))

    def with_spectra(self, other: SourceEvidence) -> SourceEvidence:
        """The annotation with the spectra of another beside it, whose numbers stay numbers of spectra."""
        assert other.finding.bury_range is not None
        finding = self.finding.beside_spectra(other.finding.bury_range, other.finding.gaussian or 0.0)
        return replace(self, finding=finding, spectral=other.spectral)

    def with_notes(self, *notes: str) -> SourceEvidence:
        """The annotation with further caveats."""
        return replace(self, finding=self.finding.with_notes(*notes))

    def with_locality(
        self, evidence: LocalityEvidence | CropEvidence, second: LocalityEvidence | None = None
    ) -> SourceEvidence:
        """The annotation with sigma_max: as far as crops are shown to be alike. Weak evidence does not go beyond.

        Args:
            evidence: by second moments or by classifiers on crops.
            second: by second moments, beside that of classifiers: each misses what the other sees, so both must hold.
        """
        notes = [f"Locality: {note}" for note in evidence.notes]
        shown = evidence.shown
        if second is not None and second.shown < shown:
            shown = second.shown
            beyond = (
                f"nothing is found in too little data up to {second.sigma_max:.3f}" if second.weak else "they differ"
            )
            notes.append(
                f"Locality: second moments show crops to be alike only up to {shown:.3f}, and that is sigma_max; from "
                f"there on {beyond}."
            )
        found = evidence.sigma_max if second is None else min(evidence.sigma_max, second.sigma_max)
        sigma_max = np.full(len(self.finding.sigma_min), shown)
        finding = replace(self.finding, sigma_max=sigma_max, sigma_max_estimate=found).with_notes(*notes)
        return replace(self, finding=finding, locality=evidence)


def _window_of(part: HeldOutEvidence) -> str:
    named = part.named[0]
    asked = ", with --take=estimate only" if part.shown.is_nothing and not named.is_nothing else ""
    return window_words(named) + asked
