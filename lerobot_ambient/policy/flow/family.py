# SPDX-License-Identifier: Apache-2.0
"""What has to be known of a flow-matching policy of LeRobot's to train it on a mixture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from lerobot_ambient.core.flow_time import FlowTime
from lerobot_ambient.core.noise_levels import NoiseSchedule, vp_to_flow
from lerobot_ambient.core.time_laws import BetaTime
from lerobot_ambient.policy.flow.shadow import shadowed
from lerobot_ambient.policy.flow.step import Step
from lerobot_ambient.policy.options.mixture_options import euler_steps


class Family(ABC):
    """Where one of LeRobot's policies draws its training time and noise, and what it does with them.

    Attributes:
        stock: LeRobot's name of the policy type.
        extra: of LeRobot's packages, the one that its model needs.
        takes_pair: noise and actions can be given, so that the ambient loss is served.
        masks_dimensions: the loss can be kept from action dimensions that a dataset lacks.
        masks_cameras: the model can be told that a camera is absent; otherwise it sees the source's fill colour.
        any_frame_size: the policy brings frames of any size to its own.
        normalises_itself: actions are normalised by the policy's own rule, so windows cannot be estimated on them.
        steps: the option that says in how many steps a chunk is integrated; None where there is none.
        honours_padding: its loss leaves out actions beyond an episode's end (`action_is_pad`).
        target_first: it hands the target to its loss before the prediction.
        forgets_hub_options: its `from_pretrained` reads the weights without the revision and the like that it is given.
    """

    stock: str
    extra: str
    takes_pair: bool = False
    masks_dimensions: bool = False
    masks_cameras: bool = False
    any_frame_size: bool = True
    honours_padding: bool = False
    forgets_hub_options: bool = False
    target_first: bool = False
    steps: str | None = None
    normalises_itself: bool = False

    @abstractmethod
    def time(self, config: Any) -> FlowTime | None:
        """The law and the direction of the policy's time; None where it draws a scheduler's timesteps."""

    def schedule(self, config: Any) -> NoiseSchedule:
        """The noise levels of the policy."""
        time = self.time(config)
        assert time is not None, f"{self.stock} has no law of time"
        return time.schedule()

    def acting(self, config: Any) -> tuple[str, str]:
        """See `MixtureOptions.acting`."""
        return ("", "") if self.steps is None else euler_steps(self.steps, getattr(config, self.steps))

    def padding(self, config: Any, batch: dict[str, Any]) -> Any:
        """(B, H) bool of actions that the policy's loss leaves out; None counts all."""
        return batch.get("action_is_pad") if self.honours_padding else None

    def refusals(self, config: Any) -> list[str]:
        """Why this configuration cannot be trained on sources; each with the option that changes it."""
        if getattr(config, "use_relative_actions", False):
            return [
                "policy.use_relative_actions=true makes chunks relative before they are normalised, by statistics that "
                "only a single dataset has; set --policy.use_relative_actions=false"
            ]
        return []

    def time_at(self, config: Any, sigma: Tensor) -> Tensor:
        """(B,) VP levels to the policy's own times, in its direction and scale."""
        time = self.time(config)
        assert time is not None, f"{self.stock} has no law of time"
        return time.time_of(vp_to_flow(sigma.double()))

    def error_of_x_0(self, config: Any, off: Tensor, time: Tensor) -> Tensor:
        """What an error of the network's output is as an error x_0_hat - x_0 of the denoised chunk.

        With v = eps - x_0 and x = (1 - tau) x_0 + tau eps = x_0 + tau v, so x_0_hat - x_0 = -tau (v_hat - v); where
        the data lie at 1 the network says -v.

        Args:
            config: of the policy.
            off: (B, H, A) prediction minus target.
            time: (B,) the policy's own times.
        """
        clock = self.time(config)
        assert clock is not None, f"{self.stock} has no law of time"
        tau = clock.tau_of(time).to(off)[:, None, None]
        return tau * off if clock.data_at_one else -tau * off

    @abstractmethod
    def taught(self, policy: Any, step: Step) -> AbstractContextManager[Any]:
        """Hooks that hold for one call of the policy's own `forward`."""


class SampledFamily(Family):
    """A policy whose time comes from one method: what it returns is moved to the groups' laws."""

    method = "sample_time"

    @abstractmethod
    def owner(self, policy: Any) -> Any:
        """The object that has the method."""

    def repeats(self, policy: Any) -> int:
        """How often the policy repeats a batch before it draws."""
        return 1

    def taught(self, policy: Any, step: Step) -> AbstractContextManager[Any]:
        repeats = self.repeats(policy)
        return shadowed(
            self.owner(policy),
            self.method,
            lambda sample: lambda *args, **kwargs: step.move(sample(*args, **kwargs), repeats),
        )


def openpi_time(alpha: float = 1.5, beta: float = 1.0, scale: float = 0.999, offset: float = 0.001) -> FlowTime:
    """tau = offset + scale s, s ~ Beta(alpha, beta), noise at 1."""
    return FlowTime(BetaTime(alpha, beta, low=offset, high=offset + scale))


def configured_openpi_time(config: Any) -> FlowTime:
    """The same by the options `time_sampling_*`, which pi0, pi0.5 and EO-1 share."""
    return openpi_time(
        config.time_sampling_beta_alpha,
        config.time_sampling_beta_beta,
        config.time_sampling_scale,
        config.time_sampling_offset,
    )
