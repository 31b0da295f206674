# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from lerobot_ambient.core.noise_levels import NoiseSchedule, flow_to_vp, ve_to_vp, vp_to_flow, vp_to_ve

LEVELS = torch.linspace(0.0, 0.999, 200, dtype=torch.float64)


@pytest.mark.parametrize(("there", "back"), [(vp_to_ve, ve_to_vp), (vp_to_flow, flow_to_vp)])
def test_conversions_invert(there, back):
    torch.testing.assert_close(back(there(LEVELS)), LEVELS, rtol=1e-9, atol=1e-12)


def test_conversions_agree_on_the_noise_to_signal_ratio():
    tau = vp_to_flow(LEVELS)
    torch.testing.assert_close(tau / (1 - tau), vp_to_ve(LEVELS))


def test_limits_and_a_known_point():
    one = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert vp_to_ve(one).tolist() == [0.0, math.inf]
    assert ve_to_vp(torch.tensor([0.0, math.inf])).tolist() == [0.0, 1.0]
    assert vp_to_flow(one).tolist() == [0.0, 1.0]
    # Equal signal and noise: r = 1.
    half = torch.tensor(math.sqrt(0.5), dtype=torch.float64)
    assert vp_to_ve(half).item() == pytest.approx(1.0)
    assert vp_to_flow(half).item() == pytest.approx(0.5)


@pytest.mark.parametrize("scheduler", [DDPMScheduler, DDIMScheduler])
def test_schedule_is_the_noise_diffusers_adds(scheduler):
    diffusers = scheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    schedule = NoiseSchedule.from_alphas_cumprod(diffusers.alphas_cumprod)
    x_0, eps = torch.randn(100, 4), torch.randn(100, 4)
    noisy = diffusers.add_noise(x_0, eps, torch.arange(100))
    sigma = schedule.sigmas.float().unsqueeze(1)
    torch.testing.assert_close(noisy, torch.sqrt(1 - sigma**2) * x_0 + sigma * eps, rtol=1e-4, atol=1e-5)


def test_a_small_sigma_min_quantises_to_four_timesteps():
    # The issue's own figure: 0.074 leaves 4 of 100 squared-cosine timesteps to the target alone.
    diffusers = DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    schedule = NoiseSchedule.from_alphas_cumprod(diffusers.alphas_cumprod)
    assert int((schedule.sigmas <= 0.074).sum()) == 4


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ([], "non-empty"),
        ([0.0, 0.5], r"lie in \(0, 1\], got 0 to 0.5"),
        ([0.5, 1.1], "got 0.5 to 1.1"),
        ([0.5, 0.5], "grow strictly"),
        ([0.6, 0.5], "grow strictly"),
    ],
)
def test_bad_schedules_are_refused(sigmas, message):
    with pytest.raises(ValueError, match=message):
        NoiseSchedule(torch.tensor(sigmas, dtype=torch.float64))
