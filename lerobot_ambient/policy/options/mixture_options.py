# SPDX-License-Identifier: Apache-2.0
"""What an ambient policy's configuration says beside the stock one: a mixin for LeRobot's configuration classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.declared.alignment import check_gain
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
from lerobot_ambient.data.declared.sources import ACTION_TYPES, Source
from lerobot_ambient.data.provenance.data_record import DataRecord
from lerobot_ambient.policy.options.mixing import AmbientConfig, MixingConfig

if TYPE_CHECKING:
    from lerobot.configs import PreTrainedConfig as _Stock
else:
    _Stock = object


@dataclass
class MixtureOptions(_Stock):
    """A mixture of datasets, and what training writes of it. Mixed into one of LeRobot's policy configurations.

    `--dataset.*` is the target, the trusted dataset; `sources` are the others.

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
        target_end_effector: learn poses of the target's end effector, or steps of it, in the place of joint positions;
            the arm's URDF and its tip, see EndEffectorConfig. Every source then has `end_effector`, and at a rollout
            LeRobot's inverse kinematics moves the joints.
        frame_cache: folder in which decoded camera frames are kept, at resize_shape or else the camera's size; null
            decodes them at every visit.
        stream_target: leave the target's videos on the Hub, as `stream` of a source does; --dataset.streaming=true
            sets it.
        stream_cache: folder in which blocks of videos that stay on the Hub are kept; in LeRobot's home when null.
        stream_cache_gb: 10^9 bytes that these blocks may take; the ones read least recently go first.
        mixing: how the datasets share each noise level: target_only, cotrain, ambient, soft or exclusive.
        ambient_loss: train sources above their sigma_min on the ambient target, which trusts x_tmin instead of
            the clean chunk; only under mixings that admit by windows (ambient, soft, exclusive).
        ambient_loss_max_amplification: bound s_max > 1 of the ambient target; sources start at the level
            sigma_min sqrt(1 + 1 / (s_max - 1)) (VE).
        ambient_loss_fresh_noise: draw x_tmin's noise anew at each visit instead of once per frame.
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
    target_end_effector: EndEffectorConfig | None = None
    frame_cache: str | None = None
    stream_target: bool = False
    stream_cache: str | None = None
    stream_cache_gb: float = 20.0
    mixing: MixingConfig = field(default_factory=AmbientConfig)
    ambient_loss: bool = False
    ambient_loss_max_amplification: float = 4.0
    ambient_loss_fresh_noise: bool = False
    marked_cameras: list[str] = field(default_factory=list)
    feature_names: dict[str, list[str]] | None = None
    mixture_fingerprint: list[str] | None = None
    mixture_record: list[DataRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.target_action_type not in (None, *ACTION_TYPES):
            raise ValueError(
                f"policy.target_action_type = '{self.target_action_type}' is unknown; choose one of "
                f"{', '.join(ACTION_TYPES)}, or null to have it guessed."
            )
        check_gain(self.target_action_gain, "policy.target_action_gain")
        if not 0.0 < self.stream_cache_gb < float("inf"):
            raise ValueError(f"policy.stream_cache_gb must be positive and finite, got {self.stream_cache_gb}.")
        if self.target_action_gain is not None and self.target_action_type == "absolute":
            raise ValueError(
                "policy.target_action_gain is of steps, and policy.target_action_type is absolute; remove one of them."
            )
        if self.target_end_effector is not None:
            self.target_end_effector.require_whole("policy.target_end_effector")
        if self.target_end_effector is not None and (self.target_action_type, self.target_action_gain) != (None, None):
            raise ValueError(
                "policy.target_end_effector says in its action what the target's actions are (kind, position_scale, "
                "rotation_scale); remove policy.target_action_type and policy.target_action_gain."
            )
        if not self.ambient_loss_max_amplification > 1.0:
            raise ValueError(
                f"policy.ambient_loss_max_amplification must exceed 1, got {self.ambient_loss_max_amplification}."
            )

    @abstractmethod
    def noise_schedule(self) -> NoiseSchedule:
        """The noise levels that the policy trains at: the columns of the plan."""

    def refuse_estimates(self) -> None:
        """Say where windows cannot be estimated on the policy's chunks.

        Raises:
            ValueError: the policy noises something else than what a mixture normalises.
        """

    @property
    def acting(self) -> tuple[str, str]:
        """How a chunk is denoised, in words, and the option that makes it quicker; empty where there is none."""
        return "", ""

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """(height, width) to which the policy brings every frame first; None for the camera's own."""
        return None

    @property
    def resizes_frames(self) -> bool:
        """Whether the policy takes frames of any size."""
        return self.frame_size is not None

    @property
    def needs_every_camera(self) -> bool:
        """Whether the policy cannot act without one of its cameras."""
        return True

    @property
    def observation_offsets(self) -> Sequence[int] | None:
        """Frame offsets of the observations of a sample; None where it has one, without a dimension of time."""
        offsets: Sequence[int] | None = self.observation_delta_indices
        return offsets

    @property
    def dropped_frames(self) -> int:
        """Frames at each episode's end that start no sample."""
        return int(getattr(self, "drop_n_last_frames", None) or 0)

    @property
    def encodes_relative_actions(self) -> bool:
        """Whether chunks are noised relative to the current state."""
        return bool(getattr(self, "relative_actions", False))


def euler_steps(option: str, steps: int | None) -> tuple[str, str]:
    """What `MixtureOptions.acting` says of a flow that is integrated in so many steps, set by an option."""
    how = "Euler" if steps is None else f"Euler, {steps} steps"
    return how, "" if steps == 1 else f"fewer steps by --policy.{option}"


def ambient_types() -> list[str]:
    """The registered policy types that have a mixture, by name."""
    from lerobot.configs import PreTrainedConfig

    known = PreTrainedConfig.get_known_choices()
    return sorted(name for name, cls in known.items() if issubclass(cls, MixtureOptions))
