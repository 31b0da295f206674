# SPDX-License-Identifier: Apache-2.0
"""Proposes the alignment a source needs: a block of configuration that a person reads and says yes to.

Nothing here changes what is merged: a proposal counts only once it stands in the configuration. Every line says why
it was proposed; what was guessed from order or ranges says what to check.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from lerobot.utils.constants import ACTION, OBS_STATE

from lerobot_ambient.data.alignment.feature_map import resolve
from lerobot_ambient.data.alignment.match_keys import match_cameras, match_numbers
from lerobot_ambient.data.alignment.match_names import Dimension
from lerobot_ambient.data.alignment.match_units import is_elsewhere
from lerobot_ambient.data.alignment.target_keys import require_policy_keys
from lerobot_ambient.data.cameras.readers import SAME_ASPECT
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.camera_specs import camera_shape, policy_spec
from lerobot_ambient.data.files.dimension_names import is_numbered
from lerobot_ambient.data.files.policy_numbers import READ_BY_POLICY
from lerobot_ambient.data.reading.open_dataset import is_policy_feature
from lerobot_ambient.data.suggest.dataset_facts import DatasetFacts, facts_of
from lerobot_ambient.data.suggest.dimensions import FeatureProposal, adopt, propose_dimensions

__all__ = ["DatasetFacts", "Option", "Suggestion", "facts_of", "suggest"]

Option = tuple[str, ...]
"""Where an option stands in a source's configuration, e.g. ("dimensions", "action", "gripper.pos")."""

_STEPS, _POSITIONS = 0.2, 0.5
"""Actions that move less than the first times as far as the states look like steps, from the second on not."""


