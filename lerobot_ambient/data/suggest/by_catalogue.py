# SPDX-License-Identifier: Apache-2.0
"""What the catalogue knows of a source, as a proposal: its entry, and which of its cameras are the target's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
from lerobot.utils.constants import ACTION

from lerobot_ambient.data.alignment.match_names import words_of
from lerobot_ambient.data.catalogue.compare import differing, disagreements, doubtful
from lerobot_ambient.data.catalogue.entry import KINDS, Entry
from lerobot_ambient.data.catalogue.library import entry, entry_of, unpinned
from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.dimension_names import with_names
from lerobot_ambient.data.suggest.dataset_facts import DatasetFacts, facts_of
from lerobot_ambient.data.suggest.suggest import Option, Suggestion, suggest

_HANDS = frozenset({"wrist", "hand", "gripper", "eye"})
_FROM_OUTSIDE = ("third_person", "head")


def suggest_known(target: DatasetFacts, declared: Source) -> Suggestion:
    """What a source needs so that it can be merged with the target, with what the catalogue says of it.

    Args:
        target: under the keys the policy sees.
        declared: the source as configured; what it says is kept.

    Raises:
        ValueError: a dataset that cannot be opened, or a target without actions.
    """
    known = entry_of(declared.repo_id) if declared.catalogue is None else entry(unpinned(declared.catalogue)[0])
    if known is None:
        return suggest(target, facts_of(declared), declared)
    facts = facts_of(_itself(declared))
    found = disagreements(known, fps=facts.fps, robot_type=facts.robot_type, features=facts.features)
    if any(one.changes_meaning for one in found):
        own = declared if declared.catalogue is None else _itself(declared)
        told = suggest(target, facts_of(own), own)
        line = f"another dataset than the catalogue has: {differing(known, found)}"
        if declared.catalogue is None:
            return replace(told, notes=[line, *told.notes])
        return replace(told, problems=[line, *told.problems])
    views = dict(declared.views) or views_of(known, target.camera_keys, declared.rename)
    source = _with(declared, catalogue=known.name if declared.catalogue is None else declared.catalogue, views=views)
    reasons = _reasons(known, declared, views)
    source, without = _without_grippers(target, known, source)
    told = suggest(target, _without_padding(_as_declared(facts, source), known), source)
    reasons |= without
    notes = [*([differing(known, found)] if found else []), *filter(None, [doubtful(known), _of_poses(known, target)])]
    return replace(told, reasons={**reasons, **told.reasons}, notes=[*notes, *told.notes])


def _of_poses(known: Entry, target: DatasetFacts) -> str | None:
    """What to know where poses or steps of an end effector stand beside joints."""
    action = known.action
    if action is None or not action.kind.startswith("ee_") or {"x", "y", "z"} & set(target.names(ACTION)):
        return None
    return (
        f"its actions are {KINDS[action.kind]}, the target's are {_some(target.names(ACTION))}: at most its gripper "
        "teaches. policy.target_end_effector lets the policy learn poses of both; see "
        "docs/how-to/train-in-end-effector-space.md"
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def views_of(known: Entry, cameras: Sequence[str], rename: Mapping[str, str]) -> dict[str, str]:
    """The target's cameras by what they seem to look from, for those that the user has not mapped.

    Args:
        known: the entry of the source.
        cameras: the target's keys.
        rename: of the source, as declared.
    """
    views: dict[str, str] = {}
    for key in cameras:
        if key in rename.values():
            continue
        roles = _roles_of(key)
        has = [role for role in roles if known.camera_of(role) is not None and role not in views]
        numbered = [f"{roles[0]}_{n}" for n in range(2, 10) if known.camera_of(f"{roles[0]}_{n}") is not None]
        free = [*has, *(role for role in numbered if role not in views), *(role for role in roles if role not in views)]
        if free:
            views[free[0]] = key
    return views


def _roles_of(key: str) -> tuple[str, ...]:
    """What a camera looks from by its key, the likeliest first."""
    words = set(words_of(key.removeprefix("observation.images.")))
    side = "left" if "left" in words else "right" if "right" in words else None
    if words & _HANDS:
        return ("wrist",) if side is None else (f"{side}_wrist",)
    return _FROM_OUTSIDE[::-1] if "head" in words else _FROM_OUTSIDE


def _reasons(known: Entry, declared: Source, views: Mapping[str, str]) -> dict[Option, str]:
    reasons: dict[Option, str] = {}
    if declared.catalogue is None:
        reasons["catalogue",] = f"says what its numbers are: lerobot-ambient catalogue {known.name}"
    for role in views if not declared.views else ():
        own = known.camera_of(role)
        reasons["views", role] = (
            "the dataset has no such camera: black" if own is None else f"its {own}: check the view"
        )
    return reasons


def _itself(declared: Source) -> Source:
    """The dataset of a source under its own keys and names."""
    kept = ("repo_id", "root", "revision", "episodes", "fps")
    return Source(**{name: getattr(declared, name) for name in kept})


def _with(declared: Source, *, catalogue: str, views: Mapping[str, str]) -> Source:
    """A source with an entry and views, read as if they had been declared so."""
    values = {one.name: getattr(declared, one.name) for one in fields(declared)}
    return Source(**{**values, "catalogue": unpinned(catalogue)[0], "views": dict(views)})


def _as_declared(facts: DatasetFacts, source: Source) -> DatasetFacts:
    renamed = facts.renamed(source.rename)
    return replace(renamed, features=with_names(renamed.features, source.dimension_names, facts.name))


def _without_grippers(target: DatasetFacts, known: Entry, source: Source) -> tuple[Source, dict[Option, str]]:
    """A source that has no gripper where its entry has none, since the last of its joints might be taken for one."""
    dimensions = {key: dict(rules) for key, rules in source.dimensions.items()}
    reasons: dict[Option, str] = {}
    for own, feature in known.features.items():
        key = known.rename.get(own, own)
        if any("gripper" in name for name in feature.names):
            continue
        for name in target.names(key):
            if "gripper" not in name or name in dimensions.get(key, {}):
                continue
            mean = target.number(key, "mean", name)
            if key == ACTION:
                rule, why = DimensionConfig(mask=True), "its entry has no gripper: no loss"
            elif mean is not None:
                rule, why = DimensionConfig(fill=float(f"{mean:.4g}")), "its entry has no gripper: the target's mean"
            else:
                continue
            dimensions.setdefault(key, {})[name] = rule
            reasons["dimensions", key, name] = why
    values = {one.name: getattr(source, one.name) for one in fields(source)}
    return Source(**{**values, "dimensions": dimensions}), reasons


def _without_padding(facts: DatasetFacts, known: Entry) -> DatasetFacts:
    """Nothing of a target's resembles what is always 0."""
    features, stats = dict(facts.features), dict(facts.stats)
    for own, feature in known.features.items():
        key = known.rename.get(own, own)
        names = facts.names(key)
        kept = [i for i, name in enumerate(names) if name not in feature.padding]
        if not kept or len(kept) == len(names):
            continue
        features[key] = features[key] | {"shape": (len(kept),), "names": [names[i] for i in kept]}
        values = {name: np.asarray(numbers).reshape(-1) for name, numbers in stats.get(key, {}).items()}
        stats[key] = {name: numbers[kept] for name, numbers in values.items() if len(numbers) == len(names)}
    return replace(facts, features=features, stats=stats)
