# SPDX-License-Identifier: Apache-2.0
"""One draw of two datasets put to the held-out method, and what its own denoisers do to hundreds of fresh episodes.

The method judges by the two dozen target episodes it has. The same denoisers are judged once more here, by target
episodes that are made for it: that is the truth its intervals have to cover and its verdict has to agree with.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from torch import Tensor

from lerobot_ambient.annotate.chunks.mixture_chunks import chunks_of
from lerobot_ambient.annotate.classifier.shared_work import Processes
from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.annotate.heldout.error_map import ErrorMap
from lerobot_ambient.annotate.heldout.errors import ACCELERATION, POSITION, ErrorRatio, HeldOutErrors
from lerobot_ambient.annotate.heldout.verdict import Change
from lerobot_ambient.benchmarks.estimators.heldout_laws import Reaching
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.integration.heldout.method import HeldOutMethod, annotate_held_out
from lerobot_ambient.integration.heldout.training import FitOptions, Trainer
from lerobot_ambient.integration.training.configured_mixture import mixture_without_windows
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.options.train_config import TrainConfig

_FRESH_SEED = 2**31


@dataclass(frozen=True)
class HeldOutSize:
    """How large a draw is.

    Args:
        target, source: episodes.
        fresh: target episodes that tell the truth, and how many chunks of each.
        fresh_chunks: of each of them.
        folds, steps, share, width: of the denoisers.

    Raises:
        ValueError: a number that is not positive.
    """

    target: int = 24
    source: int = 80
    fresh: int = 500
    fresh_chunks: int = 3
    folds: int = 3
    steps: int = 250
    share: float = 0.3
    width: int = 48

    def __post_init__(self) -> None:
        for name in ("target", "source", "fresh", "fresh_chunks", "folds", "steps", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1.")


@dataclass(frozen=True)
class HeldOutCase:
    """One draw.

    Args:
        group: what is expected of its kind of source: "helps", "harms", or "tails" where it depends on the draw.
        label: of the kind of source.
        law: what the source is drawn from.
        target_law: what the target is drawn from.
        seed: of the data and of the method.
        size: how large.
        copied: the source is the target's own episodes once more, and teaches nothing.
    """

    group: str
    label: str
    law: Reaching
    target_law: Reaching
    seed: int
    size: HeldOutSize = field(default_factory=HeldOutSize)
    copied: bool = False

    @property
    def name(self) -> str:
        """Of the case among its group."""
        return f"{self.label}-{self.seed:03d}"

    def run(self) -> dict[str, Any]:
        """What the method says beside what is true."""
        began = time.monotonic()
        torch.set_num_threads(1)
        size = self.size
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            self.target_law.write(home / "target", size.target, [self.seed, 0])
            if self.copied:
                self.target_law.write(home / "source", size.target, [self.seed, 0])
            else:
                self.law.write(home / "source", size.source, [self.seed, 1])
            cfg = _config(home / "target", size.width, Source(repo_id="me/source", root=str(home / "source")))
            method = HeldOutMethod(
                shares=(size.share,), folds=size.folds, steps=size.steps, seed=self.seed, work=home / "work"
            )
            made: list[_Judge] = []

            def make(config: Any, mixture: AssembledMixture, device: torch.device) -> Trainer:
                fresh = _fresh(self.target_law, size.fresh, size.width)
                made.append(_Judge(config, mixture, device, fresh, size.fresh_chunks))
                return made[-1]

            processes = Processes(0, 1, torch.device("cpu"))
            (evidence,) = annotate_held_out(cfg, method, processes, progress=False, make_trainer=make)
            truth = made[0].truth(evidence.errors, size.folds)
        found = {
            "verdict": evidence.verdict.word,
            "reasons": list(evidence.verdict.reasons),
            "safe": _pair(evidence.safe),
            "estimate": _pair(evidence.estimate),
            "sigmas": _rounded(evidence.read.sigmas),
            "everywhere": _compared(evidence.read, truth.ratio(evidence.design)),
            "confirmed": None,
        }
        if evidence.confirming is not None and evidence.confirmed is not None:
            found["confirmed"] = _compared(evidence.confirmed, truth.ratio(evidence.confirming))
        return {**found, "seconds": round(time.monotonic() - began, 2)}


def _config(target: Path, width: int, *sources: Source) -> TrainConfig:
    """A training of a tiny policy; built, since LeRobot's parser takes a second for it."""
    policy = AmbientDiffusionConfig(
        sources=list(sources),
        device="cpu",
        push_to_hub=False,
        denoiser="mlp",
        mlp_width=width,
        mlp_depth=1,
        horizon=16,
        n_action_steps=4,
        drop_n_last_frames=0,
        prediction_type="sample",
        optimizer_lr=3e-3,
        scheduler_warmup_steps=10,
        ema_decay=0.99,
    )
    return TrainPipelineConfig(dataset=DatasetConfig(repo_id=f"me/{target.name}", root=str(target)), policy=policy)


