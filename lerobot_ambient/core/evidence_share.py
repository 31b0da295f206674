# SPDX-License-Identifier: Apache-2.0
"""The target's share at a noise level, from how far source and target are apart there and how much there is of each.

Symbols
    alpha      the target's share of the loss at a noise level, in [0, 1]
    n_p, n_q   independent samples of target and source (episodes: chunks of one episode are nearly one sample)
    A          distance of the two laws at the level, e.g. their total variation, in [0, 1]
    d          capacity: how many samples it takes to learn; the one free number

Ben-David, Blitzer, Crammer, Kulesza, Pereira and Vaughan, "A theory of learning from different domains" (Machine
Learning 79, 2010; theorem 3), bound the target's error of the minimiser of  alpha err_p + (1 - alpha) err_q  by a
constant plus twice

    g(alpha) = sqrt(d) sqrt(alpha^2 / n_p + (1 - alpha)^2 / n_q) + (1 - alpha) A

estimation error, least when all samples count alike, plus the bias of learning from the wrong law. The bound assumes
classification; for a denoiser it is a heuristic that has the right limits, and `d` absorbs its constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def clean_share(distance: float, n_target: float, n_source: float, capacity: float) -> float:
    """The share alpha that minimises the bound.

    n_p / (n_p + n_q), plain concatenation, where the laws agree (A = 0); 1, the target alone, once A^2 n_p >= d; in
    between it grows with A.

    Args:
        distance: A in [0, 1].
        n_target, n_source: positive.
        capacity: d, positive.

    Raises:
        ValueError: a value outside its range.
    """
    if not 0.0 <= distance <= 1.0:
        raise ValueError(f"the distance of two laws lies in [0, 1], got {distance}.")
    for name, value in (("n_target", n_target), ("n_source", n_source), ("capacity", capacity)):
        if not 0.0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, got {value}.")
    if distance**2 * n_target >= capacity:
        return 1.0
    total = n_target + n_source
    # The root of g' = 0; what is under the square root is positive because A^2 n_p < d.
    bias = distance * n_source / math.sqrt(capacity * total - distance**2 * n_source * n_target)
    return min(1.0, n_target / total * (1.0 + bias))


def clean_shares(
    distances: Sequence[float], n_target: float, n_source: float, capacity: float, at_least: float = 0.01
) -> list[float]:
    """`clean_share` at each level of a curve of distances, for `mixing: {type: soft}`.

    Args:
        distances: A at ascending noise levels.
        n_target, n_source, capacity: as for `clean_share`.
        at_least: the share below which the target would hardly be seen at a level.

    Returns:
        Shares, falling with the noise level as the laws merge: noise can only bring two laws closer, so an estimate
        that rises again is noise of the estimate and is held at its lowest value so far.
    """
    shares: list[float] = []
    for distance in distances:
        share = max(at_least, clean_share(distance, n_target, n_source, capacity))
        shares.append(min(share, shares[-1]) if shares else share)
    return shares
