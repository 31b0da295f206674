# SPDX-License-Identifier: Apache-2.0
"""What a step of `lerobot-train` is made of, and what it costs beside LeRobot's own on one and the same network.

The mixture, its batches, the preprocessor and the step itself are those of `lerobot-train`, its function
`update_policy` included. Three policies of the same size take their steps in turn, on the same batches: ours as it is
configured, ours with LeRobot's Adam, and LeRobot's diffusion policy around our network, which knows no mixture, has
LeRobot's Adam and averages no weights. On a CPU it is processor time that counts, which other work on the machine
disturbs less than the clock.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from lerobot.optim import AdamConfig
from lerobot.policies import make_policy, make_pre_post_processors
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.utils.logging_utils import AverageMeter, MetricsTracker
from lerobot.utils.random_utils import set_seed

from lerobot_ambient.benchmarks.speed import busy
from lerobot_ambient.benchmarks.speed.flow_step import now
from lerobot_ambient.benchmarks.speed.loader import ratio_with_interval
from lerobot_ambient.integration.training.merged_training import make_merged_datasets
from lerobot_ambient.integration.training.step import scaled_pictures, training_step
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.options.train_config import TrainConfig

PARTS = ("batch", "forward", "backward", "clipping", "optimizer", "average", "rest")
"""Of a step: making and normalising the batch, ..., the average of the weights, and what LeRobot does around them."""
OURS, PLAIN, STOCK = "ours", "plain Adam", "stock"
_WARM_UP = 10
_METERS = ("loss", "grad_norm", "lr", "update_s", "gpu_mem_gb")


@dataclass(frozen=True)
class TrainStep:
    """Steps of one configuration.

    Args:
        denoiser, parameters: of the policy.
        batch_size, device, threads: of the steps.
        parts: median milliseconds by kind and part; of `stock` only where LeRobot's policy takes these observations.
        ms: median milliseconds of a whole step by kind.
        ratios: ours over each other kind, the median over steps with the 95 % interval of that median.
        doubts: why the machine was too busy for the figures to be believed; empty if nothing speaks against them.
    """

    denoiser: str
    parameters: int
    batch_size: int
    device: str
    threads: int
    parts: dict[str, dict[str, float]]
    ms: dict[str, float]
    ratios: dict[str, dict[str, Any]]
    doubts: list[str]


def bench_train_step(cfg: TrainConfig, *, steps: int) -> TrainStep:
    """Time `steps` steps of each kind.

    Args:
        cfg: of lerobot-train, not yet validated.
        steps: of each kind, after a few that are not counted.

    Raises:
        ValueError: another policy than ambient_diffusion, no steps, or a mixture that cannot be made.
    """
    if steps < 1:
        raise ValueError(f"--pairs must be at least 1, got {steps}.")
    if not isinstance(cfg.policy, AmbientDiffusionConfig):
        raise ValueError(
            f"the configuration's policy is of type {cfg.policy.type}; for flow policies there is lerobot-ambient "
            "bench flow-step."
        )
    from accelerate import Accelerator

    dataset, _ = make_merged_datasets(cfg)
    load = busy.load_average()
    accelerator = Accelerator(step_scheduler_with_optimizer=False, cpu=cfg.policy.device == "cpu")
    before, _ = make_pre_post_processors(cfg.policy, dataset_stats=dataset.meta.stats)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=cfg.batch_size, sampler=dataset.mixture.sampler(cfg.seed or 0), num_workers=0
    )
    clock = _Clock(str(accelerator.device))
    clock.times(accelerator, "backward", "backward")
    clock.times(accelerator, "clip_grad_norm_", "clipping")
    kinds = {OURS: _Trained(OURS, cfg, dataset, accelerator, clock)}
    # LeRobot has now told the configuration what it observes.
    kinds |= {name: _Trained(name, cfg, dataset, accelerator, clock) for name in _others(cfg.policy)}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    batches, watch = iter(loader), busy.Stopwatch()
    with watch:
        for number in range(_WARM_UP + steps):
            with clock.part("batch"):
                batch = next(batches, None)
                if batch is None:
                    batches = iter(loader)
                    batch = next(batches)
                batch = before(scaled_pictures(batch, dataset.meta.camera_keys))
            made = clock.spent.pop("batch")
            for name in sorted(kinds, reverse=number % 2 == 0):
                spent = kinds[name].step(dict(batch)) | {"batch": made}
                if number >= _WARM_UP:
                    found[name].append({part: 1e3 * spent.get(part, 0.0) for part in PARTS})
    whole = {name: [sum(one.values()) for one in rows] for name, rows in found.items()}
    share = watch.share if str(accelerator.device) == "cpu" else None
    return TrainStep(
        denoiser=cfg.policy.denoiser,
        parameters=sum(one.numel() for one in kinds[OURS].policy.get_optim_params()),
        batch_size=cfg.batch_size,
        device=str(accelerator.device),
        threads=torch.get_num_threads(),
        parts={
            name: {part: statistics.median(row[part] for row in rows) for part in PARTS} for name, rows in found.items()
        },
        ms={name: statistics.median(rows) for name, rows in whole.items()},
        ratios={
            name: ratio_with_interval([a / b for a, b in zip(whole[OURS], rows, strict=True)])
            for name, rows in whole.items()
            if name != OURS
        },
        doubts=busy.doubts(load, busy.cores(), share, 0.0),
    )


def _others(config: AmbientDiffusionConfig) -> tuple[str, ...]:
    """The stock policy refuses an observation of the state alone, and knows no flow."""
    sees = config.image_features or config.env_state_feature
    return (PLAIN, STOCK) if sees and config.objective == "diffusion" else (PLAIN,)


class _Clock:
    """Adds up what named parts of a step take."""

    def __init__(self, device: str) -> None:
        self._device = device
        self.spent: dict[str, float] = {}
        self._open: list[tuple[str, float]] = []

    def part(self, name: str) -> _Clock:
        self._open.append((name, now(self._device)))
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        name, began = self._open.pop()
        self.spent[name] = self.spent.get(name, 0.0) + now(self._device) - began

    def times(self, owner: Any, method: str, part: str, original: Callable[..., Any] | None = None) -> None:
        """Have a method of an object timed as a part, or what is given in its place."""
        called = getattr(owner, method) if original is None else original

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(part):
                return called(*args, **kwargs)

        setattr(owner, method, timed)


class _Trained:
    """One kind of policy with its optimiser, which takes LeRobot's own step."""

    def __init__(self, name: str, cfg: TrainConfig, dataset: Any, accelerator: Any, clock: _Clock) -> None:
        set_seed(cfg.seed)
        self.policy: Any = make_policy(cfg=cfg.policy, ds_meta=dataset.meta)
        preset = cfg.policy.get_optimizer_preset()
        if name != OURS:
            preset = AdamConfig(**vars(preset))
        if name == STOCK:
            self.policy.averaged = None
        optimizer = preset.build(self.policy.get_optim_params())
        scheduler = cfg.policy.get_scheduler_preset().build(optimizer, max(cfg.steps, 1))
        wrapped, self._optimizer, self._scheduler = accelerator.prepare(self.policy, optimizer, scheduler)
        stock = partial(DiffusionPolicy.forward, self.policy) if name == STOCK else None
        clock.times(wrapped, "forward", "forward", stock)
        clock.times(self.policy, "update", "average")
        clock.times(self._optimizer, "step", "optimizer")
        self._wrapped, self._accelerator, self._clock = wrapped, accelerator, clock
        self._clip = preset.grad_clip_norm
        meters = {meter: AverageMeter(meter) for meter in _METERS}
        frames, episodes = dataset.num_frames, dataset.num_episodes
        self._tracker = MetricsTracker(cfg.batch_size, frames, episodes, meters, accelerator=accelerator)

    def step(self, batch: dict[str, Any]) -> dict[str, float]:
        """Seconds of each part of a step."""
        clock = self._clock
        clock.spent.clear()
        with clock.part("whole"):
            training_step(
                *(self._tracker, self._wrapped, batch, self._optimizer),
                *(self._clip, self._accelerator, self._scheduler),
            )
        spent = dict(clock.spent)
        whole = spent.pop("whole")
        return spent | {"rest": whole - sum(spent.values())}
