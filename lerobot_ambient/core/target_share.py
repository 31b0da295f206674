# SPDX-License-Identifier: Apache-2.0
"""Where a large source leaves the target next to nothing.

Without `alpha` the datasets share a noise level by weight times size, so a source fifty times the target's size
takes 98 % of every level at which it may teach. That is a choice nobody made; whoever makes a plan is told of it.
Symbols as in `core.plan`: share(source | t) is the fraction of the draws at timestep t, source 0 the target.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lerobot_ambient.core.mixing import Ambient, Cotrain, MixingRule

LEAST_SHARE = 0.1
"""Below this share of an admitted level the target counts as crowded out; the share itself does not."""

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
    return (
        f"the target '{names[0]}' has less than a tenth of the draws at {int(crowded.sum())} of {len(sigmas)} noise "
        f"levels (sigma {float(levels.min()):.2f} to {float(levels.max()):.2f}), {100 * least:.1f} % at the least: "
        f"without alpha the datasets share a level by size, and {', '.join(others)} "
        f"{'is' if len(others) == 1 else 'are'} large. To give the target half of each level that it shares, write "
        f'--policy.mixing=\'{{"type": "{kind}", "alpha": 0.5}}\', in a file `mixing: {{type: {kind}, alpha: 0.5}}`.'
    )
