# SPDX-License-Identifier: Apache-2.0
"""Configuration of the policy type `ambient_diffusion`."""

from __future__ import annotations

from dataclasses import dataclass

from lerobot.configs import PreTrainedConfig
from lerobot.optim import AdamConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig

from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.policy.diffusion.flow import STEPS, flow_time
from lerobot_ambient.policy.diffusion.fused_adam import FusedAdamConfig
from lerobot_ambient.policy.diffusion.schedule import denoising_steps, noise_schedule
from lerobot_ambient.policy.options.mixture_options import MixtureOptions, euler_steps

DENOISERS = ("unet", "mlp")
ENCODERS = ("resnet", "cnn")
OBJECTIVES = ("diffusion", "flow")

_RESNET_STRIDE = 32
"""Pixels of a picture for one of the last feature map."""


@PreTrainedConfig.register_subclass("ambient_diffusion")
@dataclass
class AmbientDiffusionConfig(MixtureOptions, DiffusionConfig):
    """LeRobot's DiffusionConfig plus a mixture of datasets.

    Without sources and with the defaults below this is LeRobot's diffusion policy, loss for loss.

    Args:
        sources, ..., mixture_record: see `MixtureOptions`.
        objective: "diffusion" (LeRobot's DDPM or DDIM), or "flow": flow matching, a regression on the velocity
            eps - x_0 over a continuous time; `prediction_type` and the scheduler's options then do nothing, and acting
            takes num_inference_steps steps of Euler's, 10 when null.
        flow_time_alpha, flow_time_beta: exponents of the flow's law of time, Beta(1.5, 1) as in pi0; with 1 and 1 it
            is uniform.
        relative_actions: denoise chunks relative to the current state. Done inside the policy: action and
            state need the same dimensions in the same order.
        denoiser: "unet" (LeRobot's), or "mlp", a residual MLP for low-dimensional tasks on small machines.
        mlp_width, mlp_depth: its hidden width and number of residual blocks.
        vision_encoder: "resnet" (LeRobot's), or "cnn", four small convolutions for small pictures on small machines,
            which keep a place of every fourth pixel, where a ResNet keeps one of every 32nd; vision_backbone,
            pretrained_backbone_weights and use_group_norm then do nothing.
        ema_decay: average the weights with this decay (0.999) and act and evaluate with the average; smaller at first,
            so that a short training is averaged over its last ninth; null is off.
        noise_draws: noise levels that each frame of a batch is trained at, drawn independently by the same law; cameras
            are encoded once for all of them. 1 is LeRobot's. More pay where an encoder takes most of a step.
        optimizer_fused: take Adam's step in one kernel, which is as good and a fifth of its time with the MLP, and
            differs in the last bits. Null: with the MLP only; the U-Net then trains as LeRobot's, bit for bit.
    """

    objective: str = "diffusion"
    flow_time_alpha: float = 1.5
    flow_time_beta: float = 1.0
    relative_actions: bool = False
    denoiser: str = "unet"
    mlp_width: int = 256
    mlp_depth: int = 4
    vision_encoder: str = "resnet"
    ema_decay: float | None = None
    noise_draws: int = 1
    optimizer_fused: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.denoiser not in DENOISERS:
            raise ValueError(f"policy.denoiser = '{self.denoiser}' is unknown; choose one of {', '.join(DENOISERS)}.")
        if self.vision_encoder not in ENCODERS:
            raise ValueError(
                f"policy.vision_encoder = '{self.vision_encoder}' is unknown; choose one of {', '.join(ENCODERS)}."
            )
        if self.objective not in OBJECTIVES:
            raise ValueError(f"policy.objective = '{self.objective}' is unknown; choose {' or '.join(OBJECTIVES)}.")
        flow_time(self)
        if self.mlp_width < 1 or self.mlp_depth < 1:
            raise ValueError(
                f"policy.mlp_width and mlp_depth must be positive, got {self.mlp_width}, {self.mlp_depth}."
            )
        if self.ema_decay is not None and not 0.0 < self.ema_decay < 1.0:
            raise ValueError(f"policy.ema_decay must lie in (0, 1), or null for none; got {self.ema_decay}.")
        if self.noise_draws < 1:
            raise ValueError(
                f"policy.noise_draws = {self.noise_draws}: a frame is trained at one noise level at least; write "
                "--policy.noise_draws=1."
            )
        if self.n_action_steps > self.horizon - self.n_obs_steps + 1:
            raise ValueError(
                f"policy.n_action_steps = {self.n_action_steps} exceeds horizon - n_obs_steps + 1 = "
                f"{self.horizon - self.n_obs_steps + 1}: a chunk has no more actions from the current step on."
            )

    def get_optimizer_preset(self) -> AdamConfig:
        preset = super().get_optimizer_preset()
        fused = self.denoiser == "mlp" if self.optimizer_fused is None else self.optimizer_fused
        return FusedAdamConfig(**vars(preset)) if fused else preset

    @property
    def acting(self) -> tuple[str, str]:
        if self.objective == "flow":
            return euler_steps("num_inference_steps", self.num_inference_steps or STEPS)
        return denoising_steps(self)

    def noise_schedule(self) -> NoiseSchedule:
        return flow_time(self).schedule() if self.objective == "flow" else noise_schedule(self)

    @property
    def frame_size(self) -> tuple[int, int] | None:
        return None if self.resize_shape is None else (self.resize_shape[0], self.resize_shape[1])

    def validate_features(self) -> None:
        """As DiffusionConfig, but a policy that only sees observation.state is welcome.

        Raises:
            ValueError: no state, no action, or cameras that do not agree.
        """
        if self.robot_state_feature is None or self.action_feature is None:
            have = sorted([*(self.input_features or {}), *(self.output_features or {})])
            raise ValueError(
                "the policy needs 'observation.state' and 'action', the dataset offers "
                f"{have}. Map other names with policy.target_rename, e.g. "
                "{state: observation.state, actions: action}."
            )
        if self.image_features or self.env_state_feature:
            super().validate_features()
        self._require_trainable_pictures()

    def _require_trainable_pictures(self) -> None:
        """Refuse pictures that the ResNet shrinks to a single pixel, whose batch normalisation fails on one."""
        if self.use_group_norm or self.vision_encoder != "resnet":
            return
        for key, feature in self.image_features.items():
            size = tuple(self.crop_shape or self.resize_shape or feature.shape[1:])
            if max(size) <= _RESNET_STRIDE:
                raise ValueError(
                    f"the encoder gets pictures of {size[0]}x{size[1]} pixels from '{key}' and shrinks them "
                    f"{_RESNET_STRIDE} times, to a single pixel, which batch normalisation cannot be trained on. Write "
                    "--policy.use_group_norm=true, or enlarge the pictures, --policy.resize_shape='[96, 96]'."
                )
