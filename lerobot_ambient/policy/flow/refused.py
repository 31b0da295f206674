# SPDX-License-Identifier: Apache-2.0
"""Policies of LeRobot that have no ambient form, with the reason and what serves in their place."""

from __future__ import annotations

_INSTEAD = "Use ambient_diffusion, ambient_smolvla, ambient_pi0, ambient_pi05 or another ambient type"

_REGRESSION = "it predicts actions directly, without noise levels, so there is no level to which a source could be kept"
_TOKENS = "it predicts actions as tokens, one after another, so there are no noise levels"

_REASONS = {
    "act": _REGRESSION,
    "vqbet": _TOKENS,
    "pi0_fast": f"{_TOKENS}; pi0 and pi0.5 have an ambient form",
    "tdmpc": "it plans with a learned model and reward, without noise levels",
    "gaussian_actor": "it predicts a Gaussian over actions, without noise levels",
    "evo1": (
        "its noise is uniform and not Gaussian, so what noise buries of a source does not follow from its sigma, and a "
        "window would promise more than it keeps"
    ),
    "lingbot_va": "it draws one time for a whole batch, so samples of different datasets cannot have different levels",
}


def why_not(kind: str) -> str:
    """Why a policy type of LeRobot's cannot be trained on sources with windows, and what can.

    Args:
        kind: its registered name.
    """
    reason = _REASONS.get(kind, "this package does not know where it draws its noise levels")
    return f"It has no ambient form: {reason}. {_INSTEAD}, or train {kind} on the target alone."
