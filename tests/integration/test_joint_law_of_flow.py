# SPDX-License-Identifier: Apache-2.0
"""The law of (group, cell) as a flow policy's training meets it: sampler, DataLoader, LeRobot's draw, the transport."""

from __future__ import annotations

import pytest
import torch
from lerobot.policies.common.flow_matching import sample_time_beta
from scipy import stats
from torch.utils.data import DataLoader

from lerobot_ambient.core.flow_time import FlowTime, TimeTransport
from lerobot_ambient.core.mixing import Ambient, Cotrain, Exclusive, Soft, TargetOnly
from lerobot_ambient.core.time_laws import BetaTime
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

PI0 = FlowTime(BetaTime(1.5, 1.0, low=0.001, high=1.0))
MIXINGS = [TargetOnly(), Cotrain(), Cotrain(0.3), Ambient(None), Ambient(0.3), Exclusive(), Soft.linear(1.0, 0.2)]
POOLED = 16


@pytest.mark.parametrize("mixing", MIXINGS, ids=repr)
def test_the_real_loader_and_the_policys_draw_fit_the_plan(roots, mixing):
    target, sim = roots
    mixture = make_mixture(
        Source("me/target", root=str(target)),
        [Source("me/sim", root=str(sim), sigma_min=0.7, sigma_max=0.1, weight=3.0)],
        # As pi0 reads: one observation without a dimension of time.
        ReadOptions(None, list(range(8))),
        MixtureRecipe(PI0.schedule(), mixing, "MEAN_STD"),
    )
    assert next(iter(DataLoader(mixture.dataset, batch_size=2)))["observation.state"].ndim == 2
    transport = TimeTransport(mixture.plan, PI0)
    loader = DataLoader(mixture.dataset, batch_size=64, sampler=mixture.sampler(seed=0))
    torch.manual_seed(0)
    group = torch.cat([batch["info"][GROUP_KEY] for _ in range(60) for batch in loader])
    time = sample_time_beta(len(group), torch.device("cpu"), alpha=1.5, beta=1.0, scale=0.999, offset=0.001)
    moved = transport(group, time)
    cell = (PI0.law.cdf(PI0.tau_of(moved)) * 256).long().clamp_max(255)
    counts = torch.zeros(len(mixture.plan.groups), 256)
    counts.index_put_((group, cell), torch.ones(len(group)), accumulate=True)
    if mixing.admits_by_windows:
        window = mixture.plan.groups[1].window
        assert bool(window.admits(PI0.sigma_of(moved[group == 1])).all())
    expected = mixture.plan.joint * counts.sum()
    observed, wanted = (one.double().reshape(len(one), -1, POOLED).sum(2) for one in (counts, expected))
    likely = wanted > 0
    assert not observed[~likely].any()
    assert stats.chisquare(observed[likely].numpy(), wanted[likely].numpy()).pvalue > 1e-4
