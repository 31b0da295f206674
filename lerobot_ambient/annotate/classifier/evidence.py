# SPDX-License-Identifier: Apache-2.0
"""What the classifier method knows about one source, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lerobot_ambient.annotate.classifier.calibration import Calibration, calibrate
from lerobot_ambient.annotate.classifier.cross_fit import CrossFit
from lerobot_ambient.annotate.classifier.curves import Curve, data_set_curve
from lerobot_ambient.annotate.classifier.distance import TotalVariation, total_variation
from lerobot_ambient.annotate.classifier.fits import find
from lerobot_ambient.annotate.classifier.held_out import ChunkScores, Scores


@dataclass(frozen=True, eq=False)
class ClassifierEvidence:
    """The classifiers' word on a target and one source.

    Args:
        scores: held-out logits of a sample of the chunks of both.
        calibration: how far to trust them, per level.
        curve: p(sigma) of the source with its errors.
        distance: lower bound of the total variation; None without cross-fitting.
        every_source: c of every chunk of the source; None where only the data set's curve was asked for.
        every_target: c of every chunk of the target, as if it were that source; None likewise.
    """

    scores: Scores
    calibration: Calibration
    curve: Curve
    distance: TotalVariation | None
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
