# SPDX-License-Identifier: Apache-2.0
"""Designs: which datasets train a denoiser, at which levels, and which share the target has beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lerobot_ambient.core.mixing import Ambient, Cotrain, MixingRule, TargetOnly
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, Plan, make_plan
from lerobot_ambient.core.windows import EVERYTHING, Window


@dataclass(frozen=True)
class Design:
    """One way to train.

    Args:
        sources: places of the sources that take part, counted from 1 as in the mixture; 0 is the target, always there.
        alpha: the target's share at a level that it shares with a source; None shares by size. Of no meaning without
            sources.
        windows: of the sources, in their order; None admits them everywhere.
    """

    sources: tuple[int, ...] = ()
    alpha: float | None = 0.5
    windows: tuple[Window, ...] | None = None

    def __post_init__(self) -> None:
        if self.windows is not None and len(self.windows) != len(self.sources):
            raise ValueError(f"{len(self.windows)} windows for {len(self.sources)} sources; each takes one.")

    @property
    def key(self) -> str:
        """What tells its trainings from those of other designs, in the name of a folder."""
        if not self.sources:
            return "target"
        shown = (
            "all" if self.windows is None else "_".join(f"{w.sigma_min:.6f}-{w.sigma_max:.6f}" for w in self.windows)
        )
        return f"s{'_'.join(map(str, self.sources))}-a{self.alpha}-w{shown}"

    @property
    def rule(self) -> MixingRule:
        """Which datasets share a level, and how."""
        if not self.sources:
            return TargetOnly()
        return Cotrain(self.alpha) if self.windows is None else Ambient(self.alpha)

    def plan(self, groups: Sequence[Group], schedule: NoiseSchedule) -> Plan:
        """The plan over all datasets of a mixture, in which those that take no part are never drawn.

        Args:
            groups: one a dataset or part of one, the target first.
            schedule: of the policy.
        """
        chosen = [groups[0]]
        for place, source in enumerate(self.sources):
            chosen.append(replace(groups[source], window=EVERYTHING if self.windows is None else self.windows[place]))
        made = make_plan(chosen, schedule, self.rule)
        joint = torch.zeros(len(groups), len(schedule), dtype=torch.float64)
        joint[[0, *self.sources]] = made.joint
        kept = {0: chosen[0], **dict(zip(self.sources, chosen[1:], strict=True))}
        return Plan(tuple(kept.get(number, group) for number, group in enumerate(groups)), schedule, joint, made.base)


def designs_of(
    units: Sequence[tuple[int, ...]], shares: Sequence[float | None], *, alone: bool = False
) -> list[Design]:
    """The target alone, with each unit, with all of them, and with all but one.

    Args:
        units: what is judged: the places of one source, or of those of a group.
        shares: of the target.
        alone: leave out designs of several units.
    """
    sets = list(units)
    if len(units) > 1 and not alone:
        sets.append(all_of(units))
    if len(units) > 2 and not alone:
        sets += [all_of(units, but=one) for one in units]
    return [Design(), *(Design(chosen, alpha) for alpha in shares for chosen in sets)]


def all_of(units: Sequence[tuple[int, ...]], but: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The places of all units, ascending, without those of one."""
    return tuple(sorted(place for unit in units for place in unit if place not in but))


def row_draws(rows: Sequence[Tensor], law: Tensor, generator: torch.Generator, batch: int) -> tuple[Tensor, Tensor]:
    """(batch,) rows of a batch, and the group of each: the group by its law, the row uniformly within it.

    Args:
        rows: of each group, those that may be drawn.
        law: (G,) probability of each group.
        generator: of the draws.
        batch: how many.
    """
    counts = torch.bincount(
        torch.multinomial(law, batch, replacement=True, generator=generator), minlength=len(rows)
    ).tolist()
    drawn = torch.cat(
        [
            one[torch.randint(len(one), (count,), generator=generator)]
            for one, count in zip(rows, counts, strict=True)
            if count
        ]
    )
    return drawn, torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(counts))
