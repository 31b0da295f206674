# SPDX-License-Identifier: Apache-2.0
"""The methods: windows of every source of a mixture, with all that was learnt on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lerobot_ambient.annotate.buckets.partition import Buckets
from lerobot_ambient.annotate.buckets.rules import BucketRule, ColumnRule, EpisodeRule
from lerobot_ambient.annotate.buckets.windows import BucketWindows, bucket_windows
from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
from lerobot_ambient.annotate.classifier.curves import TAU
from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence, classify
from lerobot_ambient.annotate.classifier.fits import fit_shards
from lerobot_ambient.annotate.classifier.held_out import ChunkScores
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import Processes, WorkFolder
from lerobot_ambient.annotate.episodes.motion import episode_motion
from lerobot_ambient.annotate.episodes.odd import odd_episodes
from lerobot_ambient.annotate.locality.by_classifier import crop_evidence, crop_fits
from lerobot_ambient.annotate.locality.by_moments import PLACES, LocalityEvidence, LocalityOptions, locality_window
from lerobot_ambient.annotate.mixing.mode_mix import mode_mixes
from lerobot_ambient.annotate.results.found_windows import SAMPLED, Finding
from lerobot_ambient.annotate.results.source_evidence import SourceEvidence
from lerobot_ambient.annotate.results.windows_from_curves import (
    Threshold,
    bucket_finding,
    data_point_finding,
    data_set_finding,
)
from lerobot_ambient.annotate.spectra.gaussian_classifier import gaussian_level
from lerobot_ambient.annotate.spectra.power_comparison import CompareOptions
from lerobot_ambient.annotate.spectra.spectrum import MIN_HORIZON, spectral_window
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.data.mixture import AssembledMixture

GRANULARITIES = ("dataset", "bucket", "datapoint")


def look_over(annotations: Sequence[SourceEvidence], chunks: Sequence[Chunks]) -> list[SourceEvidence]:
    """The annotations with the episodes that stick out of each source; the target's chunks come first."""
    found = []
    for one, source in zip(annotations, chunks[1:], strict=True):
        scores = None if one.classifier is None else one.classifier.episodes
        found.append(replace(one, odd=odd_episodes(source.name, episode_motion(source), scores)))
    return found


def annotate_by_spectrum(
    chunks: Sequence[Chunks], *, tau: float = TAU, seed: int = 0, progress: bool = False
) -> list[SourceEvidence]:
    """Compare spectra; nothing is trained.

    Args:
        chunks: of the target and of each source.
        tau: margin of the Gaussian score.
        seed: of resampling.
        progress: show a bar; each source takes seconds.

    Raises:
        ValueError: chunks that are too short, too few or never change.
    """
    annotations: list[SourceEvidence] = []
    for source in tqdm(chunks[1:], desc="comparing spectra", unit="source", disable=not progress):
        evidence = spectral_window(chunks[0], source, CompareOptions(seed=seed))
        gaussian = gaussian_level(evidence, tau, seed=seed)
        finding = Finding(
            source=source.name,
            method="spectral",
            granularity="dataset",
            sigma_min=np.full(len(source), evidence.sigma_min),
            sigma_max=np.zeros(len(source)),
            bury_range=evidence.bury_range,
            notes=tuple(evidence.notes),
            # Burying each frequency does not hide what many leak together.
            sigma_min_safe=np.full(len(source), max(evidence.bury_range[1], gaussian)),
            gaussian=gaussian,
        )
        annotations.append(SourceEvidence(finding, spectral=evidence))
    return look_over(annotations, chunks)


def spectral_locality(chunks: Sequence[Chunks], sigmas: Floats, *, seed: int = 0) -> list[LocalityEvidence]:
    """Evidence for sigma_max from second moments of crops, per source.

    Args:
        chunks: of the target and of each source.
        sigmas: (T,) the schedule's levels; at 1 nothing is left of a chunk, and the denoiser is only defined below.
        seed: of resampling.
    """
    levels = sigmas[(sigmas > 0) & (sigmas < 1)]
    return [locality_window(chunks[0], source, levels, LocalityOptions(seed=seed)) for source in chunks[1:]]


