# SPDX-License-Identifier: Apache-2.0
"""One training of the map, in this process, and what its policy does to chunks of episodes it never saw."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from torch import Tensor

from lerobot_ambient.annotate.heldout.bands import Bands
from lerobot_ambient.core.arrays import Floats
from lerobot_ambient.core.plan import Plan
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.integration.heldout.designs import row_draws
from lerobot_ambient.integration.training.step import scaled_pictures

_WEIGHTS, _BATCHES, _NOISE = 1, 2, 3


@dataclass(frozen=True)
class FitOptions:
    """How a denoiser is trained and judged.

    Args:
        steps: of the optimiser.
        batch: samples a step.
        draws: of noise per chunk and level when judged.
        chunks: of a held-out episode that are judged, at most.
        seed: of all that is random.

    Raises:
        ValueError: a number that is not positive.
    """

    steps: int
    batch: int = 128
    draws: int = 2
    chunks: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "draws", "chunks"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be positive.")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed} must not be negative.")


class Trainer:
    """Trains policies of one configuration on one mixture, each by a plan of its own.

    Args:
        config: of the policy, with its features.
        mixture: of all datasets, one group each.
        device: to train on.
    """

    def __init__(self, config: PreTrainedConfig, mixture: AssembledMixture, device: torch.device) -> None:
        self.config, self.mixture, self.device = config, mixture, device
        config.device = str(device)
        with redirect_stdout(sys.stderr):
            self._before, _ = make_pre_post_processors(config, dataset_stats=mixture.meta.stats)
        self._sees = bool(config.image_features)

    def batch(self, rows: Tensor, group: Tensor) -> dict[str, Any]:
        """The samples at these rows of the mixture as the policy gets them, each of its group of the plan."""
        raw = self.mixture.dataset.gather(rows.tolist(), cameras=self._sees)
        scaled_pictures(raw, self.mixture.meta.camera_keys)
        raw["info"] = {GROUP_KEY: group}
        made: dict[str, Any] = self._before(raw)
        return made

    def fit(
        self, plan: Plan, rows: Sequence[Tensor], options: FitOptions, fold: int, tick: Callable[[], object]
    ) -> Any:
        """A trained policy, ready to be judged.

        Args:
            plan: of the mixture's datasets, or parts of them.
            rows: of each of its groups, those that may be seen.
            options: of training.
            fold: that is left out; a part of the seed.
            tick: called after every step.
        """
        mixture = replace(self.mixture, plan=plan)
        meta = _with_mixture(self.mixture.meta, mixture)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            # Designs of a fold begin with the same weights: what differs then is the data.
            torch.manual_seed(_child(options.seed, _WEIGHTS, fold))
            policy = self._new_policy(meta).to(self.device)
            policy.train()
            optimizer = self.config.get_optimizer_preset().build(policy.get_optim_params())
            preset = self.config.get_scheduler_preset()
            _fuse(optimizer)
            scheduler = None if preset is None else preset.build(optimizer, options.steps)
            clip = self.config.get_optimizer_preset().grad_clip_norm
            generator = torch.Generator().manual_seed(_child(options.seed, _BATCHES, fold))
            for _ in range(options.steps):
                batch = self.batch(*row_draws(rows, plan.group_law, generator, options.batch))
                loss, _ = policy.forward(batch)
                loss.backward()
                if clip > 0:
                    torch.nn.utils.clip_grad_norm_(policy.parameters(), clip)
                optimizer.step()
                optimizer.zero_grad()
                if scheduler is not None:
                    scheduler.step()
                if hasattr(policy, "update"):
                    policy.update()
                tick()
        return policy.eval()

    def _new_policy(self, meta: Any) -> Any:
        """Untrained, or with the weights of the checkpoint that the configuration begins with."""
        cls, config = get_policy_class(self.config.type), deepcopy(self.config)
        given = {"dataset_stats": self.mixture.meta.stats, "dataset_meta": meta}
        if config.pretrained_path is None:
            return cls(config, **given)
        with redirect_stdout(sys.stderr):
            return cls.from_pretrained(config.pretrained_path, config=config, **given)

    def errors(
        self,
        policy: Any,
        rows: Tensor,
        sigmas: Floats,
        bands: Bands,
        spread: float,
        options: FitOptions,
        fold: int,
    ) -> Floats:
        """Mean energy of the error of each chunk by level, band and action dimension, at most `spread` in all.

        Args:
            policy: trained.
            rows: (N,) that were left out.
            sigmas: (L,) levels.
            bands: of its chunks.
            spread: variance of the target's chunks, summed over steps and dimensions.
            options: of judging.
            fold: a part of the seed: every design meets the same noise.

        Returns:
            (N, L, bands, A) float64.
        """
        found = []
        for number, some in enumerate(rows.split(1024)):
            batch = self.batch(some, torch.zeros_like(some))
            levels = []
            for level, sigma in enumerate(sigmas):
                energies = [
                    bands.energies(
                        policy.denoising_error(
                            batch,
                            torch.full((len(some),), float(sigma)),
                            _child(options.seed, _NOISE, fold, number, level, draw),
                        ).double()
                    )
                    for draw in range(options.draws)
                ]
                energy = torch.stack(energies).mean(0)
                whole = energy.sum((1, 2), keepdim=True)
                levels.append(energy * (spread / whole.clamp_min(spread)))
            found.append(torch.stack(levels, dim=1).cpu().numpy())
        return np.concatenate(found)


def _fuse(optimizer: torch.optim.Optimizer) -> None:
    """Let Adam update all weights in one kernel: the same rule, a quarter of its time for a small network."""
    if isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW):
        for group in optimizer.param_groups:
            group["fused"], group["foreach"] = True, False


def _with_mixture(meta: Any, mixture: AssembledMixture) -> Any:
    """The metadata of a mixture with another plan; everything else is shared."""
    other = copy(meta)
    other.mixture = mixture
    return other


def _child(*words: int) -> int:
    return int(np.random.SeedSequence(list(words)).generate_state(1, dtype=np.uint64)[0] >> np.uint64(1))
