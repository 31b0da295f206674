# SPDX-License-Identifier: Apache-2.0
"""The network that tells noised target chunks from noised source chunks, at every noise level.

Symbols
    x_sigma  noised chunk sqrt(1 - sigma^2) x_0 + sigma eps, (H, A) flattened to D = H A
    l_s      logit of source s: log p_sigma(x) / q_sigma,s(x) when both are equally likely
    c_s      sigmoid(l_s), the probability of "target" in a balanced pair of target and source s

All sources share the trunk, so one training serves them all; each has an output of its own. The output is multiplied
by sqrt(1 - sigma^2): a log-likelihood ratio vanishes with the signal, at least that fast, and at sigma = 1 nothing can
be told.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FREQUENCIES = 16
_MAX_LOG_RATIO = 5.0
"""|log r| is clipped here: noise of 0.7 % is nothing to the actions, a signal of 0.7 % nothing to the noise."""
_LOG_SQUARE = 0.534
"""Mean of log(1 + z^2) of a standard normal z."""


class NoisyChunkClassifier(nn.Module):
    """A residual MLP whose layers are modulated by the log noise-to-signal ratio log r = log(sigma / alpha).

    Args:
        mean, variance: (D,) of x_0, which whitening takes out at every level.
        sources: S, outputs.
        width: hidden units.
        blocks: residual blocks.
        dropout: share of hidden units that are silenced when a generator is given.
        generator: of the initial weights, on the CPU; torch's global generator is left alone.
    """

    frequencies: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        mean: Tensor,
        variance: Tensor,
        sources: int,
        *,
        width: int,
        blocks: int,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        # Layers initialise themselves from the global generator, except on the device that has no numbers.
        with torch.device("meta"):
            self.embed = nn.Linear(2 * _FREQUENCIES + 1, width)
            self.read = nn.Linear(2 * len(mean), width)
            self.modulate = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(blocks))
            self.enter = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
            self.leave = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
            self.answer = nn.Linear(width, sources)
        self.to_empty(device="cpu")
        self.register_buffer("frequencies", torch.logspace(math.log2(0.5), math.log2(8.0), _FREQUENCIES, base=2.0))
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)
        self.dropout = dropout
        self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                bound = 1.0 / math.sqrt(module.in_features)
                module.weight.uniform_(-bound, bound, generator=generator)
                module.bias.zero_()
        # It starts as "cannot tell" at every level, each block as the identity.
        for silent in [self.answer, *self.leave]:
            silent.weight.zero_()

    def forward(self, x: Tensor, sigma: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits (B, S).

        Args:
            x: (B, D) noised chunks.
            sigma: (B,) their levels, or (1,) for one level of all.
            generator: of the dropout, in training; without it nothing is dropped.
        """
        alpha = torch.sqrt(1.0 - sigma**2)
        log_r = torch.log(sigma / alpha).clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).unsqueeze(1)
        phase = log_r * self.frequencies
        level = F.silu(self.embed(torch.cat([phase.sin(), phase.cos(), log_r], dim=1)))
        spread = torch.sqrt((alpha**2).unsqueeze(1) * self.variance + (sigma**2).unsqueeze(1))
        z = (x - alpha.unsqueeze(1) * self.mean) / spread
        h = self.read(torch.cat([z, torch.log1p(z**2) - _LOG_SQUARE], dim=1))
        for modulate, enter, leave in zip(self.modulate, self.enter, self.leave, strict=True):
            gain, offset = modulate(level).chunk(2, dim=1)
            hidden = F.silu(enter(_normalised(h) * (1.0 + gain) + offset))
            h = h + leave(hidden if generator is None else self._dropped(hidden, generator))
        return self.answer(_normalised(h)) * alpha.unsqueeze(1)

    def _dropped(self, h: Tensor, generator: torch.Generator) -> Tensor:
        # Not F.dropout, which draws from the global generator.
        kept = torch.rand(h.shape, generator=generator, device=h.device) >= self.dropout
        return h * kept / (1.0 - self.dropout)


def _normalised(h: Tensor) -> Tensor:
    return F.layer_norm(h, h.shape[-1:])
