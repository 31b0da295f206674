# SPDX-License-Identifier: Apache-2.0
"""Configurations of the ambient forms of LeRobot's flow-matching policies, made from its own.

`ambient(SmolVLAConfig)` is SmolVLAConfig with the options of a mixture, registered as `ambient_smolvla`. LeRobot finds
policy and processors by the names of this module: see `modeling_ambient` and `processor_ambient`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from lerobot.configs import PreTrainedConfig

from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.policy.flow.families import FAMILIES, PREFIX
from lerobot_ambient.policy.flow.family import Family
from lerobot_ambient.policy.options.mixture_options import MixtureOptions

logger = logging.getLogger(__name__)


@dataclass
class FlowOptions(MixtureOptions):
    """The options of a mixture for a flow-matching policy; what they are is said in `MixtureOptions`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        problems = self.family.refusals(self) if self.sources else []
        if self.ambient_loss and not self.family.takes_pair:
            problems.append(
                f"policy.ambient_loss=true needs a policy that is given its noise, and {self.family.stock} draws it "
                "inside its model; set --policy.ambient_loss=false, or use ambient_diffusion, ambient_smolvla, "
                "ambient_pi0 or ambient_pi05"
            )
        if problems:
            raise ValueError(f"{self.type}: {'; '.join(problems)}.")

    @property
    def family(self) -> Family:
        """What is known of the stock policy."""
        return FAMILIES[self.type.removeprefix(PREFIX)]

    def noise_schedule(self) -> NoiseSchedule:
        return self.family.schedule(self)

    @property
    def acting(self) -> tuple[str, str]:
        return self.family.acting(self)

    def refuse_estimates(self) -> None:
        if self.family.normalises_itself:
            raise ValueError(
                f"{self.type} normalises actions inside its own processor, so windows estimated on a mixture's chunks "
                "would be in other units than its noise. Give each source a sigma_min by hand."
            )

    @property
    def resizes_frames(self) -> bool:
        return self.family.any_frame_size

    @property
    def needs_every_camera(self) -> bool:
        return not self.family.masks_cameras


def ambient(stock: type[PreTrainedConfig]) -> type[FlowOptions]:
    """The configuration class of the ambient form of a stock policy, registered under its name.

    Args:
        stock: a configuration class of LeRobot's that is in `FAMILIES`.
    """
    kind = f"{PREFIX}{PreTrainedConfig.get_choice_name(stock)}"
    body = {
        "__module__": __name__,
        "__doc__": f"LeRobot's {stock.__name__} plus a mixture of datasets; see `MixtureOptions`.",
    }
    made: Any = dataclass(type(f"Ambient{stock.__name__}", (FlowOptions, stock), body))
    PreTrainedConfig.register_subclass(kind)(made)
    return made  # type: ignore[no-any-return]


def _register() -> None:
    known = PreTrainedConfig.get_known_choices()
    for name in FAMILIES:
        if name not in known:
            logger.info("this LeRobot has no policy type %s, so there is no %s%s.", name, PREFIX, name)
        elif PREFIX + name not in known:
            made = ambient(known[name])
            globals()[made.__name__] = made


_register()
