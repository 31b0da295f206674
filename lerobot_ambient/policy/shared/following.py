# SPDX-License-Identifier: Apache-2.0
"""What every ambient policy takes from the mixture that it is trained on, and what it logs of it."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from lerobot_ambient.core.draws import frame_noise
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.policy.options.mixture_options import MixtureOptions

logger = logging.getLogger(__name__)

NOT_MERGED = (
    "training must go through lerobot-train (or lerobot.scripts.lerobot_train.train after `import lerobot_ambient`), "
    "which then reads `--policy.sources`. See `lerobot-ambient inspect --config_path=...`, and `lerobot-ambient "
    "doctor` for whether this LeRobot is one that sources can be merged in."
)


class Watcher(Protocol):
    """Who wants to know what held-out losses are made of; LeRobot's loop reads their mean alone."""

    def saw(self, loss: Tensor, sigma: Tensor | None, per_sample: Tensor | None) -> None:
        """A batch in evaluation: its loss, and (N,) the levels that were drawn, with the loss at each where known.

        N is B, or more where the policy draws several levels for a sample.
        """

    def ended(self) -> None:
        """The policy goes back to training; it is still in evaluation now."""


class FollowsMixture(nn.Module):
    """A policy that knows each sample's group. Mixed into one of LeRobot's policies.

    Its tables are buffers that follow the policy to its device and are not saved: a checkpoint acts without any
    dataset, and training rebuilds them.

    Attributes:
        watcher: of held-out losses, None for none. It changes no loss and no draw.
        masks_held_out: let evaluation leave out what a sample's dataset lacks, by the group in the batch, as training
            does; for batches of sources.
    """

    watcher: Watcher | None = None
    masks_held_out: bool = False
    config: MixtureOptions
    group_source: Tensor
    group_sigma_min: Tensor
    group_sigma_max: Tensor
    source_law: Tensor
    action_mask: Tensor | None

    def _start_following(self) -> None:
        """Call once in the constructor, before `_follow`."""
        self._mixture: AssembledMixture | None = None
        self._diverged_ranks = False
        self.register_buffer("action_mask", None, persistent=False)

    def _follow(self, mixture: AssembledMixture | None) -> None:
        """Take the plan of the mixture that is trained on.

        Raises:
            ValueError: sources are configured but the dataset is not their merge.
        """
        self._mixture = mixture
        if mixture is None:
            if self.config.sources or self.config.target_rename or self.config.mixture_fingerprint:
                raise ValueError(
                    f"the policy has {len(self.config.sources)} sources but the dataset is not their merge; "
                    + NOT_MERGED
                )
            return
        plan = mixture.plan
        self._source_names = plan.source_names()
        self._drawn_sources = [i for i, p in enumerate(plan.by_source().sum(1).tolist()) if p > 0]
        if self.config.ambient_loss and not self.config.mixing.admits_by_windows:
            logger.warning(
                "policy.ambient_loss=true does nothing under policy.mixing.type=%s, which ignores windows: the "
                "denoising loss is used. Choose ambient, soft or exclusive, or set --policy.ambient_loss=false.",
                self.config.mixing.get_choice_name(type(self.config.mixing)),
            )
        sigma_min = [0.0 if g.is_target or g.window.is_everything else g.window.sigma_min for g in plan.groups]
        sigma_max = [group.window.sigma_max for group in plan.groups]
        for name, values in (
            ("group_source", plan.source_of_group),
            ("group_sigma_min", torch.tensor(sigma_min, dtype=torch.float32)),
            ("group_sigma_max", torch.tensor(sigma_max, dtype=torch.float32)),
            ("source_law", plan.by_source().sum(1).float()),
            ("action_mask", mixture.action_mask),
        ):
            self.register_buffer(name, values, persistent=False)

    def follows(self, mixture: AssembledMixture) -> bool:
        """Whether it is this mixture that the policy is trained on."""
        return self._mixture is mixture

    def _group_of(self, batch: dict[str, Any]) -> Tensor | None:
        """(B,) the samples' groups in training on a mixture; None for the base law.

        Raises:
            ValueError: training on a mixture, but the batch has no groups.
        """
        if self._mixture is None or not self.training:
            return None
        info = batch.get("info") or {}
        if GROUP_KEY not in info:
            raise ValueError(
                f"the batch carries no info['{GROUP_KEY}'], so its noise-level windows are unknown; " + NOT_MERGED
            )
        return info[GROUP_KEY].to(self.group_source.device)

    def _owner_of(self, batch: dict[str, Any], group: Tensor | None) -> Tensor | None:
        """(B,) groups that say what a sample's dataset lacks; None where it is not to be looked at."""
        if group is not None or not self.masks_held_out:
            return group
        owner: Tensor = batch["info"][GROUP_KEY].to(self.group_source.device)
        return owner

    def train(self, mode: bool = True) -> Any:
        """As torch's; the watcher is told first when an evaluation ends."""
        if mode and not self.training and self.watcher is not None:
            self.watcher.ended()
        return super().train(mode)

    @property
    def _trains_on_ambient_target(self) -> bool:
        return self.config.ambient_loss and self.config.mixing.admits_by_windows

    def _of_source(self, table: Tensor | None, group: Tensor | None) -> Tensor | None:
        """(B, ...) each sample's row of a table with one row per dataset."""
        return None if table is None or group is None else table[self.group_source[group]]

    def _ambient_sigma_min(self, group: Tensor, sigma_t: Tensor) -> Tensor:
        """(B,) sigma_min of samples in the ambient band, above their own sigma_min; 0 where the chunk is trusted."""
        sigma_min = self.group_sigma_min[group].to(sigma_t.dtype)
        band = (sigma_min > 0) & (sigma_t > sigma_min) & (sigma_t >= self.group_sigma_max[group])
        return torch.where(band, sigma_min, 0.0)

    def _noise_of_x_tmin(self, batch: dict[str, Any], x_0: Tensor) -> Tensor:
        """(B, H, A) the noise of x_tmin: a frame's own, or drawn anew."""
        if self.config.ambient_loss_fresh_noise:
            return torch.randn_like(x_0)
        return frame_noise(batch["index"].to(x_0.device), tuple(x_0.shape[1:]), dtype=x_0.dtype)

    @torch.no_grad()
    def _log(self, group: Tensor, sigma: Tensor | None, per_sample: Tensor | None) -> dict[str, float]:
        """Share, mean loss and mean sigma per source, in one transfer from the device; what is None is left out.

        A source may be absent from a batch, and every rank must report the same names. The sums are therefore
        divided by the expected number of its samples, not the drawn one: over a log window that is unbiased.
        """
        source = self.group_source[group]
        told = {"share": torch.ones_like(group), "loss": per_sample, "sigma": sigma}
        values = {name: value for name, value in told.items() if value is not None}
        sums = torch.zeros(len(values), len(self._source_names), device=group.device)
        sums.index_add_(1, source, torch.stack([value.float() for value in values.values()]))
        sums /= group.shape[0]
        sums[1:] /= self.source_law.clamp_min(torch.finfo(torch.float32).tiny)
        rows = dict(zip(values, sums.tolist(), strict=True))
        return {f"{name}/{self._source_names[i]}": row[i] for name, row in rows.items() for i in self._drawn_sources}

    def _diverge_ranks(self) -> None:
        """Give every process its own noise: LeRobot seeds (and resumes) all ranks alike."""
        if self._diverged_ranks:
            return
        self._diverged_ranks = True
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if distributed else 0
        if rank > 0:
            common = int(torch.randint(2**62, (1,)))
            words = np.random.SeedSequence([common, rank]).generate_state(1, dtype=np.uint64)
            torch.manual_seed(int(words[0] >> np.uint64(1)))
