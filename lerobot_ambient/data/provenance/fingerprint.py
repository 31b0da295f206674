# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint remembers of its mixture, so that a run is never resumed on other data unnoticed.

Every text here stands in checkpoints, openly or in a digest. So it is written out, with the class names of version 0.1,
and depends on no `repr` of a class: a renamed class or a new option changes no mixture that does not use it. Numbers
and names are written as Python's literals. An option that is added later joins the text only where it is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from lerobot.utils.constants import ACTION, OBS_STATE

from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group
from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.declared.alignment import CameraConfig, DimensionConfig
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source

_UNDECLARED = (None, "target", None)
"""fps, normalization and action_type of a source that says nothing of them."""


def describe_source(source: AlignedSource, groups: Sequence[Group]) -> str:
    """One readable line that changes when the dataset, its selection, weight or windows change."""
    windows = sorted({group.window.notation for group in groups})
    shown = windows[0] if len(windows) == 1 else f"{len(windows)} windows"
    digest = hashlib.sha256()
    digest.update(np.ascontiguousarray(source.columns[ACTION]).data)
    rows = (f"({group.count}, {group.window.notation}, {group.weight!r})" for group in groups)
    digest.update(f"[{', '.join(rows)}]".encode())
    digest.update(repr(source.episode_ids.tolist()).encode())
    # What shapes samples beyond their numbers; absent from the digest where nothing was declared.
    config = source.config
    if config.cameras or config.dimensions or (config.fps, config.normalization, config.action_type) != _UNDECLARED:
        digest.update(_alignment(config).encode())
    if config.action_gain is not None:
        digest.update(repr(config.action_gain).encode())
    if config.bgr:
        digest.update(f"bgr {sorted(config.bgr)!r}".encode())
    if config.dimension_names and not groups[0].is_target:
        digest.update(repr(sorted(config.dimension_names.items())).encode())
    if source.computed:
        # Of an end effector: the actions above are what was computed, and so are the states.
        digest.update(np.ascontiguousarray(source.columns.get(OBS_STATE, np.empty(0))).data)
    if config.holdout > 0.0:
        digest.update(f"holdout {config.holdout!r}".encode())
    held = "" if config.holdout == 0.0 else f", holdout {config.holdout:g}"
    streamed = "" if source.storage.identity is None else f", videos {source.storage.identity} on the Hub"
    weight = "" if source.config.weight == 1.0 else f", weight {source.config.weight:g}"
    return (
        f"{source.name}: {len(source.episodes)} episodes, {len(source)} frames, {shown}{weight}{held}{streamed}, "
        f"{digest.hexdigest()[:12]}"
    )


def describe_recipe(recipe: MixtureRecipe) -> str:
    """One line that changes with the mixing rule and everything else that shapes the law of the draws."""
    extra = (
        "" if recipe.max_amplification is None else f", ambient loss up to amplification {recipe.max_amplification:g}"
    )
    relative = ", relative actions" if recipe.relative_actions else ""
    return (
        f"{recipe.mixing.identity} over {_levels(recipe.schedule)}, last {recipe.drop_n_last_frames} frames dropped, "
        f"{recipe.action_mode}{relative}{extra}"
    )


def _alignment(config: Source) -> str:
    cameras = (f"({key!r}, {_camera(camera)})" for key, camera in sorted(config.cameras.items()))
    dimensions = (f"({key!r}, {{{_dimensions(of_key)}}})" for key, of_key in sorted(config.dimensions.items()))
    return (
        f"[{config.fps!r}, [{', '.join(cameras)}], [{', '.join(dimensions)}], {config.normalization!r}, "
        f"{config.action_type!r}]"
    )


def _camera(camera: CameraConfig) -> str:
    return f"CameraConfig(fit={camera.fit!r}, fill={camera.fill!r})"


def _dimensions(of_key: Mapping[str, DimensionConfig]) -> str:
    return ", ".join(
        f"{name!r}: DimensionConfig(take={one.take!r}, scale={one.scale!r}, offset={one.offset!r}, fill={one.fill!r}, "
        f"mask={one.mask!r}, interpolation={one.interpolation!r})"
        for name, one in of_key.items()
    )


def _levels(schedule: NoiseSchedule) -> str:
    if schedule.law is not None:
        return f"{len(schedule)} cells of {schedule.law}"
    return f"NoiseSchedule(T={len(schedule)}, sigma {schedule.sigmas[0]:.4f} .. {schedule.sigmas[-1]:.4f})"


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
