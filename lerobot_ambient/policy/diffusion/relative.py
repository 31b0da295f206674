# SPDX-License-Identifier: Apache-2.0
"""Chunks relative to the current state, as an affine map between normalised spaces.

Symbols (per action dimension)
    a, s              raw action and raw current state
    (o_a, k_a)        offset and scale of normalised actions:  a = o_a + k_a a_n ; (o_s, k_s) of states
    (o_r, k_r)        of normalised relative actions:           a - s = o_r + k_r x

LeRobot's relative-action processor steps are not used: they take a state without history (B, D), and after
inference they add the state of the present step, whereas a queued action of a chunk refers to the state at
which the chunk was predicted. Inside the policy both are at hand, and the queue holds absolute actions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lerobot_ambient.data.normalization.affine import affine_of


class RelativeActions(nn.Module):
    """Normalised absolute chunk <-> normalised relative chunk. Its constants are saved with the policy.

    Args:
        action_dim: number of action dimensions A.
    """

    action_offset: Tensor
    action_scale: Tensor
    state_offset: Tensor
    state_scale: Tensor
    relative_offset: Tensor
    relative_scale: Tensor

    def __init__(self, action_dim: int) -> None:
        super().__init__()
        for name in ("action", "state", "relative"):
            self.register_buffer(f"{name}_offset", torch.zeros(action_dim))
            self.register_buffer(f"{name}_scale", torch.ones(action_dim))

    def fit(self, stats: Mapping[str, Mapping[str, Any]], keys: Mapping[str, str], modes: Mapping[str, str]) -> None:
        """Take the constants from dataset statistics.

        Args:
            stats: LeRobot statistics by feature key.
            keys: feature key of each of "action", "state", "relative".
            modes: NormalizationMode value of each.
        """
        for name, key in keys.items():
            offset, scale = affine_of(stats[key], modes[name])
            getattr(self, f"{name}_offset").copy_(torch.as_tensor(offset).reshape(-1))
            getattr(self, f"{name}_scale").copy_(torch.as_tensor(scale).reshape(-1))

    def encode(self, action: Tensor, state: Tensor) -> Tensor:
        """(B, H, A) normalised absolute chunk and (B, A) normalised current state to (B, H, A) relative."""
        raw = self.action_offset + self.action_scale * action
        return (raw - self._raw_state(state) - self.relative_offset) / self.relative_scale

    def decode(self, relative: Tensor, state: Tensor) -> Tensor:
        """Inverse of `encode`."""
        raw = self.relative_offset + self.relative_scale * relative + self._raw_state(state)
        return (raw - self.action_offset) / self.action_scale

    def _raw_state(self, state: Tensor) -> Tensor:
        return (self.state_offset + self.state_scale * state).unsqueeze(1)
