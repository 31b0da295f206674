# SPDX-License-Identifier: Apache-2.0
"""What a policy takes its noisy chunk for, on the way from noise to action."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from lerobot_ambient.core.noise_levels import NoiseSchedule

if TYPE_CHECKING:
    from lerobot_ambient.policy.diffusion.diffusion_model import AmbientDiffusionModel
    from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy


@dataclass(frozen=True, eq=False)
class Denoising:
    """Chunks at one noise level of the reverse process, in the units of the actions.

    Args:
        sigma: the level, VP.
        noisy: what the denoiser saw, (draws, H, A); beyond the limits of the actions where there is much noise.
        clean: what it took that for, x̂_0, (draws, H, A).
    """

    sigma: float
    noisy: NDArray[np.float64]
    clean: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Opened:
    """A pretrained policy to be looked into: its acting weights and its processors."""

    policy: AmbientDiffusionPolicy
    model: AmbientDiffusionModel
    before: Callable[[dict[str, Any]], dict[str, Any]]
    after: Callable[[Any], Any]


def open_policy(policy: Path) -> Opened:
    """The `ambient_diffusion` policy in this folder."""
    from lerobot.policies.factory import make_pre_post_processors

    from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

    # LeRobot prints that it loads; what is printed here is the results.
    with redirect_stdout(sys.stderr):
        loaded = AmbientDiffusionPolicy.from_pretrained(policy)
    loaded.eval()
    before, after = make_pre_post_processors(loaded.config, pretrained_path=str(policy))
    model = loaded.diffusion if loaded.averaged is None else cast("AmbientDiffusionModel", loaded.averaged.module)
    return Opened(loaded, model, before, after)


def denoise(
    policy: Path, observation: Mapping[str, NDArray[np.float32]], sigmas: Sequence[float], draws: int, seed: int = 0
) -> list[Denoising]:
    """Run the reverse process of a policy and look at it at some noise levels.

    Args:
        policy: folder of a pretrained `ambient_diffusion` policy.
        observation: by LeRobot's names, without batch; it has not changed for as long as the policy looks back.
        sigmas: the levels, descending; the nearest that inference passes are taken.
        draws: independent chunks.
        seed: of their noise.

    Returns:
        One `Denoising` a level.
    """
    opened = open_policy(policy)
    loaded, model = opened.policy, opened.model
    batch = opened.before({name: torch.as_tensor(value) for name, value in observation.items()})
    back = loaded.config.n_obs_steps
    seen = {
        name: value.unsqueeze(1).expand(-1, back, *value.shape[1:]).repeat_interleave(draws, 0)
        for name, value in batch.items()
        if name in observation
    }
    levels = NoiseSchedule.from_alphas_cumprod(model.noise_scheduler.alphas_cumprod).sigmas
    model.noise_scheduler.set_timesteps(model.num_inference_steps)
    steps = model.noise_scheduler.timesteps
    wanted = {int((levels[steps] - sigma).abs().argmin()): sigma for sigma in sigmas}
    generator = torch.Generator().manual_seed(seed)
    action = loaded.config.action_feature
    assert action is not None, "a trained policy has an action"

    def in_units(chunk: torch.Tensor) -> NDArray[np.float64]:
        absolute = chunk if model.relative is None else model.relative.decode(chunk, seen["observation.state"][:, -1])
        return opened.after(absolute).numpy().astype(np.float64)

    found = []
    with torch.inference_mode():
        condition = model.conditioning(seen, None)
        x = torch.randn((draws, loaded.config.horizon, action.shape[0]), generator=generator)
        for number, timestep in enumerate(steps):
            output = model.unet(x, timestep.expand(draws), global_cond=condition)
            step = model.noise_scheduler.step(output, timestep, x, generator=generator)
            if number in wanted:
                level = float(levels[timestep])
                found.append(Denoising(level, in_units(x), in_units(step.pred_original_sample)))
            x = step.prev_sample
    return found
