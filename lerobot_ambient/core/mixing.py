# SPDX-License-Identifier: Apache-2.0
"""Six ways to fill the plan: which dataset is shown at which noise level.

Symbols
    n_g, w_g       samples and weight of group g
    share(g | t)   fraction of the training at timestep t that group g supplies; sums to 1 over g
    f              clean share: the target's fraction at a level where some source is admissible too

Hard ambient (`Ambient`) and omni (windows with a sigma_max) are one rule; co-training and filtering
(`TargetOnly`) are its two limits. Source: Wei et al., "Ambient Diffusion Policy", arXiv 2606.12365;
soft ambient: the talk "Learning From Bad Data In Robotics" (24 Sept 2025). A new idea is one more class
with a `shares` method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group
from lerobot_ambient.core.windows import admits_all

_Admitted = Callable[[Sequence[Group]], Tensor]
"""Of some groups (n, T) bool, where each is admitted."""
_BLOCK = 1 << 14


class MixingRule(ABC):
    """A rule that shares each noise level between the groups; a new idea is one more class.

    >>> class Half(la.MixingRule):
    ...     identity = "Half()"
    ...
    ...     def shares(self, groups, schedule):
    ...         share = torch.full((len(groups), len(schedule)), 0.5 / (len(groups) - 1), dtype=torch.float64)
    ...         share[0] = 0.5  # the target has half of each noise level, whatever the windows
    ...         return share
    >>> groups = [la.Group(0, "target", 10, la.Window(0.0)), la.Group(1, "sim", 90, la.Window(0.5))]
    >>> la.make_plan(groups, la.NoiseSchedule(torch.linspace(0.1, 1.0, 10)), Half()).group_law
    tensor([0.5000, 0.5000], dtype=torch.float64)

    Its `str` is for logs and cards, what a user types and what follows from it; its `identity` is for fingerprints.
    """

    #: Whether a source must declare a window: it is what this rule acts on.
    needs_windows: bool = True
    #: Whether a source is shown only inside its window. Without that the ambient loss has no buffer and must not act.
    admits_by_windows: bool = True
    #: What follows the rule's name in `identity`; checkpoints know the rules of a configuration by another one.
    identity_suffix: str = ""

    @property
    @abstractmethod
    def identity(self) -> str:
        """The rule and its values. Checkpoints hold it, so it is written out and stays, whatever classes are called."""

    @abstractmethod
    def shares(self, groups: Sequence[Group], schedule: NoiseSchedule) -> Tensor:
        """(G, T) float64, non-negative, columns sum to 1: share(g | t)."""


@dataclass(frozen=True)
class TargetOnly(MixingRule):
    """Filtering: the sources are never drawn.

    >>> print(la.TargetOnly())
    target_only, no source is drawn
    """

    needs_windows = False
    admits_by_windows = False

    @property
    def identity(self) -> str:
        return f"TargetOnly{self.identity_suffix}()"

    def __str__(self) -> str:
        return "target_only, no source is drawn"

    def shares(self, groups: Sequence[Group], schedule: NoiseSchedule) -> Tensor:
        return _by_size(_masses(groups, lambda some: _is_target(some).unsqueeze(1).expand(-1, len(schedule))))


@dataclass(frozen=True)
class Cotrain(MixingRule):
    """Co-training: every group at every noise level, windows ignored.

    >>> print(la.Cotrain(alpha=0.5))
    cotrain, the target has 50 % of each noise level that it shares (alpha 0.5)

    Args:
        alpha: the target's share, in (0, 1); None shares by weight times size (plain concatenation).
    """

    alpha: float | None = None
    needs_windows = False
    admits_by_windows = False

    def __post_init__(self) -> None:
        _check_alpha(self.alpha, "cotrain")

    @property
    def identity(self) -> str:
        return f"Cotrain{self.identity_suffix}(alpha={self.alpha!r})"

    def __str__(self) -> str:
        return f"cotrain, {_share_words(self.alpha)}"

    def shares(self, groups: Sequence[Group], schedule: NoiseSchedule) -> Tensor:
        everywhere = partial(_everywhere, levels=len(schedule))
        return _with_clean_share(groups, everywhere, _constant(self.alpha, schedule))


@dataclass(frozen=True)
class Ambient(MixingRule):
    """Ambient co-training: every group exactly where its window admits it, the target everywhere.

    >>> print(la.Ambient())
    ambient, the target has 50 % of each noise level that it shares (alpha 0.5)
    >>> print(la.Ambient(alpha=None))
    ambient, the datasets share a noise level by weight times size

    Args:
        alpha: the target's share at levels where a source is admissible too, in (0, 1); None shares by
            weight times size over the admissible groups. A source that grows takes such a level over without it.
    """

    alpha: float | None = 0.5

    def __post_init__(self) -> None:
        _check_alpha(self.alpha, "ambient")

    @property
    def identity(self) -> str:
        return f"Ambient{self.identity_suffix}(alpha={self.alpha!r})"

    def __str__(self) -> str:
        return f"ambient, {_share_words(self.alpha)}"

    def shares(self, groups: Sequence[Group], schedule: NoiseSchedule) -> Tensor:
        return _with_clean_share(groups, partial(_admissible, schedule=schedule), _constant(self.alpha, schedule))


@dataclass(frozen=True)
class Soft(MixingRule):
    """Soft ambient: the clean share is a function of the noise level instead of a threshold.

    >>> la.Soft.linear(1.0, 0.5).clean_share(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [1.0, 0.75, 0.5]

    Windows that are declared still hold; a source without one is admissible everywhere.

    Args:
        sigmas: knots in [0, 1], strictly increasing; between them the share is linear, outside constant.
        clean_shares: the target's share at each knot, in [0, 1]. Two knots at 0 and 1 are the linear rule.
    """

    sigmas: list[float] = field(default_factory=list)
    clean_shares: list[float] = field(default_factory=list)
    needs_windows = False

    def __post_init__(self) -> None:
        if len(self.sigmas) != len(self.clean_shares) or len(self.sigmas) < 2:
            raise ValueError(
                "soft ambient needs the clean share as a function of the noise level: at least two knots, as many "
                f"sigmas as clean_shares; got sigmas={self.sigmas}, clean_shares={self.clean_shares}. For a linear "
                "fall from target-only at no noise to a tenth at full noise write "
                "mixing: {type: soft, sigmas: [0.0, 1.0], clean_shares: [1.0, 0.1]}."
            )
        if any(not 0.0 <= value <= 1.0 for value in [*self.sigmas, *self.clean_shares]):
            raise ValueError(f"soft ambient: knots must lie in [0, 1], got {self.sigmas} and {self.clean_shares}.")
        if any(b <= a for a, b in zip(self.sigmas, self.sigmas[1:], strict=False)):
            raise ValueError(f"soft ambient: sigmas must grow strictly, got {self.sigmas}.")

    @property
    def identity(self) -> str:
        return f"Soft{self.identity_suffix}(sigmas={self.sigmas!r}, clean_shares={self.clean_shares!r})"

    def __str__(self) -> str:
        knots = zip(self.sigmas, self.clean_shares, strict=True)
        shares = ", ".join(f"{100 * share:g} % at sigma {sigma:g}" for sigma, share in knots)
        return f"soft, the target has {shares}, in between linearly"

    @classmethod
    def linear(cls, at_zero: float, at_one: float) -> Soft:
        """Clean share `at_zero` at sigma = 0 falling linearly to `at_one` at sigma = 1."""
        return cls(sigmas=[0.0, 1.0], clean_shares=[at_zero, at_one])

    def clean_share(self, sigmas: Tensor) -> Tensor:
        """(T,) the piecewise linear clean share at these VP levels."""
        knots = torch.tensor(self.sigmas, dtype=torch.float64)
        values = torch.tensor(self.clean_shares, dtype=torch.float64)
        x = sigmas.double().clamp(knots[0], knots[-1])
        right = torch.searchsorted(knots, x, right=False).clamp(1, len(knots) - 1)
        fraction = (x - knots[right - 1]) / (knots[right] - knots[right - 1])
        return values[right - 1] + fraction * (values[right] - values[right - 1])

    def shares(self, groups: Sequence[Group], schedule: NoiseSchedule) -> Tensor:
        return _with_clean_share(groups, partial(_admissible, schedule=schedule), self.clean_share(schedule.sigmas))


@dataclass(frozen=True)
class Exclusive(MixingRule):
    """Exclusive bands (the paper's ablation): where a source is admissible the target is not used at all.

    >>> print(la.Exclusive())
    exclusive, sources alone where one may teach
    """

    @property
    def identity(self) -> str:
        return f"Exclusive{self.identity_suffix}()"

    def __str__(self) -> str:
        return "exclusive, sources alone where one may teach"

    def shares(self, groups: Sequence[Group], schedule: NoiseSchedule) -> Tensor:
        return _with_clean_share(groups, partial(_admissible, schedule=schedule), torch.zeros(len(schedule)).double())


def _is_target(groups: Sequence[Group]) -> Tensor:
    return torch.tensor([group.is_target for group in groups])


def _admissible(groups: Sequence[Group], schedule: NoiseSchedule) -> Tensor:
    """(G, T) bool: the target everywhere, a source inside its window."""
    # For all groups at once: a window per data point makes them many.
    low = torch.tensor([group.window.sigma_min for group in groups], dtype=schedule.sigmas.dtype).unsqueeze(1)
    high = torch.tensor([group.window.sigma_max for group in groups], dtype=schedule.sigmas.dtype).unsqueeze(1)
    mask: Tensor = admits_all(schedule.lower, schedule.upper, low, high)
    mask[_is_target(groups)] = True
    return mask


def _everywhere(groups: Sequence[Group], levels: int) -> Tensor:
    return torch.ones(len(groups), levels, dtype=torch.bool)


def _masses(groups: Sequence[Group], admitted: _Admitted) -> Tensor:
    """(G, T) weight times size where a group is admitted, else 0.

    With a window per data point this table is the largest thing there is, so masks are made for some groups at a time.
    """
    size = torch.tensor([group.weight * group.count for group in groups], dtype=torch.float64).unsqueeze(1)
    table: Tensor | None = None
    for start in range(0, len(groups), _BLOCK):
        block = slice(start, start + _BLOCK)
        mask = admitted(groups[block])
        table = torch.empty(len(groups), mask.shape[1], dtype=torch.float64) if table is None else table
        # Not a product with the mask, which would be copied to float64 first.
        table[block] = torch.where(mask, size[block], 0.0)
    assert table is not None, "a plan has groups"
    return table


def _by_size(mass: Tensor) -> Tensor:
    """(G, T) shares proportional to the masses, in their place; empty columns stay zero."""
    # Where the total is 0, so is the mass.
    return mass.div_(mass.sum(0, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny))


def _with_clean_share(groups: Sequence[Group], admitted: _Admitted, clean_share: Tensor | None) -> Tensor:
    """Give the target `clean_share` wherever a source is admissible, everything elsewhere; by size when None."""
    table = _masses(groups, admitted)
    if clean_share is None:
        return _by_size(table)
    target = _is_target(groups)
    clean = _by_size(table[target])
    table[target] = 0.0
    # Masses are positive: a column without any has no source.
    share = torch.where(table.amax(0) > 0.0, clean_share, 1.0)
    _by_size(table).mul_(1.0 - share)
    table[target] = clean.mul_(share)
    return table


def _constant(alpha: float | None, schedule: NoiseSchedule) -> Tensor | None:
    return None if alpha is None else torch.full((len(schedule),), alpha, dtype=torch.float64)


def _share_words(alpha: float | None) -> str:
    if alpha is None:
        return "the datasets share a noise level by weight times size"
    return f"the target has {100 * alpha:g} % of each noise level that it shares (alpha {alpha:g})"


def _check_alpha(alpha: float | None, rule: str) -> None:
    if alpha is not None and not 0.0 < alpha < 1.0:
        raise ValueError(
            f"mixing {rule}: alpha = {alpha} must lie strictly between 0 and 1 (the target's share); use "
            "mixing.type=target_only for 1."
        )
