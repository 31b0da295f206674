# SPDX-License-Identifier: Apache-2.0
"""`denoising_error`: zero for the truth, in units of x_0, with the same noise for every policy."""

import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.core.noise_levels import vp_to_flow
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

CHUNK = (6, 8, 2)


def policy(**options):
    config = AmbientDiffusionConfig(
        device="cpu",
        push_to_hub=False,
        denoiser="mlp",
        n_obs_steps=2,
        horizon=8,
        n_action_steps=4,
        mlp_width=16,
        mlp_depth=1,
        input_features={"observation.state": PolicyFeature(FeatureType.STATE, (2,))},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
        **options,
    )
    torch.manual_seed(0)
    return AmbientDiffusionPolicy(config).eval()


def batch(seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {
        "observation.state": torch.randn(6, 2, 2, generator=generator),
        "action": torch.randn(CHUNK, generator=generator),
    }


class Oracle(torch.nn.Module):
    """Solves for what the network is to predict with the clean chunk in hand, and is off by `off` in x_0."""

    def __init__(self, kind, levels, x_0, off):
        super().__init__()
        self.kind, self.levels, self.x_0, self.off = kind, levels, x_0, off

    def forward(self, x, time, global_cond):
        hat = self.x_0 + self.off
        if self.kind == "flow":
            tau = (time / 100)[:, None, None]
            return (x - hat) / tau
        sigma = self.levels[time][:, None, None].float()
        return hat if self.kind == "sample" else (x - torch.sqrt(1 - sigma**2) * hat) / sigma


@pytest.mark.parametrize("kind", ["sample", "epsilon", "flow"])
@pytest.mark.parametrize("off", [0.0, 0.3])
def test_the_error_is_that_of_the_clean_chunk(kind, off):
    chosen = {"objective": "flow"} if kind == "flow" else {"prediction_type": kind}
    one = policy(num_train_timesteps=100, **chosen)
    levels = one.config.noise_schedule().sigmas
    data = batch()
    one.diffusion.unet = Oracle(kind, levels, data["action"], off)
    sigma = torch.tensor([0.05, 0.2, 0.5, 0.8, 0.95, 0.99])
    error = one.denoising_error(data, sigma, seed=3)
    torch.testing.assert_close(error, torch.full(CHUNK, off), atol=2e-3, rtol=0)


@pytest.mark.parametrize("options", [{}, {"objective": "flow"}, {"ema_decay": 0.9}, {"relative_actions": True}])
def test_one_seed_is_one_noise(options):
    one = policy(**options)
    before = torch.random.get_rng_state()
    sigma = torch.full((6,), 0.5)
    first, again, other = (one.denoising_error(batch(), sigma, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_noise_is_at_the_level_that_was_asked_for():
    one = policy(objective="flow")
    data = batch()
    seen = {}

    class Spy(torch.nn.Module):
        def forward(self, x, time, global_cond):
            seen["x"], seen["time"] = x, time
            return torch.zeros_like(x)

    one.diffusion.unet = Spy()
    sigma = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
    one.denoising_error(data, sigma, seed=0)
    tau = vp_to_flow(sigma)
    torch.testing.assert_close(seen["time"], tau * one.config.num_train_timesteps)
    noise = torch.randn(CHUNK, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(seen["x"], (1 - tau)[:, None, None] * data["action"] + tau[:, None, None] * noise)
