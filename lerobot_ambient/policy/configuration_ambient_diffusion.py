# SPDX-License-Identifier: Apache-2.0
"""Configuration of the policy type `ambient_diffusion`, and the mixing rules of `core.mixing` as draccus choices."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import draccus
from lerobot.configs import PreTrainedConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig

from lerobot_ambient.core.mixing import Ambient, Cotrain, Exclusive, MixingRule, Soft, TargetOnly
from lerobot_ambient.data.declared.alignment import check_gain
from lerobot_ambient.data.declared.sources import ACTION_TYPES, Source
from lerobot_ambient.data.provenance.data_record import DataRecord

DENOISERS = ("unet", "mlp")

_RESNET_STRIDE = 32
"""Pixels of a picture for one of the last feature map."""


class MixingConfig(draccus.ChoiceRegistry, MixingRule):
    """A mixing rule that a config file names by `type`; ambient where it gives the options only."""

    identity_suffix = "Config"

    @classmethod
    def default_choice_name(cls) -> str:
        return "ambient"


@MixingConfig.register_subclass("target_only")
@dataclass(frozen=True)
class TargetOnlyConfig(TargetOnly, MixingConfig):
    """Filtering: only the target."""


@MixingConfig.register_subclass("cotrain")
@dataclass(frozen=True)
class CotrainConfig(Cotrain, MixingConfig):
    """Every dataset at every noise level; `alpha` is the target's share."""


@MixingConfig.register_subclass("ambient")
@dataclass(frozen=True)
class AmbientConfig(Ambient, MixingConfig):
    """Every dataset inside its window; `alpha` is the target's share where a source is admissible."""


@MixingConfig.register_subclass("soft")
@dataclass(frozen=True)
class SoftConfig(Soft, MixingConfig):
    """The target's share as a function of the noise level, by knots."""


@MixingConfig.register_subclass("exclusive")
@dataclass(frozen=True)
class ExclusiveConfig(Exclusive, MixingConfig):
    """Sources alone inside their windows, the target alone outside."""


def as_choice(rule: MixingRule) -> MixingRule:
    """The choice of a configuration file that stands for a rule of `core.mixing`; any other rule as it is."""
    for choice in MixingConfig.get_known_choices().values():
        if type(rule) in choice.__bases__:
            return choice(**{one.name: getattr(rule, one.name) for one in fields(choice)})
    return rule


