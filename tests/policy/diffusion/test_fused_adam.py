# SPDX-License-Identifier: Apache-2.0
"""Adam in one kernel: where it is chosen, and that its state is LeRobot's own."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from lerobot.optim import AdamConfig
from lerobot.optim.optimizers import load_optimizer_state, save_optimizer_state
from torch import nn

from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.fused_adam import FusedAdam, FusedAdamConfig

RULE = {"lr": 1e-2, "betas": (0.95, 0.999), "weight_decay": 1e-6}


@pytest.mark.parametrize(
    ("denoiser", "asked", "fused"),
    [("mlp", None, True), ("mlp", False, False), ("unet", None, False), ("unet", True, True)],
)
def test_the_network_chooses_and_the_option_overrules(denoiser, asked, fused):
    config = AmbientDiffusionConfig(
        denoiser=denoiser, optimizer_fused=asked, optimizer_lr=0.5, device="cpu", push_to_hub=False
    )
    preset = config.get_optimizer_preset()
    assert type(preset) is (FusedAdamConfig if fused else AdamConfig)
    assert (preset.lr, preset.betas) == (0.5, config.optimizer_betas)


def steps(optimizer, weights, first, last):
    for number in range(first, last):
        torch.manual_seed(number)
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        optimizer.step()


def weights():
    torch.manual_seed(7)
    return [nn.Parameter(torch.randn(5, 3)), nn.Parameter(torch.randn(3))]


@pytest.mark.parametrize("grouped", [False, True])
def test_it_is_adam(grouped):
    plain, fused = weights(), weights()
    given = [{"params": fused[:1]}, {"params": fused[1], "lr": 1e-2}] if grouped else iter(fused)
    optimizer = FusedAdamConfig(**RULE).build(given)
    assert all(group["fused"] for group in optimizer.param_groups)
    steps(AdamConfig(**RULE).build(plain), plain, 0, 5)
    steps(optimizer, fused, 0, 5)
    for one, other in zip(plain, fused, strict=True):
        torch.testing.assert_close(one, other)


def test_weights_that_no_kernel_takes_get_plain_adam():
    assert (
        type(FusedAdamConfig(**RULE).build([nn.Parameter(torch.zeros(2, dtype=torch.complex64))])) is torch.optim.Adam
    )


@pytest.mark.parametrize("before", [AdamConfig, FusedAdamConfig])
@pytest.mark.parametrize("after", [AdamConfig, FusedAdamConfig])
def test_either_goes_on_with_the_state_of_the_other(before, after, tmp_path):
    whole = weights()
    steps(AdamConfig(**RULE).build(whole), whole, 0, 8)
    halved = weights()
    first = before(**RULE).build(halved)
    steps(first, halved, 0, 4)
    save_optimizer_state(first, tmp_path)
    (group,) = json.loads((tmp_path / "optimizer_param_groups.json").read_text())
    assert group["fused"] is None
    second = after(**RULE).build(halved)
    second = load_optimizer_state(second, tmp_path)
    (group,) = second.param_groups
    assert group["fused"] is (True if after is FusedAdamConfig else None)
    steps(second, halved, 4, 8)
    for one, other in zip(whole, halved, strict=True):
        torch.testing.assert_close(one, other)


def test_it_is_copied_whole():
    values = weights()
    optimizer = FusedAdamConfig(**RULE).build(values)
    steps(optimizer, values, 0, 1)
    again = copy.deepcopy(optimizer)
    assert isinstance(again, FusedAdam)
    assert again.param_groups[0]["fused"] is True
