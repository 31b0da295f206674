# SPDX-License-Identifier: Apache-2.0
"""A window per bucket, and how sure it is.

Symbols
    p_b(sigma)   mean of c over the chunks of bucket b
    s_b(sigma)   its standard error, episodes as the unit: chunks of one episode are not independent observations
    sigma_min    where p_b crosses 1/2 - tau, by the rule of the dataset's curve

c is calibrated once per pair of datasets, so that it averages to 1/2 over both. It is not calibrated again per bucket:
a window per bucket is made of the difference between the bucket's mean and the dataset's.

The errors take c as known. They leave out what the classifier itself got wrong; `Curve.standard_error` has that for
the dataset as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.buckets.partition import Buckets
from lerobot_ambient.annotate.classifier.curves import TAU, CrossingRule, isotonic_crossing, sigma_min_of
from lerobot_ambient.annotate.classifier.held_out import ChunkScores, widening
from lerobot_ambient.core.arrays import Floats, Ints

_ERRORS = 1.96
_WIDE = 0.1


@dataclass(frozen=True, eq=False)
class BucketWindows:
    """The windows of a dataset's buckets.

    Args:
        buckets: B of them, over N chunks.
        episodes: (B,) episodes that each takes chunks from.
        curves: (B, L) float32, p_b.
        standard_error: (B, L) float32, s_b; infinite for chunks of a single episode.
        draw_error: (B, L) float32, the part of the curve's error that more noise draws would remove.
        sigma_min: (B,).
        interval: (B, 2) where the edges of the pointwise 95 % band around p_b cross; [0, 1] for a single episode, whose
            chunks say nothing of other chunks like them.
    """

    buckets: Buckets
    episodes: Ints
    curves: NDArray[np.float32]
    standard_error: NDArray[np.float32]
    draw_error: NDArray[np.float32]
    sigma_min: Floats
    interval: Floats

    @property
    def sizes(self) -> Ints:
        """(B,) chunks in each bucket."""
        return self.buckets.sizes

    @property
    def sigma_min_per_chunk(self) -> Floats:
        """(N,)."""
        return self.sigma_min[self.buckets.labels]

    def to_dict(self) -> dict[str, Any]:
        """Sizes, windows and their certainty over all buckets, for JSON."""
        wide = np.diff(self.interval, axis=1)[:, 0] > _WIDE
        return {
            "buckets": len(self.buckets),
            "size": _spread(self.sizes),
            "sigma_min": _spread(self.sigma_min),
            "single_episode": float((self.episodes == 1).mean()),
            "wide": float((wide & (self.episodes > 1)).mean()),
            "draw_error": float(np.median(self.draw_error)),
        }

    def lines(self) -> list[str]:
        """The same in words."""
        facts = self.to_dict()
        size, level = facts["size"], facts["sigma_min"]
        lines = [
            f"{facts['buckets']} buckets of {size['min']:g} to {size['max']:g} chunks (median {size['median']:g}); "
            f"sigma_min {level['min']:.3f} to {level['max']:.3f} (median {level['median']:.3f})"
        ]
        if facts["single_episode"]:
            lines.append(
                f"{facts['single_episode']:.1%} of the buckets lie within one episode: nothing shows how their windows "
                "would differ in another. Noise draws alone leave a median standard error of "
                f"{facts['draw_error']:.3f} on p."
            )
        if facts["wide"]:
            lines.append(
                f"{facts['wide']:.1%} of the buckets have windows known to no better than {_WIDE:g} (95 %); larger "
                "buckets give narrower intervals."
            )
        return lines

    def __repr__(self) -> str:
        return "\n".join(["BucketWindows", *(f"  {line}" for line in self.lines())])


def bucket_windows(
    scores: ChunkScores,
    sigmas: Floats,
    buckets: Buckets,
    *,
    tau: float = TAU,
    rule: CrossingRule = isotonic_crossing,
) -> BucketWindows:
    """The windows of buckets, from c of every chunk.

    A bucket of few chunks goes by its own mean like any other; its size and interval show how far to trust it.

    Args:
        scores: c of all N chunks, in the order of the dataset.
        sigmas: (L,) its levels.
        buckets: of the same chunks.
        tau: margin, in (0, 0.5).
        rule: which crossing counts.

    Raises:
        ValueError: buckets of other chunks, tau out of range, levels that do not fit.
    """
    if len(scores) != len(buckets.labels):
        raise ValueError(
            f"scores of {len(scores)} chunks and buckets of {len(buckets.labels)}; score every chunk of the dataset "
            "(`CrossFit.score_every_chunk`) and divide the same ones."
        )
    count, sizes, labels = len(buckets), buckets.sizes, buckets.labels
    parts = _Parts.of(labels, scores.episode)
    episodes = np.bincount(parts.bucket, minlength=count)
    several, correction = episodes > 1, episodes / np.maximum(episodes - 1, 1)
    shape = (count, scores.mean.shape[1])
    curves, errors, draw_errors = (np.empty(shape, dtype=np.float32) for _ in range(3))
    # A level at a time, so that hundreds of millions of chunks are never copied.
    for level in range(shape[1]):
        sums = np.bincount(parts.of_chunk, weights=scores.mean[:, level])
        p = np.bincount(parts.bucket, weights=sums, minlength=count) / sizes
        influence = (sums - parts.size * p[parts.bucket]) / sizes[parts.bucket]
        variance = np.bincount(parts.bucket, weights=influence**2, minlength=count)
        draws = np.bincount(labels, weights=scores.standard_error[:, level].astype(np.float64) ** 2, minlength=count)
        curves[:, level] = p
        errors[:, level] = np.where(several, np.sqrt(variance * correction), np.inf)
        draw_errors[:, level] = np.sqrt(draws) / sizes
    return BucketWindows(
        buckets=buckets,
        episodes=episodes,
        curves=curves,
        standard_error=errors,
        draw_error=draw_errors,
        sigma_min=sigma_min_of(sigmas, curves, tau, rule),
        interval=_intervals(sigmas, curves, errors, episodes, tau, rule),
    )


@dataclass(frozen=True, eq=False)
class _Parts:
    """The P pairs of a bucket and an episode that share chunks: of_chunk (N,), bucket and size (P,)."""

    of_chunk: Ints
    bucket: Ints
    size: Ints

    @classmethod
    def of(cls, labels: Ints, episode: Ints) -> _Parts:
        names, number = np.unique(episode, return_inverse=True)
        pairs, of_chunk, size = np.unique(labels * len(names) + number, return_inverse=True, return_counts=True)
        return cls(of_chunk, pairs // len(names), size)


def _intervals(
    sigmas: Floats,
    curves: NDArray[np.float32],
    errors: NDArray[np.float32],
    episodes: Ints,
    tau: float,
    rule: CrossingRule,
) -> Floats:
    interval = np.tile([0.0, 1.0], (len(curves), 1))
    several = np.flatnonzero(episodes > 1)
    if len(several) == 0:
        return interval
    counts, which = np.unique(episodes[several], return_inverse=True)
    reach = _ERRORS * np.array([widening(int(n) - 1, _ERRORS) for n in counts])[which, None] * errors[several]
    interval[several, 0] = sigma_min_of(sigmas, np.clip(curves[several] + reach, 0.0, 1.0), tau, rule)
    interval[several, 1] = sigma_min_of(sigmas, np.clip(curves[several] - reach, 0.0, 1.0), tau, rule)
    return interval


def _spread(values: NDArray[Any]) -> dict[str, float]:
    return {"min": float(values.min()), "median": float(np.median(values)), "max": float(values.max())}
