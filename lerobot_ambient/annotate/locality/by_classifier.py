# SPDX-License-Identifier: Apache-2.0
"""sigma_max by a classifier on crops: up to which level what the denoiser looks at has one law in target and source.

Symbols
    r(sigma)  receptive field of the target's best linear denoiser, in steps (`receptive_field`)
    p(sigma)  mean of c over the source's noised crops of r(sigma) steps; 1/2 where they have the target's law
    tau       margin in (0, 1/2)

`locality_window` compares crops by second moments; here cross-fitted classifiers do, which see any difference they can
learn. sigma_max is the largest scored level up to which p > 1/2 - tau, at every lower level too.

This p is not the curve of sigma_min. That one compares whole chunks and grows with noise. Here crops grow with noise as
well: at low levels they are short, whole motions are not seen, and p is high; it falls where crops begin to hold what
differs and rises again where noise hides it. It is therefore not made monotone.

Lengths. Every length costs a training, so the lengths the field takes on are grouped to a few, each rounded up. A
longer crop holds every shorter one and tells at least as much: rounding up can only lower sigma_max. Likewise r(sigma)
is the greatest that any fold of the field found.

Places. A crop is judged at its place in the chunk, at the start, in the middle and at the end, with a training each,
and a level counts as distinguished if it is at any place. A denoiser knows the place: of chunks relative to the current
state the first steps are small and the last are large. A classifier that is not told it sees the mixture of the
places, whose two laws are never further apart than those of the places are on average, and can be much closer, because
differences of opposite sign cancel: it would be too lenient. For absolute actions a crop from the middle of one chunk
is the start of another, since every frame starts a chunk, and `places=1` says the same for a third of the work.

What it cannot know. A better classifier may tell more: one that was hardly trained finds nothing and so shows all crops
to be alike, however many there are. Comparing second moments needs no training and sees what it sees for certain, so
the lower of the two levels is the one to use, min(crops.shown, locality.shown). And a network may look further than the
linear denoiser.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet, shared_dims
from lerobot_ambient.annotate.classifier.calibration import calibrate
from lerobot_ambient.annotate.classifier.cross_fit import CrossFit
from lerobot_ambient.annotate.classifier.curves import TAU, data_set_curve, require_tau
from lerobot_ambient.annotate.classifier.fits import cross_fits, find, fit_shards
from lerobot_ambient.annotate.classifier.fold_training import score_levels
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.annotate.classifier.shared_work import WorkFolder
from lerobot_ambient.annotate.locality.by_moments import PLACES, up_to
from lerobot_ambient.annotate.locality.crops import Crops, crop_starts
from lerobot_ambient.annotate.locality.receptive_field import EXCESS, ReceptiveField, receptive_field
from lerobot_ambient.core.arrays import Floats, Ints
from lerobot_ambient.core.noise_levels import NoiseSchedule

_LENGTHS = 4
"""Distinct lengths of crops, at most."""


@dataclass(frozen=True, eq=False)
class CropFit:
    """The classifiers of crops of one length at one place, for the levels at which the denoiser looks that far.

    Args:
        length: in steps.
        start: the first step of the crop in its chunk.
        fits: one training for all sources, or one per set of dimensions that sources share with the target.
    """

    length: int
    start: int
    fits: tuple[CrossFit, ...]

    @property
    def sigmas(self) -> Floats:
        """(l,) the levels of this length."""
        return self.fits[0].sigmas


@dataclass(frozen=True, eq=False)
class CropFits:
    """All classifiers that sigma_max needs.

    Args:
        target: name of the dataset.
        sources: names.
        field: of the target, over the levels.
        crops: by length, which ascends with the level, and by place.
    """

    target: str
    sources: tuple[str, ...]
    field: ReceptiveField
    crops: tuple[CropFit, ...]

    @property
    def fits(self) -> list[CrossFit]:
        """For `fit_shards`, which trains them and can share them out between processes."""
        return [fit for crop in self.crops for fit in crop.fits]

    def __repr__(self) -> str:
        parts = [f"{crop.length} at {crop.start} from {crop.sigmas[0]:.3f}" for crop in self.crops]
        return f"crops of {', '.join(self.sources)} against {self.target}: " + ", ".join(parts)


@dataclass(frozen=True, eq=False)
class CropEvidence:
    """Up to which level classifiers cannot distinguish crops.

    Args:
        target, source: names of the datasets.
        field: r(sigma) of the target.
        sigmas: (L,) levels.
        length: (L,) int64 steps of the crops at each level, r(sigma) or more.
        p: (L,) mean probability of "target" given to the source's crops, at the place where it is lowest.
        low, high: (L,) 95 % band, level by level: the lowest lower edge of any place, and the upper edge where p is
            lowest.
        tau: margin.
        sigma_max: the largest level up to which crops cannot be distinguished; 1 if they never can, 0 if always.
        shown: the largest level up to which the band, too, lies above 1/2 - tau; at most sigma_max.
        weak: whether sigma_max rests on a lack of data: shown < sigma_max.
        notes: caveats, in words.
    """

    target: str
    source: str
    field: ReceptiveField
    sigmas: Floats
    length: Ints
    p: Floats
    low: Floats
    high: Floats
    tau: float
    sigma_max: float
    shown: float
    weak: bool
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        sure = f"weak evidence, shown up to {self.shown:.3f}" if self.weak else "shown"
        return f"{self.source}: sigma_max {self.sigma_max:.3f} by classifiers on crops ({sure})"


def crop_fits(
    target: ChunkSet,
    sources: Sequence[ChunkSet],
    schedule: NoiseSchedule,
    options: ClassifierOptions,
    *,
    places: int = PLACES,
    lengths: int = _LENGTHS,
    excess: float = EXCESS,
    work: WorkFolder | None = None,
    device: torch.device | str = "cpu",
) -> CropFits:
    """The trainings needed, at most lengths * places per set of dimensions; nothing is trained yet.

    Args:
        target, sources: chunks of one mixture.
        schedule: the policy's; at most `options.levels` of its levels below 1 are scored.
        options: of each training.
        places: crops per chunk, each judged on its own; 1 (the start) is enough for absolute actions.
        lengths: distinct lengths at most.
        excess: of the receptive field.
        work: keeps shards.
        device: to train and score on.

    Raises:
        ValueError: no source, too few episodes, chunks that cannot be compared, actions that never change, `places` or
            `lengths` below 1.
    """
    for name, value in (("places", places), ("lengths", lengths)):
        if value < 1:
            raise ValueError(f"{name} = {value} must be at least 1.")
    for source in sources:
        shared_dims(target, source)  # Before crops are made of chunks that differ in shape.
    levels = score_levels(schedule, options.levels)
    # At level 1 nothing is left of a crop; the denoiser is only defined below.
    levels = levels[levels < 1.0]
    field = receptive_field(target, levels, excess=excess, seed=options.seed)
    length = grouped_lengths(field.high, lengths)
    crops = []
    for steps in np.unique(length).tolist():
        here = levels[length == steps]
        for start in crop_starts(target.horizon, steps, places):
            # Crops of every length and place share names and numbers, so shards must be told what they are of.
            folder = None if work is None else WorkFolder(work.path, [*work.identity, f"crops {steps} at {start}"])
            of_target, *of_sources = (Crops(chunks, steps, (start,)) for chunks in (target, *sources))
            fits = cross_fits(of_target, of_sources, schedule, options, sigmas=here, work=folder, device=device)
            crops.append(CropFit(steps, start, tuple(fits)))
    return CropFits(target.name, tuple(source.name for source in sources), field, tuple(crops))


def crop_evidence(crops: CropFits, tau: float = TAU) -> list[CropEvidence]:
    """The evidence per source; another tau needs no new training.

    Args:
        crops: trained (`fit_shards(crops.fits)`); folds still missing are trained here.
        tau: margin in (0, 0.5).

    Raises:
        ValueError: tau out of range.
    """
    require_tau(tau)
    judged = [[_judged(crop, source) for crop in crops.crops] for source in range(len(crops.sources))]
    return [_evidence(crops, source, tau, bands) for source, bands in zip(crops.sources, judged, strict=True)]


def crop_windows(
    target: ChunkSet,
    sources: Sequence[ChunkSet],
    schedule: NoiseSchedule,
    options: ClassifierOptions,
    *,
    tau: float = TAU,
    places: int = PLACES,
    work: WorkFolder | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> list[CropEvidence]:
    """Train and judge in this process: the evidence per source. See `crop_fits` for the arguments and errors."""
    require_tau(tau)
    crops = crop_fits(target, sources, schedule, options, places=places, work=work, device=device)
    fit_shards(crops.fits, progress=progress)
    return crop_evidence(crops, tau)


def grouped_lengths(lengths: Ints, count: int) -> Ints:
    """Lengths (L,) rounded up to `count` of them, so that none is multiplied by more than it must be."""
    distinct = np.unique(lengths)

    def rounded(kept: tuple[int, ...]) -> Ints:
        up = np.array([*kept, distinct[-1]])
        return up[np.searchsorted(up, lengths)]

    def cost(kept: tuple[int, ...]) -> tuple[float, int]:
        up = rounded(kept)
        return float((up / lengths).max()), int(up.sum())

    return rounded(min(itertools.combinations(distinct[:-1].tolist(), min(count, len(distinct)) - 1), key=cost))


def _judged(crop: CropFit, source: int) -> tuple[Floats, Floats, Floats]:
    """(l,) p, low and high of a source's crops."""
    fit, head = find(crop.fits, source)
    scores = fit.scores(head)
    curve = data_set_curve(scores, calibrate(scores))
    return curve.p, *curve.band()


