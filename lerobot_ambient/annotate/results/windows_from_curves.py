# SPDX-License-Identifier: Apache-2.0
"""Windows from curves p(sigma): one for the dataset, one per bucket, or one per data point.

The same rule reads each: sigma_min is where a curve rises above 1/2 - tau. What differs is whose curve. The dataset's
averages over all chunks, and its error is the smallest. A data point's averages over noise draws of one chunk; it sees
what is special about the chunk, and what is merely common to it and the target's favourite motion (`mode_mix` measures
how much that shifts which motions are seen at which level). Buckets lie between.

A windows file keeps its curves, so another threshold reads them again (`rethreshold`): no data is opened and nothing is
trained.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.buckets.episode_kinds import two_kinds
from lerobot_ambient.annotate.buckets.partition import by_episode
from lerobot_ambient.annotate.buckets.windows import BucketWindows, bucket_windows
from lerobot_ambient.annotate.classifier.calibration import chunk_scores
from lerobot_ambient.annotate.classifier.curves import (
    CROSSINGS,
    TAU,
    CrossingRule,
    curve_reach,
    require_tau,
    sigma_min_interval,
    sigma_min_of,
)
from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.data.windows.windows_file import WindowTable

_ENOUGH_EPISODES = 5
"""Below, a fold is trained on so few episodes that it tells them by where they went."""
_SAYS_NOTHING = 0.05
"""Spread of held-out logits of chunks at the lowest level, in log odds, below which all get one answer."""
_SOFT_SLOPE = 0.5
_UNDERCONFIDENT_SLOPE, _OVERLAP = 1.25, 0.1
_LOOKED_AT = 100_000
"""Data points that the noise of their curves is told from."""


@dataclass(frozen=True)
class Threshold:
    """When source and target count as alike.

    Args:
        tau: margin in (0, 0.5); alike once p > 0.5 - tau.
        crossing: which crossing counts, a name of `CROSSINGS`.

    Raises:
        ValueError: tau out of range, no such crossing.
    """

    tau: float = TAU
    crossing: str = "isotonic"

    def __post_init__(self) -> None:
        require_tau(self.tau)
        if self.crossing not in CROSSINGS:
            raise ValueError(f"there is no crossing rule '{self.crossing}'; choose from {', '.join(CROSSINGS)}.")

    @property
    def rule(self) -> CrossingRule:
        return CROSSINGS[self.crossing]

    def __call__(self, sigmas: Floats, curves: NDArray[np.floating], reach: Floats | None = None) -> Floats:
        """(N,) sigma_min of curves (N, L), lowered by `reach` (L,) if that is given."""
        return sigma_min_of(sigmas, curves, self.tau, self.rule, reach=reach)


def data_set_finding(evidence: ClassifierEvidence, chunks: int, threshold: Threshold, *, seed: int = 0) -> Finding:
    """One window for the whole source, of `chunks` samples."""
    curve = evidence.curve
    (sigma_min,) = threshold(curve.sigmas, curve.p[None])
    finding = _finding(evidence, threshold, seed, "dataset", np.full(chunks, sigma_min), curve.p[None], None)
    if finding.weak is not None:
        return finding
    scores = chunk_scores(evidence.scores.source, evidence.calibration)
    each = by_episode(scores.episode)
    told = two_kinds(bucket_windows(scores, curve.sigmas, each, tau=threshold.tau, rule=threshold.rule))
    return finding if told is None else finding.with_notes(told)


def data_point_finding(evidence: ClassifierEvidence, threshold: Threshold, *, seed: int = 0) -> Finding:
    """A window per sample, from `evidence.every_source`."""
    every = evidence.every_source
    assert every is not None, "score every chunk first"
    sigma_min = threshold(evidence.curve.sigmas, every.mean)
    finding = _finding(evidence, threshold, seed, "datapoint", sigma_min, every.mean, np.arange(len(every)))
    # Between two draws of noise the curve moves by this much where it crosses.
    some = slice(None, None, max(1, len(every) // _LOOKED_AT))
    near = np.abs(every.mean[some] - (0.5 - threshold.tau)) < threshold.tau
    draws = evidence.scores.source.logits.shape[-1]
    if not near.any():
        return finding
    return finding.with_notes(
        f"Each data point's curve averages {draws} noise draws; near the threshold their median standard error is "
        f"{np.median(every.standard_error[some][near]):.3f}."
    )


def bucket_finding(
    evidence: ClassifierEvidence, threshold: Threshold, windows: BucketWindows, *, seed: int = 0
) -> Finding:
    """A window per bucket of the source's chunks, read with the same threshold."""
    labels = windows.buckets.labels
    finding = _finding(evidence, threshold, seed, "bucket", windows.sigma_min_per_chunk, windows.curves, labels)
    return finding.with_notes(*windows.lines())


