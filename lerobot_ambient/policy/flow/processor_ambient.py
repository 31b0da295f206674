# SPDX-License-Identifier: Apache-2.0
"""Where LeRobot looks for `make_ambient_smolvla_pre_post_processors` and its like: the stock policy's own."""

from __future__ import annotations

import importlib
from typing import Any

_MAKE, _ENDING = "make_ambient_", "_pre_post_processors"


def __getattr__(name: str) -> Any:
    stock = name.removeprefix(_MAKE).removesuffix(_ENDING)
    if name != f"{_MAKE}{stock}{_ENDING}":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lerobot.configs import PreTrainedConfig

    config = PreTrainedConfig.get_choice_class(stock)
    module = importlib.import_module(config.__module__.replace("configuration_", "processor_"))
    return getattr(module, f"make_{stock}{_ENDING}")
