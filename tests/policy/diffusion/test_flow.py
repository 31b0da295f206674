# SPDX-License-Identifier: Apache-2.0
"""ambient_diffusion under the objective "flow": its law, its loss, and that it learns a velocity field."""

from types import SimpleNamespace

import pytest
import torch
from lerobot.configs import FeatureType, PolicyFeature
from scipy import stats

from lerobot_ambient.core.losses import ambient_pair
from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.windows import EVERYTHING, Window
from lerobot_ambient.policy.diffusion.configuration_ambient_diffusion import AmbientDiffusionConfig
from lerobot_ambient.policy.diffusion.flow import draw_time, flow_time
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy


def configuration(**options):
    return AmbientDiffusionConfig(
        device="cpu",
        push_to_hub=False,
        objective="flow",
        denoiser="mlp",
        n_obs_steps=2,
        horizon=8,
        n_action_steps=4,
        mlp_width=64,
        mlp_depth=1,
        input_features={"observation.state": PolicyFeature(FeatureType.STATE, (2,))},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
        **options,
    )


def policy_of(config, window):
    groups = [Group(0, "target", 40, EVERYTHING), Group(1, "sim", 60, window)]
    factor = config.ambient_loss_max_amplification if config.ambient_loss else None
    plan = make_plan(groups, config.noise_schedule(), Ambient(None), max_amplification=factor)
    mixture = SimpleNamespace(plan=plan, action_mask=None, absent_cameras=None, place_of=str)
    torch.manual_seed(0)
    return AmbientDiffusionPolicy(config, dataset_meta=SimpleNamespace(mixture=mixture)).train()


def batch_of(size=64):
    generator = torch.Generator().manual_seed(1)
    return {
        "observation.state": torch.randn(size, 2, 2, generator=generator),
        "action": torch.randn(size, 8, 2, generator=generator),
        "action_is_pad": torch.zeros(size, 8, dtype=torch.bool),
        "index": torch.arange(size),
        "info": {"ambient_group": torch.arange(size) % 2},
    }


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 1.0), (1.0, 1.0)])
def test_lerobots_draws_follow_the_declared_law(alpha, beta):
    config = configuration(flow_time_alpha=alpha, flow_time_beta=beta)
    torch.manual_seed(3)
    drawn = draw_time(config, torch.zeros(20_000, 8, 2))
    assert stats.kstest(flow_time(config).law.cdf(drawn).numpy(), "uniform").pvalue > 1e-3


def spied(policy, batch):
    """Loss, and what the network got and should have given."""
    seen = {}
    network = policy.diffusion.unet.forward
    policy.diffusion.unet.forward = lambda x, time, global_cond: (
        seen.update(x=x, time=time) or network(x, time, global_cond)
    )
    torch.manual_seed(5)
    loss, told = policy.forward(batch)
    return loss, told, seen


def test_the_networks_input_is_the_interpolation_and_no_forbidden_level_is_drawn():
    config = configuration()
    policy, batch, window = policy_of(config, Window(0.8)), batch_of(), Window(0.8)
    _, told, seen = spied(policy, batch)
    tau = seen["time"] / config.num_train_timesteps
    sigma = flow_time(config).sigma_of(tau)
    assert bool(window.admits(sigma[1::2]).all())
    assert not bool(window.admits(sigma[::2]).all())
    torch.manual_seed(5)
    eps = torch.randn(64, 8, 2)
    time = tau[:, None, None]
    torch.testing.assert_close(seen["x"], (1 - time) * batch["action"] + time * eps, atol=1e-5, rtol=0)
    assert set(told) == {f"{name}/{source}" for name in ("share", "loss", "sigma") for source in ("target", "sim")}


def test_the_ambient_loss_trains_the_source_on_its_pair():
    config = configuration(ambient_loss=True)
    policy, batch = policy_of(config, Window(0.5)), batch_of()
    _, _, seen = spied(policy, batch)
    tau = seen["time"] / config.num_train_timesteps
    torch.manual_seed(5)
    eps = torch.randn(64, 8, 2)
    r_min = torch.where(torch.arange(64) % 2 == 1, 0.5 / 0.75**0.5, 0.0)[:, None, None]
    z = policy._noise_of_x_tmin(batch, batch["action"])
    time = tau[:, None, None]
    x_star, eps_star = ambient_pair(batch["action"], z, eps, r_min, (1 - time) / time)
    torch.testing.assert_close(seen["x"], (1 - time) * x_star + time * eps_star, atol=1e-4, rtol=1e-4)
    # The buffer: s_max = 4 keeps r_t above r_min sqrt(4 / 3).
    r_t = tau[1::2] / (1 - tau[1::2])
    assert bool((r_t > 0.5 / 0.75**0.5 * (4 / 3) ** 0.5).all())


def test_it_learns_to_reach_the_data():
    """Chunks that are all one constant: Euler's steps from noise must end there."""
    config = configuration(optimizer_lr=3e-3)
    policy, batch = policy_of(config, EVERYTHING), batch_of(128)
    batch["action"] = torch.full_like(batch["action"], 0.5)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        policy.forward(batch)[0].backward()
        optimizer.step()
    policy.eval()
    chunk = policy.predict_action_chunk({"observation.state": torch.randn(16, 2, 2)})
    assert chunk.shape == (16, 4, 2)
    torch.testing.assert_close(chunk, torch.full_like(chunk, 0.5), atol=0.25, rtol=0)


def test_an_unknown_objective_is_refused():
    with pytest.raises(ValueError, match=r"policy\.objective = 'floww' is unknown; choose diffusion or flow"):
        AmbientDiffusionConfig(device="cpu", objective="floww")
