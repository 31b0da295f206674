# SPDX-License-Identifier: Apache-2.0
"""The network and its inputs: LeRobot's DiffusionModel, with what ambient training adds to it."""

from __future__ import annotations

import math
from typing import Any
from urllib.error import URLError

import torch
from lerobot.policies.diffusion.modeling_diffusion import (
    DiffusionModel,
    DiffusionRgbEncoder,
    DiffusionSinusoidalPosEmb,
    SpatialSoftmax,
)
from lerobot.policies.utils import get_output_shape
from lerobot.utils.constants import ACTION, OBS_STATE
from torch import Tensor, nn

from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.flow import integrate
from lerobot_ambient.policy.diffusion.relative import RelativeActions

_NARROW, _WIDE = 16, 32
"""Features of the small encoder's first and last two convolutions."""


class AmbientDiffusionModel(DiffusionModel):
    """LeRobot's DiffusionModel with a choice of denoiser and of encoder and, optionally, relative chunks."""

    unet: Any

    def __init__(self, config: AmbientDiffusionConfig) -> None:
        try:
            self._init_with_placeholders(config)
        except URLError as error:
            raise OSError(
                f"policy.pretrained_backbone_weights={config.pretrained_backbone_weights} of the cameras' encoder "
                f"could not be downloaded ({error.reason}). Go online once, or start from random weights with "
                "--policy.pretrained_backbone_weights=null."
            ) from error
        self.relative = RelativeActions(config.action_feature.shape[0]) if config.relative_actions else None
        self.absent_camera: nn.Parameter | None = None
        if config.marked_cameras:
            # What the denoiser sees in place of the features of a camera that a source lacks; (cameras, F).
            encoder = self.rgb_encoder[0] if config.use_separate_rgb_encoder_per_camera else self.rgb_encoder
            self.absent_camera = nn.Parameter(torch.zeros(len(config.image_features), encoder.feature_dim))

    def _init_with_placeholders(self, config: AmbientDiffusionConfig) -> None:
        """LeRobot's constructor, with small parts in place of those that are then swapped."""
        placeholders: dict[str, Any] = {}
        if config.denoiser == "mlp":
            # The narrowest width that LeRobot's group norms (n_groups, and a fixed 8) divide.
            placeholders |= {"down_dims": (math.lcm(8, config.n_groups),), "compile_model": False}
        if config.vision_encoder == "cnn":
            placeholders |= {"vision_backbone": "resnet18", "pretrained_backbone_weights": None, "use_group_norm": True}
        given = {name: getattr(config, name) for name in placeholders}
        try:
            for name, value in placeholders.items():
                setattr(config, name, value)
            super().__init__(config)
        finally:
            for name, value in given.items():
                setattr(config, name, value)
        if config.vision_encoder == "cnn" and config.image_features:
            separate = config.use_separate_rgb_encoder_per_camera
            for encoder in self.rgb_encoder if separate else [self.rgb_encoder]:
                _make_small(encoder, config)
        if config.denoiser == "mlp":
            self._swap_unet(config)

    def _swap_unet(self, config: AmbientDiffusionConfig) -> None:
        # The placeholder's first FiLM layer knows how long LeRobot's conditioning vector is.
        cond_dim = self.unet.mid_modules[0].cond_encoder[1].in_features - config.diffusion_step_embed_dim
        self.unet = ResidualMlp(
            config.horizon,
            config.action_feature.shape[0],
            cond_dim,
            step_embed_dim=config.diffusion_step_embed_dim,
            width=config.mlp_width,
            depth=config.mlp_depth,
        )
        if config.compile_model:
            self.unet = torch.compile(self.unet, mode=config.compile_mode)

    def conditional_sample(
        self,
        batch_size: int,
        global_cond: Tensor | None = None,
        generator: torch.Generator | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        """As DiffusionModel, by the policy's objective: (B, H, A) normalised chunks."""
        if self.config.objective != "flow":
            chunk: Tensor = super().conditional_sample(batch_size, global_cond, generator, noise)
            return chunk
        if noise is None:
            one = next(self.parameters())
            shape = (batch_size, self.config.horizon, self.config.action_feature.shape[0])
            noise = torch.randn(shape, dtype=one.dtype, device=one.device, generator=generator)
        return integrate(self.config, lambda x, time: self.unet(x, time, global_cond=global_cond), noise)

    def generate_actions(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
        """As DiffusionModel: (B, n_action_steps, A) normalised absolute actions."""
        actions = super().generate_actions(batch, noise=noise)
        return actions if self.relative is None else self.relative.decode(actions, batch[OBS_STATE][:, -1])

    def conditioning(self, batch: dict[str, Tensor], absent: Tensor | None) -> Tensor:
        """LeRobot's conditioning vector (B, n_obs_steps * D), absent cameras marked.

        The image features of a camera that a sample's dataset lacks are replaced by a learned vector, so that the
        network can tell a missing camera from a dark one. When acting, every camera of the target is there.

        Args:
            batch: normalised observations.
            absent: (B, cameras) bool, or None when nothing is absent.
        """
        condition = self._prepare_global_conditioning(batch)
        if absent is None or self.absent_camera is None:
            return condition
        # LeRobot concatenates, per observation step: state, the features of each camera, environment state.
        steps = batch[OBS_STATE].shape[1]
        state_dim, (cameras, width) = batch[OBS_STATE].shape[-1], self.absent_camera.shape
        per_step = condition.reshape(len(condition), steps, -1)
        images = per_step[..., state_dim : state_dim + cameras * width].reshape(len(condition), steps, cameras, width)
        marked = torch.where(absent[:, None, :, None], self.absent_camera, images)
        parts = [per_step[..., :state_dim], marked.flatten(2), per_step[..., state_dim + cameras * width :]]
        return torch.cat(parts, dim=-1).flatten(1)

    def trajectory(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, H, A) the chunk x_0 that is noised: normalised actions, relative where the policy is."""
        if self.relative is None:
            return batch[ACTION]
        return self.relative.encode(batch[ACTION], batch[OBS_STATE][:, -1])


def _make_small(encoder: DiffusionRgbEncoder, config: AmbientDiffusionConfig) -> None:
    """Swap the ResNet of LeRobot's encoder, and its pool, for four convolutions; resizing, crops and the end stay.

    A ResNet-18 shrinks a picture 32 times, one of 40 pixels to 2 places, between which a spatial softmax has to say
    where things are. Here each place is 4 pixels wide, at a thirtieth of the multiplications (2.9 and 84 million).
    """
    picture = next(iter(config.image_features.values())).shape
    size = config.crop_shape or config.resize_shape or picture[1:]
    encoder.backbone = nn.Sequential(
        *_convolution(picture[0], _NARROW, kernel=5, stride=2),
        *_convolution(_NARROW, _NARROW),
        *_convolution(_NARROW, _WIDE, stride=2),
        *_convolution(_WIDE, _WIDE),
    )
    shape = get_output_shape(encoder.backbone, (1, picture[0], *size))[1:]
    encoder.pool = SpatialSoftmax(shape, num_kp=config.spatial_softmax_num_keypoints)


def _convolution(channels: int, features: int, *, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    layer = nn.Conv2d(channels, features, kernel, stride=stride, padding=kernel // 2)
    return layer, nn.GroupNorm(features // 8, features), nn.SiLU()


class ResidualMlp(nn.Module):
    """A small denoiser for low-dimensional tasks: a residual MLP over the flattened chunk.

    It predicts a chunk from a noisy chunk, its timestep and the observation.
    The convolutional U-Net spends most of a CPU's time on short, narrow convolutions; flattened, a chunk of
    16 two-dimensional actions is one vector, and dense layers of the same capacity are several times faster.
    Each block sees timestep and observation through FiLM (scale and shift).

    Args:
        horizon, action_dim: shape (H, A) of a chunk.
        cond_dim: size of the observation vector.
        step_embed_dim: size of the sinusoidal timestep embedding.
        width: hidden size; depth: number of residual blocks.
    """

    def __init__(
        self,
        horizon: int,
        action_dim: int,
        cond_dim: int,
        *,
        step_embed_dim: int,
        width: int,
        depth: int,
    ) -> None:
        super().__init__()
        chunk = horizon * action_dim
        self.step_encoder = DiffusionSinusoidalPosEmb(step_embed_dim)
        self.condition = nn.Sequential(nn.Linear(step_embed_dim + cond_dim, width), nn.SiLU(), nn.Linear(width, width))
        self.enter = nn.Linear(chunk, width)
        self.blocks = nn.ModuleList([_Block(width) for _ in range(depth)])
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, chunk))
        # At low noise the clean chunk is nearly x itself. A learned, timestep-dependent share of x passes straight
        # through, so that the layers need not spend their capacity on copying it.
        self.skip = nn.Linear(width, 1)
        nn.init.zeros_(self.skip.weight)
        nn.init.zeros_(self.skip.bias)

    def forward(self, x: Tensor, timestep: Tensor, global_cond: Tensor) -> Tensor:
        """(B, H, A) noisy chunk, (B,) timestep, (B, cond_dim) observation to (B, H, A) prediction."""
        condition = self.condition(torch.cat([self.step_encoder(timestep), global_cond], dim=-1))
        hidden = self.enter(x.flatten(1)) + condition
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.skip(condition).unsqueeze(-1) * x + self.leave(hidden).view_as(x)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(width, 2 * width)
        last = nn.Linear(width, width)
        # Blocks start as the identity, so depth does not cost early training.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), last)

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition).chunk(2, dim=-1)
        return hidden + self.layers(self.norm(hidden) * (1 + scale) + shift)
