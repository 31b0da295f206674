# SPDX-License-Identifier: Apache-2.0
"""What `lerobot-eval` and `lerobot-rollout` do beside their own work when the policy is ours.

Policies of other types see LeRobot's functions alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lerobot_ambient.integration.hooks.substitute import arguments

PROCESSORS = ("teleop_action_processor", "robot_action_processor", "robot_observation_processor")


def comparing_environment(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `make_policy` in the evaluation, which compares policy and environment first.

    LeRobot loads the weights into a network of the environment's sizes, so a policy of a six-joint arm in a maze ends
    in "size mismatch for ...".
    """

    def make_policy(*args: Any, **kwargs: Any) -> Any:
        from lerobot_ambient.integration.deployment import environment

        given = arguments(original, args, kwargs)
        if environment.is_ambient(given["cfg"]) and given["env_cfg"] is not None:
            environment.refuse_other_environment(given["cfg"], given["env_cfg"], given["rename_map"] or {})
        return original(*args, **kwargs)

    return make_policy


def comparing_robot(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `build_rollout_context`, which makes everything that a rollout needs.

    The policy is compared with the robot before the robot is connected; afterwards a chunk of actions is timed, and an
    error at the end leaves no more motors under torque than it must.
    """

    def build_rollout_context(*args: Any, **kwargs: Any) -> Any:
        from lerobot_ambient.integration.deployment import robot as rollout
        from lerobot_ambient.integration.deployment.disable_torque import let_go_after_errors

        given = arguments(original, args, kwargs)
        cfg = given["cfg"]
        if not rollout.is_ambient(cfg):
            return original(*args, **kwargs)
        # Processors of the caller's own may rename what the robot gives and takes.
        is_stock = all(given[name] is None for name in PROCESSORS)
        if is_stock:
            rollout.refuse_other_robot(cfg)
        in_space = is_stock and cfg.policy.target_end_effector is not None
        if in_space:
            # LeRobot's kinematics stands between the policy and the joints; the module needs placo.
            from lerobot_ambient.integration.deployment import end_effector

            kwargs |= end_effector.processors_for(cfg)
        context = original(*args, **kwargs)
        if in_space:
            end_effector.speak_end_effector(context)
        let_go_after_errors(context.hardware.robot_wrapper.inner)
        rollout.warn_if_slow(context.policy.policy, cfg.fps, context.policy.preprocessor)
        return context

    return build_rollout_context