@PreTrainedConfig.register_subclass("ambient_diffusion")
@dataclass
class AmbientDiffusionConfig(DiffusionConfig):
    """LeRobot's DiffusionConfig plus a mixture of datasets.

    `--dataset.*` is the target, the trusted dataset; `sources` are the others. Without sources and with the
    defaults below this is LeRobot's diffusion policy, loss for loss.

    Args:
        sources: suboptimal datasets and the noise levels at which they teach.
        target_rename: keys of the target dataset to LeRobot's, e.g. {actions: action}.
        target_dimension_names: by key, the names of the target's dimensions in their order, where its info.json has
            none or others than the robot's, e.g. {action: [pan.pos, lift.pos]}. Training matches sources by them;
            given at a rollout, they are compared with the robot's.
        target_action_type: absolute or delta (each action is a step from the state of its frame), what the target's
            actions are; guessed from the recording when null. Used to notice and convert sources of the other kind.
        target_action_gain: how far a step of 1 moves the target's state, a number or one for each dimension, where its
            actions are steps in a unit of their own. Used to convert sources with positions.
        frame_cache: folder in which decoded camera frames are kept, at resize_shape or else the camera's size; null
            decodes them at every visit.
        mixing: how the datasets share each noise level: target_only, cotrain, ambient, soft or exclusive.
        ambient_loss: train sources above their sigma_min on the ambient target, which trusts x_tmin instead of
            the clean chunk; only under mixings that admit by windows (ambient, soft, exclusive).
        ambient_loss_max_amplification: bound s_max > 1 of the ambient target; sources start at the level
            sigma_min sqrt(1 + 1 / (s_max - 1)) (VE).
        ambient_loss_fresh_noise: draw x_tmin's noise anew at each visit instead of once per frame.
        relative_actions: denoise chunks relative to the current state. Done inside the policy: action and
            state need the same dimensions in the same order.
        denoiser: "unet" (LeRobot's), or "mlp", a residual MLP for low-dimensional tasks on small machines.
        mlp_width, mlp_depth: its hidden width and number of residual blocks.
        ema_decay: average the weights with this decay (0.999) and act and evaluate with the average; smaller at first,
            so that a short training is averaged over its last ninth; null is off.
        marked_cameras: written by training, the cameras that a source lacks; the policy then has a learned vector that
            stands for an absent camera's features.
        feature_names: written by training, the names of the action's and of the state's dimensions; lerobot-rollout
            refuses a robot with others.
        mixture_fingerprint: written by training, a line per dataset and one for the mixing; resume refuses a change.
        mixture_record: written by training, what the model card says of each dataset.
    """

    sources: list[Source] = field(default_factory=list)
    target_rename: dict[str, str] = field(default_factory=dict)
    target_dimension_names: dict[str, list[str]] = field(default_factory=dict)
    target_action_type: str | None = None
    target_action_gain: float | dict[str, float] | None = None
    frame_cache: str | None = None
    mixing: MixingConfig = field(default_factory=AmbientConfig)
    ambient_loss: bool = False
    ambient_loss_max_amplification: float = 4.0
    ambient_loss_fresh_noise: bool = False
    relative_actions: bool = False
    denoiser: str = "unet"
    mlp_width: int = 256
    mlp_depth: int = 4
    ema_decay: float | None = None
    marked_cameras: list[str] = field(default_factory=list)
    feature_names: dict[str, list[str]] | None = None
    mixture_fingerprint: list[str] | None = None
    mixture_record: list[DataRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.denoiser not in DENOISERS:
            raise ValueError(f"policy.denoiser = '{self.denoiser}' is unknown; choose one of {', '.join(DENOISERS)}.")
        if self.target_action_type not in (None, *ACTION_TYPES):
            raise ValueError(
                f"policy.target_action_type = '{self.target_action_type}' is unknown; choose one of "
                f"{', '.join(ACTION_TYPES)}, or null to have it guessed."
            )
        check_gain(self.target_action_gain, "policy.target_action_gain")
        if self.target_action_gain is not None and self.target_action_type == "absolute":
            raise ValueError(
                "policy.target_action_gain is of steps, and policy.target_action_type is absolute; remove one of them."
            )
        if self.mlp_width < 1 or self.mlp_depth < 1:
            raise ValueError(
                f"policy.mlp_width and mlp_depth must be positive, got {self.mlp_width}, {self.mlp_depth}."
            )
        if self.ema_decay is not None and not 0.0 < self.ema_decay < 1.0:
            raise ValueError(f"policy.ema_decay must lie in (0, 1), or null for none; got {self.ema_decay}.")
        if not self.ambient_loss_max_amplification > 1.0:
            raise ValueError(
                f"policy.ambient_loss_max_amplification must exceed 1, got {self.ambient_loss_max_amplification}."
            )
        if self.n_action_steps > self.horizon - self.n_obs_steps + 1:
            raise ValueError(
                f"policy.n_action_steps = {self.n_action_steps} exceeds horizon - n_obs_steps + 1 = "
                f"{self.horizon - self.n_obs_steps + 1}: a chunk has no more actions from the current step on."
            )

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
        if self.use_group_norm:
            return
        for key, feature in self.image_features.items():
            size = tuple(self.crop_shape or self.resize_shape or feature.shape[1:])
            if max(size) <= _RESNET_STRIDE:
                raise ValueError(
                    f"the encoder gets pictures of {size[0]}x{size[1]} pixels from '{key}' and shrinks them "
                    f"{_RESNET_STRIDE} times, to a single pixel, which batch normalisation cannot be trained on. Write "
                    "--policy.use_group_norm=true, or enlarge the pictures, --policy.resize_shape='[96, 96]'."
                )
