# SPDX-License-Identifier: Apache-2.0
"""What `lerobot-rollout` does beside its own work when the policy is ours.

LeRobot builds everything a rollout needs in `build_rollout_context`. It is replaced in the script's namespace by a
function that first compares the policy with the robot, before the robot is connected, and afterwards times a chunk of
actions and sees to it that an error at the end leaves no more motors under torque than it must. Other policies, and
an unknown LeRobot, see the original only.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from lerobot_ambient.integration.hooks.after_import import after_import
from lerobot_ambient.integration.hooks.substitute import substitute_or_warn

_ROLLOUT_MODULE = "lerobot.scripts.lerobot_rollout"
_NAME = "build_rollout_context"
_FIRST = ("cfg", "shutdown_event")


def install_when_imported() -> None:
    """Substitute the function now where LeRobot's rollout script is loaded, else as soon as it is."""
    after_import(_ROLLOUT_MODULE, install)


def install(module: ModuleType) -> None:
    """Substitute the function in LeRobot's rollout script, or say why not. Idempotent."""
    lost = "The rollout works, but the policy's joints and cameras are not compared with the robot's."
    substitute_or_warn(module, _NAME, _FIRST, _comparing, lost=lost, first=True)


def _comparing(original: Callable[..., Any]) -> Callable[..., Any]:
    def build_rollout_context(cfg: Any, shutdown_event: Any, *processors: Any, **named: Any) -> Any:
        from lerobot_ambient.integration.deployment import robot as rollout
        from lerobot_ambient.integration.deployment.disable_torque import let_go_after_errors

        if not rollout.is_ambient(cfg):
            return original(cfg, shutdown_event, *processors, **named)
        # Processors of the caller's own may rename what the robot gives and takes.
        is_stock = not processors and not named
        if is_stock:
            rollout.refuse_other_robot(cfg)
        in_space = is_stock and cfg.policy.target_end_effector is not None
        if in_space:
            # LeRobot's kinematics stands between the policy and the joints; the module needs placo.
            from lerobot_ambient.integration.deployment import end_effector

            named = end_effector.processors_for(cfg)
        context = original(cfg, shutdown_event, *processors, **named)
        if in_space:
            end_effector.speak_end_effector(context)
        let_go_after_errors(context.hardware.robot_wrapper.inner)
        rollout.warn_if_slow(context.policy.policy, cfg.fps, context.policy.preprocessor)
        return context

    return build_rollout_context
