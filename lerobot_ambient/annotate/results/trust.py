# SPDX-License-Identifier: Apache-2.0
"""What a window may be written for, and what nothing here can show.

Every method compares the distribution of action chunks with the target's. What a motion answers to (the observation,
the task) takes no part: a source that sorts every block into the wrong bin, with the motions of the target, is alike
at every level. So a level below which chunks differ is a finding, and that they differ nowhere is none: it is no
recommendation to train on the source at every level, which `sigma_min: 0` means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core import windows
from lerobot_ambient.core.noise_levels import NoiseSchedule

CHUNKS_ALONE = (
    "Action chunks alone were compared, which does not see what the motion is conditioned on (observations, tasks): a "
    "source that moves like the target but decides wrongly looks the same."
)
"""Stands on everything that methods print and write that compare chunks alone."""
CONDITIONAL = (
    "Held-out target chunks were denoised, given what they answer to, with and without each source: what the motion is "
    "conditioned on was compared, too."
)
"""Stands on everything that the held-out method prints and writes."""
FULL_TRUST = "Chunks alone show no difference; this does not show that the source is right."
"""In place of a window that admits everything."""
CONDITIONAL_CHECK = "lerobot-ambient annotate --method=heldout"
"""What does see it: the error on held-out target chunks, given their observations, with the source and without."""
CHECK_FIRST = f"What sees it is the error on held-out episodes, given their observations: {CONDITIONAL_CHECK}."
TAKES = ("safe", "estimate")
"""Which end of what is known of sigma_min is written: the upper end, or the estimate itself."""


def admits_everything(
    sigma_min: NDArray[np.floating], sigma_max: NDArray[np.floating], schedule: NoiseSchedule | None = None
) -> NDArray[np.bool_]:
    """(N,) whether windows admit every level, or every one that a policy draws.

    A schedule has few small levels: a sigma_min below the lowest of them is full trust by another name.

    Args:
        sigma_min, sigma_max: (N,) VP levels.
        schedule: of the policy; None asks about all levels.
    """
    everything: NDArray[np.bool_] = windows.admits_everything(sigma_min, sigma_max)
    if schedule is None:
        return everything
    lower, upper = schedule.lower.numpy(), schedule.upper.numpy()
    # The first cell that does not end below sigma_max; it is admitted, and all after it, if it begins above sigma_min.
    first = np.searchsorted(upper, sigma_max, side="left")
    return everything | (np.append(lower, np.inf)[first] > sigma_min)


def admits_nothing(sigma_min: NDArray[np.floating], sigma_max: NDArray[np.floating]) -> bool:
    """Whether windows (N,) admit no level for any sample."""
    return bool(windows.admits_nothing(sigma_min, sigma_max).all())


def tolerated(tau: float) -> float:
    """The part of a source that may lie where the target never is, and still it counts as alike without any noise.

    With a part f of that kind and the rest alike, p(0) = (1 - f) / (2 - f), which exceeds 1/2 - tau up to
    f = 2 tau / (1/2 + tau).
    """
    return 2.0 * tau / (0.5 + tau)


def full_trust_reasons(tau: float | None) -> list[str]:
    """What to say instead of recommending a window that admits everything.

    Args:
        tau: margin of a classifier, else None.
    """
    reasons = [FULL_TRUST, CHECK_FIRST]
    if tau is not None:
        reasons.append(
            f"At tau {tau:g} up to {tolerated(tau):.0%} of its chunks may be of a kind that the target never shows."
        )
    return reasons


def partly_trusted(share: float) -> str:
    """What to say of windows of which a part, `share` in (0, 1), admits every level."""
    return f"{share:.0%} of its samples are admitted at every level. {FULL_TRUST} {CHECK_FIRST}"


@dataclass(frozen=True)
class SourceWindow:
    """What a configuration may say of one source after an annotation.

    Args:
        repo_id: of the source.
        options: of the source in the policy's configuration: `sigma_min`, `sigma_max` or `windows`. Empty where there
            is nothing to write: then the user has to choose.
        why: what to know about the options, or the choice that is to be made; in words.
        full_trust: whether the evidence would admit every level, which is no recommendation.
    """

    repo_id: str
    options: dict[str, Any]
    why: tuple[str, ...]
    full_trust: bool = False


def require_trust(names: Sequence[str], *, accepted: bool) -> None:
    """Refuse to write windows that admit everything for the sources `names`, unless that was asked for.

    Raises:
        ValueError: there are some, and they were not accepted.
    """
    if names and not accepted:
        listed = ", ".join(f"'{name}'" for name in names)
        raise ValueError(
            f"no windows file was written: that of {listed} would admit every noise level. {FULL_TRUST} {CHECK_FIRST} "
            "Leave such a source out of --policy.sources, choose its window by a sweep (lerobot-ambient sweep), or add "
            "--accept-full-trust to train on it at every level."
        )