def _evidence(
    crops: CropFits, source: str, tau: float, judged: Sequence[tuple[Floats, Floats, Floats]]
) -> CropEvidence:
    sigmas, length, p, low, high = [], [], [], [], []
    for steps in sorted({crop.length for crop in crops.crops}):
        here = [i for i, crop in enumerate(crops.crops) if crop.length == steps]
        p_, low_, high_ = (np.stack(each) for each in zip(*(judged[i] for i in here), strict=True))
        worst = p_.argmin(0)[None]
        sigmas.append(crops.crops[here[0]].sigmas)
        length.append(np.full(len(sigmas[-1]), steps))
        p.append(p_.min(0))
        low.append(low_.min(0))
        high.append(np.take_along_axis(high_, worst, 0)[0])
    levels, curve, edge = np.concatenate(sigmas), np.concatenate(p), np.concatenate(low)
    sigma_max, shown = up_to(levels, curve > 0.5 - tau), up_to(levels, edge > 0.5 - tau)
    notes = [
        "By these classifiers, on crops as long as the best linear denoiser looks. Better trained ones might tell "
        "more; second moments are a check that needs no training."
    ]
    if shown < sigma_max:
        notes.append(
            f"Weak evidence: crops are shown to be alike only up to {shown:.3f}; from there to {sigma_max:.3f} nothing "
            "was found in too little data. More episodes, a sweep, or the lower level are the ways to be sure."
        )
    return CropEvidence(
        target=crops.target,
        source=source,
        field=crops.field,
        sigmas=levels,
        length=np.concatenate(length),
        p=curve,
        low=edge,
        high=np.concatenate(high),
        tau=tau,
        sigma_max=sigma_max,
        shown=shown,
        weak=shown < sigma_max,
        notes=tuple(notes),
    )
