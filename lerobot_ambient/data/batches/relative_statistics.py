# SPDX-License-Identifier: Apache-2.0
"""Statistics of the target's chunks relative to the current state, as LeRobot-style statistics of actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from lerobot.utils.constants import ACTION, OBS_STATE

from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.batches.columns import Columns
from lerobot_ambient.data.files.dimension_names import read_names


def relative_action_stats(
    target: AlignedSource, columns: Columns, kept: tuple[np.ndarray, np.ndarray]
) -> dict[str, Any]:
    """LeRobot-style statistics (A,) of the target's raw chunks minus the current state, padding left out.

    Raises:
        ValueError: action and state do not have the same dimensions.
    """
    action, state = target.features.get(ACTION), target.features.get(OBS_STATE)
    if action is None or state is None or tuple(action["shape"]) != tuple(state["shape"]):
        shapes = {key: spec and tuple(spec["shape"]) for key, spec in ((ACTION, action), (OBS_STATE, state))}
        raise ValueError(
            f"relative_actions subtracts {OBS_STATE} from {ACTION}, so both need the same dimensions; "
            f"'{target.name}' has {shapes}. Set --policy.relative_actions=false."
        )
    names, others = (read_names(spec).names for spec in (action, state))
    if names != others and sorted(names) == sorted(others):
        raise ValueError(
            f"relative_actions subtracts {OBS_STATE} from {ACTION} place by place, and '{target.name}' has them in "
            f"another order, {list(others)} and {list(names)}. Set policy.relative_actions=false."
        )
    rows = torch.from_numpy(np.concatenate([np.arange(a, b) for a, b in zip(*kept, strict=True)]))
    size = int(np.prod(action["shape"]))
    values = []
    for some in rows.split(65536):
        chunks, is_pad = columns.relative_chunks(ACTION, OBS_STATE, some)
        values.append(chunks.reshape(*is_pad.shape, size)[~is_pad].double())
    flat = torch.cat(values)
    low, high, std = flat.amin(0), flat.amax(0), flat.std(0, correction=0)
    # A dimension that never moves gets range 1: nothing may be divided by its rounding errors.
    constant = high == low
    return {
        "min": torch.where(constant, low - 0.5, low).float(),
        "max": torch.where(constant, high + 0.5, high).float(),
        "mean": flat.mean(0).float(),
        "std": torch.where(constant, 1.0, std).float(),
        **{
            f"q{int(100 * q):02d}": torch.where(
                constant, low + (0.5 if q > 0.5 else -0.5), torch.from_numpy(np.quantile(flat.numpy(), q, axis=0))
            ).float()
            for q in (0.01, 0.1, 0.9, 0.99)
        },
    }
