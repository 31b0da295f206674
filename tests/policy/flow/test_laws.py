# SPDX-License-Identifier: Apache-2.0
"""The law that each family declares is that of LeRobot's own sampler, and what training draws is the plan's."""

import dataclasses
import inspect

import pytest
import torch
from scipy import stats

from lerobot_ambient.core.mixing import Ambient, Exclusive, Soft
from lerobot_ambient.core.noise_levels import flow_to_vp
from lerobot_ambient.core.windows import EVERYTHING, Window
from lerobot_ambient.policy.flow.family import SampledFamily

from .mixtures import CLOSED, batch_of, pair
from .test_equal_to_stock import SERVED
from .test_tiny import CASES

CONTINUOUS = [case for case in SERVED if case != "multi_task_dit diffusion"]


def drawn_times(policy, batch, steps):
    """(stock draws, what became of them, groups) of so many training steps."""
    seen = []
    draw = policy._draw

    def spying(group, time):
        moved = draw(group, time)
        seen.append((time.clone(), moved.clone(), group.clone()))
        return moved

    policy._draw = spying
    with torch.no_grad():
        for seed in range(steps):
            torch.manual_seed(seed)
            policy.forward({**batch})
    return [torch.cat(column) for column in zip(*seen, strict=True)]


def of_the_stock_sampler(policy, batch):
    """20,000 times as LeRobot's own sampler draws them, uniform u = F(t) where the declared law is right."""
    size, cpu = 20_000, torch.device("cpu")
    family = policy.config.family
    if family.stock == "molmoact2":
        from lerobot.policies.molmoact2 import modeling_molmoact2

        config = policy.config
        return modeling_molmoact2._sample_beta_timesteps(
            batch_size=size,
            device=cpu,
            cutoff=config.flow_matching_cutoff,
            time_offset=config.flow_matching_time_offset,
            time_scale=config.flow_matching_time_scale,
            alpha=config.flow_matching_beta_alpha,
            beta=config.flow_matching_beta_beta,
        )
    if family.stock == "xvla":
        # Drawn inline: what a few steps show.
        return drawn_times(policy, batch, 8)[0]
    owner = family.owner(policy) if isinstance(family, SampledFamily) else policy.model
    sample = getattr(owner, getattr(family, "method", "sample_time"))
    takes_dtype = "dtype" in inspect.signature(sample).parameters
    return sample(size, cpu, torch.float32) if takes_dtype else sample(size, cpu)


@pytest.mark.parametrize("case", CONTINUOUS)
def test_lerobots_sampler_follows_the_declared_law(case, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    _, ours = pair(stock, CLOSED)
    time = ours.transport.time
    torch.manual_seed(11)
    theirs = of_the_stock_sampler(ours, batch_of(stock, size=32))
    assert stats.kstest(time.law.cdf(time.tau_of(theirs)).numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("case", CONTINUOUS)
def test_training_draws_by_its_sampler_and_moves_the_source_into_its_window(case, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    _, ours = pair(stock, CLOSED)
    theirs, moved, group = drawn_times(ours, batch_of(stock, size=16), 2)
    time = ours.transport.time
    assert len(theirs) % 32 == 0
    assert bool((time.law.cdf(time.tau_of(theirs)).diff() != 0).any())
    assert bool(CLOSED[1].admits(flow_to_vp(time.tau_of(moved[group == 1]))).all())
    # The map is increasing: within a group it keeps the order of the draws.
    for index in (0, 1):
        before, after = (time.tau_of(one[group == index]) for one in (theirs, moved))
        assert bool((after[before.argsort()].diff() >= 0).all())


@pytest.mark.parametrize("mixing", [Ambient(None), Ambient(0.5), Soft.linear(1.0, 0.2), Exclusive()], ids=str)
@pytest.mark.parametrize("case", ["multi_task_dit", "multi_task_dit diffusion"])
def test_no_forbidden_level_under_any_mixing(case, mixing, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    windows = (EVERYTHING, Window(0.6, 0.1), Window(0.9))
    _, ours = pair(stock, windows, mixing)
    batch = batch_of(stock, size=48)
    batch["info"]["ambient_group"] = torch.arange(48) % 3
    _, moved, group = drawn_times(ours, batch, 10)
    levels = ours._sigma_of(moved)
    for index, window in enumerate(windows[1:], start=1):
        assert bool(window.admits(levels[group == index]).all())


def test_a_sampler_that_draws_otherwise_is_noticed(tiny_config):
    """A LeRobot that draws another number of times must not train on the wrong levels."""
    stock = tiny_config("smolvla")
    _, ours = pair(stock, CLOSED)
    ours.model.sample_time = lambda size, device: torch.rand(size + 1, device=device)
    with pytest.raises(RuntimeError, match=r"drew times of shape \(5,\) for 4 samples"):
        ours.forward(batch_of(stock))


def test_options_that_leak_past_a_window_are_refused(tiny_config):
    from .mixtures import ambient_config

    source = {"sources": [{"repo_id": "me/sim", "sigma_min": 0.5}]}
    wrong = [
        ("molmoact2", {"action_mode": "both"}, "policy.action_mode = both also trains the language model"),
        ("multi_task_dit", {"sigma_min": 0.1}, r"policy.sigma_min = 0.1 \(LeRobot's, of the flow's path\)"),
        ("pi0", {"use_relative_actions": True}, "policy.use_relative_actions=true makes chunks relative"),
        ("eo1", {"ambient_loss": True}, "policy.ambient_loss=true needs a policy that is given its noise"),
    ]
    for family, options, message in wrong:
        stock = tiny_config(family)
        own = {name: value for name, value in options.items() if name in {f.name for f in dataclasses.fields(stock)}}
        for name, value in own.items():
            setattr(stock, name, value)
        more = {name: value for name, value in options.items() if name not in own}
        with pytest.raises(ValueError, match=message):
            ambient_config(stock, **source, **more)


def test_windows_are_not_estimated_where_a_policy_normalises_itself(tiny_config):
    from .mixtures import ambient_config

    with pytest.raises(ValueError, match="ambient_groot normalises actions inside its own processor"):
        ambient_config(tiny_config("groot")).refuse_estimates()
    ambient_config(tiny_config("pi05")).refuse_estimates()


@pytest.mark.parametrize("space", ["ee6d", "joint", "so101_bimanual"])
def test_an_x_vla_space_that_trains_an_unnoised_gripper_is_refused(space, tiny_config):
    from .mixtures import ambient_config

    stock = tiny_config("xvla")
    stock.action_mode = space
    with pytest.raises(ValueError, match=f"policy.action_mode = {space} hides the noisy gripper"):
        ambient_config(stock, sources=[{"repo_id": "me/sim", "sigma_min": 0.5}])


def test_a_groot_checkpoint_with_another_law_is_refused(tiny_config):
    stock = tiny_config("groot")
    _, ours = pair(stock, CLOSED)
    ours._groot_model.action_head._noise_beta_alpha = 5.0
    with pytest.raises(ValueError, match=r"draws its times by .* = \(5.0, 1.0, 0.999\)"):
        ours.forward(batch_of(stock))


def test_a_video_branch_that_sees_clean_actions_is_refused(tiny_config):
    from .mixtures import ambient_config

    stock = tiny_config("fastwam")
    stock.video_dit_config = {**stock.video_dit_config, "action_conditioned": True}
    with pytest.raises(ValueError, match="action_conditioned = true shows the clean actions"):
        ambient_config(stock, sources=[{"repo_id": "me/sim", "sigma_min": 0.5}])
