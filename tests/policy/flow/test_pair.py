# SPDX-License-Identifier: Apache-2.0
"""What the stock forward computes from the ambient pair, spied inside it, and what absent dimensions and cameras do."""

import functools
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from lerobot_ambient.core.windows import EVERYTHING, Window

from .mixtures import batch_of, pair

GIVEN = ("smolvla", "pi0", "pi05")
WINDOW = Window(0.6)
AMBIENT = {"ambient_loss": True}


class Spy:
    """The times, the network's noisy chunk and the target of the loss in one forward of a stock policy."""

    def __init__(self, policy, monkeypatch):
        self.policy = policy
        embed, loss = policy.model.embed_suffix, F.mse_loss

        def embed_suffix(*args, **kwargs):
            self.x_t, self.time = next(a for a in args if a.ndim == 3), next(a for a in args[::-1] if a.ndim == 1)
            return embed(*args, **kwargs)

        def mse_loss(first, second, **kwargs):
            self.target = next(one for one in (first, second) if not one.requires_grad)
            return loss(first, second, **kwargs)

        policy.model.embed_suffix = embed_suffix
        monkeypatch.setattr(F, "mse_loss", mse_loss)

    def forward(self, batch, **kwargs):
        torch.manual_seed(3)
        return self.policy.forward(batch, **kwargs)


@pytest.mark.parametrize("family", GIVEN)
def test_the_stock_forward_makes_x_t_and_target_of_x_tmin(family, tiny_config, monkeypatch):
    stock = tiny_config(family)
    _, ours = pair(stock, (EVERYTHING, WINDOW), options=AMBIENT)
    spy, batch = Spy(ours, monkeypatch), batch_of(stock, size=16)
    spy.forward(batch)
    dims = batch["action"].shape[-1]
    # The stock order of draws: noise of all dimensions, then the time.
    torch.manual_seed(3)
    eps = ours.model.sample_noise(spy.x_t.shape, torch.device("cpu"))
    tau = spy.time[:, None, None].double()
    x_0 = F.pad(batch["action"], (0, spy.x_t.shape[-1] - dims)).double()
    z = ours._noise_of_x_tmin(batch, batch["action"]).double()
    r_min = torch.where(torch.arange(16) % 2 == 1, 0.6 / 0.8, 0.0).double()[:, None, None]
    r_t = tau / (1 - tau)
    assert bool((r_t[1::2] > 0.75 * (4 / 3) ** 0.5).all())
    y_min = x_0[..., :dims] + r_min * z
    y_t = y_min + (r_t**2 - r_min**2).sqrt() * eps[..., :dims]
    torch.testing.assert_close(spy.x_t[..., :dims].double(), (1 - tau) * y_t, atol=2e-5, rtol=1e-4)
    expected_x_0 = (r_t**2 * y_min - r_min**2 * y_t) / (r_t**2 - r_min**2)
    expected_eps = (y_t - expected_x_0) / r_t
    torch.testing.assert_close(spy.target[..., :dims].double(), expected_eps - expected_x_0, atol=5e-5, rtol=1e-4)
    # Padding is the stock policy's: no chunk, and its own noise.
    torch.testing.assert_close(spy.x_t[..., dims:], (tau * eps[..., dims:]).float(), atol=1e-6, rtol=0)
    # The target's samples are untouched.
    torch.testing.assert_close(spy.target[::2], (eps - x_0.float())[::2], atol=1e-6, rtol=0)


def masked(stock, **options):
    """The ambient form, whose source lacks the last two dimensions."""
    there = torch.ones(2, 6, dtype=torch.bool)
    there[1, 4:] = False
    return pair(stock, (EVERYTHING, WINDOW), action_mask=there, **options)[1], there


@pytest.mark.parametrize("family", GIVEN)
def test_absent_dimensions_carry_no_loss_and_no_gradient(family, tiny_config, monkeypatch):
    stock = tiny_config(family)
    ours, there = masked(stock)
    batch = batch_of(stock, size=8)
    spied = {}
    inner = ours.model.forward

    @functools.wraps(inner)
    def forward(*args, **kwargs):
        losses = inner(*args, **kwargs)
        losses.retain_grad()
        spied["losses"] = losses
        return losses

    ours.model.forward = forward
    torch.manual_seed(1)
    loss, told = ours.forward({**batch})
    loss.backward()
    losses = spied["losses"]
    counted = there[torch.arange(8) % 2][:, None, :].expand(8, losses.shape[1], 6)
    if family == "smolvla":
        counted = counted & ~batch["action_is_pad"].unsqueeze(-1)
    assert loss.item() == pytest.approx(losses[..., :6][counted].mean().item(), rel=1e-5)
    gradient = losses.grad
    assert not gradient[1::2, :, 4:6].any()
    assert bool((gradient[..., :6][counted] > 0).all())
    assert told["loss/sim"] > 0
    # One loss a sample: each the mean over what it has.
    torch.manual_seed(1)
    each, _ = ours.forward({**batch}, reduction="none")
    sums = (spied["losses"][..., :6] * counted).sum((1, 2)) / counted.sum((1, 2))
    torch.testing.assert_close(each, sums, rtol=1e-5, atol=1e-7)


def test_what_stands_for_an_absent_dimension_does_not_reach_the_network(tiny_config, monkeypatch):
    stock = tiny_config("smolvla")
    ours, _ = masked(stock)
    spy, batch = Spy(ours, monkeypatch), batch_of(stock, size=8)
    spy.forward({**batch})
    first = spy.x_t.clone()
    batch["action"][1::2, :, 4:] = 1e3
    spy.forward(batch)
    assert torch.equal(first, spy.x_t)


@pytest.mark.parametrize("family", ["multi_task_dit", "eo1"])
def test_a_policy_that_cannot_mask_dimensions_refuses(family, tiny_config):
    with pytest.raises(ValueError, match=f"ambient_{family} averages its loss over all .* and sim lacks"):
        masked(tiny_config(family))


@pytest.mark.parametrize("family", GIVEN)
def test_an_absent_camera_is_masked_for_the_samples_that_lack_it(family, tiny_config):
    stock = tiny_config(family)
    absent = {key: torch.tensor([False, index == 1]) for index, key in enumerate(stock.image_features)}
    _, ours = pair(stock, (EVERYTHING, WINDOW), absent_cameras=absent)
    seen = SimpleNamespace(masks=None)
    inner = ours.model.forward

    @functools.wraps(inner)
    def forward(images, img_masks, *args, **kwargs):
        seen.masks = img_masks
        return inner(images, img_masks, *args, **kwargs)

    ours.model.forward = forward
    batch = batch_of(stock, size=4)
    ours.forward({**batch})
    assert seen.masks[0].tolist() == [True] * 4
    assert seen.masks[1].tolist() == [True, False, True, False]
    ours.eval()
    ours.forward({**batch})
    assert seen.masks[1].tolist() == [True] * 4


def test_a_policy_that_cannot_mask_cameras_says_so(tiny_config, caplog):
    stock = tiny_config("multi_task_dit")
    absent = {next(iter(stock.image_features)): torch.tensor([False, True])}
    pair(stock, (EVERYTHING, WINDOW), absent_cameras=absent)
    assert "ambient_multi_task_dit cannot be told that a camera is absent" in caplog.text
    assert "'observation.images.front' in sim" in caplog.text
