# SPDX-License-Identifier: Apache-2.0
"""Draws made per sample on the policy's device: the timestep, and the fixed noise of a frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lerobot_ambient.core.plan import Plan

LAW_BLOCK = 1 << 14
"""Groups whose tables are made at once: with a window per data point nothing is as large as a table of the plan's size.
"""


class TimestepLaw(nn.Module):
    """Draws each sample's timestep from its group's P(t | g).

    The tables are buffers, so they follow the policy to its device, but are not saved: a checkpoint acts
    without any dataset, and training rebuilds the plan from the mixture.

    Groups whose law is uniform use the very `torch.randint` of LeRobot's DiffusionPolicy, so that a mixture
    with open windows sees the same timesteps, bit for bit, under the same random state. The others invert
    their cumulative law; float32 tables deviate from the plan by less than 1e-7 and never put mass on a
    forbidden timestep.
    """

    cdf: Tensor
    uniform: Tensor

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        groups, num_timesteps = plan.joint.shape
        uniform = torch.empty(groups, dtype=torch.bool)
        cdf = torch.empty(groups, num_timesteps)
        for start in range(0, groups, LAW_BLOCK):
            block = slice(start, start + LAW_BLOCK)
            law = plan.timestep_law_of(block)
            uniform[block] = (law - 1.0 / num_timesteps).abs().amax(1) < 1e-12
            # Rounding must not leave the last admissible timestep short of 1, or its successor could be drawn.
            last = (law > 0).long().cumsum(1).argmax(1, keepdim=True)
            cdf[block] = torch.where(torch.arange(num_timesteps) >= last, 1.0, law.cumsum(1).float())
        self.num_timesteps = num_timesteps
        self.all_uniform = bool(uniform[plan.group_law > 0].all())
        self.register_buffer("cdf", cdf, persistent=False)
        self.register_buffer("uniform", uniform, persistent=False)

    def forward(self, group: Tensor) -> Tensor:
        """(B,) int64 group ids to (B,) int64 timesteps, drawn from torch's global generator of the device."""
        return self.redraw(group, torch.randint(0, self.num_timesteps, group.shape, device=group.device).long())

    def redraw(self, group: Tensor, t: Tensor) -> Tensor:
        """(B,) timesteps as LeRobot drew them, drawn anew where the group's law is not uniform."""
        if self.all_uniform:
            return t
        u = torch.rand(group.shape, device=group.device)
        inverted = (self.cdf[group] <= u.unsqueeze(-1)).sum(-1).clamp_max(self.num_timesteps - 1)
        return torch.where(self.uniform[group], t, inverted)


def _mix(z: Tensor) -> Tensor:
    """A 64-bit integer finaliser (Stafford's variant 13): a bijection whose output bits look random."""
    z = (z ^ _shift(z, 30)) * -4658895280553007687
    z = (z ^ _shift(z, 27)) * -7723592293110705685
    return z ^ _shift(z, 31)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical (not arithmetic) right shift of int64."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def frame_noise(index: Tensor, shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal noise that belongs to a frame: a pure function of (seed, index).

    Counter-based (hash, then Box-Muller), so it costs no per-sample generator and is the same on every
    device up to the rounding of its log and cos.

    Args:
        index: (B,) int64 frame indices.
        shape: shape of the noise of one frame, (H, A).
        seed: of the whole run.

    Returns:
        (B, *shape) standard normal.
    """
    size = math.prod(shape)
    counter = torch.arange(size, device=index.device, dtype=torch.int64)
    key = _mix(index.long() * -7046029254386353131 + _mix(torch.tensor(seed, device=index.device, dtype=torch.int64)))
    bits = _mix(key.unsqueeze(1) + (counter + 1) * -7046029254386353131)
    # 24 bits each are what float32 resolves; the half keeps u away from 0 and its logarithm finite.
    u = ((_shift(bits, 40)).to(dtype) + 0.5) / (1 << 24)
    v = (bits & ((1 << 24) - 1)).to(dtype) / (1 << 24)
    normal = torch.sqrt(-2.0 * torch.log(u)) * torch.cos(2.0 * math.pi * v)
    return normal.reshape(index.shape[0], *shape)
