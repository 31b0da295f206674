# SPDX-License-Identifier: Apache-2.0
"""The classifier method over all sources of a mixture, shared between processes: what it knows about each source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet
from lerobot_ambient.annotate.classifier.calibration import Calibration, calibrate, calibrate_as_seen
from lerobot_ambient.annotate.classifier.cross_fit import CrossFit
from lerobot_ambient.annotate.classifier.curves import Curve, data_set_curve
from lerobot_ambient.annotate.classifier.distance import TotalVariation, total_variation
from lerobot_ambient.annotate.classifier.episode_scores import EpisodeScores, episode_scores
from lerobot_ambient.annotate.classifier.fits import cross_fits, find, fit_shards
from lerobot_ambient.annotate.classifier.held_out import ChunkScores, Scores
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import Processes, WorkFolder
from lerobot_ambient.core.noise_levels import NoiseSchedule


@dataclass(frozen=True, eq=False)
class ClassifierEvidence:
    """The classifiers' word on a target and one source.

    Args:
        scores: held-out logits of a sample of the chunks of both.
        calibration: how far to trust them, per level.
        curve: p(sigma) of the source with its errors.
        distance: lower bound of the total variation; None without cross-fitting.
        episodes, target_episodes: how often each episode of the source, and of the target, is taken for the target's at
            a low level; None in processes that do not report.
        every_source: c of every chunk of the source; None where only the dataset's curve was asked for.
        every_target: c of every chunk of the target, as if it were that source; None likewise.
    """

    scores: Scores
    calibration: Calibration
    curve: Curve
    distance: TotalVariation | None
    episodes: EpisodeScores | None = None
    target_episodes: EpisodeScores | None = None
    every_source: ChunkScores | None = None
    every_target: ChunkScores | None = None

    def __repr__(self) -> str:
        return f"evidence of {self.scores!r}"


def gather_evidence(fits: Sequence[CrossFit], source: int) -> ClassifierEvidence:
    """The evidence for one source, without scores of every chunk.

    Args:
        fits: trained (`fit_shards`); folds still missing are trained here.
        source: its place among all that are annotated, from 0.
    """
    fit, head = find(fits, source)
    scores = fit.scores(head)
    calibration = calibrate(scores)
    return ClassifierEvidence(
        scores=scores,
        calibration=calibration,
        curve=data_set_curve(scores, calibration),
        distance=total_variation(scores) if scores.cross_fitted else None,
    )


def classify(
    target: ChunkSet,
    sources: Sequence[ChunkSet],
    schedule: NoiseSchedule,
    options: ClassifierOptions,
    *,
    every_chunk: bool,
    work: WorkFolder,
    processes: Processes,
    progress: bool = True,
) -> list[ClassifierEvidence]:
    """The evidence for each source; every process takes its share, and the main one has the scores of every chunk.

    Args:
        target, sources: chunks of one mixture.
        schedule: of the policy.
        options: of the method.
        every_chunk: also score every chunk of the sources, and of the target against each source.
        work: shards, where the processes meet.
        processes: that take part.
        progress: show bars, in the main process only.

    Raises:
        ValueError: data that cannot be compared, or are too few for the folds.
    """
    fits = cross_fits(target, sources, schedule, options, work=work, device=processes.device)
    progress = progress and processes.is_main
    fit_shards(fits, part=processes.rank, parts=processes.world, progress=progress)
    processes.wait()
    found = [gather_evidence(fits, source) for source in range(len(sources))]
    if processes.is_main:
        found = [_score_episodes(fits, source, evidence) for source, evidence in enumerate(found)]
    if not every_chunk:
        return found
    for source, evidence in enumerate(found):
        _score(fits, source, evidence, part=processes.rank, parts=processes.world, progress=progress)
    processes.wait()
    if not processes.is_main:
        return found
    return [_score(fits, source, evidence, part=0, parts=1, progress=False) for source, evidence in enumerate(found)]


def _score_episodes(fits: Sequence[CrossFit], source: int, evidence: ClassifierEvidence) -> ClassifierEvidence:
    """The evidence with scores of episodes."""
    fit, head = find(fits, source)
    seen = calibrate_as_seen(evidence.scores)
    of_source, of_target = (
        episode_scores(fit.sigmas, *fit.score_episodes(head, of_target=of_target), seen) for of_target in (False, True)
    )
    return replace(evidence, episodes=of_source, target_episodes=of_target)


def _score(
    fits: Sequence[CrossFit], source: int, evidence: ClassifierEvidence, *, part: int, parts: int, progress: bool
) -> ClassifierEvidence:
    fit, head = find(fits, source)
    every_target, every_source = (
        fit.score_every_chunk(
            head, evidence.calibration, of_target=of_target, part=part, parts=parts, progress=progress
        )
        for of_target in (True, False)
    )
    return replace(evidence, every_source=every_source, every_target=every_target)
