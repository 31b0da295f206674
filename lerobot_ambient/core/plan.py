# SPDX-License-Identifier: Apache-2.0
"""The plan: one table of probabilities from which everything else is read.

Symbols
    g          group: the samples of one dataset that share one window; source 0 is the target
    t          timestep, or cell of a flow-matching policy's time (`core.flow_time`)
    p(t)       base law of the timestep (uniform for DDPM, and for cells)
    J[g, t]    joint law of (group, timestep); columns sum to p(t)
    P(g)       sum_t J[g, t]: how often the sampler draws from the group
    P(t | g)   J[g, t] / P(g): how the policy draws the timestep of a sample of the group

The method's own loop draws the level first and then an admissible sample. The same joint law factors as
P(g) P(t | g), so frames can be drawn first (by any loader) and timesteps afterwards (on the policy's device).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor

from lerobot_ambient.core.heat_map import draw_shares, shares_figure, shares_html
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.windows import Window

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMN_TOLERANCE = 1e-9
_MAX_CELLS = 1 << 28


@dataclass(frozen=True, slots=True)
class Group:
    """Samples of one source that share one window.

    >>> la.Group(1, "me/sim", count=9000, window=la.Window(sigma_min=0.5)).is_target
    False

    Args:
        source: index of the dataset, 0 is the target.
        name: the dataset's name, for messages and logs.
        count: number of samples (frames), positive.
        window: their admissible noise levels.
        weight: multiplies `count` when sources share a noise level, positive.
    """

    source: int
    name: str
    count: int
    window: Window
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.count <= 0:
            raise ValueError(f"group of '{self.name}' has {self.count} samples; at least 1 is needed.")
        if not 0.0 < self.weight < float("inf"):
            raise ValueError(f"weight of '{self.name}' must be positive and finite, got {self.weight}.")

    @property
    def is_target(self) -> bool:
        return self.source == 0


class Mixing(Protocol):
    """Fills the plan: which share each group has at each noise level."""

    def shares(self, groups: Sequence[Group], schedule: NoiseSchedule) -> Tensor:
        """(G, T) float64, non-negative, columns sum to 1: share(g | t); the plan takes the table over."""
        ...


@dataclass(frozen=True)
class Plan:
    """The joint law of (group, timestep): a table from which sampler and policy both draw.

    In a notebook it shows its heat map, and `plan.plot()` draws it.

    >>> groups = [la.Group(0, "target", 1000, la.Window(0.0)), la.Group(1, "sim", 9000, la.Window(0.5))]
    >>> plan = la.make_plan(groups, la.NoiseSchedule(torch.linspace(0.1, 1.0, 10)), la.Ambient())
    >>> plan
    Plan(2 groups, NoiseSchedule(T=10, sigma 0.1000 .. 1.0000))
      target: 1000 samples, window [0, 1], 75.00 % of the draws
      sim: 9000 samples, window (0.5, 1], 25.00 % of the draws
    >>> plan.shares_by_source()[1].numpy().round(2)  # of the source, level by level
    array([0. , 0. , 0. , 0. , 0. , 0.5, 0.5, 0.5, 0.5, 0.5])

    Args:
        groups: the rows.
        schedule: noise level of each column.
        joint: (G, T) float64, non-negative; its columns sum to `base`.
        base: (T,) float64, the law p(t).
        max_amplification: of the ambient loss, whose distance from sigma_min `joint` keeps; None without it.

    Raises:
        ValueError: shapes that disagree, negative entries, or columns that do not sum to the base law.
    """

    groups: tuple[Group, ...]
    schedule: NoiseSchedule
    joint: Tensor
    base: Tensor
    max_amplification: float | None = None

    def __post_init__(self) -> None:
        expected = (len(self.groups), len(self.schedule))
        if tuple(self.joint.shape) != expected:
            raise ValueError(f"plan has shape {tuple(self.joint.shape)}, expected (groups, timesteps) = {expected}.")
        if float(self.joint.min()) < 0:
            raise ValueError("plan has negative probabilities.")
        error = float((self.joint.sum(0) - self.base).abs().max())
        if error > _COLUMN_TOLERANCE:
            raise ValueError(f"plan's columns miss the base law p(t) by up to {error:.2e}.")

    @cached_property
    def group_law(self) -> Tensor:
        """(G,) P(g): the probability that a drawn sample belongs to each group."""
        return self.joint.sum(1)

    @cached_property
    def timestep_law(self) -> Tensor:
        """(G, T) P(t | g); a group that is never drawn has a row of zeros."""
        return self.timestep_law_of(slice(None))

    def timestep_law_of(self, groups: slice) -> Tensor:
        """(n, T) the rows of `timestep_law` of some groups; with a window per data point the whole is large."""
        joint, law = self.joint[groups], self.group_law[groups].unsqueeze(1)
        return torch.where(law > 0, joint / law.clamp_min(torch.finfo(torch.float64).tiny), 0.0)

    @cached_property
    def num_sources(self) -> int:
        return 1 + max(group.source for group in self.groups)

    @cached_property
    def source_of_group(self) -> Tensor:
        """(G,) int64: the dataset of each group."""
        return torch.tensor([group.source for group in self.groups], dtype=torch.int64)

    def source_names(self) -> list[str]:
        names = {group.source: group.name for group in self.groups}
        return [names.get(source, f"source {source}") for source in range(self.num_sources)]

    def by_source(self) -> Tensor:
        """(S, T) the joint law with the groups of a source added up; what the heat map shows."""
        table = torch.zeros(self.num_sources, len(self.schedule), dtype=torch.float64)
        return table.index_add(0, self.source_of_group, self.joint)

    def shares_by_source(self) -> Tensor:
        """(S, T) share(source | t): columns sum to 1 wherever p(t) > 0."""
        return self.by_source() / self.base.clamp_min(torch.finfo(torch.float64).tiny)

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the heat map: a row a dataset, the timesteps to the right, the share of each at each as a colour.

        A flow-matching policy has cells of equal probability for timesteps: to the right goes its own law's quantile.

        Args:
            ax: of matplotlib, to draw on; a figure of its own when None.

        Returns:
            The figure; without `ax` one outside pyplot, so `plan.plot().savefig("plan.png")` writes it.
        """
        if ax is None:
            return shares_figure(*self._picture())
        draw_shares(ax, *self._picture())
        return cast("Figure", ax.figure)

    def _repr_html_(self) -> str:
        """What a notebook shows: the heat map."""
        return shares_html(*self._picture())

    def _picture(self) -> tuple[Any, Any, Any, list[str]]:
        """Shares (S, T), law (S,), schedule and names, as `core.heat_map` takes them."""
        law = self.by_source().sum(1).numpy()
        return self.shares_by_source().numpy(), law, self.schedule, self.source_names()

    def __repr__(self) -> str:
        law = self.group_law
        kept = (
            "" if self.max_amplification is None else f", ambient loss up to amplification {self.max_amplification:g}"
        )
        rows = [
            f"  {group.name}: {group.count} samples, window {group.window!r}, {100 * law[i]:.2f} % of the draws"
            for i, group in enumerate(self.groups[:20])
        ]
        if len(self.groups) > 20:
            rows.append(f"  ... and {len(self.groups) - 20} more groups")
        return "\n".join([f"Plan({len(self.groups)} groups, {self.schedule!r}{kept})", *rows])


