# SPDX-License-Identifier: Apache-2.0
"""Proposes where each dimension of one numeric feature comes from, in which unit, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lerobot.utils.constants import ACTION

from lerobot_ambient.data.alignment.match_names import Dimension, Match, match_dimensions
from lerobot_ambient.data.alignment.match_units import (
    Conversion,
    Range,
    convert_angles,
    convert_gripper,
    rounded,
    text_of,
)
from lerobot_ambient.data.declared.alignment import DimensionConfig
from lerobot_ambient.data.files.dimension_names import is_numbered
from lerobot_ambient.data.suggest.dataset_facts import DatasetFacts

_AS_IT_IS = DimensionConfig()


@dataclass(frozen=True)
class FeatureProposal:
    """The map of one feature.

    Args:
        rules: one for every target dimension, declared or proposed.
        takes: the source's dimension behind each target dimension that has one.
        reasons: for the dimensions that have to be declared and are not yet, why the rule is proposed.
    """

    rules: Mapping[str, DimensionConfig]
    takes: Mapping[str, str]
    reasons: Mapping[str, str]

    def mapped_range(self, name: str, source: Range) -> Range:
        """The source's range in the target's unit."""
        rule = self.rules[name]
        ends = rule.scale * source[0] + rule.offset, rule.scale * source[1] + rule.offset
        return min(ends), max(ends)

    def without_offsets(self, declared: Mapping[str, DimensionConfig]) -> FeatureProposal:
        """The same map for steps, whose zero is no movement in every unit; what the user declared is kept."""
        rules = {
            name: rule if name in declared or rule.is_absent else replace(rule, offset=0.0)
            for name, rule in self.rules.items()
        }
        return FeatureProposal(rules, self.takes, {n: why for n, why in self.reasons.items() if rules[n] != _AS_IT_IS})


def propose_dimensions(
    key: str,
    target: DatasetFacts,
    source: DatasetFacts,
    declared: Mapping[str, DimensionConfig],
    pooled: Sequence[str],
) -> FeatureProposal:
    """A rule for every dimension of the target's feature.

    Args:
        key: a numeric feature of the target; every dimension is absent if the source lacks it.
        target, source: both under the target's keys.
        declared: what the user wrote for this feature.
        pooled: features whose ranges count as one, `key` among them: actions and states of one robot share units.
    """
    names, others = target.names(key), source.names(key)
    by_default = _by_default(names, others)
    settled = {
        name: None if rule.is_absent else rule.take or by_default.get(name, name) for name, rule in declared.items()
    }
    matches = match_dimensions(
        names, others, settled=settled, target_motion=target.motion(key), source_motion=source.motion(key)
    )
    takes = {name: take for name, take in settled.items() if take is not None}
    takes |= {name: match.take for name, match in matches.items()}
    here = {name: _pooled_range(target, pooled, name) for name in takes}
    there = {name: _pooled_range(source, pooled, take) for name, take in takes.items()}
    for name in takes:
        if Dimension.parse(name).kind == "gripper":
            here[name] = _pooled_range(target, pooled, name, usual=True)
            there[name] = _pooled_range(source, pooled, takes[name], usual=True)
    conversions = _conversions(takes, here, there)

    rules, reasons = {name: declared[name] for name in names if name in declared}, {}
    for name in names:
        if name in declared:
            continue
        if name not in matches:
            rules[name], reasons[name] = _absent(key, name, target)
            continue
        match, conversion = matches[name], conversions[name]
        take = None if by_default.get(name) == match.take else match.take
        rules[name] = DimensionConfig(take=take, scale=conversion.scale, offset=conversion.offset)
        if rules[name] != _AS_IT_IS:
            reasons[name] = _reason(match, conversion, here[name], there[name])
    return FeatureProposal(rules, takes, reasons)


def adopt(
    other: FeatureProposal,
    key: str,
    target: DatasetFacts,
    source: DatasetFacts,
    declared: Mapping[str, DimensionConfig],
    why: str,
) -> FeatureProposal:
    """The map of another feature with the same dimensions on both sides, where the user declared nothing else."""
    rules, reasons = dict(declared), {}
    for name, rule in other.rules.items():
        if name in declared:
            continue
        rules[name] = rule
        if rule.is_absent:
            rules[name], reasons[name] = _absent(key, name, target)
        elif replace(rule, interpolation=None) != _AS_IT_IS:
            reasons[name] = why
    by_default = _by_default(target.names(key), source.names(key))
    takes = {name: rule.take or by_default.get(name, name) for name, rule in rules.items() if not rule.is_absent}
    return FeatureProposal(rules, takes, reasons)


def _absent(key: str, name: str, target: DatasetFacts) -> tuple[DimensionConfig, str]:
    """What stands for a dimension the source lacks: no loss in actions, the target's mean in observations."""
    if key == ACTION:
        return DimensionConfig(mask=True), "the source has none: no loss"
    mean = target.number(key, "mean", name)
    if mean is None:
        return DimensionConfig(fill=0.0), "the source has none, and the target's mean is not recorded: choose"
    return DimensionConfig(fill=rounded(mean)), "the source has none: the target's mean"


def _by_default(names: Sequence[str], others: Sequence[str]) -> dict[str, str]:
    """What each dimension takes when nothing is declared: its namesake, or its place where a side has no names."""
    if is_numbered(names) or is_numbered(others):
        return dict(zip(names, others, strict=True)) if len(names) == len(others) else {}
    return {name: name for name in names if name in others}


def _conversions(
    takes: Mapping[str, str], here: Mapping[str, Range | None], there: Mapping[str, Range | None]
) -> dict[str, Conversion]:
    """For every dimension that is taken; those already declared count in the judgement of the arm's unit."""
    known: dict[str, tuple[Range, Range]] = {}
    for name in takes:
        ranges = here[name], there[name]
        if ranges[0] is not None and ranges[1] is not None:
            known[name] = ranges[0], ranges[1]
    kinds = {name: Dimension.parse(name).kind for name in takes}
    joints = [known[name] for name in known if kinds[name] == "joint"]
    angles = convert_angles([pair[0] for pair in joints], [pair[1] for pair in joints])
    result = {}
    for name, take in takes.items():
        result[name] = angles if kinds[name] == "joint" else Conversion()
        if kinds[name] == "gripper" and name in known:
            result[name] = convert_gripper(*known[name], is_same_name=take == name, angles=angles)
    return result


def _reason(match: Match, conversion: Conversion, here: Range | None, there: Range | None) -> str:
    if conversion.why:
        return f"{match.why}; {conversion.why}"
    if match.is_sure:
        return match.why
    if here is None or there is None:
        return f"{match.why}; no ranges recorded: check unit, sign and zero"
    return f"{match.why}; {text_of(there)} there, {text_of(here)} here: check sign and zero"


def _pooled_range(facts: DatasetFacts, keys: Sequence[str], name: str, *, usual: bool = False) -> Range | None:
    of = facts.usual_range if usual else facts.range
    ranges = [of(key, name) for key in keys if key in facts.features]
    known = [values for values in ranges if values is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None
