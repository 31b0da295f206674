# SPDX-License-Identifier: Apache-2.0
"""A small denoiser for low-dimensional tasks: a residual MLP over the flattened chunk."""

from __future__ import annotations

import torch
from lerobot.policies.diffusion.modeling_diffusion import DiffusionSinusoidalPosEmb
from torch import Tensor, nn


class ResidualMlp(nn.Module):
    """Predicts a chunk from a noisy chunk, its timestep and the observation.

    The convolutional U-Net spends most of a CPU's time on short, narrow convolutions; flattened, a chunk of
    16 two-dimensional actions is one vector, and dense layers of the same capacity are several times faster.
    Each block sees timestep and observation through FiLM (scale and shift).

    Args:
        horizon, action_dim: shape (H, A) of a chunk.
        cond_dim: size of the observation vector.
        step_embed_dim: size of the sinusoidal timestep embedding.
        width: hidden size; depth: number of residual blocks.
    """

    def __init__(
        self,
        horizon: int,
        action_dim: int,
        cond_dim: int,
        *,
        step_embed_dim: int,
        width: int,
        depth: int,
    ) -> None:
        super().__init__()
        chunk = horizon * action_dim
        self.step_encoder = DiffusionSinusoidalPosEmb(step_embed_dim)
        self.condition = nn.Sequential(nn.Linear(step_embed_dim + cond_dim, width), nn.SiLU(), nn.Linear(width, width))
        self.enter = nn.Linear(chunk, width)
        self.blocks = nn.ModuleList([_Block(width) for _ in range(depth)])
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, chunk))
        # At low noise the clean chunk is nearly x itself. A learned, timestep-dependent share of x passes straight
        # through, so that the layers need not spend their capacity on copying it.
        self.skip = nn.Linear(width, 1)
        nn.init.zeros_(self.skip.weight)
        nn.init.zeros_(self.skip.bias)

    def forward(self, x: Tensor, timestep: Tensor, global_cond: Tensor) -> Tensor:
        """(B, H, A) noisy chunk, (B,) timestep, (B, cond_dim) observation to (B, H, A) prediction."""
        condition = self.condition(torch.cat([self.step_encoder(timestep), global_cond], dim=-1))
        hidden = self.enter(x.flatten(1)) + condition
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.skip(condition).unsqueeze(-1) * x + self.leave(hidden).view_as(x)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(width, 2 * width)
        last = nn.Linear(width, width)
        # Blocks start as the identity, so depth does not cost early training.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), last)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition).chunk(2, dim=-1)
        return hidden + self.layers(self.norm(hidden) * (1 + scale) + shift)
