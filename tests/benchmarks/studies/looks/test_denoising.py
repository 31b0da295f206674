# SPDX-License-Identifier: Apache-2.0
"""What a policy takes its noisy chunk for, on the way from noise to action."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature

from lerobot_ambient.benchmarks.studies.looks.denoising import denoise
from lerobot_ambient.data.normalization.affine import RELATIVE_ACTION
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy
from lerobot_ambient.policy.diffusion.processor_ambient_diffusion import make_ambient_diffusion_pre_post_processors

STATS = {
    "observation.state": {"min": torch.tensor([-2.0, 0.0]), "max": torch.tensor([2.0, 8.0])},
    "observation.environment_state": {"min": torch.zeros(2), "max": torch.ones(2)},
    "action": {"min": torch.tensor([-3.0, 1.0]), "max": torch.tensor([1.0, 9.0])},
    RELATIVE_ACTION: {"min": torch.tensor([-0.5, -0.2]), "max": torch.tensor([0.5, 0.6])},
}
SEEN = {
    "observation.state": np.array([0.5, 3.0], np.float32),
    "observation.environment_state": np.array([0.2, 0.9], np.float32),
}
DRAWS = 3


@pytest.fixture(params=[False, True], ids=["absolute", "relative"])
def policy(request, tmp_path) -> tuple[Path, AmbientDiffusionPolicy]:
    """An untrained policy whose inference has no noise of its own, and where it lies."""
    torch.manual_seed(0)
    config = AmbientDiffusionConfig(
        input_features={name: PolicyFeature(FeatureType.STATE, (2,)) for name in list(SEEN)[:1]}
        | {"observation.environment_state": PolicyFeature(FeatureType.ENV, (2,))},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
        device="cpu",
        push_to_hub=False,
        horizon=8,
        n_action_steps=4,
        denoiser="mlp",
        mlp_width=32,
        relative_actions=request.param,
        noise_scheduler_type="DDIM",
        num_inference_steps=10,
        prediction_type="sample",
    )
    made = AmbientDiffusionPolicy(config, dataset_stats=STATS)
    made.save_pretrained(tmp_path)
    for processor in make_ambient_diffusion_pre_post_processors(config, STATS):
        processor.save_pretrained(tmp_path)
    return tmp_path, made.eval()


def test_the_last_estimate_is_the_action(policy):
    folder, made = policy
    levels = denoise(folder, SEEN, [1.0, 0.5, 0.0], DRAWS, seed=7)

    before, after = make_ambient_diffusion_pre_post_processors(made.config, STATS)
    batch = before({name: torch.as_tensor(value).expand(DRAWS, 2, 2) for name, value in SEEN.items()})
    noise = torch.randn((DRAWS, 8, 2), generator=torch.Generator().manual_seed(7))
    with torch.inference_mode():
        actions = after(made.diffusion.generate_actions(batch, noise=noise)).numpy()
    # Actions begin at the last observation, of which there are two.
    np.testing.assert_allclose(levels[-1].clean[:, 1:5], actions, atol=1e-4)


def test_the_levels_are_those_that_inference_passes(policy):
    levels = denoise(policy[0], SEEN, [0.95, 0.5, 0.1], DRAWS)
    sigmas = [one.sigma for one in levels]
    assert sigmas == sorted(sigmas, reverse=True)
    # Ten steps are seven hundredths to a sixth apart.
    assert sigmas == pytest.approx([0.95, 0.5, 0.1], abs=0.1)
    for one in levels:
        assert one.noisy.shape == one.clean.shape == (DRAWS, 8, 2)
        assert np.isfinite(one.noisy).all()
    # Under noise the draws differ; much noise is far away.
    spread = [one.noisy.std(0).mean() for one in levels]
    assert spread[0] > 2.0 * spread[-1]
