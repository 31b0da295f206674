# SPDX-License-Identifier: Apache-2.0
"""SmolVLA, pi0 and pi0.5: the model's `forward` takes actions, noise and time, and gives an element-wise loss.

All that training on a mixture needs is done at that one call: the time is moved, the ambient pair takes the place of
actions and noise, and absent dimensions are left out of the loss. Everything before and after it is the policy's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor

from lerobot_ambient.core.flow_time import FlowTime
from lerobot_ambient.policy.flow.family import Family, configured_openpi_time, openpi_time
from lerobot_ambient.policy.flow.shadow import shadowed
from lerobot_ambient.policy.flow.step import Step

_GIVEN = ("actions", "noise", "time")


class OpenPiFamily(Family):
    """A policy whose `model.forward(..., actions, noise, time)` returns (B, H, max_action_dim) losses."""

    takes_pair = True
    target_first = True
    masks_dimensions = True
    masks_cameras = True

    def time(self, config: Any) -> FlowTime:
        return openpi_time()

    @contextmanager
    def taught(self, policy: Any, step: Step) -> Iterator[None]:
        with ExitStack() as hooks:
            hooks.enter_context(shadowed(policy.model, "forward", lambda forward: self._forward(policy, step, forward)))
            if step.absent is not None:
                self.mask_cameras(policy, step, hooks)
            yield

    def mask_cameras(self, policy: Any, step: Step, hooks: ExitStack) -> None:
        """Tell the model which samples have no frame of a camera."""

        def masked(preprocess: Callable[..., Any]) -> Callable[..., Any]:
            def preprocess_images(batch: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
                images, masks = preprocess(batch)
                # Present cameras come first, in the order of the configuration.
                keys = [key for key in policy.config.image_features if key in batch]
                absent = step.absent or {}
                told = [
                    mask & ~absent[key].to(mask.device) if key in absent else mask
                    for key, mask in zip(keys, masks, strict=False)
                ]
                return images, [*told, *masks[len(told) :]]

            return preprocess_images

        hooks.enter_context(shadowed(policy, "_preprocess_images", masked))

    def _forward(self, policy: Any, step: Step, forward: Callable[..., Any]) -> Callable[..., Any]:
        clock, signature = self.time(policy.config), inspect.signature(forward)

        def ambient_forward(*args: Any, **kwargs: Any) -> Tensor:
            call = signature.bind(*args, **kwargs)
            call.apply_defaults()
            actions, noise, time = (call.arguments[name] for name in _GIVEN)
            # In the order of the stock policies, which draw the noise first.
            if noise is None:
                noise = policy.model.sample_noise(actions.shape, actions.device)
            if time is None:
                time = policy.model.sample_time(actions.shape[0], actions.device)
            time = step.move(time)
            actions, noise = step.pair(actions, noise, clock.tau_of(time))
            call.arguments.update(zip(_GIVEN, (actions, noise, time), strict=True))
            return step.weigh(forward(*call.args, **call.kwargs))

        return ambient_forward


class SmolVla(OpenPiFamily):
    """Its time is Beta(1.5, 1) on [0.001, 1], fixed in its code; it honours `action_is_pad`."""

    stock = "smolvla"
    steps = "num_steps"
    extra = "smolvla"
    honours_padding = True

    def mask_cameras(self, policy: Any, step: Step, hooks: ExitStack) -> None:
        def masked(prepare: Callable[..., Any]) -> Callable[..., Any]:
            def prepare_images(batch: dict[str, Tensor]) -> Any:
                absent = {f"{key}_padding_mask": ~one for key, one in (step.absent or {}).items()}
                return prepare({**batch, **absent})

            return prepare_images

        hooks.enter_context(shadowed(policy, "prepare_images", masked))


class Pi0(OpenPiFamily):
    """Its law stands in `time_sampling_*`; it counts padded actions, as openpi does."""

    stock = "pi0"
    steps = "num_inference_steps"
    extra = "pi"
    forgets_hub_options = True

    def time(self, config: Any) -> FlowTime:
        return configured_openpi_time(config)


class Pi05(Pi0):
    """As pi0."""

    stock = "pi05"
