# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint remembers of its mixture, so that a run is never resumed on other data unnoticed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from lerobot.utils.constants import ACTION

from lerobot_ambient.core.plan import Group
from lerobot_ambient.data.open_source import OpenSource
from lerobot_ambient.data.recipe import MixtureRecipe


def describe_source(source: OpenSource, groups: Sequence[Group]) -> str:
    """One readable line that changes when the data set, its selection, weight or windows change."""
    windows = sorted({repr(group.window) for group in groups})
    shown = windows[0] if len(windows) == 1 else f"{len(windows)} windows"
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(source.columns[ACTION]).data)
    digest.update(repr([(group.count, group.window, group.weight) for group in groups]).encode())
    digest.update(repr(source.episode_ids.tolist()).encode())
    # What shapes samples beyond their numbers; absent from the digest where nothing was declared.
    config = source.config
    declared = (config.fps, config.cameras, config.dimensions, config.normalization, config.action_type)
    if declared != (None, {}, {}, "target", None):
        digest.update(repr([sorted(d.items()) if isinstance(d, dict) else d for d in declared]).encode())
    if config.action_gain is not None:
        digest.update(repr(config.action_gain).encode())
    if config.dimension_names and not groups[0].is_target:
        digest.update(repr(sorted(config.dimension_names.items())).encode())
    weight = "" if source.config.weight == 1.0 else f", weight {source.config.weight:g}"
    return (
        f"{source.name}: {len(source.episodes)} episodes, {len(source)} frames, {shown}{weight}, "
        f"{digest.hexdigest()[:12]}"
    )


def describe_recipe(recipe: MixtureRecipe) -> str:
    """One line that changes with the mixing rule and everything else that shapes the law of the draws."""
    extra = (
        "" if recipe.max_amplification is None else f", ambient loss up to amplification {recipe.max_amplification:g}"
    )
    relative = ", relative actions" if recipe.relative_actions else ""
    return (
        f"{recipe.mixing!r} over {recipe.schedule!r}, last {recipe.drop_n_last_frames} frames dropped, "
        f"{recipe.action_mode}{relative}{extra}"
    )


def require_same_mixture(saved: Sequence[str], now: Sequence[str]) -> None:
    """Refuse to resume on a changed mixture.

    Raises:
        ValueError: every line that differs, old and new, and what to do.
    """
    if list(saved) == list(now):
        return
    gone = [f"  checkpoint: {line}" for line in saved if line not in now]
    new = [f"  now:        {line}" for line in now if line not in saved]
    order = [] if gone or new else [f"  the order changed: {list(saved)} / {list(now)}"]
    listing = "\n".join([*gone, *new, *order])
    raise ValueError(
        f"the mixture is not the one this run was started with:\n{listing}\nResume needs the same data, selection, "
        "weights and windows. Restore them, or start a new run from this checkpoint with --policy.path=... ."
    )
