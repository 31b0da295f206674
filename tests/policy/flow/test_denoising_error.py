# SPDX-License-Identifier: Apache-2.0
"""`AmbientFlow.denoising_error`, against what is known when the network says nothing: every family by its own loss."""

import pytest
import torch

from lerobot_ambient.core.noise_levels import vp_to_flow, vp_to_ve

from .mixtures import batch_of, pair
from .test_equal_to_stock import SERVED
from .test_tiny import CASES

# The last layer of each family's network.
LAST = {
    "smolvla": "action_out_proj",
    "pi0": "action_out_proj",
    "pi05": "action_out_proj",
    "eo1": "action_out_proj",
    "multi_task_dit": "output_proj",
    "groot": "action_decoder",
    "vla_jepa": "action_decoder",
    "wall_x": "action_proj_back",
    "molmoact2": "final_layer",
    "xvla": "action_decoder",
    "fastwam": "mixtures.action.head",
}
PREDICTS_X_0 = ("xvla", "multi_task_dit sample")
SIGMAS = (0.1, 0.4, 0.8, 0.97)
CHECKED = [*SERVED, "multi_task_dit sample"]


def silent(case, tiny_config):
    """(policy whose network says zero whatever it sees, a batch of 64)."""
    family = case.split()[0]
    options = {"objective": "diffusion", "prediction_type": "sample"} if case.endswith("sample") else CASES[case]
    stock = tiny_config(family, **options)
    _, ours = pair(stock)
    ours.eval()
    found = [one for name, one in ours.named_parameters() if LAST[family] in name]
    assert found, [name for name, _ in ours.named_parameters()]
    with torch.no_grad():
        for parameter in found:
            parameter.zero_()
    return ours, batch_of(stock, size=64)


@pytest.mark.parametrize("case", CHECKED)
def test_a_network_that_says_nothing_leaves_the_noise(case, tiny_config):
    ours, batch = silent(case, tiny_config)
    sigma = torch.tensor(SIGMAS).repeat(16)
    before = torch.random.get_rng_state()
    error = ours.denoising_error(batch, sigma, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(error, ours.denoising_error(batch, sigma, seed=5))
    x_0 = batch["action"][..., : error.shape[-1]].float()
    assert error.shape == (64, 8, 6)
    assert error.dtype == torch.float32
    if case in PREDICTS_X_0:
        torch.testing.assert_close(error, -x_0, atol=1e-5, rtol=0)
        return
    other = ours.denoising_error(batch, sigma, seed=6)
    assert not torch.equal(error, other)
    if case == "multi_task_dit diffusion":
        # eps = 0 leaves x_t / alpha = x_0 + r eps, at the nearest of twenty levels.
        levels = ours.config.noise_schedule().sigmas
        nearest = levels[(levels - sigma[:, None]).abs().argmin(1)]
        eps = error / vp_to_ve(nearest)[:, None, None]
    else:
        # v = 0 leaves x_t = x_0 + tau (eps - x_0), so the error is tau (eps - x_0).
        eps = error / vp_to_flow(sigma)[:, None, None] + x_0
    # Standard normal at every level, and independent of the chunk: a wrong sign, time or clock is neither.
    for part in range(4):
        assert eps[part::4].std().item() == pytest.approx(1.0, abs=0.1)
    assert torch.corrcoef(torch.stack([eps.flatten(), x_0.flatten()]).float())[0, 1].abs() < 0.08


def test_an_unknown_loss_is_refused_by_name(tiny_config, monkeypatch):
    ours, batch = silent("multi_task_dit", tiny_config)
    monkeypatch.setattr(
        torch.nn.functional, "mse_loss", lambda first, second, **kwargs: (first - second).abs(), raising=True
    )
    with pytest.raises(RuntimeError, match="ambient_multi_task_dit: no loss over chunks of 8 steps and 6 dimensions"):
        ours.denoising_error(batch, torch.full((64,), 0.5), seed=0)
