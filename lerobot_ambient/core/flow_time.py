# SPDX-License-Identifier: Apache-2.0
"""The time of a flow-matching policy: its law, its direction, the cells that a plan is made of, and the transport.

Symbols
    t            the policy's own time: tau, or 1 - tau where the data lie at 1, possibly times a scale
    F, u         cumulative law of tau, and u = F(tau), uniform on [0, 1]
    K            number of cells: cell k is u in [k / K, (k + 1) / K)
    share(g|u)   fraction of the training at u that group g supplies; constant inside a cell
    C_g          cumulative law of u in group g:  C_g(u) = (1 / P(g)) integral_0^u share(g | v) dv

In u every policy's base law is the uniform one, so the plan is that of a discrete diffusion with K timesteps. A group's
law of time is reached from a draw of the policy's *own* sampler by the increasing map

    tau' = F^-1( C_g^-1( F(tau) ) ),

since F(tau) is uniform. No further random number is drawn: where a group's share is the same at every level the map is
the identity, the very tensor of the stock sampler is returned, and losses, gradients and the state of the generator
are those of the stock policy, bit for bit. Inverse transform sampling: Devroye, "Non-Uniform Random Variate
Generation", 1986, section II.2.

A cell is admitted only where all of it lies in the window, after its edges were rounded outward to the numbers that the
policy's own time can take. So no rounding reaches a forbidden level, and a bound loses at most 1 / K of the draws. A
policy that holds its times in half precision follows the law up to that rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lerobot_ambient.core.draws import LAW_BLOCK
from lerobot_ambient.core.noise_levels import NoiseSchedule, flow_to_vp
from lerobot_ambient.core.plan import Plan
from lerobot_ambient.core.time_laws import TimeLaw

CELLS = 256


@dataclass(frozen=True)
class FlowTime:
    """How a policy draws and counts its training time.

    Args:
        law: of tau, as the stock sampler draws it.
        data_at_one: the policy's time runs from noise at 0 to data at 1.
        scale: its time is this many times larger (1000 where it counts timesteps).
        dtype: of the tensor in which it holds its times.
    """

    law: TimeLaw
    data_at_one: bool = False
    scale: float = 1.0
    dtype: torch.dtype = torch.float32

    def tau_of(self, time: Tensor) -> Tensor:
        """The policy's time to tau, float64 of the same shape."""
        unit = time.double() / self.scale
        return 1.0 - unit if self.data_at_one else unit

    def time_of(self, tau: Tensor) -> Tensor:
        """tau to the policy's time, float64 of the same shape."""
        return self.scale * (1.0 - tau.double() if self.data_at_one else tau.double())

    def sigma_of(self, time: Tensor) -> Tensor:
        """The policy's time to the VP noise level, float64 of the same shape."""
        return flow_to_vp(self.tau_of(time))

    def schedule(self, cells: int = CELLS) -> NoiseSchedule:
        """The law as `cells` cells of equal probability, edges rounded outward to the policy's numbers."""
        edges = self.law.quantile(torch.arange(cells + 1, dtype=torch.float64) / cells)
        middle = self.law.quantile((torch.arange(cells, dtype=torch.float64) + 0.5) / cells)
        inner, outer = (self.tau_of(self._rounded(self.time_of(edges), up=up)) for up in (False, True))
        below, above = torch.minimum(inner, outer), torch.maximum(inner, outer)
        return NoiseSchedule(flow_to_vp(middle), flow_to_vp(below[:-1]), flow_to_vp(above[1:]), law=self.law.identity)

    def _rounded(self, time: Tensor, *, up: bool) -> Tensor:
        """The next number of the policy's dtype that is not below (`up`), or not above, each of these times."""
        near = time.to(self.dtype)
        bound = torch.full_like(near, float("inf") if up else float("-inf"))
        short = near.double() < time if up else near.double() > time
        return torch.where(short, torch.nextafter(near, bound), near).double()


class TimeTransport(nn.Module):
    """Moves a stock draw of time to each sample's group's law.

    The tables are buffers, so they follow the policy to its device, but are not saved: a checkpoint acts without any
    dataset, and training rebuilds the plan from the mixture.

    Args:
        plan: over the cells of `time`'s law.
        time: of the policy.
    """

    cumulative: Tensor
    is_open: Tensor

    def __init__(self, plan: Plan, time: FlowTime) -> None:
        super().__init__()
        groups, cells = plan.joint.shape
        cumulative, is_open = torch.zeros(groups, cells + 1, dtype=torch.float64), torch.empty(groups, dtype=torch.bool)
        for start in range(0, groups, LAW_BLOCK):
            block = slice(start, start + LAW_BLOCK)
            law = plan.timestep_law_of(block)
            cumulative[block, 1:] = law.cumsum(1)
            # Rounding must not leave the last admitted cell short of 1, or its successor could be drawn.
            last = (law > 0).long().cumsum(1).argmax(1, keepdim=True)
            cumulative[block] = torch.where(torch.arange(cells + 1) > last, 1.0, cumulative[block])
            is_open[block] = (law - 1.0 / cells).abs().amax(1) < 1e-12
        self.time = time
        self.cells = cells
        self.all_open = bool(is_open[plan.group_law > 0].all())
        # Half precision of a whole policy must not reach the tables: they are kept as bits.
        self.register_buffer("cumulative", cumulative.view(torch.int64), persistent=False)
        self.register_buffer("is_open", is_open, persistent=False)

    def forward(self, group: Tensor, time: Tensor) -> Tensor:
        """(B,) int64 group ids and (B,) times as the stock sampler drew them, to (B,) times of the groups' laws.

        Samples of groups that are open at every level keep their time to the bit.
        """
        if self.all_open:
            return time
        # MPS has no float64; a batch's times are few enough to be moved.
        device = torch.device("cpu") if time.device.type == "mps" else time.device
        cumulative = self.cumulative.to(device).view(torch.float64)[group.to(device)]
        u = self.time.law.cdf(self.time.tau_of(time.to(device)))
        # The cell whose share of the group's law contains u; cells without share have no width and are passed over.
        cell = torch.searchsorted(cumulative[:, 1:].contiguous(), u.unsqueeze(1), right=True).squeeze(1)
        cell = cell.clamp_max(self.cells - 1)
        left, right = (cumulative.gather(1, (cell + k).unsqueeze(1)).squeeze(1) for k in (0, 1))
        # At u = 1 all cells are passed: then the last that has a share, at its end.
        at_end = right <= left
        place = torch.where(at_end, 1.0, (u - left) / torch.where(at_end, 1.0, right - left)).clamp(0.0, 1.0)
        cell = torch.where(at_end, self._last(cumulative), cell)
        moved = self.time.time_of(self.time.law.quantile((cell + place) / self.cells))
        return torch.where(self.is_open[group], time, moved.to(device=time.device, dtype=time.dtype))

    def _last(self, cumulative: Tensor) -> Tensor:
        """(B,) the last cell with a share."""
        return (cumulative[:, :-1] < 1.0).sum(1) - 1
