# SPDX-License-Identifier: Apache-2.0
"""The knots of soft ambient from evidence: the target's share over the noise level, from how far the sources are.

Symbols
    A(sigma)     distance of the noised laws, in [0, 1]: their total variation
    n_p, n_s     episodes of the target and of source s; n_q their sum over s
    alpha        the target's share at a level (`core.evidence_share.clean_share`)
    alone_above  the distance at and above which the target is used alone, in (0, 1]

The distance. Classifiers that were right on a share `acc` of chunks they never saw show a total variation of 2 acc - 1
at least, in expectation. That is the estimate of A; noise can only bring laws closer, so it is made to fall with sigma
(least squares). It is a lower bound: classifiers that miss a difference make A, and with it the target's share, too
small, and the sources then teach more than they should. `cautious` takes the upper edge of its 95 % band instead, made
to fall by holding it at the greatest value of any higher level. That guards against having drawn few episodes, not
against classifiers that miss something; and where nothing differs it keeps the share above plain concatenation.

Not 1 - 2 p, the distance Delta behind sigma_min: the bound's bias is in units of total variation, and
Delta <= A <= sqrt(Delta), so a small A has a Delta that is smaller still.

The free number. The bound's capacity d is how many samples it takes to learn, which nobody knows. It enters through one
thing only: the target is used alone where A^2 n_p >= d. So the distance where that happens is asked for instead,
d = alone_above^2 n_p. At 1 a source is left out only where no chunk of it could be the target's. At 0.25 it is left
out at about the level that tau = 0.05 makes sigma_min, for which Delta = 0.1: for a small shift of a Gaussian A is
then 0.25 (for any laws it lies between 0.1 and 0.32). There is no default.

Several sources. Soft ambient shares the rest of a level between sources by size. For sources weighted n_s / n_q theorem
4 of Ben-David et al. (2010) has the bias (1 - alpha) sum_s (n_s / n_q) A_s and the estimation error of n_q samples, so
the share is that of one source with the mean distance, weighted by size. A far source among near ones raises the share
for all; a window, which soft ambient respects, keeps it out of the levels where it is far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lerobot_ambient.annotate.classifier.curves import isotonic
from lerobot_ambient.annotate.classifier.distance import TotalVariation
from lerobot_ambient.annotate.classifier.evidence import ClassifierEvidence
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.evidence_share import clean_shares
from lerobot_ambient.core.mixing import Soft

MAX_KNOTS = 10
_TOLERANCE = 0.01
"""Knots are added until linear interpolation is this close to the curve, or there are `MAX_KNOTS`."""
_LEVEL_DIGITS, _SHARE_DIGITS = 4, 3
"""Near 1 a schedule's levels differ in the fourth digit."""


@dataclass(frozen=True, eq=False)
class SoftShares:
    """The target's share as a function of the noise level.

    Args:
        target: name of the dataset.
        sources: names.
        levels: (L,) of the evidence.
        distance: (L,) A, falling, of the target from all sources together.
        shares: (L,) alpha, falling.
        rule: the knots for `mixing: {type: soft}`, rounded.
        error: greatest distance of the rule from `shares`, between its levels too.
        alone_above: as given.
        cautious: as given.
    """

    target: str
    sources: tuple[str, ...]
    levels: Floats
    distance: Floats
    shares: Floats
    rule: Soft
    error: float
    alone_above: float
    cautious: bool

    @property
    def sigmas(self) -> list[float]:
        """The levels of the knots, ascending."""
        return self.rule.sigmas

    @property
    def clean_shares(self) -> list[float]:
        """The target's share at each knot."""
        return self.rule.clean_shares

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what `policy.mixing` takes, and how far its knots are off."""
        return {
            "mixing": {"type": "soft", "sigmas": self.sigmas, "clean_shares": self.clean_shares},
            "error": self.error,
            "alone_above": self.alone_above,
            "cautious": self.cautious,
        }

    def yaml(self) -> str:
        """The line to write into a policy's configuration."""
        sigmas, shares = (", ".join(str(value) for value in values) for values in (self.sigmas, self.clean_shares))
        return f"mixing: {{type: soft, sigmas: [{sigmas}], clean_shares: [{shares}]}}"

    def __repr__(self) -> str:
        kind = "upper edge of the distance" if self.cautious else "distance"
        return f"{self.yaml()}  # within {self.error:.3f}; {kind}, alone_above {self.alone_above:g}"


