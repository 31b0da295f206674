# SPDX-License-Identifier: Apache-2.0
"""The law that each family declares is that of LeRobot's own sampler, and what training draws is the plan's."""

import dataclasses

import pytest
import torch
from scipy import stats

from lerobot_ambient.core.mixing import Ambient, Exclusive, Soft
from lerobot_ambient.core.noise_levels import flow_to_vp
from lerobot_ambient.core.windows import EVERYTHING, Window

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


@pytest.mark.parametrize("case", CONTINUOUS)
def test_lerobots_sampler_follows_the_declared_law_and_training_the_plan(case, tiny_config):
    stock = tiny_config(case.split()[0], **CASES[case])
    _, ours = pair(stock, CLOSED)
    # Policies that repeat a batch draw eight times as often.
    size, steps = 32, 2 if stock.type in ("molmoact2", "vla_jepa") else 14
    theirs, moved, group = drawn_times(ours, batch_of(stock, size=size), steps)
    assert len(theirs) % (size * steps) == 0
    time, law = ours.transport.time, ours.transport.time.law
    assert stats.kstest(law.cdf(time.tau_of(theirs)).numpy(), "uniform").pvalue > 1e-3
    # The target keeps its law where the source takes a share of it only as the plan says.
    plan = ours._mixture.plan
    for index in (0, 1):
        u = law.cdf(time.tau_of(moved[group == index]))
        edges = torch.cat([torch.zeros(1), plan.timestep_law[index].cumsum(0)]).double()
        cell = (u * 256).long().clamp_max(255)
        exact = edges[cell] + (u * 256 - cell) * plan.timestep_law[index][cell]
        assert stats.kstest(exact.numpy(), "uniform").pvalue > 1e-3
    sigma = flow_to_vp(time.tau_of(moved[group == 1]))
    assert bool(CLOSED[1].admits(sigma).all())


@pytest.mark.parametrize("mixing", [Ambient(), Ambient(0.5), Soft.linear(1.0, 0.2), Exclusive()], ids=str)
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
