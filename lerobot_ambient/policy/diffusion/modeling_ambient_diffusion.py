# SPDX-License-Identifier: Apache-2.0
"""The policy: LeRobot's DiffusionPolicy with another law of the timestep and another loss.

The network, the sampler of actions and the queues are LeRobot's. What changes in training: the timestep of a
sample is drawn from its group's P(t | g), and a source's high-noise band may use the ambient target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE
from lerobot.utils.import_utils import require_package
from torch import Tensor, nn

from lerobot_ambient.core.draws import TimestepLaw
from lerobot_ambient.core.flow_time import TimeTransport
from lerobot_ambient.core.losses import ambient_pair, ambient_target, denoising_target, reduce_loss, renoise
from lerobot_ambient.core.noise_levels import flow_to_vp, vp_to_flow, vp_to_ve
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.data.normalization.affine import RELATIVE_ACTION
from lerobot_ambient.policy.card.hub_card import CardOnHub
from lerobot_ambient.policy.diffusion.averaging import GrowingAverage
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.diffusion_model import AmbientDiffusionModel
from lerobot_ambient.policy.diffusion.flow import draw_time, flow_time, network_time
from lerobot_ambient.policy.diffusion.single_observation import repeat_single_observation
from lerobot_ambient.policy.shared.following import NOT_MERGED, FollowsMixture
from lerobot_ambient.policy.shared.not_finite import NotFiniteError, not_finite
from lerobot_ambient.policy.shared.safe_loading import refuse_foreign_steps


class AmbientDiffusionPolicy(FollowsMixture, CardOnHub, DiffusionPolicy):
    """Diffusion policy trained on a mixture of datasets, each at the noise levels where it cannot hurt.

    Args:
        config: the policy's configuration.
        dataset_stats: statistics of the target, given by LeRobot in training.
        dataset_meta: the merged dataset's metadata, given by LeRobot in training; absent when acting.

    Raises:
        ValueError: sources are configured but the dataset is not their merge.
    """

    config_class = AmbientDiffusionConfig
    name = "ambient_diffusion"
    config: AmbientDiffusionConfig
    sigmas: Tensor
    camera_absent: Tensor | None

    def __init__(
        self,
        config: AmbientDiffusionConfig,
        dataset_stats: dict[str, dict[str, Tensor]] | None = None,
        dataset_meta: Any = None,
        **kwargs: Any,
    ) -> None:
        require_package("diffusers", extra="diffusion")
        # DiffusionPolicy's constructor would build the stock model only for it to be thrown away.
        PreTrainedPolicy.__init__(self, config)
        config.validate_features()
        self._queues = None
        self.diffusion = AmbientDiffusionModel(config)
        self.averaged: GrowingAverage | None = None
        if config.ema_decay is not None:
            self.averaged = GrowingAverage(self.diffusion, config.ema_decay)
            self.averaged.requires_grad_(False)
        self._fit_relative(dataset_stats)
        self.timestep_law: TimestepLaw | None = None
        self.transport: TimeTransport | None = None
        self._start_following()
        self.register_buffer("camera_absent", None, persistent=False)
        if dataset_meta is not None:
            self._follow(getattr(dataset_meta, "mixture", None))
        DiffusionPolicy.reset(self)

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: Any, **kwargs: Any) -> AmbientDiffusionPolicy:
        """As LeRobot's; when training goes on from a checkpoint, the relative chunks follow the new target.

        LeRobot gives its normalisers the statistics of the dataset that is fine-tuned on; the constants of
        relative chunks refer to the same normalised spaces and must not stay behind.

        Raises:
            ValueError: the checkpoint's processors name a class to be called; LeRobot makes them after the policy.
        """
        hub = {key: kwargs.get(key) for key in ("token", "cache_dir") if kwargs.get(key) is not None}
        refuse_foreign_steps(
            pretrained_name_or_path,
            revision=kwargs.get("revision"),
            config=kwargs.get("config"),
            local_files_only=kwargs.get("local_files_only", False),
            **hub,
        )
        policy: AmbientDiffusionPolicy = super().from_pretrained(pretrained_name_or_path, **kwargs)
        policy._fit_relative(kwargs.get("dataset_stats"))
        return policy

    def _fit_relative(self, stats: dict[str, dict[str, Tensor]] | None) -> None:
        if stats is None or self.diffusion.relative is None:
            return
        if RELATIVE_ACTION not in stats:
            raise ValueError(
                f"policy.relative_actions needs statistics of relative chunks ('{RELATIVE_ACTION}'), which only the "
                "merged dataset computes; " + NOT_MERGED
            )
        mapping = {kind: self.config.normalization_mapping[kind].value for kind in ("ACTION", "STATE")}
        models: list[Any] = [self.diffusion]
        if self.averaged is not None:
            models.append(self.averaged.module)
        for model in models:
            model.relative.fit(
                stats,
                keys={"action": ACTION, "state": OBS_STATE, "relative": RELATIVE_ACTION},
                modes={"action": mapping["ACTION"], "state": mapping["STATE"], "relative": mapping["ACTION"]},
            )

    def _follow(self, mixture: AssembledMixture | None) -> None:
        super()._follow(mixture)
        if mixture is not None:
            if self.config.objective == "flow":
                self.transport = TimeTransport(mixture.plan, flow_time(self.config))
            else:
                self.timestep_law = TimestepLaw(mixture.plan)
            self.register_buffer("sigmas", mixture.plan.schedule.sigmas.float(), persistent=False)
            self.register_buffer("camera_absent", self._camera_table(mixture), persistent=False)

    def _camera_table(self, mixture: AssembledMixture) -> Tensor | None:
        """(S, number of cameras) bool, True where a dataset lacks the camera; None where none lacks any."""
        absent = mixture.absent_cameras
        if absent is None:
            return None
        assert self.diffusion.absent_camera is not None, "training names the marked cameras before it makes the policy"
        return torch.stack([absent[key] for key in self.config.image_features], dim=1)

    def get_optim_params(self) -> Iterator[nn.Parameter]:  # type: ignore[override]
        return self.diffusion.parameters()

    def update(self) -> None:
        """LeRobot calls this after each optimiser step: advance the averaged weights."""
        if self.averaged is not None:
            self.averaged.update_parameters(self.diffusion)

    def predict_action_chunk(self, batch: dict[str, Tensor], noise: Tensor | None = None) -> Tensor:
        """As DiffusionPolicy, with the averaged weights in evaluation mode when there are any.

        Without a history in the queues, a single observation is repeated; DiffusionPolicy fails on it.
        """
        queues: dict[str, Any] = self._queues or {}
        if not any(queues.values()):
            batch = repeat_single_observation(batch, self.config)
        with self._evaluation_weights():
            return super().predict_action_chunk(batch, noise=noise)

    @contextmanager
    def _evaluation_weights(self) -> Iterator[None]:
        trained = self.diffusion
        self.diffusion = self._model()
        try:
            yield
        finally:
            self.diffusion = trained

    def _model(self) -> AmbientDiffusionModel:
        if self.averaged is None or self.training:
            return self.diffusion
        return cast("AmbientDiffusionModel", self.averaged.module)

    def forward(self, batch: dict[str, Any], reduction: str = "mean") -> tuple[Tensor, dict[str, float] | None]:
        """The loss of a batch from the merged dataset.

        In training the timestep follows the plan, `config.noise_draws` times for each sample; in evaluation (held-out
        loss) it is uniform and the averaged weights are used.

        Args:
            batch: normalised, as LeRobot's preprocessor leaves it; in training `info["ambient_group"]` (B,).
            reduction: "mean" gives a scalar; "none" one loss per sample (B,).

        Returns:
            The loss, and in training the share, mean loss and mean sigma of every source in the batch.

        Raises:
            NotFiniteError: a loss is NaN or infinite; names the samples and what may be the cause.
        """
        model = self._model()
        batch = self._stack_cameras(batch)
        x_0 = model.trajectory(batch)
        group = self._group_of(batch)
        owner = self._owner_of(batch, group)
        counts = self._of_source(self.action_mask, owner)
        if counts is not None:
            # What stands for an absent dimension says nothing; zero is the middle of the normalised range.
            x_0 = torch.where(counts.unsqueeze(1), x_0, 0.0)
        if self.training:
            self._diverge_ranks()

        # The order of these draws is LeRobot's (random crops, noise, timestep), so that open windows give its losses.
        condition = model.conditioning(batch, self._of_source(self.camera_absent, owner))
        draws = self.config.noise_draws if self.training else 1
        if draws > 1:
            seen, batch = batch, _repeated(batch, draws)
            x_0, condition = x_0.repeat_interleave(draws, 0), condition.repeat_interleave(draws, 0)
            group, counts = (None if one is None else one.repeat_interleave(draws, 0) for one in (group, counts))
        eps = torch.randn(x_0.shape, device=x_0.device)
        sigma: Tensor | None
        if self.config.objective == "flow":
            timestep, sigma, x_t, target = self._flow(batch, group, x_0, eps)
        else:
            timestep = self._draw_timestep(group, x_0)
            sigma = None if self._mixture is None else self.sigmas[timestep]
            x_t = model.noise_scheduler.add_noise(x_0, eps, timestep)
            target = denoising_target(x_0, eps, self.config.prediction_type)
            if self._trains_on_ambient_target and group is not None:
                x_t, target = self._ambient_band(batch, group, timestep, x_0, eps, x_t, target)

        pred = model.unet(x_t, timestep, global_cond=condition)
        # mse_loss would broadcast one sample's target over another's prediction.
        assert pred.shape == target.shape, f"prediction {tuple(pred.shape)}, target {tuple(target.shape)}"
        element = F.mse_loss(pred, target, reduction="none")
        is_pad = batch[f"{ACTION}_is_pad"] if self.config.do_mask_loss_for_padding else None
        loss = reduce_loss(element, is_pad, reduction, counts)
        per_sample = (loss if reduction == "none" else reduce_loss(element.detach(), is_pad, "none", counts)).detach()
        logs = None if group is None else self._log(group, sigma, per_sample)
        if draws > 1:
            batch, per_sample = seen, per_sample.unflatten(0, (-1, draws)).mean(1)
            loss = loss if reduction == "mean" else loss.unflatten(0, (-1, draws)).mean(1)
        if self.watcher is not None and not self.training:
            self.watcher.saw(loss, sigma, per_sample)
        # The logs are on the CPU already, so that looking at them costs no transfer; LeRobot reads a held-out loss too.
        finite = bool(torch.isfinite(loss).all()) if logs is None else all(map(math.isfinite, logs.values()))
        if not finite:
            raise self._not_finite(batch, per_sample)
        return loss, logs

    @torch.no_grad()
    def denoising_error(self, batch: dict[str, Any], sigma: Tensor, seed: int) -> Tensor:
        """How far off the denoised chunk is, given the observation and the chunk at a noise level.

        With the averaged weights, if there are any; call `policy.eval()` first, which also stops random crops.

        Args:
            batch: normalised, as LeRobot's preprocessor leaves it.
            sigma: (B,) VP levels in (0, 1]; a discrete diffusion takes the nearest it was trained at.
            seed: of the noise: policies that are given the same one see the same noisy chunks.

        Returns:
            (B, H, A) x_0_hat - x_0, float32, in normalised units.
        """
        model = self.diffusion if self.averaged is None else cast("AmbientDiffusionModel", self.averaged.module)
        batch = self._stack_cameras(batch)
        x_0 = model.trajectory(batch)
        eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(seed)).to(x_0)
        condition = model.conditioning(batch, None)
        sigma = sigma.to(x_0.device)
        if self.config.objective == "flow":
            tau = vp_to_flow(sigma.double()).to(x_0.dtype)
            time = tau[:, None, None]
            x_t = (1.0 - time) * x_0 + time * eps
            velocity = model.unet(x_t, network_time(self.config, tau), global_cond=condition)
            return -time * (velocity - (eps - x_0))
        levels = self.config.noise_schedule().sigmas.to(sigma)
        timestep = (levels - sigma.unsqueeze(1)).abs().argmin(1)
        output = model.unet(model.noise_scheduler.add_noise(x_0, eps, timestep), timestep, global_cond=condition)
        if self.config.prediction_type == "sample":
            return output - x_0
        ratio = vp_to_ve(levels[timestep]).to(x_0.dtype)[:, None, None]
        return -ratio * (output - eps)

    def _stack_cameras(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch = dict(batch)
        if self.config.image_features:
            for key in self.config.image_features:
                if self.config.n_obs_steps == 1 and batch[key].ndim == 4:
                    batch[key] = batch[key].unsqueeze(1)
            batch[OBS_IMAGES] = torch.stack([batch[key] for key in self.config.image_features], dim=-4)
        return batch

    def _draw_timestep(self, group: Tensor | None, x_0: Tensor) -> Tensor:
        if group is not None:
            assert self.timestep_law is not None
            return self.timestep_law(group)
        high = self.config.num_train_timesteps
        return torch.randint(low=0, high=high, size=(x_0.shape[0],), device=x_0.device).long()

    def _flow(
        self, batch: dict[str, Any], group: Tensor | None, x_0: Tensor, eps: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Times for the network, levels, noisy chunks and velocities, of the ambient pair in its band."""
        tau = draw_time(self.config, x_0)
        if group is not None:
            assert self.transport is not None
            tau = self.transport(group, tau)
        sigma = flow_to_vp(tau.double()).to(x_0.dtype)
        if self._trains_on_ambient_target and group is not None:
            r_min = vp_to_ve(self._ambient_sigma_min(group, sigma))[:, None, None]
            inverse_r = ((1.0 - tau) / tau)[:, None, None]
            x_0, eps = ambient_pair(x_0, self._noise_of_x_tmin(batch, x_0), eps, r_min, inverse_r)
        time = tau[:, None, None]
        return network_time(self.config, tau), sigma, (1.0 - time) * x_0 + time * eps, eps - x_0

    def _ambient_band(
        self,
        batch: dict[str, Any],
        group: Tensor,
        timestep: Tensor,
        x_0: Tensor,
        eps: Tensor,
        x_t: Tensor,
        target: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Replace x_t and target by the ambient ones for samples above their own sigma_min."""
        sigma_t = self.sigmas[timestep].to(x_0.dtype)
        # Outside the band the formulas may divide by zero; any harmless level does, the result is discarded.
        sigma_min, sigma_t = (v[:, None, None] for v in (self._ambient_sigma_min(group, sigma_t), sigma_t))
        band = sigma_min > 0
        x_tmin = torch.sqrt(1.0 - sigma_min**2) * x_0 + sigma_min * self._noise_of_x_tmin(batch, x_0)
        noisy = renoise(x_tmin, sigma_min, sigma_t, eps)
        ambient = ambient_target(x_tmin, noisy, sigma_min, sigma_t, self.config.prediction_type)
        return torch.where(band, noisy, x_t), torch.where(band, ambient, target)

    def _not_finite(self, batch: dict[str, Any], per_sample: Tensor) -> NotFiniteError:
        # A held-out batch is of another mixture.
        place_of = self._mixture.place_of if self.training and self._mixture is not None else None
        steps, names = (int(self.averaged.n_averaged) if self.averaged else None), self.config.feature_names
        return not_finite(batch, per_sample, self._model(), place_of=place_of, names=names or {}, steps=steps)


def _repeated(batch: dict[str, Any], draws: int) -> dict[str, Any]:
    """What the loss reads of a batch once the observation is encoded, each sample as often as it is noised."""
    return {
        key: batch[key].repeat_interleave(draws, 0) for key in (ACTION, f"{ACTION}_is_pad", "index") if key in batch
    }