@dataclass(frozen=True)
class Suggestion:
    """A source's configuration with what its alignment needs.

    Args:
        name: of the source.
        heading: both datasets in one line.
        config: options of Source, those declared and those proposed, as plain values; defaults left out.
        reasons: why each proposed option is proposed.
        alternatives: options to consider, (line of YAML, why); they are not part of `config`.
        notes: what needs no option but should be known.
        problems: what no proposal fixes; such a source cannot be merged, or would teach nothing.
    """

    name: str
    heading: str
    config: Mapping[str, Any]
    reasons: Mapping[Option, str]
    alternatives: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    problems: Sequence[str] = ()

    @property
    def is_needed(self) -> bool:
        """Whether anything is proposed."""
        return bool(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Plain values: name, needed, source, reasons, alternatives, notes, problems."""
        return {
            "name": self.name,
            "needed": self.is_needed,
            "source": dict(self.config),
            "reasons": [{"option": list(option), "why": why} for option, why in self.reasons.items()],
            "alternatives": [{"line": line, "why": why} for line, why in self.alternatives],
            "notes": list(self.notes),
            "problems": list(self.problems),
        }


def suggest(target: DatasetFacts, source: DatasetFacts, declared: Source) -> Suggestion:
    """What a source needs so that it can be merged with the target.

    Args:
        target: under the keys the policy sees (`policy.target_rename` applied).
        source: under its keys as far as `declared.rename` renames them.
        declared: the source as configured; what it says is kept.

    Raises:
        ValueError: a target without the feature `action`, or without observations.
    """
    require_policy_keys(target.name, target.features)
    draft = _Draft(target, source, declared)
    draft.rename()
    draft.convert_actions()
    draft.map_numbers()
    draft.fit_cameras()
    draft.remark()
    sides = [f"{facts.name} ({facts.robot_type or 'unknown robot'}, {facts.fps:g} fps)" for facts in (source, target)]
    return Suggestion(
        name=source.name,
        heading=" for the target ".join(sides),
        config=draft.config,
        reasons=draft.reasons,
        alternatives=draft.alternatives,
        notes=draft.notes,
        problems=draft.problems,
    )


class _Draft:
    """A suggestion in the making; each method settles one part of it."""

    def __init__(self, target: DatasetFacts, source: DatasetFacts, declared: Source) -> None:
        self.target, self.source, self.declared = target, source, declared
        self.config: dict[str, Any] = plain(declared)
        self.reasons: dict[Option, str] = {}
        self.alternatives: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.maps: dict[str, FeatureProposal] = {}
        self.is_stepwise = False
        cameras, others = set(target.camera_keys), set(source.camera_keys)
        clashing = [key for key in target.features if key in source.features and (key in cameras) != (key in others)]
        for key in filter(is_policy_feature, clashing):
            here, there = ("a camera", "numbers") if key in cameras else ("numbers", "a camera")
            self.problems.append(f"{key} is {here} here and {there} there: rename that one to a key of its own")
        self.numeric_keys = [key for key in target.numeric_keys if is_policy_feature(key) and key not in clashing]
        self.camera_keys = [key for key in target.camera_keys if key not in clashing]

    def propose(self, option: Option, value: Any, why: str) -> None:
        place = self.config
        for name in option[:-1]:
            place = place.setdefault(name, {})
        place[option[-1]] = value
        self.reasons[option] = why

    def rename(self) -> None:
        """For features without a partner of their name, the likeliest one of those that are left."""
        spare = [key for key in self.source.features if key not in self.target.features and not key.startswith("next.")]
        missing = [key for key in self.numeric_keys if key not in self.source.features and not self._is_absent(key)]
        offered = {key: self.source.features[key] for key in spare if key in self.source.numeric_keys}
        pairs = match_numbers(missing, self.target.features, offered)
        cameras = [key for key in self.camera_keys if key not in self.source.features and not self._is_filled(key)]
        for channels in sorted({_channels(self.target, key) for key in cameras}):
            pairs |= match_cameras(
                [key for key in cameras if _channels(self.target, key) == channels],
                [key for key in spare if key in self.source.camera_keys and _channels(self.source, key) == channels],
            )
        for key, (other, why) in pairs.items():
            self.propose(("rename", other), key, why)
        self.source = self.source.renamed({other: key for key, (other, _) in pairs.items()})

    def convert_actions(self) -> None:
        """Steps against positions, by how far actions move relative to states."""
        here, there = _relative_motion(self.target), _relative_motion(self.source)
        declared = self.declared.action_type
        self.is_stepwise = declared == "delta" or (declared is None and there is not None and there < _STEPS)
        if declared is not None or here is None or there is None:
            return
        why = f"its actions move {there:.2g} times as far as its states, the target's {here:.2g} times"
        if there < _STEPS and here > _POSITIONS:
            self.propose(("action_type",), "delta", f"{why}: steps, not positions?")
        elif here < _STEPS and there > _POSITIONS:
            self.propose(("action_type",), "absolute", f"{why}: positions, not steps?")

    def map_numbers(self) -> None:
        """Dimensions and units. Actions and states of the same dimensions get one map, from the ranges of both."""
        alike = all(
            {ACTION, OBS_STATE} <= facts.features.keys() and facts.names(ACTION) == facts.names(OBS_STATE)
            for facts in (self.target, self.source)
        )
        first = (
            OBS_STATE if OBS_STATE in self.declared.dimensions and ACTION not in self.declared.dimensions else ACTION
        )
        shared: FeatureProposal | None = None
        for key in sorted(self.numeric_keys, key=lambda key: key != first):
            declared = self.declared.dimensions.get(key, {})
            if key not in READ_BY_POLICY and not declared:
                # Where it does not fit by itself the mixture does without.
                continue
            if key == ACTION and key not in self.source.features and not self._is_absent(key):
                self.problems.append(f"none of its features resembles {ACTION} (it has {self.source.numeric_keys})")
                continue
            if shared is not None and key in (ACTION, OBS_STATE):
                proposal = adopt(shared, key, self.target, self.source, declared, f"as {first}")
            else:
                pooled = (ACTION, OBS_STATE) if alike and key == first else (key,)
                proposal = propose_dimensions(key, self.target, self.source, declared, pooled)
                shared = proposal if alike and key == first else shared
            if key == ACTION and self.is_stepwise:
                proposal = proposal.without_offsets(declared)
            self.maps[key] = proposal
            for name, why in proposal.reasons.items():
                self.propose(("dimensions", key, name), plain(proposal.rules[name]), why)
            if key in self.source.features:
                specs = self.target.features[key], self.source.features[key]
                self.problems += resolve(key, *specs, {**declared, **proposal.rules})[1]

    def fit_cameras(self) -> None:
        """Constants for cameras the source lacks, and a fit for other aspect ratios."""
        for key in self.camera_keys:
            if self._is_filled(key):
                continue
            if key not in self.source.camera_keys:
                self.propose(("cameras", key), {"fill": 0.0}, "the source has no such camera: black")
                continue
            (channels, *size), (others, *other) = (_shape(f, key) for f in (self.target, self.source))
            if channels != others:
                self.problems.append(f"{key} has {others} channels there, {channels} here: rename another camera to it")
                continue
            is_alike = abs(size[0] * other[1] / (size[1] * other[0]) - 1.0) <= SAME_ASPECT
            if not is_alike and key not in self.declared.cameras:
                why = f"{other[0]}x{other[1]} there, {size[0]}x{size[1]} here: crop, or pad to keep the whole view"
                self.propose(("cameras", key), {"fit": "crop"}, why)

    def remark(self) -> None:
        """What a person has to choose or should know: the window, own statistics, frame rates, missing names, units."""
        if self.declared.sigma_min is None and self.declared.sigma_max is None and self.declared.windows is None:
            self.alternatives.append(("sigma_min: 0.3", "choose: see docs/how-to/choose-a-window.md"))
        elsewhere, taken = self._ranges_elsewhere()
        if elsewhere * 2 >= taken > 0 and self.declared.normalization == "target":
            why = f"{elsewhere} of {taken} mapped action dimensions range elsewhere than the target's: another robot?"
            self.alternatives.append(("normalization: own", why))
        if self.source.fps != self.target.fps:
            rates = f"{self.source.fps:g} fps there, {self.target.fps:g} here"
            self.notes.append(f"{rates}: resampled in time, nothing to declare")
        for key in self.numeric_keys:
            if key in self.source.features:
                names, others = self.target.names(key), self.source.names(key)
                if len(names) == len(others) and is_numbered(names) != is_numbered(others):
                    self.notes.append(f"{key}: one side names no dimensions; they are taken in their order")
        self.notes += self._left_over()
        if ACTION in self.maps and not self.maps[ACTION].takes:
            self.problems.append(f"no dimension of its {ACTION} resembles one of the target's: it would teach nothing")
        if any(option[0] == "dimensions" for option in self.reasons):
            for side, facts in (("target", self.target), ("source", self.source)):
                if _ends_at_100(facts):
                    self.notes.append(
                        f"the {side}'s joints end at 100 or -100, as LeRobot's normalised joints do "
                        "(use_degrees=false); if they are percent of the joint's travel, no scale to degrees is exact"
                    )

    def _left_over(self) -> list[str]:
        """Every dimension that has no partner, on both sides; features with the same ones in one note."""
        keys: dict[tuple[str, str], list[str]] = {}
        for key, proposal in self.maps.items():
            if key not in self.source.features:
                continue
            mine = [name for name in self.target.names(key) if name not in proposal.takes]
            theirs = [name for name in self.source.names(key) if name not in proposal.takes.values()]
            if mine or theirs:
                keys.setdefault((", ".join(mine) or "none", ", ".join(theirs) or "none"), []).append(key)
        return [
            f"left over in {' and '.join(those)}: {mine} of the target; {theirs} of the source"
            for (mine, theirs), those in keys.items()
        ]

    def _ranges_elsewhere(self) -> tuple[int, int]:
        """How many of the mapped action dimensions range elsewhere, and of how many the ranges are known."""
        elsewhere = known = 0
        proposal = self.maps.get(ACTION)
        for name, take in proposal.takes.items() if proposal else ():
            here, there = self.target.range(ACTION, name), self.source.range(ACTION, take)
            if proposal and here is not None and there is not None:
                known += 1
                elsewhere += is_elsewhere(here, proposal.mapped_range(name, there))
        return elsewhere, known

    def _is_absent(self, key: str) -> bool:
        """Whether the user declared every dimension of a feature absent."""
        rules = self.declared.dimensions.get(key, {})
        return bool(rules) and all(rule.is_absent for rule in rules.values())

    def _is_filled(self, key: str) -> bool:
        """Whether the user declared a camera absent."""
        camera = self.declared.cameras.get(key)
        return camera is not None and camera.fill is not None


def plain(config: Any) -> dict[str, Any]:
    """A configuration's options that differ from their defaults, as plain values."""

    def value_of(value: Any) -> Any:
        if is_dataclass(value):
            return plain(value)
        return {key: value_of(v) for key, v in value.items()} if isinstance(value, Mapping) else value

    if isinstance(config, Source):
        return {name: value_of(value) for name, value in config.said().items()}
    return {f.name: value_of(getattr(config, f.name)) for f in fields(config) if getattr(config, f.name) != _default(f)}


def _default(option: Field[Any]) -> Any:
    return option.default_factory() if option.default_factory is not MISSING else option.default


def _channels(facts: DatasetFacts, key: str) -> int:
    return _shape(facts, key)[0]


def _shape(facts: DatasetFacts, key: str) -> tuple[int, int, int]:
    """(C, H, W) as a policy sees the camera: grey ones have three channels."""
    return camera_shape(policy_spec(dict(facts.features[key])))


def _relative_motion(facts: DatasetFacts) -> float | None:
    """Median over moving dimensions of how far actions move, relative to states of the same names."""
    if not {ACTION, OBS_STATE} <= facts.features.keys() or facts.names(ACTION) != facts.names(OBS_STATE):
        return None
    action, state = facts.motion(ACTION), facts.motion(OBS_STATE)
    ratios = [action[name] / state[name] for name in action if state.get(name, 0.0) > 0 and action[name] > 0]
    return float(np.median(ratios)) if ratios else None


def _ends_at_100(facts: DatasetFacts) -> bool:
    if ACTION not in facts.numeric_keys:
        return False
    names = [name for name in facts.names(ACTION) if Dimension.parse(name).kind == "joint"]
    ranges = [facts.range(ACTION, name) for name in names]
    largest = max((max(abs(low), abs(high)) for low, high in filter(None, ranges)), default=0.0)
    return 99.0 <= largest <= 100.0
