# SPDX-License-Identifier: Apache-2.0
"""`normalization: own`: a source normalised by its own statistics, inside a pipeline that knows only the target's.

LeRobot's preprocessor applies one affine map to every sample, the target's. A source that keeps its own range is
therefore moved beforehand by the affine map whose composition with the target's is its own normalisation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION, OBS_ENV_STATE
from numpy.typing import NDArray

from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.normalization.affine import RELATIVE_ACTION, ActionNormalization, affine_of
from lerobot_ambient.data.normalization.statistics import exact_stats

Affine = tuple[NDArray[np.float64], NDArray[np.float64]]
"""(offset, scale) of the actions of a source that is normalised by its own statistics."""


def own_normalized(
    source: AlignedSource, stats: Mapping[str, Mapping[str, Any]], recipe: MixtureRecipe
) -> tuple[AlignedSource, Affine | None]:
    """Move a source that keeps its own statistics.

    Dimensions the source lacks keep their constants. A dimension that is constant in the source is put at the
    centre of the target's range.

    Args:
        source: aligned.
        stats: the target's.
        recipe: says how actions and observations are normalised.

    Returns:
        The source as it is to be merged, and (offset, scale) of its own normalisation of actions; None for
        `normalization: target`.

    Raises:
        ValueError: relative actions, whose difference of two differently moved numbers would mean nothing.
    """
    if source.config.normalization == "target":
        return source, None
    if recipe.relative_actions:
        raise ValueError(
            f"source '{source.name}': normalization: own cannot be combined with policy.relative_actions=true, which "
            "subtracts states from actions; remove one of them."
        )
    of_actions: Affine | None = None
    columns = dict(source.columns)
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
        columns[key] = moved.astype(np.float32).reshape(values.shape)
        if key == ACTION:
            of_actions = offset, scale
    return replace(source, columns=columns), of_actions


def action_normalizations(
    stats: Mapping[str, Mapping[str, Any]], own: Sequence[Affine | None], recipe: MixtureRecipe, horizon: int
) -> list[ActionNormalization]:
    """What the noise levels of each dataset are relative to: the target's normalisation of actions, or its own.

    Args:
        stats: the target's; with relative actions those of `relative_action_stats` among them.
        own: per dataset, what `own_normalized` returned.
        recipe: says how actions are normalised.
        horizon: steps of a chunk.
    """
    offset, scale = affine_of(stats[RELATIVE_ACTION if recipe.relative_actions else ACTION], recipe.action_mode)
    shared = ActionNormalization(
        mode=recipe.action_mode,
        relative=recipe.relative_actions,
        offset=tuple(float(x) for x in offset.reshape(-1)),
        scale=tuple(float(x) for x in scale.reshape(-1)),
        horizon=horizon,
    )
    return [
        shared if its is None else replace(shared, offset=tuple(its[0].tolist()), scale=tuple(its[1].tolist()))
        for its in own
    ]
