# SPDX-License-Identifier: Apache-2.0
"""`normalization: own`: a source normalised by its own statistics, inside a pipeline that knows only the target's.

LeRobot's preprocessor applies one affine map to every sample, the target's. A source that keeps its own range is
therefore moved beforehand by the affine map whose composition with the target's is its own normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION, OBS_ENV_STATE
from numpy.typing import NDArray

from lerobot_ambient.data.normalization import affine_of
from lerobot_ambient.data.open_source import OpenSource
from lerobot_ambient.data.recipe import MixtureRecipe
from lerobot_ambient.data.statistics import exact_stats

Affine = tuple[NDArray[np.float64], NDArray[np.float64]]


def own_normalized(source: OpenSource, stats: Mapping[str, Mapping[str, Any]], recipe: MixtureRecipe) -> Affine | None:
    """Move a source that keeps its own statistics, in place.

    Dimensions the source lacks keep their constants. A dimension that is constant in the source is put at the
    centre of the target's range.

    Args:
        source: aligned.
        stats: the target's.
        recipe: says how actions and observations are normalised.

    Returns:
        (offset, scale) of the source's own normalisation of actions; None for `normalization: target`.

    Raises:
        ValueError: relative actions, whose difference of two differently moved numbers would mean nothing.
    """
    if source.config.normalization == "target":
        return None
    if recipe.relative_actions:
        raise ValueError(
            f"source '{source.name}': normalization: own cannot be combined with policy.relative_actions=true, which "
            "subtracts states from actions; remove one of them."
        )
    of_actions: Affine | None = None
    for key, values in source.columns.items():
        # LeRobot's diffusion policies leave the environment state as it is.
        if key not in source.maps or key == OBS_ENV_STATE:
            continue
        mode = recipe.action_mode if key == ACTION else recipe.state_mode
        exact = exact_stats(values)
        own, target = affine_of(exact, mode), affine_of(stats[key], mode)
        constant = exact["min"] == exact["max"]
        lacking = source.maps[key].take < 0
        offset = np.where(constant, exact["min"], own[0])
        scale = np.where(constant, target[1].reshape(-1), own[1])
        offset, scale = (
            np.where(lacking, target[0].reshape(-1), offset),
            np.where(lacking, target[1].reshape(-1), scale),
        )
        factor = target[1].reshape(-1) / scale
        moved = (values.reshape(len(values), -1) - offset) * factor + target[0].reshape(-1)
        source.columns[key] = moved.astype(np.float32).reshape(values.shape)
        if key == ACTION:
            of_actions = offset, scale
    return of_actions
