# SPDX-License-Identifier: Apache-2.0
"""What is added to a flow-matching policy of LeRobot's: its `forward` with other times in training on a mixture."""

from __future__ import annotations

import inspect
import logging
import math
from typing import Any, cast

import torch
from lerobot.utils.constants import ACTION
from torch import Tensor

from lerobot_ambient.core.draws import TimestepLaw
from lerobot_ambient.core.flow_time import TimeTransport
from lerobot_ambient.data.mixture import AssembledMixture
from lerobot_ambient.policy.card.hub_card import CardOnHub
from lerobot_ambient.policy.flow.configuration_ambient import FlowOptions
from lerobot_ambient.policy.flow.families import FAMILIES, PREFIX
from lerobot_ambient.policy.flow.probe import Probe
from lerobot_ambient.policy.flow.step import Step
from lerobot_ambient.policy.flow.watched import Compared
from lerobot_ambient.policy.shared.following import FollowsMixture
from lerobot_ambient.policy.shared.not_finite import not_finite
from lerobot_ambient.policy.shared.safe_loading import fetched, loaded_or_raise, refuse_foreign_steps

logger = logging.getLogger(__name__)

_OF_THE_HUB = ("revision", "token", "cache_dir", "local_files_only", "force_download")


class AmbientFlow(FollowsMixture, CardOnHub):
    """Mixed into a stock policy, before it: network, actions, queues and loss stay the stock policy's.

    Args:
        config: the policy's configuration.
        kwargs: LeRobot's `dataset_stats` and `dataset_meta`, the merged dataset's, in training.

    Raises:
        ValueError: sources are configured but the dataset is not their merge, or it lacks what this policy cannot mask.
    """

    name = "ambient_flow"
    config_class = FlowOptions
    config: FlowOptions
    sigmas: Tensor

    def __init__(self, config: FlowOptions, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self._start_following()
        self.transport: TimeTransport | None = None
        self.timestep_law: TimestepLaw | None = None
        self._absent_cameras: dict[str, Tensor] = {}
        dataset_meta = kwargs.get("dataset_meta")
        if dataset_meta is not None:
            self._follow(getattr(dataset_meta, "mixture", None))

    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: Any, **kwargs: Any) -> Any:
        """As the stock policy's; a failed read of the weights is an error, also where the stock policy prints it.

        Raises:
            ValueError: the checkpoint's processors name a class to be called.
            OSError: the weights could not be read, or none of them is the policy's.
        """
        hub = {key: kwargs[key] for key in _OF_THE_HUB if kwargs.get(key)}
        refuse_foreign_steps(
            pretrained_name_or_path,
            config=kwargs.get("config"),
            **{key: one for key, one in hub.items() if key != "force_download"},
        )
        if hub and FAMILIES[cls.name.removeprefix(PREFIX)].forgets_hub_options:
            pretrained_name_or_path = fetched(pretrained_name_or_path, **hub)
        with loaded_or_raise(cls, pretrained_name_or_path):
            return super().from_pretrained(pretrained_name_or_path, **kwargs)

    def _follow(self, mixture: AssembledMixture | None) -> None:
        super()._follow(mixture)
        if mixture is None:
            return
        family, names = self.config.family, mixture.plan.source_names()
        if mixture.action_mask is not None and not family.masks_dimensions:
            lacking = [name for name, has in zip(names, mixture.action_mask, strict=True) if not has.all()]
            raise ValueError(
                f"{self.config.type} averages its loss over all action dimensions and {', '.join(lacking)} lacks some: "
                "they would be trained on a constant. Leave the dataset out, give the dimension a value with "
                "dimensions: {action: {NAME: {fill: 0.0, mask: false}}}, or use a policy that masks them "
                "(ambient_diffusion, ambient_smolvla, ambient_pi0, ambient_pi05)."
            )
        time = family.time(self.config)
        if time is None:
            self.timestep_law = TimestepLaw(mixture.plan)
            self.register_buffer("sigmas", mixture.plan.schedule.sigmas, persistent=False)
        else:
            self.transport = TimeTransport(mixture.plan, time)
        absent = mixture.absent_cameras or {}
        self._absent_cameras = {key: one for key, one in absent.items() if bool(one.any())}
        if self._absent_cameras and not family.masks_cameras:
            for key, one in self._absent_cameras.items():
                lacking = [name for name, lacks in zip(names, one.tolist(), strict=True) if lacks]
                logger.warning(
                    "%s cannot be told that a camera is absent: it sees a picture of one colour for '%s' in %s.",
                    *(self.config.type, key, ", ".join(lacking)),
                )

    def forward(self, batch: dict[str, Any], *args: Any, **kwargs: Any) -> tuple[Tensor, dict[str, Any] | None]:
        """The stock policy's loss; in training on a mixture each sample's time follows its group's law.

        Args:
            batch: as the preprocessor leaves it; in training with `info["ambient_group"]` (B,).
            args, kwargs: of the stock policy.

        Returns:
            The loss, and what the stock policy tells of it, in training with the share, mean sigma and, where the
            stock policy has a loss per sample, mean loss of every source in the batch.

        Raises:
            NotFiniteError: a loss is NaN or infinite; names the samples and what may be the cause.
        """
        group = self._group_of(batch)
        if group is None:
            if self.training or self.watcher is None:
                return super().forward(batch, *args, **kwargs)  # type: ignore[misc, no-any-return]
            return self._watched(batch, *args, **kwargs)
        self._diverge_ranks()
        call = inspect.signature(super().forward).bind(batch, *args, **kwargs)
        call.apply_defaults()
        step = self._step(batch, group, call.arguments.get("reduction", "mean"))
        with self.config.family.taught(self, step):
            loss, told = super().forward(batch, *args, **kwargs)  # type: ignore[misc]
        logs = self._log(group, step.sigma, step.per_sample)
        finite = bool(torch.isfinite(loss).all()) if step.per_sample is None else all(map(math.isfinite, logs.values()))
        if not finite:
            per_sample = loss.detach().expand(len(group)) if step.per_sample is None else step.per_sample
            place_of = None if self._mixture is None else self._mixture.place_of
            names = self.config.feature_names or {}
            raise not_finite(batch, per_sample, self, place_of=place_of, names=names, steps=None)
        return loss, {**(told or {}), **logs}

    def _watched(self, batch: dict[str, Any], *args: Any, **kwargs: Any) -> tuple[Tensor, dict[str, Any] | None]:
        """The stock policy's loss in evaluation, of its own times and draws, whose parts the watcher gets."""
        assert self.watcher is not None
        family, owner = self.config.family, self._owner_of(batch, None)
        step = Step(
            group=torch.zeros(len(batch[ACTION]), dtype=torch.int64, device=batch[ACTION].device),
            # Where the processor has padded the actions, what it added is not asked for.
            dims=min(batch[ACTION].shape[-1], *self.config.output_features[ACTION].shape),
            draw=lambda _, time: time,
            sigma_of=self._sigma_of,
            counts=self._of_source(self.action_mask, owner),
            absent=None if owner is None else self._absent(owner),
            is_pad=family.padding(self.config, batch),
        )
        compared = Compared()
        with family.taught(self, step), compared.noted():
            loss, told = super().forward(batch, *args, **kwargs)  # type: ignore[misc]
        if step.per_sample is None:
            self.watcher.saw(loss, step.levels, compared.losses(step))
        else:
            self.watcher.saw(loss, step.sigma, step.per_sample)
        return loss, told

    def _absent(self, group: Tensor) -> dict[str, Tensor] | None:
        """By camera (B,) where each sample's dataset lacks it."""
        return {
            key: one.to(group.device)[self.group_source[group]] for key, one in self._absent_cameras.items()
        } or None

    @torch.no_grad()
    def denoising_error(self, batch: dict[str, Any], sigma: Tensor, seed: int) -> Tensor:
        """How far off the denoised chunk is, given the observation and the chunk at a noise level.

        The stock policy's own forward at these levels; call `policy.eval()` first.

        Args:
            batch: as the preprocessor leaves it.
            sigma: (B,) VP levels in (0, 1].
            seed: of the noise: policies of one type that are given the same one see the same noisy chunks.

        Returns:
            (B, H, A) x_0_hat - x_0, float32, in normalised units, without the policy's padding.

        Raises:
            RuntimeError: an unknown LeRobot, whose forward does not regress on chunks at times of its own.
        """
        family, config = self.config.family, self.config
        horizon, dims = len(config.action_delta_indices), config.output_features[ACTION].shape[0]
        asked = family.time_at(config, sigma.to(batch[ACTION].device))
        probe = Probe(asked, (horizon, dims), target_first=family.target_first)
        devices = [batch[ACTION].device] if batch[ACTION].is_cuda else []
        # To a family's hooks a probe is a step: it moves times, and leaves the rest alone.
        with torch.random.fork_rng(devices), family.taught(self, cast("Step", probe)), probe:
            torch.manual_seed(seed)
            super().forward({**batch})  # type: ignore[misc]
        if probe.off is None or probe.time is None:
            raise RuntimeError(
                f"{config.type}: no loss over chunks of {horizon} steps and {dims} dimensions was seen in the policy's "
                "forward: this LeRobot trains it in another way than the one this package was written for."
            )
        return family.error_of_x_0(config, probe.off, probe.time)

    def _step(self, batch: dict[str, Any], group: Tensor, reduction: str) -> Step:
        family = self.config.family
        ambient = self._trains_on_ambient_target
        return Step(
            group=group,
            dims=batch[ACTION].shape[-1],
            draw=self._draw,
            sigma_of=self._sigma_of,
            counts=self._of_source(self.action_mask, group),
            absent=self._absent(group),
            is_pad=family.padding(self.config, batch),
            sigma_min=self._ambient_sigma_min if ambient else None,
            noise_of_x_tmin=(lambda x_0: self._noise_of_x_tmin(batch, x_0)) if ambient else None,
            reduction=reduction,
        )

    def _draw(self, group: Tensor, time: Tensor) -> Tensor:
        if self.transport is not None:
            return self.transport(group, time)  # type: ignore[no-any-return]
        assert self.timestep_law is not None
        return self.timestep_law.redraw(group, time)

    def _sigma_of(self, time: Tensor) -> Tensor:
        return self.sigmas[time] if self.transport is None else self.transport.time.sigma_of(time)
