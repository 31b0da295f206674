# SPDX-License-Identifier: Apache-2.0
"""How long a checkpoint takes for a chunk of actions, beside LeRobot's diffusion policy with the same weights.

Both act in turn (A B A B ...) in one process, for one robot, for every number of sampling steps; and from the same
random numbers, to see that the actions are equal, bit for bit.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

from lerobot_ambient.benchmarks.speed.busy import Stopwatch, cores, doubts, load_average, spread
from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.integration.errors.error_report import not_there
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.policy.shared.latency import chunk_seconds

DEFAULT_STEPS = ("DDIM:2", "DDIM:4", "DDIM:8", "DDIM:16", "DDPM:100")


@dataclass(frozen=True)
class Latency:
    """Medians in ms of one sampler, and whether the machine was quiet enough to believe them.

    Args:
        sampler: KIND:STEPS.
        ours_ms, stock_ms, ratio: ours, stock's, and ours over stock's.
        equal: whether the actions are, bit for bit.
        spread: by how much of the median the fastest and the slowest chunk differ, of the worse policy.
        core_share: of a core that the measured calls got; None on a GPU.
        load, cores: processes that wanted a core in the minute before, None where unknown; and cores there are.
        doubts: why the numbers are not to be believed; empty if nothing speaks against them.
    """

    sampler: str
    ours_ms: float
    stock_ms: float
    ratio: float
    equal: bool
    spread: float
    core_share: float | None
    load: float | None
    cores: int
    doubts: tuple[str, ...]


def bench_latency(path: str | Path, *, samplers: Sequence[str] = DEFAULT_STEPS, rounds: int = 5) -> list[Latency]:
    """Time a checkpoint with each of `samplers`.

    Args:
        path: a checkpoint of type ambient_diffusion, with LeRobot's U-Net and absolute actions.
        samplers: KIND:STEPS, e.g. "DDIM:8".
        rounds: chunks of each policy; medians are reported.

    Raises:
        ValueError: a policy that stock LeRobot cannot have, or a sampler that is none.
        FileNotFoundError: no such checkpoint.
    """
    try:
        config = PreTrainedConfig.from_pretrained(path)
    except NOT_ON_THE_HUB as error:
        raise FileNotFoundError(not_there("path", str(path), reason_of(error))) from error
    if not isinstance(config, AmbientDiffusionConfig):
        raise ValueError(f"{path} is of type {config.type}; only ambient_diffusion is compared with stock diffusion.")
    if config.denoiser != "unet" or config.relative_actions:
        raise ValueError(
            f"{path} has denoiser={config.denoiser} and relative_actions={config.relative_actions}; stock diffusion "
            "has unet and absolute actions only, so there is nothing to compare with."
        )
    if not config.image_features and config.env_state_feature is None:
        raise ValueError(
            f"{path} reads the state alone; stock diffusion wants a camera or observation.environment_state, so there "
            "is nothing to compare with."
        )
    if rounds < 1:
        raise ValueError(f"--rounds must be at least 1, got {rounds}.")
    # Before the first chunk: later this process is among those that want a core.
    load = load_average()
    return [_measure(path, config, *_sampler(text), rounds, load) for text in samplers]


def _sampler(text: str) -> tuple[str, int]:
    kind, _, steps = text.partition(":")
    if kind not in ("DDIM", "DDPM") or not steps.isdigit() or int(steps) < 1:
        raise ValueError(f"sampler '{text}' is not DDIM:STEPS or DDPM:STEPS, e.g. DDIM:8.")
    return kind, int(steps)


def _measure(
    path: str | Path, config: AmbientDiffusionConfig, kind: str, steps: int, rounds: int, load: float | None
) -> Latency:
    config = copy.copy(config)
    config.noise_scheduler_type, config.num_inference_steps = kind, steps
    ours = AmbientDiffusionPolicy.from_pretrained(path, config=config)
    stock = _stock(ours, config)
    with Stopwatch() as watch:
        pairs = [(chunk_seconds(ours, rounds=1)[0], chunk_seconds(stock, rounds=1)[0]) for _ in range(rounds)]
    took = list(zip(*pairs, strict=True))
    ours_ms, stock_ms = (1000 * statistics.median(seconds) for seconds in took)
    equal = torch.equal(_chunk(ours), _chunk(stock))
    share = round(watch.share, 2) if next(ours.parameters()).device.type == "cpu" else None
    worse = round(max(map(spread, took)), 2)
    available = cores()
    return Latency(
        f"{kind}:{steps}",
        round(ours_ms, 1),
        round(stock_ms, 1),
        round(ours_ms / stock_ms, 3),
        equal,
        worse,
        share,
        load,
        available,
        tuple(doubts(load, available, share, worse)),
    )


def _stock(ours: AmbientDiffusionPolicy, config: AmbientDiffusionConfig) -> DiffusionPolicy:
    """LeRobot's policy with the weights that `ours` acts with."""
    values = {field.name: getattr(config, field.name) for field in fields(DiffusionConfig) if field.init}
    stock = DiffusionPolicy(DiffusionConfig(**values))
    acting = ours.diffusion if ours.averaged is None else ours.averaged.module
    weights = {key: value for key, value in acting.state_dict().items() if key != "absent_camera"}
    stock.diffusion.load_state_dict(weights)
    return stock.eval().to(next(ours.parameters()).device)


def _chunk(policy: DiffusionPolicy) -> torch.Tensor:
    """(n_action_steps, A) the actions of one chunk from fixed random numbers and a made-up observation."""
    device = next(policy.parameters()).device
    features = policy.config.input_features
    generator = torch.Generator().manual_seed(1)
    observation = {
        key: torch.rand((1, *feature.shape), generator=generator).to(device) for key, feature in features.items()
    }
    policy.reset()
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        return torch.cat([policy.select_action(dict(observation)) for _ in range(policy.config.n_action_steps)])
