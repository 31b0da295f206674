# SPDX-License-Identifier: Apache-2.0
"""One training step of a flow policy on a mixture: what a family's hooks ask for, and what they leave for the logs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lerobot_ambient.core.losses import ambient_pair
from lerobot_ambient.core.noise_levels import flow_to_vp, vp_to_ve


@dataclass
class Step:
    """The batch's groups, their times, and what was seen of the loss.

    Args:
        group: (B,) int64 group of each sample.
        dims: A, the number of the action's dimensions.
        draw: stock times and groups of the same length to times of the groups' laws.
        sigma_of: the policy's times to VP levels, float64.
        counts: (B, A) bool, False for action dimensions that the sample's dataset lacks; None counts all.
        absent: by camera (B,) bool, True where the sample's dataset lacks it; None where none lacks any.
        is_pad: (B, H) bool of actions that carry no loss, where the policy honours it; None counts all.
        sigma_min: (groups, levels) to the sigma_min of samples in the ambient band; None without the ambient loss.
        noise_of_x_tmin: clean chunks (B, H, A) to the noise of x_tmin.
        reduction: of the policy's loss, "mean" or "none".

    Attributes:
        sigma: (B,) level of each sample, the mean where it is drawn several times.
        levels: (N,) of each time drawn.
        per_sample: (B,) loss of each sample, where the policy tells.
    """

    group: Tensor
    dims: int
    draw: Callable[[Tensor, Tensor], Tensor]
    sigma_of: Callable[[Tensor], Tensor]
    counts: Tensor | None = None
    absent: dict[str, Tensor] | None = None
    is_pad: Tensor | None = None
    sigma_min: Callable[[Tensor, Tensor], Tensor] | None = None
    noise_of_x_tmin: Callable[[Tensor], Tensor] | None = None
    reduction: str = "mean"
    sigma: Tensor | None = field(default=None, init=False)
    levels: Tensor | None = field(default=None, init=False)
    per_sample: Tensor | None = field(default=None, init=False)
    _interleaved: bool = field(default=False, init=False)

    def move(self, time: Tensor, repeats: int = 1, *, interleaved: bool = False) -> Tensor:
        """Times as the stock sampler drew them to those of each sample's group.

        Args:
            time: (B repeats,) in the policy's own direction.
            repeats: how often the policy repeats a batch.
            interleaved: a sample's repeats lie side by side, not batch after batch.

        Raises:
            RuntimeError: another number of times than the policy was known to draw.
        """
        size = len(self.group)
        if time.shape != (size * repeats,):
            raise RuntimeError(
                f"the policy drew times of shape {tuple(time.shape)} for {size} samples, {repeats} each was expected: "
                "this LeRobot draws them in another way than the one this package was written for."
            )
        self._interleaved = interleaved
        moved = self.draw(self.by_draw(self.group, repeats).to(time.device), time)
        sigma = self.sigma_of(moved).float()
        self.levels = sigma.detach()
        self.sigma = (sigma.view(size, repeats).mean(1) if interleaved else sigma.view(repeats, size).mean(0)).detach()
        return moved

    def by_draw(self, table: Tensor, repeats: int) -> Tensor:
        """Rows of the samples to rows of the times drawn, in the order of the latter."""
        if self._interleaved:
            return table.repeat_interleave(repeats, dim=0)
        return table.repeat(repeats, *[1] * (table.ndim - 1))

    def pair(self, actions: Tensor, noise: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Actions and noise as the unchanged policy is to have them: absent dimensions zero, the ambient pair.

        Args:
            actions, noise: (B, H, D); of D dimensions the first A are the action's, the others padding.
            tau: (B,) float64, the samples' share of noise.
        """
        real = self.dims
        if self.counts is not None:
            # What stands for an absent dimension says nothing; zero is the middle of the normalised range.
            kept = torch.where(self.counts.to(actions.device).unsqueeze(1), actions[..., :real], 0.0)
            actions = torch.cat([kept, actions[..., real:]], dim=-1)
        if self.sigma_min is None or self.noise_of_x_tmin is None:
            return actions, noise
        r_min = vp_to_ve(self.sigma_min(self.group, flow_to_vp(tau)))[:, None, None]
        inverse_r = ((1.0 - tau) / tau)[:, None, None]
        x_0, eps = actions[..., :real], noise[..., :real]
        x_star, eps_star = ambient_pair(x_0, self.noise_of_x_tmin(x_0), eps, r_min.to(x_0), inverse_r.to(x_0))
        if self.counts is not None:
            there = self.counts.to(actions.device).unsqueeze(1)
            x_star, eps_star = torch.where(there, x_star, x_0), torch.where(there, eps_star, eps)
        return torch.cat([x_star, actions[..., real:]], -1), torch.cat([eps_star, noise[..., real:]], -1)

    def weigh(self, losses: Tensor) -> Tensor:
        """An element-wise loss with absent dimensions left out, so that the policy's own mean is over the others.

        Args:
            losses: (B, H, D), the first A dimensions the action's; the policy averages these alone.
        """
        real = self.dims
        valid = torch.ones_like(losses[..., 0]) if self.is_pad is None else (~self.is_pad).to(losses.dtype)
        counted = valid.unsqueeze(-1)
        if self.counts is not None:
            counted = counted * self.counts.to(losses.device).unsqueeze(1)
        shown = losses[..., :real]
        weight = counted.expand_as(shown).sum(dim=(1, 2))
        self.per_sample = ((shown.detach() * counted).sum(dim=(1, 2)) / weight.clamp_min(1)).detach()
        if self.counts is None:
            return losses
        whole = valid.sum(1) * real
        factor = whole / weight.clamp_min(1) if self.reduction == "none" else whole.sum() / weight.sum().clamp_min(1)
        factor = factor.view(-1, 1, 1) if factor.ndim else factor
        return torch.cat([shown * counted * factor, losses[..., real:]], dim=-1)