def _finding(
    evidence: ClassifierEvidence,
    threshold: Threshold,
    seed: int,
    granularity: str,
    sigma_min: Floats,
    curves: NDArray[np.floating],
    curve_of: NDArray[np.int64] | None,
) -> Finding:
    interval = sigma_min_interval(evidence.curve, threshold.tau, threshold.rule, seed=seed)
    weak = _weakness(evidence)
    reach = curve_reach(evidence.curve, seed=seed)
    safe: Floats
    if granularity == "dataset":
        safe = np.full(len(sigma_min), interval[1])
    else:
        # These very samples are trained on: what is not known is how good c is, and that is the dataset's.
        assert curve_of is not None
        safe = np.maximum(threshold(evidence.curve.sigmas, curves, reach)[curve_of], sigma_min)
    if weak is not None:
        # An interval of a classifier that could not learn is narrow about nothing. Spectra may show more (`Finding`).
        safe = np.ones(len(sigma_min))
    return Finding(
        source=evidence.scores.source_name,
        method="classifier",
        granularity=granularity,
        sigma_min=sigma_min,
        sigma_max=np.zeros(len(sigma_min)),
        interval=interval,
        notes=_notes(evidence, interval),
        tau=threshold.tau,
        crossing=threshold.crossing,
        reach=tuple(reach.tolist()),
        sigma_min_safe=safe,
        weak=weak,
        sigmas=tuple(float(sigma) for sigma in evidence.curve.sigmas),
        curves=curves.astype(np.float32, copy=False),
        curve_of=curve_of,
    )


def _weakness(evidence: ClassifierEvidence) -> str | None:
    """Why the classifiers show nothing by not seeing a difference; None where they might have seen one."""
    curve, scores = evidence.curve, evidence.scores
    few = min((curve.target.episodes, scores.target_name), (curve.source.episodes, scores.source_name))
    if few[0] < _ENOUGH_EPISODES:
        return f"'{few[1]}' has {few[0]} episodes, of which a classifier learns paths rather than differences"
    lowest = np.concatenate([part.logits[:, 0].mean(-1) for part in (scores.target, scores.source)])
    if float(lowest.std()) < _SAYS_NOTHING:
        return "the classifiers give all chunks the same answer, so they have learnt nothing"
    return None


def _notes(evidence: ClassifierEvidence, interval: tuple[float, float]) -> tuple[str, ...]:
    curve, scores = evidence.curve, evidence.scores
    notes = []
    if not scores.cross_fitted:
        notes.append("Not cross-fitted: chunks were scored by a model that was trained on them. Use --folds=2 or more.")
    told = evidence.calibration.evidence > 0.5
    slope = float(np.median(evidence.calibration.slope[told])) if told.any() else 1.0
    if slope < _SOFT_SLOPE:
        notes.append(
            f"The classifiers are over-confident on episodes they did not see (calibration slope {slope:.2f}, 1 is "
            "right): they memorise. More episodes help; windows per data point suffer most."
        )
    lowest = float(evidence.calibration.slope[0])
    # Of laws that hardly overlap any logit is large enough, and the slope says nothing.
    if told[0] and curve.p[0] > _OVERLAP and lowest > _UNDERCONFIDENT_SLOPE:
        notes.append(
            f"The classifiers are underconfident where there is least noise (calibration slope {lowest:.2f} at "
            f"{evidence.scores.sigmas[0]:.3f}, 1 is right): they were trained too briefly, and sigma_min is rather too "
            "low. Give more --steps."
        )
    if interval[0] >= 1.0:
        notes.append("Distinguished at every level: the source can teach nothing by noise alone. Check its alignment.")
    return tuple(notes)


_BLOCK = 1 << 16


def rethreshold(table: WindowTable, threshold: Threshold, *, takes: str = "safe") -> WindowTable:
    """The table with `sigma_min` read from its curves again; `sigma_max` stays.

    Args:
        table: with curves.
        threshold: the new one. What is in the file already stays as it is, to the last digit.
        takes: "safe" lowers curves by how much the dataset's may be lower, "estimate" reads them as they are.

    Raises:
        ValueError: the table holds no curves, or not how far they may be wrong.
    """
    if table.p is None:
        raise ValueError(
            f"windows of '{table.repo_id}' ({table.method}) hold no curves, so there is nothing to threshold again; "
            "make them with annotate --method=classifier."
        )
    known = table.evidence
    if takes == "safe" and not known.get("reach"):
        raise ValueError(
            f"windows of '{table.repo_id}' hold curves but not how far these may be wrong (an older version wrote "
            "them), so there is no safe end of sigma_min; annotate again, or add --take=estimate."
        )
    if (table.tau, known.get("crossing"), known.get("takes")) == (threshold.tau, threshold.crossing, takes):
        return table
    estimate = _levels(table, threshold, None)
    sigma_min = estimate
    if takes == "safe":
        sigma_min = np.maximum(estimate, _levels(table, threshold, np.asarray(known["reach"])))
        # What does not come from the curves, and holds whatever the margin; older files do not have it.
        sigma_min = np.maximum(sigma_min, np.float32(known.get("safe_at_least", 0.0)))
    evidence = {
        **known,
        "takes": takes,
        "crossing": threshold.crossing,
        "sigma_min_estimate": float(np.median(estimate)),
        # That of another threshold would need the episodes.
        "interval": None,
    }
    return replace(table, sigma_min=sigma_min, tau=threshold.tau, evidence=evidence)


def _levels(table: WindowTable, threshold: Threshold, reach: Floats | None) -> NDArray[np.float32]:
    """(N,) levels of every frame's curve, lowered by reach (L,)."""
    assert table.p is not None
    sigmas = np.asarray(table.sigmas)
    if table.curve_of is not None:
        of_curve: NDArray[np.float32] = threshold(sigmas, table.p, reach).astype(np.float32)
        return of_curve[table.curve_of]
    sigma_min = np.empty(len(table), dtype=np.float32)
    for start in range(0, len(table), _BLOCK):
        block = table.p[start : start + _BLOCK]
        # Neighbours of one bucket share a curve.
        new = np.concatenate([[True], (block[1:] != block[:-1]).any(1)])
        sigma_min[start : start + _BLOCK] = threshold(sigmas, block[new], reach)[new.cumsum() - 1]
    return sigma_min