def make_plan(
    groups: Sequence[Group],
    schedule: NoiseSchedule,
    mixing: Mixing,
    base: Tensor | None = None,
    max_amplification: float | None = None,
) -> Plan:
    """Fill the plan of a mixture; without any data, to look at what a mixing rule does.

    >>> groups = [la.Group(0, "target", 1000, la.Window(0.0)), la.Group(1, "sim", 9000, la.Window(0.5))]
    >>> levels = la.NoiseSchedule(torch.linspace(0.1, 1.0, 10))
    >>> la.make_plan(groups, levels, la.Cotrain(alpha=0.25)).group_law
    tensor([0.2500, 0.7500], dtype=torch.float64)

    Args:
        groups: all groups, at least one of them the target's.
        schedule: the policy's noise levels.
        mixing: the rule that shares each noise level between the groups.
        base: (T,) law p(t) of the timestep; uniform when None.
        max_amplification: keep the distance from each sigma_min that bounds the ambient loss (`Window.buffered`);
            the groups of the plan keep the windows as declared.

    Raises:
        ValueError: no target group, or too many groups (see `require_plan_fits`).
    """
    if not any(group.is_target for group in groups):
        raise ValueError("the mixture has no target group: ambient co-training needs a trusted dataset.")
    require_plan_fits(len(groups), schedule)
    base = schedule.uniform() if base is None else base.double()
    drawn = groups if max_amplification is None else [_buffered(group, max_amplification) for group in groups]
    joint = mixing.shares(drawn, schedule).mul_(base)
    return Plan(tuple(groups), schedule, joint, base, max_amplification)


def _buffered(group: Group, max_amplification: float) -> Group:
    """The group as it is drawn under the ambient loss."""
    return group if group.is_target else replace(group, window=group.window.buffered(max_amplification))


def require_plan_fits(groups: int, schedule: NoiseSchedule) -> None:
    """Refuse a plan whose table would take more than 2 GiB.

    Windows per data point are distinguished at every timestep. T timesteps allow T + 1 groups a source, and about
    T^2 / 2 when sigma_max varies too: no bound to reach at T = 100, but a fatal one at T = 1000.

    Raises:
        ValueError: groups times timesteps are too many.
    """
    if groups * len(schedule) > _MAX_CELLS:
        fewer = ", or use fewer timesteps (policy.num_train_timesteps)" if schedule.law is None else ""
        raise ValueError(
            f"the plan would have {groups} groups x {len(schedule)} {schedule.unit} = "
            f"{groups * len(schedule) * 8 / 2**30:.1f} GiB, at most {_MAX_CELLS * 8 / 2**30:.0f} GiB are allowed. "
            "Round sigma_min and sigma_max in the windows files to fewer levels, or annotate with larger buckets"
            f"{fewer}."
        )
