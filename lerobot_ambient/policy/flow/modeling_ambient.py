# SPDX-License-Identifier: Apache-2.0
"""Where LeRobot looks for `AmbientSmolVLAPolicy` and its like: each is made when it is first asked for.

A stock policy's module imports what its extra brings, so none is imported here for the sake of another.
"""

from __future__ import annotations

from typing import Any

from lerobot_ambient.policy.flow import configuration_ambient
from lerobot_ambient.policy.flow.configuration_ambient import FlowOptions
from lerobot_ambient.policy.flow.families import PREFIX

_SUFFIX = "Policy"


def __getattr__(name: str) -> Any:
    config = getattr(configuration_ambient, f"{name.removesuffix(_SUFFIX)}Config", None)
    if not name.endswith(_SUFFIX) or not isinstance(config, type) or not issubclass(config, FlowOptions):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class

    from lerobot_ambient.policy.flow.ambient_flow import AmbientFlow

    kind = PreTrainedConfig.get_choice_name(config)
    stock = get_policy_class(kind.removeprefix(PREFIX))
    body = {
        "__module__": __name__,
        "__doc__": f"LeRobot's {stock.__name__}, trained on a mixture of datasets; see `AmbientFlow`.",
        "config_class": config,
        "name": kind,
    }
    made = type(name, (AmbientFlow, stock), body)
    globals()[name] = made
    return made
