# SPDX-License-Identifier: Apache-2.0
"""The mixing rules of `core.mixing` as choices of a configuration."""

from __future__ import annotations

from dataclasses import dataclass, fields

import draccus

from lerobot_ambient.core.mixing import Ambient, Cotrain, Exclusive, MixingRule, Soft, TargetOnly


class MixingConfig(draccus.ChoiceRegistry, MixingRule):
    """A mixing rule that a config file names by `type`; ambient where it gives the options only."""

    identity_suffix = "Config"

    @classmethod
    def default_choice_name(cls) -> str:
        return "ambient"


@MixingConfig.register_subclass("target_only")
@dataclass(frozen=True)
class TargetOnlyConfig(TargetOnly, MixingConfig):
    """Filtering: only the target."""


@MixingConfig.register_subclass("cotrain")
@dataclass(frozen=True)
class CotrainConfig(Cotrain, MixingConfig):
    """Every dataset at every noise level; `alpha` is the target's share."""


@MixingConfig.register_subclass("ambient")
@dataclass(frozen=True)
class AmbientConfig(Ambient, MixingConfig):
    """Every dataset inside its window; `alpha` is the target's share where a source is admissible."""


@MixingConfig.register_subclass("soft")
@dataclass(frozen=True)
class SoftConfig(Soft, MixingConfig):
    """The target's share as a function of the noise level, by knots."""


@MixingConfig.register_subclass("exclusive")
@dataclass(frozen=True)
class ExclusiveConfig(Exclusive, MixingConfig):
    """Sources alone inside their windows, the target alone outside."""


def as_choice(rule: MixingRule) -> MixingRule:
    """The choice of a configuration file that stands for a rule of `core.mixing`; any other rule as it is."""
    for choice in MixingConfig.get_known_choices().values():
        if type(rule) in choice.__bases__:
            return choice(**{one.name: getattr(rule, one.name) for one in fields(choice)})
    return rule
