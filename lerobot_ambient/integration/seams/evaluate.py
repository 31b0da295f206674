# SPDX-License-Identifier: Apache-2.0
"""What `lerobot-eval` does beside its own work when the policy is ours: it compares policy and environment first.

LeRobot loads the weights into a network of the environment's sizes, so a policy of a six-joint arm in a maze ends in
"size mismatch for ...". `make_policy` is replaced in the script's namespace; other policies, and an unknown LeRobot,
see the original only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from lerobot_ambient.integration.hooks.after_import import after_import
from lerobot_ambient.integration.hooks.substitute import substitute_or_warn

_EVAL_MODULE = "lerobot.scripts.lerobot_eval"
_NAME = "make_policy"
_PARAMETERS = ("cfg", "ds_meta", "env_cfg", "rename_map")


def install_when_imported() -> None:
    """Substitute the function now where LeRobot's evaluation script is loaded, else as soon as it is."""
    after_import(_EVAL_MODULE, install)


def install(module: ModuleType) -> None:
    """Substitute the function in LeRobot's evaluation script, or say why not. Idempotent."""
    lost = "The evaluation works, but a policy is not compared with the environment first."
    substitute_or_warn(module, _NAME, _PARAMETERS, _comparing, lost=lost)


def _comparing(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_policy(
        cfg: Any, ds_meta: Any = None, env_cfg: Any = None, rename_map: Mapping[str, str] | None = None
    ) -> Any:
        from lerobot_ambient.integration.deployment import environment

        if environment.is_ambient(cfg) and env_cfg is not None:
            environment.refuse_other_environment(cfg, env_cfg, rename_map or {})
        return original(cfg=cfg, ds_meta=ds_meta, env_cfg=env_cfg, rename_map=rename_map)

    return make_policy
