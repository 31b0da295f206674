# SPDX-License-Identifier: Apache-2.0
"""Adam in one kernel, as an optimiser of LeRobot's: for networks so small that Adam's calls cost as much as they do.

LeRobot's own takes a dozen calls for each weight matrix. Its state is the same, so it is kept in LeRobot's form: what
was trained by one can be resumed by the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from lerobot.optim.optimizers import AdamConfig, OptimizerConfig
from torch import Tensor

_FUSED_ON = ("cpu", "cuda")


class FusedAdam(torch.optim.Adam):
    """torch's Adam with `fused`, which its state does not mention: LeRobot refuses a state with another `fused`."""

    def state_dict(self) -> dict[str, Any]:
        told = super().state_dict()
        return told | {"param_groups": [group | {"fused": None} for group in told["param_groups"]]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        groups = [group | {"fused": True} for group in state_dict["param_groups"]]
        super().load_state_dict(state_dict | {"param_groups": groups})


@OptimizerConfig.register_subclass("fused_adam")
@dataclass
class FusedAdamConfig(AdamConfig):
    """LeRobot's AdamConfig, fused wherever torch can. The rule is Adam's; the last bits of the weights differ."""

    def build(self, params: Any) -> torch.optim.Optimizer:
        params = list(params)
        if not all(map(_can_be_fused, _tensors(params))):
            return super().build(params)
        options = asdict(self)
        options.pop("grad_clip_norm")
        return FusedAdam(params, **options, fused=True)


def _tensors(params: Iterable[Any]) -> Iterator[Tensor]:
    """Those of an optimiser's parameters, of which some may be groups."""
    for one in params:
        if isinstance(one, dict):
            yield from [one["params"]] if isinstance(one["params"], Tensor) else one["params"]
        else:
            yield one


def _can_be_fused(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.device.type in _FUSED_ON
