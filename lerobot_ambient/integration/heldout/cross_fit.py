# SPDX-License-Identifier: Apache-2.0
"""All trainings of a map, cross-fitted by target episode, in shards that a killed run finds again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
from lerobot_ambient.annotate.classifier.folds import fold_of_chunks
from lerobot_ambient.annotate.classifier.shared_work import Arrays, Processes, Shards, WorkFolder
from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.annotate.heldout.errors import TARGET, HeldOutErrors
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.plan import Group
from lerobot_ambient.core.windows import EVERYTHING
from lerobot_ambient.integration.heldout.designs import Design
from lerobot_ambient.integration.heldout.training import FitOptions, Trainer

_CHOICE = 6
_OF_SPREAD = 4096


@dataclass(frozen=True)
class HeldOutCrossFit:
    """The trainings of some designs, and the errors they leave.

    Args:
        trainer: of the policy on the mixture.
        chunks: of every dataset of the mixture, the target first.
        parts: what takes part for itself, the target first: datasets, or parts of them.
        dataset: of each part, its place in the mixture.
        sigmas: (L,) levels at which errors are measured.
        folds: of episodes.
        options: of each training.
        work: where shards are kept.
    """

    trainer: Trainer
    chunks: Sequence[Chunks]
    parts: Sequence[Chunks]
    dataset: Sequence[int]
    sigmas: Floats
    folds: int
    options: FitOptions
    work: WorkFolder

    @property
    def bands(self) -> Bands:
        target = self.chunks[0]
        return Bands(target.horizon, target.axes)

    def run(self, designs: Sequence[Design], processes: Processes, *, progress: bool) -> None:
        """Train every design of every fold that is not there yet; each process takes its share."""
        jobs = [(design, fold) for design in designs for fold in range(self.folds)][processes.rank :: processes.world]
        missing = [job for job in jobs if not Shards(self.work.path).has(self._name(*job))]
        shown = progress and processes.is_main
        with tqdm(total=len(missing) * self.options.steps, unit="step", desc="train", disable=not shown) as bar:
            for job in missing:
                self._shard(*job, bar.update)
        processes.wait()

    def time_steps(self, steps: int, tick: Callable[[], object]) -> None:
        """Train the target alone for some steps and forget it."""
        options = replace(self.options, steps=steps)
        plan = Design().plan(self._groups, self.trainer.mixture.plan.schedule)
        self.trainer.fit(plan, [one.rows for one in self.parts], options, 0, tick)

    def budget_name(self, minutes: float, processes: int) -> str:
        """What a budget of these trainings is called in the work folder."""
        return f"{self._name(Design(), 0)}-{minutes:g}-{processes}"

    def errors(self, designs: Sequence[Design]) -> HeldOutErrors:
        """What the designs leave; what is not there yet is trained."""
        energies, episode, fold = {}, [], []
        for design in designs:
            parts = [self._shard(design, number, _ignore) for number in range(self.folds)]
            energies[design.key] = np.concatenate([part["energies"] for part in parts])
            episode = [part["episode"] for part in parts]
            fold = [np.full(len(part["episode"]), number) for number, part in enumerate(parts)]
        assert TARGET in energies, "every map has the target alone"
        return HeldOutErrors(self.sigmas, self.bands, np.concatenate(episode), np.concatenate(fold), energies)

    def _shard(self, design: Design, fold: int, tick: Callable[[], object]) -> Arrays:
        return Shards(self.work.path).get(self._name(design, fold), lambda: self._fit(design, fold, tick))

    def _fit(self, design: Design, fold: int, tick: Callable[[], object]) -> Arrays:
        plan = design.plan(self._groups, self.trainer.mixture.plan.schedule)
        rows = [
            one.rows[torch.from_numpy(of_part != fold)] for one, of_part in zip(self.parts, self._folds_of, strict=True)
        ]
        policy = self.trainer.fit(plan, rows, self.options, fold, tick)
        judged, episode = self._judged(fold)
        energies = self.trainer.errors(policy, judged, self.sigmas, self.bands, self._spread, self.options, fold)
        numbers, position = np.unique(episode, return_inverse=True)
        mean = np.zeros((len(numbers), *energies.shape[1:]))
        np.add.at(mean, position, energies)
        mean /= np.bincount(position)[:, None, None, None]
        return {"energies": mean, "episode": numbers}

    def _judged(self, fold: int) -> tuple[Tensor, NDArray[np.int64]]:
        """(N,) rows of the held-out chunks, and their episodes: of each some, whole chunks where it has any."""
        target = self.chunks[0]
        places = np.flatnonzero(self._folds_of[0] == fold)
        _, is_pad = target.gather(torch.from_numpy(places))
        whole = ~is_pad.any(1).numpy()
        rng = np.random.default_rng(np.random.SeedSequence([self.options.seed, _CHOICE, fold]))
        chosen = []
        for number in np.unique(target.episode[places]):
            mine = target.episode[places] == number
            some = places[mine & whole] if (mine & whole).any() else places[mine]
            chosen.append(np.sort(rng.permutation(some)[: self.options.chunks]))
        rows = np.concatenate(chosen)
        return target.rows[torch.from_numpy(rows)], target.episode[rows]

    @cached_property
    def _spread(self) -> float:
        """Variance of the target's chunks, summed over steps and dimensions; of some thousands."""
        target = self.chunks[0]
        rng = np.random.default_rng(np.random.SeedSequence([self.options.seed, _CHOICE]))
        some = rng.permutation(len(target))[:_OF_SPREAD]
        x_0, _ = target.gather(torch.from_numpy(some))
        return float(x_0.double().var(0, correction=0).sum())

    @property
    def _groups(self) -> list[Group]:
        """A group of the plan for each part."""
        sources = self.trainer.mixture.sources
        return [
            Group(place, one.name, len(one), EVERYTHING, sources[place].config.weight if place else 1.0)
            for one, place in zip(self.parts, self.dataset, strict=True)
        ]

    @cached_property
    def _folds_of(self) -> list[NDArray[np.int64]]:
        """Of each part (N,) the fold of each chunk's episode."""
        folds: list[NDArray[np.int64]] = []
        for part, place in zip(self.parts, self.dataset, strict=True):
            whole = self.chunks[place]
            names, first = np.unique(whole.episode, return_index=True)
            # A source of as many episodes may be a copy of the target: the same of its episodes are left out.
            if len(names) < self.folds:
                folds.append(np.full(len(part), -1))
                continue
            of_episode = fold_of_chunks(whole, self.folds, self.options.seed)[first]
            folds.append(of_episode[np.searchsorted(names, part.episode)])
        return folds

    def _name(self, design: Design, fold: int) -> str:
        return f"heldout-{self._digest}-{hashlib.sha256(design.key.encode()).hexdigest()[:12]}-{fold}"

    @cached_property
    def _digest(self) -> str:
        """Of all that a training depends on, its design and fold aside; it reads every row, so it is made once."""
        told = {
            "format": 2,
            "data": list(self.work.identity),
            "policy": _told(self.trainer),
            "parts": [hashlib.sha256(one.rows.numpy().tobytes()).hexdigest()[:16] for one in self.parts],
            "sigmas": self.sigmas.tolist(),
            "folds": self.folds,
            "options": asdict(self.options),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _ignore() -> None:
    pass


def _told(trainer: Trainer) -> dict[str, object]:
    """What of a policy's configuration its training depends on."""
    config = asdict(trainer.config)  # type: ignore[call-overload]
    for name in ("device", "sources", "mixing", "push_to_hub", "repo_id", "mixture_fingerprint", "mixture_record"):
        config.pop(name, None)
    return {"type": trainer.config.type, **config}
