# SPDX-License-Identifier: Apache-2.0
"""Brings a source into the target's language: dimensions, units, action type, cameras; or says why it cannot be."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION

from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.alignment.convert_actions import convert_actions
from lerobot_ambient.data.alignment.feature_map import ABSENT, FeatureMap, resolve
from lerobot_ambient.data.cameras.readers import SAME_ASPECT
from lerobot_ambient.data.files.camera_specs import CAMERA_DTYPES, camera_shape, is_depth
from lerobot_ambient.data.files.dimension_names import dimension_names, read_names
from lerobot_ambient.data.files.policy_numbers import NO_NUMBERS, READ_BY_POLICY, axes_problem
from lerobot_ambient.data.reading.open_dataset import OpenedDataset, is_bookkeeping, is_policy_feature

logger = logging.getLogger(__name__)

_SHOWN = 6
_NOTHING = {"dtype": "float32", "shape": (0,), "names": None}


def align(target: AlignedSource, source: OpenedDataset, target_action_type: str | None = None) -> AlignedSource:
    """The source with the target's features, dimensions, units and action type.

    Harmless differences pass: order of named dimensions, further dimensions and features, file layout, info keys.

    Args:
        target: see `align_target`.
        source: as opened.
        target_action_type: absolute or delta; guessed when None.

    Raises:
        ValueError: both sides of every difference that is neither harmless nor declared.
    """
    problems: list[str] = []
    maps: dict[str, FeatureMap] = {}
    features = dict(source.features)
    columns = dict(source.columns)
    for key in source.config.dimensions:
        if key not in target.columns or not is_policy_feature(key):
            known = [k for k in target.columns if is_policy_feature(k)]
            problems.append(f"dimensions names '{key}', the target's numeric features are {known}")
    for key in source.config.cameras:
        if key not in target.camera_keys:
            problems.append(f"cameras names '{key}', the target's cameras are {target.camera_keys}")
    for key, wanted in target.features.items():
        if not is_policy_feature(key):
            continue
        if wanted["dtype"] in CAMERA_DTYPES:
            problems.extend(_camera_problems(key, wanted, source))
            features[key] = wanted
            continue
        if wanted["dtype"] in NO_NUMBERS:
            continue
        offered = source.features.get(key)
        if offered is None:
            offered = _all_absent(key, source)
        needed = key in READ_BY_POLICY or key in source.config.dimensions
        if not needed and (offered is None or _differ(key, target, source) or resolve(key, wanted, offered, {})[1]):
            # Diffusion policies do not read it; what not every dataset has is left out of the mixture.
            features.pop(key, None)
            continue
        if offered is None:
            problems.append(
                f"{key}: missing in the source (it has {_spare_keys(target, source)}); {_missing_hint(key)}"
            )
            continue
        if offered["dtype"] in CAMERA_DTYPES:
            problems.append(f"{key}: target holds numbers ({wanted['dtype']}), source a camera ({offered['dtype']})")
            continue
        if (problem := axes_problem(key, offered)) is not None:
            problems.append(problem)
            continue
        maps[key], found = resolve(key, wanted, offered, source.config.dimensions.get(key, {}))
        problems.extend(found)
        if not found:
            columns[key] = _apply(maps[key], source, key, target)
            features[key] = wanted
    if problems:
        listing = "\n".join(f"  {line}" for line in problems)
        raise ValueError(
            f"source '{source.name}' does not fit the target '{target.name}':\n{listing}\n{_what_to_do(target, source)}"
        )
    aligned = AlignedSource.of(_with_gain_of_entry(source, maps), maps, features, columns)
    _log(target, source, maps)
    if swapped := [key for key in target.camera_keys if source.config.has_swapped(source.original.get(key))]:
        note = f"red and blue of {', '.join(swapped)} are swapped back (bgr)"
        logger.info("'%s': %s", source.name, note)
        aligned = replace(aligned, notes=(*aligned.notes, note))
    return convert_actions(target, aligned, target_action_type)


def _what_to_do(target: AlignedSource, source: OpenedDataset) -> str:
    """How the lines that are missing are found."""
    suggest = "`lerobot-ambient inspect --suggest` with the same options proposes what to declare."
    if target.computed:
        lacks = {key: rules for key in target.computed if (rules := _absent(key, target, source))}
        line = ", ".join(f"{key}: {{{', '.join(rules)}}}" for key, rules in lacks.items())
        return f"What it lacks of the target's poses is declared so, with the target's means:\n  dimensions: {{{line}}}"
    here, there = (set(read_names(one.features.get(ACTION, _NOTHING)).names) for one in (target, source))
    if {"x", "y", "z"} <= there and not {"x", "y", "z"} & here:
        return (
            f"{suggest} Its actions are of an end effector and the target's are not: policy.target_end_effector learns "
            "poses of both, see docs/how-to/train-in-end-effector-space.md."
        )
    return suggest


def _absent(key: str, target: AlignedSource, source: OpenedDataset) -> list[str]:
    """Rules for the dimensions of a feature that a source lacks and says nothing of."""
    there = set(read_names(source.features[key]).names) if key in source.features else set()
    there |= set(source.config.dimensions.get(key, {}))
    means = target.columns[key].mean(0)
    return [
        f"{name}: {'{mask: true}' if key == ACTION else f'{{fill: {mean:.4g}}}'}"
        for name, mean in zip(read_names(target.features[key]).names, means, strict=True)
        if name not in there
    ]


def _with_gain_of_entry(source: OpenedDataset, maps: Mapping[str, FeatureMap]) -> OpenedDataset:
    """A catalogue entry gives gains by its own dimensions, which the target may call otherwise or not have."""
    gain = source.config.action_gain
    if source.config.catalogue is None or not isinstance(gain, Mapping) or ACTION not in maps:
        return source
    own, taken = read_names(source.features[ACTION]).names, maps[ACTION]
    named = {
        name: gain.get(name, gain.get(own[place]))
        for name, place in zip(taken.names, taken.take, strict=True)
        if place != ABSENT
    }
    given = {name: one for name, one in named.items() if one is not None}
    return source if given == gain else replace(source, config=replace(source.config, action_gain=given))


def align_target(target: OpenedDataset) -> AlignedSource:
    """The target onto itself; its maps have a remark where its names cannot be read."""
    maps = {
        key: resolve(key, spec, spec, {})[0]
        for key, spec in target.features.items()
        if is_policy_feature(key) and spec["dtype"] not in NO_NUMBERS
    }
    # Without any names a dataset fits itself.
    maps = {
        key: feature if read_names(target.features[key]).problem else replace(feature, remark=None)
        for key, feature in maps.items()
    }
    return AlignedSource.of(target, maps)


def _differ(key: str, target: AlignedSource, source: OpenedDataset) -> bool:
    """Whether numbers that the policy does not read are of two types; those it reads are float32 everywhere."""
    return key not in source.columns or source.columns[key].dtype != target.columns[key].dtype


def _apply(feature: FeatureMap, source: OpenedDataset, key: str, target: AlignedSource) -> Any:
    shape = (len(source), *target.columns[key].shape[1:])
    if key not in source.columns:
        return np.tile(feature.offset.astype(np.float32), (len(source), 1)).reshape(shape)
    return feature.apply(source.columns[key].reshape(len(source), -1)).reshape(shape)


def _all_absent(key: str, source: OpenedDataset) -> dict[str, Any] | None:
    """A stand-in for a feature the source lacks entirely and whose every dimension is declared filled or masked."""
    rules = source.config.dimensions.get(key)
    if rules and all(rule.is_absent for rule in rules.values()):
        return {"dtype": "float32", "shape": (len(rules) + 1,), "names": None}
    return None


def _camera_problems(key: str, wanted: dict[str, Any], source: OpenedDataset) -> list[str]:
    declared = source.config.cameras.get(key)
    offered = source.features.get(key)
    if declared is not None and declared.fill is not None:
        if offered is not None:
            return [
                f"{key}: cameras says the source lacks it (fill: {declared.fill:g}), but it has it; remove the fill"
            ]
        return []
    if key in source.frameless:
        return [
            f"{key}: the source declares this camera in meta/info.json, but {source.frameless[key]}; bring its frames "
            f"back (a new download, say), or let a grey image stand for it, cameras: {{{key}: {{fill: 0.0}}}}"
        ]
    if offered is None:
        own = source.camera_keys
        return [
            f"{key}: the source lacks this camera (it has {own}); rename one, rename: {{<its key>: {key}}}, or let a "
            f"grey image stand for it, cameras: {{{key}: {{fill: 0.0}}}}"
        ]
    if offered["dtype"] not in CAMERA_DTYPES:
        return [f"{key}: target holds a camera ({wanted['dtype']}), source numbers ({offered['dtype']})"]
    (channels, *size), (other_channels, *other) = camera_shape(wanted), camera_shape(offered)
    if channels != other_channels:
        kinds = [" (depth)" if is_depth(spec) else "" for spec in (wanted, offered)]
        return [
            f"{key}: target has {channels} channels{kinds[0]}, source {other_channels}{kinds[1]}; rename another "
            "camera of the source to this key, or rename this one away and let a grey image stand for it, "
            f"cameras: {{{key}: {{fill: 0.0}}}}"
        ]
    same = abs(size[0] * other[1] / (size[1] * other[0]) - 1.0) <= SAME_ASPECT
    if not same and (declared is None or declared.fit is None):
        return [
            f"{key}: target is {size[0]}x{size[1]}, source {other[0]}x{other[1]}, another aspect ratio; choose "
            f"cameras: {{{key}: {{fit: stretch}}}}, or pad, or crop"
        ]
    return []


def _spare_keys(target: AlignedSource, source: OpenedDataset) -> list[str]:
    return [key for key in source.features if key not in target.features and not key.startswith("next.")]


def _missing_hint(key: str) -> str:
    rename = f"map one with rename: {{<its key>: {key}}}"
    if key == ACTION:
        return rename
    return f"{rename}, or declare every dimension absent, dimensions: {{{key}: {{<name>: {{fill: 0.0}}}}}}"


def _listed(names: Sequence[str]) -> str:
    """Names in one line; of many the first ones and how many there are."""
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ... ({len(names)} dimensions)"


def _log(target: AlignedSource, source: OpenedDataset, maps: dict[str, FeatureMap]) -> None:
    for key, feature in maps.items():
        if feature.left_out and key in source.columns:
            names = dimension_names(source.features[key])
            out = [names[i] for i in feature.left_out]
            logger.info("'%s': %s leaves out %s", source.name, key, _listed(out))
        absent = [name for name, take in zip(feature.names, feature.take, strict=True) if take == ABSENT]
        if absent:
            logger.info(
                "'%s': %s has no %s; declared constants or masks stand for them", source.name, key, _listed(absent)
            )
    if source.fps != target.fps:
        logger.info("'%s': resampled in time from %g to %g fps", source.name, source.fps, target.fps)


def common_keys(sources: Sequence[AlignedSource]) -> list[str]:
    """Keys that every dataset has; what only some have cannot be collated and is left out."""
    first = sources[0].features
    return [key for key, spec in first.items() if all(_alike(key, spec, source.features) for source in sources)]


def _alike(key: str, spec: dict[str, Any], features: dict[str, dict[str, Any]]) -> bool:
    if key not in features or is_policy_feature(key):
        return key in features
    return (spec["dtype"], tuple(spec["shape"])) == (features[key]["dtype"], tuple(features[key]["shape"]))


def left_out_keys(sources: Sequence[AlignedSource]) -> list[str]:
    """Features that only some datasets have and that the merge therefore drops."""
    common = set(common_keys(sources))
    return sorted(
        {key for source in sources for key in source.features if key not in common and not is_bookkeeping(key)}
    )