@cache
def _fresh(law: Reaching, episodes: int, width: int) -> AssembledMixture:
    """Episodes that tell the truth; every draw meets the same ones."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "fresh"
        law.write(root, episodes, [_FRESH_SEED])
        return mixture_without_windows(_config(root, width))


class _Judge(Trainer):
    """A trainer whose policies also meet the fresh episodes, in the order in which they are trained."""

    def __init__(self, config: Any, mixture: Any, device: torch.device, fresh: Any, chunks: int) -> None:
        super().__init__(config, mixture, device)
        self._fresh = Trainer(config, fresh, device)
        # Fresh episodes are seen as the target is, by its own statistics.
        self._fresh._before = self._before
        (self._target,) = chunks_of(fresh)
        self._chunks = chunks
        self._energies: list[Floats] = []

    def errors(
        self, policy: Any, rows: Tensor, sigmas: Floats, bands: Bands, spread: float, options: FitOptions, fold: int
    ) -> Floats:
        one = FitOptions(steps=options.steps, draws=1, seed=options.seed + 1)
        energies = self._fresh.errors(policy, self._fresh_rows, sigmas, bands, spread, one, fold)
        self._energies.append(energies.reshape(-1, self._chunks, *energies.shape[1:]).mean(1))
        return super().errors(policy, rows, sigmas, bands, spread, options, fold)

    @cached_property
    def _fresh_rows(self) -> Tensor:
        """Of each episode as many whole chunks, evenly spread."""
        _, is_pad = self._target.all()
        whole = np.flatnonzero(~is_pad.any(1).numpy())
        episode = self._target.episode[whole]
        chosen = [
            mine[np.linspace(0, len(mine) - 1, self._chunks).round().astype(int)]
            for mine in (whole[episode == number] for number in np.unique(episode))
        ]
        return self._target.rows[torch.from_numpy(np.concatenate(chosen))]

    def truth(self, errors: HeldOutErrors, folds: int) -> HeldOutErrors:
        """The errors of the same designs on the fresh episodes, each the mean over its folds' denoisers."""
        assert len(self._energies) == folds * len(errors.energies), "every training is judged once"
        weights = np.bincount(errors.fold) / len(errors.fold)
        starts = range(0, len(self._energies), folds)
        parts = [np.tensordot(weights, np.stack(self._energies[at : at + folds]), 1).astype(float) for at in starts]
        number = np.arange(len(parts[0]))
        return HeldOutErrors(
            errors.sigmas, errors.bands, number, np.zeros_like(number), dict(zip(errors.energies, parts, strict=True))
        )


def _compared(read: ErrorMap, truth: ErrorRatio) -> dict[str, Any]:
    """The method's ratio and its interval, level by level, beside the true one; and the mean over levels."""
    low, high = read.ratio.interval(read.rule.confidence)
    change, true = Change.of(read), ErrorMap(truth, read.rule, read.bands)
    mean = Change.of(true)
    found: dict[str, Any] = {
        "change": [_round(value) for value in (change.log, change.low, change.high)],
        "true_change": [_round(mean.log), _round(mean.error)],
        "raised": read.raised.tolist(),
        "rough": read.rough.tolist(),
    }
    for name, column in (("position", POSITION), ("acceleration", ACCELERATION)):
        found[name] = {
            "log": _rounded(read.ratio.log[:, column]),
            "error": _rounded(read.ratio.standard_error[:, column]),
            "low": _rounded(low[:, column]),
            "high": _rounded(high[:, column]),
            "true": _rounded(truth.log[:, column]),
            "true_error": _rounded(truth.standard_error[:, column]),
        }
    return found


def _pair(window: Any) -> list[float]:
    return [window.sigma_min, window.sigma_max]


def _round(value: float) -> float:
    return round(float(value), 4)


def _rounded(values: Any) -> list[float]:
    return [_round(value) for value in values]
