# SPDX-License-Identifier: Apache-2.0
"""Where a large source leaves the target next to nothing, and where a few admitted samples are repeated often.

Without `alpha` the datasets share a noise level by weight times size, so a source fifty times the target's size
takes 98 % of every level at which it may teach. With `alpha` the sources' share of a level does not depend on how
little of them is admitted there: with windows per bucket or data point a handful of chunks may get half of the draws.
Neither is a choice that somebody made; whoever makes a plan is told of it.
Symbols as in `core.plan`: share(source | t) is the fraction of the draws at timestep t, source 0 the target.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lerobot_ambient.core.mixing import Ambient, Cotrain, MixingRule
from lerobot_ambient.core.plan import Plan

LEAST_SHARE = 0.1
"""Below this share of an admitted level the target counts as crowded out; the share itself does not."""

MOST_REPEATED = 10.0
"""A sample of a source may be drawn so many times as often at one level as where all of its source is admitted."""

_NAMED = 6
"""Sources that a sentence names before it counts the rest."""

# Shares reach a model card with six decimals: a tenth must stay a tenth.
_ROUNDING = 1e-6


def crowded_levels(shares: Tensor) -> Tensor:
    """Timesteps at which some source teaches and the target has less than `LEAST_SHARE` of the draws.

    Args:
        shares: (S, T) share(source | t), the target first.

    Returns:
        (T,) bool.
    """
    return (shares[1:] > 0).any(0) & (shares[0] < LEAST_SHARE - _ROUNDING)


def crowded_out(shares: Tensor, sigmas: Tensor, names: Sequence[str], mixing: MixingRule) -> str | None:
    """What to tell a user whose sources crowd the target out because no share was chosen.

    Args:
        shares: (S, T) share(source | t), the target first.
        sigmas: (T,) noise levels.
        names: of the datasets.
        mixing: the rule that made the shares.

    Returns:
        One paragraph with the levels, the shares and the line to write; None where nothing has to be said, also where
        the shares were chosen (an `alpha`, knots, exclusive bands).
    """
    if not isinstance(mixing, Ambient | Cotrain) or mixing.alpha is not None:
        return None
    crowded = crowded_levels(shares)
    if not bool(crowded.any()):
        return None
    kind = "ambient" if isinstance(mixing, Ambient) else "cotrain"
    levels, least = sigmas[crowded], float(shares[0][crowded].min())
    others = [
        f"'{name}'" for name, share in zip(names[1:], shares[1:], strict=True) if bool((share[crowded] > 0).any())
    ]
    named = (
        ", ".join(others) if len(others) <= _NAMED else f"{', '.join(others[:_NAMED])} and {len(others) - _NAMED} more"
    )
    return (
        f"the target '{names[0]}' has less than a tenth of the draws at {int(crowded.sum())} of {len(sigmas)} noise "
        f"levels (sigma {float(levels.min()):.2f} to {float(levels.max()):.2f}), {100 * least:.1f} % at the least: "
        f"without alpha the datasets share a level by size, and {named} "
        f"{'is' if len(others) == 1 else 'are'} large. To give the target half of each level that it shares, write "
        f'--policy.mixing=\'{{"type": "{kind}", "alpha": 0.5}}\', in a file `mixing: {{type: {kind}, alpha: 0.5}}`.'
    )


def repeated_few(plan: Plan, names: Sequence[str], mixing: MixingRule) -> str | None:
    """What to tell a user whose windows leave so few samples at a level that a fixed share repeats them often.

    Args:
        plan: of the mixture.
        names: of the datasets, the target first.
        mixing: the rule that made the plan.

    Returns:
        One paragraph with the source, the levels, how often, and the lines to write; None where nothing has to be
        said, also where the datasets share by size, which repeats nothing.
    """
    if not isinstance(mixing, Ambient) or mixing.alpha is None:
        return None
    counts = torch.tensor([group.count for group in plan.groups], dtype=torch.float64).unsqueeze(1)
    table = torch.zeros(plan.num_sources, len(plan.schedule), dtype=torch.float64)
    admitted = table.index_add(0, plan.source_of_group, counts * (plan.joint > 0))
    # Of one sample, at each level; relative to where the most of its source is admitted.
    rate = plan.shares_by_source() / admitted.clamp_min(1.0)
    fullest = admitted.argmax(1, keepdim=True)
    repeats = torch.where(admitted > 0, rate / rate.gather(1, fullest).clamp_min(torch.finfo(torch.float64).tiny), 0.0)
    repeats[0] = 0.0
    worst = int(repeats.amax(1).argmax())
    most = float(repeats[worst].max())
    if most <= MOST_REPEATED:
        return None
    few = int(admitted[worst][repeats[worst] == most][0])
    levels = plan.schedule.sigmas[repeats[worst] > MOST_REPEATED]
    target = sum(group.count for group in plan.groups if group.is_target)
    weight = target / float(admitted[worst].max()) * (1.0 - mixing.alpha) / mixing.alpha
    return (
        f"alpha {mixing.alpha:g} gives {few} samples of '{names[worst]}', all that its windows admit at a noise level, "
        f"{most:.0f} times as many draws there as where {int(admitted[worst].max())} are admitted (sigma "
        f"{float(levels.min()):.2f} to {float(levels.max()):.2f}). With windows this fine let the datasets share by "
        f'size: --policy.mixing=\'{{"type": "ambient", "alpha": null}}\', and weight: {weight:.3g} on the '
        f"source, which leaves the target {100 * mixing.alpha:g} % where all of it is admitted."
    )
