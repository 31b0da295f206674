# SPDX-License-Identifier: Apache-2.0
"""Which modes of the data a choice of windows lets through at each noise level.

Windows finer than a dataset admit some chunks earlier than others. If the early ones are of one kind, the denoiser
sees another mix of behaviours at low noise than at high noise, and what it learns there is biased. Whether that
happens is measured best on the target itself, as if it were a source: whatever of it is admitted should look like it.

Symbols
    w_k          share of mode k among all N chunks; modes are k-means clusters of chunks
    m_k(sigma)   share of mode k among the chunks admitted at sigma, those with sigma > sigma_min
    shift        (1/2) sum_k |m_k - w_k|, the total variation: the part of what is admitted that would have to change
                 its mode to restore the mix
    chance       what the shift would be on average if windows knew nothing of modes
    excess       mean of (shift - chance) over levels, each weighted by the share it admits

Chance. Were windows independent of modes, m_k - w_k would be a mean over episodes of expectation zero, the sum of
    i_ek = (a_ek - a_e w_k) / A - (n_ek - n_e w_k) / N
over episodes e with n_ek chunks of mode k and a_ek admitted ones (A, a_e, n_e: summed over what is left out). With
episodes as independent draws its variance is estimated by sum_e i_ek^2; it is taken as normal, so that
E|m_k - w_k| = sqrt(2 / pi) s_k. No resampling is needed. Windows and modes may be as alike within an episode as they
want. It is an approximation for many episodes; levels that fewer than five carry are not judged (nan), five counted as
(sum_e a_e)^2 / sum_e a_e^2. Where everything is admitted both are 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.buckets.partition import Buckets, by_cluster
from lerobot_ambient.annotate.chunks.chunk_set import ChunkSet
from lerobot_ambient.core.arrays import Floats, Ints
from lerobot_ambient.core.windows import admits_everything

_MODES = 8
_HANDFUL = 5.0
"""Episodes that must carry a level for it to be judged."""


@dataclass(frozen=True, eq=False)
class ModeMix:
    """The modes admitted at each noise level under one choice of windows.

    Args:
        data: name of the dataset.
        granularity: what shares a window, in words.
        sigmas: (L,) levels, ascending.
        whole: (K,) w, the mix of the dataset.
        share: (L,) of its chunks that are admitted.
        mix: (L, K) m, nan where too few are admitted.
        shift, chance: (L,), nan likewise.
    """

    data: str
    granularity: str
    sigmas: Floats
    whole: Floats
    share: Floats
    mix: Floats
    shift: Floats
    chance: Floats

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(L,) levels with enough admitted."""
        return np.isfinite(self.shift)

    @property
    def excess(self) -> float:
        """The part of what is admitted, over all levels, that is of a wrong mode beyond chance.

        About 0, of either sign, for windows that know nothing of modes; nan if no level can be judged.
        """
        return self._average(self.shift - self.chance)

    @property
    def worst(self) -> int | None:
        """The level that adds most to the excess; None if no level can be judged."""
        return int(np.nanargmax(self.share * (self.shift - self.chance))) if self.judged.any() else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON, nan as None."""
        return {
            "data": self.data,
            "granularity": self.granularity,
            "excess": _plain(np.array(self.excess)),
            "sigmas": self.sigmas.tolist(),
            "whole": self.whole.tolist(),
            "share": self.share.tolist(),
            "mix": _plain(self.mix),
            "shift": _plain(self.shift),
            "chance": _plain(self.chance),
        }

    def lines(self) -> list[str]:
        """A summary in words."""
        at = self.worst
        head = f"{self.data}, windows per {self.granularity}: "
        if at is None:
            return [
                head + f"at no level do {_HANDFUL:g} episodes carry what is admitted; the mix of modes is not judged"
            ]
        shift, chance = self._average(self.shift), self._average(self.chance)
        lines = [head + f"{shift:.1%} of what is admitted is of a wrong mode, {chance:.1%} is expected by chance"]
        if self.shift[at] > self.chance[at]:
            k = int(np.abs(self.mix[at] - self.whole).argmax())
            lines.append(
                f"most at sigma {self.sigmas[at]:.3f}: {self.share[at]:.1%} admitted, shift {self.shift[at]:.3f}, by "
                f"chance {self.chance[at]:.3f}; mode {k} makes {self.mix[at, k]:.1%} of it, {self.whole[k]:.1%} of all"
            )
        unknown = int((~self.judged).sum())
        if unknown:
            lines.append(f"{unknown} of {len(self.sigmas)} levels admit too little to be judged")
        return lines

    def _average(self, values: Floats) -> float:
        """Over the levels judged, weighted by the share admitted."""
        if not self.judged.any():
            return float("nan")
        return float(np.average(values[self.judged], weights=self.share[self.judged]))

    def __repr__(self) -> str:
        return "\n".join(["ModeMix", *(f"  {line}" for line in self.lines())])


def mode_mixes(
    chunks: ChunkSet, windows: Mapping[str, Floats], sigmas: Floats, *, modes: int = _MODES, seed: int = 0
) -> list[ModeMix]:
    """The mix of modes under several choices of windows, over the same modes.

    Args:
        chunks: of a dataset: the target, or a source.
        windows: per granularity, (N,) sigma_min of each chunk.
        sigmas: (L,) levels to look at, ascending.
        modes: clusters to distinguish, at most one per chunk.
        seed: of the clusters.
    """
    clusters = by_cluster(chunks, min(modes, len(chunks)), seed=seed)
    return [
        mode_mix(chunks.name, granularity, clusters, chunks.episode, sigma_min, sigmas)
        for granularity, sigma_min in windows.items()
    ]


def mode_mix(data: str, granularity: str, modes: Buckets, episode: Ints, sigma_min: Floats, sigmas: Floats) -> ModeMix:
    """The mix of modes admitted by windows.

    Args:
        data, granularity: for messages.
        modes: of the N chunks.
        episode: (N,).
        sigma_min: (N,); 0 admits everything, as `Window` has it.
        sigmas: (L,) levels, ascending.

    Raises:
        ValueError: arrays that do not fit each other, levels that do not ascend.
    """
    if not len(modes.labels) == len(episode) == len(sigma_min):
        raise ValueError(
            f"'{data}': modes of {len(modes.labels)} chunks, episodes of {len(episode)}, windows of {len(sigma_min)}; "
            "all must be about every chunk of the dataset."
        )
    if len(sigmas) == 0 or (np.diff(sigmas) <= 0).any():
        raise ValueError(f"'{data}': the noise levels must ascend, got {sigmas.tolist()}.")
    names, number = np.unique(episode, return_inverse=True)
    cell = number * len(modes) + modes.labels
    cells = len(names) * len(modes)
    # A chunk is admitted from its first level on, so a level only adds to what the one before it admitted.
    first = np.where(admits_everything(sigma_min, 0.0), 0, np.searchsorted(sigmas, sigma_min, side="right"))
    order = np.argsort(first, kind="stable")
    begins = np.searchsorted(first[order], np.arange(len(sigmas) + 1))
    everything = _table(cell, cells, len(modes))
    whole = everything.sum(0) / everything.sum()
    free = (everything - everything.sum(1, keepdims=True) * whole) / everything.sum()

    admitted = np.zeros_like(everything)
    share, shift, chance = (np.full(len(sigmas), np.nan) for _ in range(3))
    mix = np.full((len(sigmas), len(modes)), np.nan)
    for level in range(len(sigmas)):
        admitted += _table(cell[order[begins[level] : begins[level + 1]]], cells, len(modes))
        per_episode, total = admitted.sum(1), admitted.sum()
        share[level] = total / len(episode)
        few = total**2 < _HANDFUL * (per_episode**2).sum() and total < len(episode)
        if total == 0 or few:
            continue
        mix[level] = admitted.sum(0) / total
        shift[level] = np.abs(mix[level] - whole).sum() / 2
        influence = (admitted - per_episode[:, None] * whole) / total - free
        chance[level] = np.sqrt((influence**2).sum(0)).sum() / 2 * np.sqrt(2 / np.pi)
    return ModeMix(data, granularity, sigmas, whole, share, mix, shift, chance)


def _table(cell: Ints, cells: int, modes: int) -> Floats:
    """(E, K) chunks of each episode and mode."""
    return np.bincount(cell, minlength=cells).reshape(-1, modes).astype(np.float64)


def _plain(values: NDArray[np.floating]) -> Any:
    """Nested lists with None for nan, which JSON lacks."""
    return np.where(np.isfinite(values), values, None).tolist()  # type: ignore[call-overload]
