# SPDX-License-Identifier: Apache-2.0
"""`policy.noise_draws`: several noise levels for each frame, whose observation is encoded once."""

import pytest
import torch

from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from tests.policy.diffusion.test_policy import SMALL, AmbientDiffusionConfig, ambient, batch_of

IMAGE = {"image": True, "use_group_norm": True}
WINDOWED = {"mixing": Ambient(None), "window": Window(0.6)}


def repeated(batch: dict, draws: int) -> dict:
    told = {key: one.repeat_interleave(draws, 0) for key, one in batch.items() if key != "info"}
    return told | {"info": {key: one.repeat_interleave(draws, 0) for key, one in batch["info"].items()}}


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        IMAGE,
        {"objective": "flow"},
        {"do_mask_loss_for_padding": True, "prediction_type": "sample"},
        {"ambient_loss": True, "meta_kwargs": WINDOWED},
        {"ambient_loss": True, "meta_kwargs": WINDOWED, "objective": "flow"},
    ],
    ids=["plain", "camera", "flow", "padding", "ambient-loss", "ambient-flow"],
)
def test_it_is_the_loss_of_the_batch_with_every_sample_repeated(kwargs):
    """The same law, sample by sample, and the same gradients: only the encoder is called once."""
    several, single = (ambient(**kwargs, noise_draws=draws).train() for draws in (3, 1))
    batch = batch_of(image=kwargs.get("image", False))
    found = []
    for policy, fed in ((several, batch), (single, repeated(batch, 3))):
        policy.zero_grad()
        torch.manual_seed(5)
        loss, logs = policy(fed)
        loss.backward()
        found.append((loss.detach(), logs, [one.grad for one in policy.parameters() if one.grad is not None]))
    torch.testing.assert_close(found[0][0], found[1][0])
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)
    for one, other in zip(found[0][2], found[1][2], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def test_the_observation_is_encoded_once():
    policy = ambient(**IMAGE, noise_draws=4).train()
    encoded = []
    (encoder,) = policy.diffusion.rgb_encoder
    whole = encoder.forward
    encoder.forward = lambda images: encoded.append(len(images)) or whole(images)
    policy(batch_of(size=6, image=True))
    assert encoded == [6 * 2], "six samples of two observations, not four times as many"


def test_a_loss_a_sample_is_the_mean_of_its_draws():
    policy = ambient(noise_draws=3).train()
    losses = []
    for reduction in ("mean", "none"):
        torch.manual_seed(6)
        losses.append(policy(batch_of(), reduction=reduction)[0])
    assert losses[1].shape == (6,)
    torch.testing.assert_close(losses[1].mean(), losses[0])


def test_held_out_losses_do_not_depend_on_it():
    losses = []
    for draws in (1, 3):
        policy = ambient(noise_draws=draws).eval()
        torch.manual_seed(7)
        losses.append(policy(batch_of())[0])
    assert losses[0] == losses[1]


def test_every_draw_of_a_sample_keeps_to_its_window():
    policy = ambient(meta_kwargs=WINDOWED, noise_draws=50).train()
    seen = []
    law = policy.timestep_law.forward
    policy.timestep_law.forward = lambda group: seen.append((group, law(group))) or seen[-1][1]
    batch = batch_of()
    policy(batch)
    ((group, timestep),) = seen
    assert torch.equal(group, batch["info"][GROUP_KEY].repeat_interleave(50))
    sigma = policy.sigmas[timestep]
    assert sigma[group == 1].min() > 0.6 > sigma[group == 0].min()


def test_none_is_refused():
    with pytest.raises(ValueError, match=r"noise_draws = 0: .*--policy\.noise_draws=1"):
        AmbientDiffusionConfig(**SMALL, noise_draws=0)
