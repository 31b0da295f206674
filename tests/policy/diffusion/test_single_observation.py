# SPDX-License-Identifier: Apache-2.0
"""A chunk asked for from one observation, without history."""

from __future__ import annotations

import logging

import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

from lerobot_ambient.policy.diffusion import single_observation
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy


def policy_of(n_obs_steps: int) -> AmbientDiffusionPolicy:
    inputs = {
        "observation.state": PolicyFeature(FeatureType.STATE, (3,)),
        "observation.environment_state": PolicyFeature(FeatureType.ENV, (4,)),
        "observation.images.cam": PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
    }
    config = AmbientDiffusionConfig(
        device="cpu",
        push_to_hub=False,
        n_obs_steps=n_obs_steps,
        horizon=8,
        n_action_steps=4,
        num_train_timesteps=4,
        denoiser="mlp",
        mlp_width=16,
        mlp_depth=1,
        pretrained_backbone_weights=None,
        crop_shape=None,
        input_features=inputs,
        output_features={"action": PolicyFeature(FeatureType.ACTION, (3,))},
    )
    torch.manual_seed(0)
    return AmbientDiffusionPolicy(config).eval()


def observation() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        "observation.state": torch.rand(1, 3, generator=draw),
        "observation.environment_state": torch.rand(1, 4, generator=draw),
        "observation.images.cam": torch.rand(1, 3, 48, 64, generator=draw),
    }


@pytest.mark.parametrize("n_obs_steps", [1, 2, 3])
def test_the_chunk_is_that_of_an_episodes_first_step(n_obs_steps):
    """select_action starts an episode with its first observation repeated."""
    policy, noise = policy_of(n_obs_steps), torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(3)
    alone = policy.predict_action_chunk(observation(), noise=noise)
    assert alone.shape == (1, 4, 3)
    policy.reset()
    torch.manual_seed(3)
    stepped = torch.stack([policy.select_action(observation(), noise=noise) for _ in range(4)], dim=1)
    assert torch.equal(alone, stepped)


def test_lerobots_policy_fails_there():
    """What the repetition is for; when this fails, LeRobot has fixed it."""
    with pytest.raises(AssertionError):
        DiffusionPolicy.predict_action_chunk(policy_of(2), observation())


def test_a_history_is_left_as_it_is():
    policy, noise = policy_of(2), torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(2))
    still = {key: torch.stack([value, value], dim=1) for key, value in observation().items()}
    moving = {**still, "observation.state": still["observation.state"] + torch.tensor([[[-0.5], [0.0]]])}
    given = {key: value.clone() for key, value in moving.items()}
    torch.manual_seed(3)
    from_history = policy.predict_action_chunk(moving, noise=noise)
    torch.manual_seed(3)
    assert not torch.equal(from_history, policy.predict_action_chunk(observation(), noise=noise))
    assert all(torch.equal(given[key], moving[key]) for key in given)


def test_lost_history_is_said_once(caplog):
    single_observation._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        for policy in (policy_of(1), policy_of(2)):
            policy.predict_action_chunk(observation())
            policy.predict_action_chunk(observation())
    said = [record.message for record in caplog.records if "n_obs_steps" in record.message]
    assert len(said) == 1
    assert "n_obs_steps = 2" in said[0]