@dataclass(frozen=True)
class ClassifierMethod:
    """What the classifier method is told.

    Args:
        options: of training and scoring.
        threshold: when chunks count as alike.
        granularity: what shares a window, one of `GRANULARITIES`.
        bucket: how chunks are put into buckets; for the bucket granularity only.
        locality: whether to train classifiers on crops too, for sigma_max.
        work: folder of the shards.
        chunks: of each dataset, at most, to train on and to score; None has `options` say it, of which more than ten
            sources share what ten would get (`ClassifierOptions.shared_by`).

    Raises:
        ValueError: no such granularity, buckets without a rule or a rule without buckets.
    """

    options: ClassifierOptions
    threshold: Threshold
    granularity: str
    bucket: BucketRule | None
    locality: bool
    work: Path
    chunks: int | None = None

    def options_for(self, sources: int) -> ClassifierOptions:
        """The options of a run with so many sources."""
        return self.options.shared_by(sources) if self.chunks is None else self.options.with_chunks(self.chunks)

    def __post_init__(self) -> None:
        if self.granularity not in GRANULARITIES:
            raise ValueError(f"there is no granularity '{self.granularity}'; choose from {', '.join(GRANULARITIES)}.")
        if (self.granularity == "bucket") != (self.bucket is not None):
            raise ValueError(
                "the granularity bucket needs a rule for buckets, which says what shares a window, and no other does; "
                f"got granularity={self.granularity} and bucket={self.bucket}."
            )


def annotate_by_classifier(
    mixture: AssembledMixture,
    chunks: Sequence[Chunks],
    method: ClassifierMethod,
    processes: Processes,
    *,
    progress: bool = True,
) -> list[SourceEvidence]:
    """Train cross-fitted classifiers and read windows from what they say of chunks they did not see.

    Args:
        mixture: that the chunks are of.
        chunks: of the target and of each source.
        method: how.
        processes: that share the work.
        progress: show bars.

    Returns:
        An annotation per source in the main process, none in the others.

    Raises:
        ValueError: data that cannot be compared, or are too few for the folds.
    """
    target, sources = chunks[0], chunks[1:]
    method = replace(method, options=method.options_for(len(sources)))
    schedule, seed = mixture.plan.schedule, method.options.seed
    rule = None if method.granularity == "dataset" else method.bucket or EpisodeRule()
    buckets: list[Buckets | None] = []
    second: list[LocalityEvidence] = []
    if processes.is_main:
        # What can fail without hours of training does so before them: a column that is not there, too few episodes.
        buckets = [_buckets(mixture, chunks, index, rule) for index in range(len(chunks))]
        second = spectral_locality(chunks, schedule.sigmas.numpy(), seed=seed) if method.locality else []
    work = WorkFolder(method.work, mixture.fingerprint)
    found = classify(
        target,
        sources,
        schedule,
        method.options,
        every_chunk=method.granularity != "dataset",
        work=work,
        processes=processes,
        progress=progress,
    )
    fits = None
    if method.locality:
        # A crop of absolute positions is one wherever it lies in its chunk; relative to the current state it is not.
        places = PLACES if target.relative else 1
        fits = crop_fits(target, sources, schedule, method.options, places=places, work=work, device=processes.device)
        fit_shards(fits.fits, part=processes.rank, parts=processes.world, progress=progress and processes.is_main)
        processes.wait()
    if not processes.is_main:
        return []
    annotations = [
        _annotation(mixture, chunks, index, evidence, method, buckets) for index, evidence in enumerate(found, start=1)
    ]
    annotations = [
        one if (said := sampled(source, method.options)) is None else one.with_notes(said)
        for one, source in zip(annotations, sources, strict=True)
    ]
    annotations = look_over(annotations, chunks)
    if target.horizon >= MIN_HORIZON:
        annotations = _with_spectra(annotations, chunks, method, progress=progress)
    if fits is None:
        return annotations
    crops = crop_evidence(fits, method.threshold.tau)
    return [one.with_locality(crop, other) for one, crop, other in zip(annotations, crops, second, strict=True)]


