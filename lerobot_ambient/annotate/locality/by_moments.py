# SPDX-License-Identifier: Apache-2.0
"""sigma_max by locality: up to which level the denoiser looks at crops that target and source share.

Symbols
    r(sigma)  receptive field of the target's best linear denoiser, in steps

What the denoiser answers at level sigma depends on noised crops of r(sigma) steps. If those have one law in target
and source, so does the answer, whatever the chunks do on a longer scale. As sigma falls crops shrink and so does the
noise; sigma_max is the largest level up to which, at every lower level too, crops cannot be distinguished.

Distinguished by what? Here by second moments, cross-dimension and cross-step ones included, without training: the
directions in which the powers of noised crops differ most are found on some episodes and judged on others
(`crop_powers`), so that a direction found in noise shows no difference. All levels, places in the chunk and directions
are judged together (`power_comparison`). Crops are as long as the field is on any of its folds, rather too long than
too short: a longer crop tells more.

Like spectra this is blind to anything but second moments: crops of equal mean and covariance that differ otherwise
pass. A level that passes for want of data is not the same as one where crops were shown to be alike: `shown` is the
level up to which they were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet
from lerobot_ambient.annotate.chunks.unit_samples import Sample, draw_samples, fold_of_units, moving_dims
from lerobot_ambient.annotate.locality.crop_powers import judged_powers
from lerobot_ambient.annotate.locality.crops import crop_starts
from lerobot_ambient.annotate.locality.receptive_field import EXCESS, FOLDS, ReceptiveField, field_of_sample
from lerobot_ambient.annotate.spectra.power_comparison import CompareOptions, Comparison, UnitMoments, compare
from lerobot_ambient.core.arrays import Floats

PLACES = 3
"""Crops per chunk: at its start, middle and end."""


@dataclass(frozen=True)
class LocalityOptions(CompareOptions):
    """How crops are compared.

    Args:
        excess: share of the error, or of what can be told, that looking no further than r may cost; above 0.
        See `CompareOptions` for the others.
    """

    excess: float = EXCESS


@dataclass(frozen=True, eq=False)
class LocalityEvidence:
    """Up to which level crops are alike.

    Args:
        target, source: names of the datasets.
        field: r(sigma) of the target, with the levels.
        ratio: (L,) the power ratio furthest from 1 that any direction shows on episodes it was not chosen on.
        parted, alike: (L,) bool, crops that differ, shown to be alike; what is neither is undecided.
        sigma_max: the largest level up to which crops cannot be distinguished; 1 if they never can, 0 if always.
        shown: the largest level up to which they are shown to be alike; at most sigma_max.
        weak: whether sigma_max rests on a lack of data: shown < sigma_max.
        notes: caveats, in words.
    """

    target: str
    source: str
    field: ReceptiveField
    ratio: Floats
    parted: NDArray[np.bool_]
    alike: NDArray[np.bool_]
    sigma_max: float
    shown: float
    weak: bool
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        sure = f"weak evidence, shown up to {self.shown:.3f}" if self.weak else "shown"
        return f"{self.source}: sigma_max {self.sigma_max:.3f} ({sure})"


def locality_window(
    target: ChunkSet, source: ChunkSet, sigmas: Floats, options: LocalityOptions | None = None
) -> LocalityEvidence:
    """Compare crops of a target and a source as long as the denoiser looks.

    Args:
        target, source: chunks of one mixture.
        sigmas: (L,) VP levels in (0, 1), ascending, e.g. the policy's own.
        options: how.

    Raises:
        ValueError: levels out of range, too few episodes, or actions that never change.
    """
    options = options or LocalityOptions()
    p, q = draw_samples(
        target,
        source,
        max_episodes=options.max_episodes,
        max_values=options.max_values,
        seed=options.seed,
        min_units=FOLDS,
    )
    dims = moving_dims(p, q)
    field = field_of_sample(p, sigmas, excess=options.excess)
    powers: list[tuple[Floats, Floats]] = []
    level: list[NDArray[np.int64]] = []
    for length in np.unique(field.high).tolist():
        here = np.flatnonzero(field.high == length)
        for start in crop_starts(target.horizon, length, PLACES):
            powers.append(judged_powers(p, q, dims, slice(start, start + length), sigmas[here]))
            level.append(np.repeat(here, powers[-1][0].shape[1] // len(here)))
    squares_p, squares_q = (np.concatenate(each, axis=1) for each in zip(*powers, strict=True))
    # Crops are already taken about a mean that the judged episodes had no part in.
    moments_p = UnitMoments(p.sizes, np.zeros_like(squares_p), squares_p)
    moments_q = UnitMoments(q.sizes, np.zeros_like(squares_q), squares_q)
    comparison = compare(moments_p, moments_q, options, (fold_of_units(p, FOLDS), fold_of_units(q, FOLDS)))
    return _evidence(p, q, field, comparison, np.concatenate(level))


def _evidence(
    p: Sample, q: Sample, field: ReceptiveField, comparison: Comparison, level: NDArray[np.int64]
) -> LocalityEvidence:
    levels = len(field.sigmas)
    parted, alike = np.zeros(levels, dtype=bool), np.ones(levels, dtype=bool)
    furthest = np.zeros(levels)
    np.logical_or.at(parted, level, comparison.parted)
    np.logical_and.at(alike, level, comparison.alike)
    order = np.argsort(np.abs(comparison.log_ratio))
    furthest[level[order]] = comparison.log_ratio[order]
    # Stretches of a few episodes part too easily, which is on the safe side, and are alike too easily, which is not.
    alike &= p.whole_episodes and q.whole_episodes
    sigma_max, shown = up_to(field.sigmas, ~parted), up_to(field.sigmas, ~parted & alike)
    notes = ["Second moments only: crops of equal means and covariances that differ otherwise pass as the same."]
    notes += [
        f"'{sample.name}' has {sample.episodes} episodes: errors are those of {sample.units} stretches of them and "
        "know nothing of how episodes differ, so nothing is shown to be alike."
        for sample in (p, q)
        if not sample.whole_episodes
    ]
    if shown < sigma_max:
        notes.append(
            f"Weak evidence: crops are shown to be alike only up to {shown:.3f}; from there to {sigma_max:.3f} nothing "
            "was found in too little data. More episodes, a sweep, or the lower level are the ways to be sure."
        )
    return LocalityEvidence(
        target=p.name,
        source=q.name,
        field=field,
        ratio=np.exp(furthest),
        parted=parted,
        alike=alike,
        sigma_max=sigma_max,
        shown=shown,
        weak=shown < sigma_max,
        notes=tuple(notes),
    )


def up_to(sigmas: Floats, passes: NDArray[np.bool_]) -> float:
    """The last of levels (L,) before the first that fails; 1 if none does, 0 if the first does."""
    if passes.all():
        return 1.0
    first = int(np.argmin(passes))
    return float(sigmas[first - 1]) if first else 0.0
