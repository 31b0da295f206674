# SPDX-License-Identifier: Apache-2.0
"""LeRobot's policy server, told about our policy type.

`lerobot.async_inference.policy_server` never looks for plugins, and refuses what its list `SUPPORTED_POLICIES` does not
name. There is no option for either. The list is shared by reference, so the name is added to it; server, protocol and
client stay LeRobot's. Neither compares joints: the client sends a chunk's numbers to the robot's joints by their place.
So the server's answer to a client that names its robot's features is a refusal where the policy's joints are others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from lerobot.utils.constants import OBS_STATE

from lerobot_ambient.integration.deployment.robot import state_differences
from lerobot_ambient.integration.hooks.substitute import SeamError, substitute
from lerobot_ambient.policy.options.mixture_options import MixtureOptions, ambient_types


def support_policy() -> None:
    """Let LeRobot's policy server accept the ambient types. Idempotent.

    Raises:
        SeamError: LeRobot's server has no such list.
        ImportError: the extra `async` is not installed.
    """
    from lerobot.async_inference import policy_server

    supported = getattr(policy_server, "SUPPORTED_POLICIES", None)
    if not isinstance(supported, list):
        raise SeamError(
            f"lerobot {version('lerobot')}: its policy server has no list SUPPORTED_POLICIES, so it cannot be told "
            "about the ambient types. Install lerobot 0.6.x or a newer lerobot_policy_ambient_diffusion."
        )
    supported.extend(name for name in ambient_types() if name not in supported)
    _compare_joints(policy_server.PolicyServer)


def _compare_joints(server: Any) -> None:
    """Refuse a client whose robot has other joints than the policy. Idempotent."""
    substitute(server, "SendPolicyInstructions", _comparing)


def _comparing(original: Callable[..., Any]) -> Callable[..., Any]:
    def send_policy_instructions(self: Any, request: Any, context: Any) -> Any:
        import grpc

        answer = original(self, request, context)
        config = getattr(self.policy, "config", None)
        if isinstance(config, MixtureOptions):
            names = (self.lerobot_features or {}).get(OBS_STATE, {}).get("names") or []
            problems = state_differences(config, [str(name) for name in names])
            if problems:
                self.policy = None
                context.abort(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "\n".join(["the policy was trained for another robot than this client's:", *problems]),
                )
        return answer

    return send_policy_instructions


def serve(words: Sequence[str]) -> None:
    """Run LeRobot's policy server with its own options until it is stopped.

    Args:
        words: options of `lerobot.async_inference.policy_server`, e.g. --host=127.0.0.1.

    Raises:
        ValueError: a value that does not fit. An unknown option leaves through argparse's SystemExit.
    """
    import draccus
    from lerobot.async_inference import policy_server

    support_policy()
    try:
        config = draccus.parse(policy_server.PolicyServerConfig, args=list(words))
    except draccus.utils.DraccusException as error:
        raise ValueError(str(error)) from error
    policy_server.serve(config)