def sampled(source: Chunks, options: ClassifierOptions) -> str | None:
    """Which part of a source's chunks was looked at, in words; None where it was all of them."""
    there, most = len(source), (options.train_chunks, options.score_chunks)
    if there <= min(most):
        return None
    trained, scored = (f"{min(there, one):,}" for one in most)
    return (
        f"{SAMPLED}of its {there:,} chunks classifiers were trained on {trained}; the dataset's curve is of {scored}."
    )


def _with_spectra(
    annotations: Sequence[SourceEvidence], chunks: Sequence[Chunks], method: ClassifierMethod, *, progress: bool
) -> list[SourceEvidence]:
    """The annotations with spectra beside them: seconds, and each kind of evidence shows where the other is blind."""
    try:
        spectra = annotate_by_spectrum(chunks, tau=method.threshold.tau, seed=method.options.seed, progress=progress)
    except ValueError as error:
        # They are an opinion beside what took minutes to train.
        return [one.with_notes(f"Spectra were not compared: {error}") for one in annotations]
    return [one.with_spectra(other) for one, other in zip(annotations, spectra, strict=True)]


def _buckets(
    mixture: AssembledMixture, chunks: Sequence[Chunks], index: int, rule: BucketRule | None
) -> Buckets | None:
    """The buckets of a dataset; None without a rule."""
    if rule is None:
        return None
    if index == 0 and isinstance(rule, ColumnRule) and rule.column not in mixture.sources[0].meta.features:
        # A column that only sources have makes no buckets of the target; its other granularities are shown.
        return None
    return rule(mixture, index, chunks[index])


def _annotation(
    mixture: AssembledMixture,
    chunks: Sequence[Chunks],
    index: int,
    evidence: ClassifierEvidence,
    method: ClassifierMethod,
    buckets: Sequence[Buckets | None],
) -> SourceEvidence:
    source, seed = chunks[index], method.options.seed
    if method.granularity == "dataset":
        return SourceEvidence(data_set_finding(evidence, len(source), method.threshold, seed=seed), classifier=evidence)
    assert evidence.every_source is not None
    assert evidence.every_target is not None
    of_source = _windows(evidence.every_source, buckets[index], evidence, method.threshold)
    of_target = _windows(evidence.every_target, buckets[0], evidence, method.threshold)
    if method.granularity == "bucket":
        assert of_source.buckets is not None
        finding = bucket_finding(evidence, method.threshold, of_source.buckets, seed=seed)
    else:
        finding = data_point_finding(evidence, method.threshold, seed=seed)
    sigmas = mixture.plan.schedule.sigmas.numpy()
    named = str(method.bucket or EpisodeRule())
    mixes = [
        *mode_mixes(chunks[0], of_target.by_granularity(named), sigmas, seed=seed),
        *mode_mixes(source, of_source.by_granularity(named), sigmas, seed=seed),
    ]
    return SourceEvidence(finding, classifier=evidence, mode_mixes=tuple(mixes))


@dataclass(frozen=True, eq=False)
class _Windows:
    """(N,) sigma_min of one dataset's chunks at every granularity; without buckets where there are none."""

    data_set: Floats
    buckets: BucketWindows | None
    data_point: Floats

    def by_granularity(self, bucket: str) -> dict[str, Floats]:
        between = {} if self.buckets is None else {bucket: self.buckets.sigma_min_per_chunk}
        return {"dataset": self.data_set, **between, "data point": self.data_point}


def _windows(
    scores: ChunkScores, buckets: Buckets | None, evidence: ClassifierEvidence, threshold: Threshold
) -> _Windows:
    sigmas = evidence.curve.sigmas
    (of_all,) = threshold(sigmas, scores.mean.mean(0, dtype=np.float64)[None])
    made = None
    if buckets is not None:
        made = bucket_windows(scores, sigmas, buckets, tau=threshold.tau, rule=threshold.rule)
    return _Windows(np.full(len(scores), of_all), made, threshold(sigmas, scores.mean))