def soft_shares(
    evidence: Sequence[ClassifierEvidence],
    *,
    n_target: int,
    n_sources: Sequence[int],
    alone_above: float,
    cautious: bool = False,
) -> SoftShares:
    """The mixing that the evidence of all sources together suggests.

    Plain concatenation where target and sources agree (but never less than 1 % of the target), the target alone from a
    distance of `alone_above`.

    Args:
        evidence: of each source that is mixed, against one target at the same levels.
        n_target, n_sources: episodes. What counts are independent samples, and chunks of one episode are nearly one.
        alone_above: the distance at and above which the target is used alone, in (0, 1].
        cautious: take the upper edge of the band for the distance.

    Raises:
        ValueError: no evidence, evidence that does not belong together or is not cross-fitted, a number out of range.
    """
    if not 0.0 < alone_above <= 1.0:
        raise ValueError(
            f"alone_above = {alone_above} must lie in (0, 1]: the total variation distance at and above which the "
            "target is used alone. 1 leaves a source out only where it is disjoint from the target, 0.25 about where "
            "sigma_min would; write --soft-alone-above=0.25."
        )
    if not evidence or len(evidence) != len(n_sources):
        raise ValueError(
            f"evidence of {len(evidence)} sources and sizes of {len(n_sources)}; give both for each source, and at "
            "least one."
        )
    if min(n_target, *n_sources) < 1:
        raise ValueError(f"n_target = {n_target} and n_sources = {list(n_sources)} count episodes; each is at least 1.")
    first = evidence[0].scores
    distances = []
    for each in evidence:
        scores = each.scores
        if scores.target_name != first.target_name or not np.array_equal(scores.sigmas, first.sigmas):
            raise ValueError(
                f"'{scores.source_name}' was compared with '{scores.target_name}' and '{first.source_name}' with "
                f"'{first.target_name}', at {len(scores.sigmas)} and {len(first.sigmas)} levels that are not the same; "
                "annotate all sources together against one target."
            )
        if each.distance is None:
            raise ValueError(
                f"'{scores.source_name}': no distance is known without cross-fitting; annotate with --folds=2 or more."
            )
        distances.append(falling_distance(each.distance, cautious))
    sizes = np.array(n_sources, dtype=np.float64)
    # Means of values in [0, 1] may leave it by a rounding error.
    distance = np.clip(sizes @ np.stack(distances) / sizes.sum(), 0.0, 1.0)
    shares = clean_shares(distance.tolist(), n_target, float(sizes.sum()), alone_above**2 * n_target)
    rule, error = few_knots(first.sigmas, np.array(shares))
    return SoftShares(
        target=first.target_name,
        sources=tuple(each.scores.source_name for each in evidence),
        levels=first.sigmas,
        distance=distance,
        shares=np.array(shares),
        rule=rule,
        error=error,
        alone_above=alone_above,
        cautious=cautious,
    )


def falling_distance(distance: TotalVariation, cautious: bool) -> Floats:
    """(L,) A in [0, 1], never rising with the level: the estimate, or the upper edge of its band."""
    if cautious:
        return np.maximum.accumulate(distance.band()[1][::-1])[::-1]
    return np.clip(-isotonic(-distance.separation[None])[0], 0.0, 1.0)


def few_knots(
    sigmas: Floats, shares: Floats, *, tolerance: float = _TOLERANCE, most: int = MAX_KNOTS
) -> tuple[Soft, float]:
    """A piecewise linear curve in few rounded knots, and how far it is off.

    Starts from both ends and adds the point where it is furthest off, until it is nowhere off by more than `tolerance`
    or has `most` knots.

    Args:
        sigmas: (L,) levels, ascending.
        shares: (L,) in [0, 1], linear in between.
    """
    rounded, index = np.unique(sigmas.round(_LEVEL_DIGITS), return_index=True)
    if len(rounded) < 2:
        raise ValueError(f"soft ambient needs two noise levels or more to interpolate between, got {sigmas.tolist()}.")
    candidates = [
        (float(sigma), round(float(shares[i]), _SHARE_DIGITS)) for sigma, i in zip(rounded, index, strict=True)
    ]
    # Both curves are straight between these, so nowhere are they further apart.
    bends = np.unique(np.concatenate([sigmas, np.clip(rounded, sigmas[0], sigmas[-1])]))
    chosen = {0, len(candidates) - 1}
    while True:
        knots = [candidates[i] for i in sorted(chosen)]
        rule = Soft([sigma for sigma, _ in knots], [share for _, share in knots])
        off = np.abs(rule.clean_share(torch.from_numpy(bends)).numpy() - np.interp(bends, sigmas, shares))
        furthest = int(np.abs(rounded - bends[off.argmax()]).argmin())
        if off.max() <= tolerance or len(chosen) == most or furthest in chosen:
            return rule, float(off.max())
        chosen.add(furthest)
