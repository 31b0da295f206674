# SPDX-License-Identifier: Apache-2.0
"""How a policy of ours comes to the Hub with its own card where LeRobot writes cards by a function.

LeRobot 0.6.1 asks the policy: `CardOnHub` has the two methods. A later one pushes by `publish_trained_model`, which
asks `generate_model_card`, a function, after the weights are up. Then those two are replaced, and do for our policies
what the methods do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lerobot_ambient.integration.hooks.substitute import arguments


def is_by_function() -> bool:
    """Whether this LeRobot's cards are written by a function of its own, not by a method of the policy."""
    from lerobot_ambient.policy.card.hub_card import is_by_method

    return not is_by_method()


def own_card(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `generate_model_card`, which gives a policy of ours its own."""

    def generate_model_card(*args: Any, **kwargs: Any) -> Any:
        from lerobot_ambient.policy.card.hub_card import card_of
        from lerobot_ambient.policy.options.mixture_options import MixtureOptions

        given = arguments(original, args, kwargs)
        if isinstance(given["model_cfg"], MixtureOptions):
            return card_of(given["model_cfg"], given["cfg"])
        return original(*args, **kwargs)

    return generate_model_card


def announcing(original: Callable[..., Any]) -> Callable[..., Any]:
    """LeRobot's `publish_trained_model`, before which a policy of ours has its card checked and its picture uploaded.

    Every process calls it; the first one of them uploads.
    """

    def publish_trained_model(*args: Any, **kwargs: Any) -> Any:
        import torch.distributed as dist

        from lerobot_ambient.policy.card.hub_card import before_push
        from lerobot_ambient.policy.options.mixture_options import MixtureOptions

        given = arguments(original, args, kwargs)
        config = given["model"].config
        if isinstance(config, MixtureOptions) and (not dist.is_initialized() or dist.get_rank() == 0):
            before_push(config, given["cfg"])
        return original(*args, **kwargs)

    return publish_trained_model
