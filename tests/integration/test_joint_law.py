# SPDX-License-Identifier: Apache-2.0
"""The law of (group, timestep) as training meets it: sampler, DataLoader, then the policy's draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from scipy import stats
from torch.utils.data import DataLoader

from lerobot_ambient.core.draws import TimestepLaw
from lerobot_ambient.core.mixing import Ambient, Cotrain, Exclusive, Soft, TargetOnly
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY
from lerobot_ambient.data.declared.recipe import MixtureRecipe
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.data.reading.open_dataset import ReadOptions

SCHEDULE = NoiseSchedule.from_alphas_cumprod(DDPMScheduler(100, beta_schedule="squaredcos_cap_v2").alphas_cumprod)


def mixture_with(roots, mixing):
    target, sim = roots
    return make_mixture(
        Source("me/target", root=str(target)),
        [Source("me/sim", root=str(sim), sigma_min=0.5, sigma_max=0.1, weight=3.0)],
        ReadOptions([-1, 0], list(range(-1, 7))),
        MixtureRecipe(SCHEDULE, mixing, "MIN_MAX", drop_n_last_frames=2),
    )


@pytest.mark.parametrize(
    "mixing",
    [TargetOnly(), Cotrain(), Cotrain(0.3), Ambient(None), Ambient(0.3), Exclusive(), Soft.linear(1.0, 0.2)],
    ids=lambda mixing: repr(mixing),
)
def test_the_real_loader_and_the_policys_draw_fit_the_plan(roots, mixing):
    mixture = mixture_with(roots, mixing)
    law = TimestepLaw(mixture.plan)
    sampler = mixture.sampler(seed=0)
    loader = DataLoader(mixture.dataset, batch_size=64, sampler=sampler)
    torch.manual_seed(0)
    counts = torch.zeros(len(mixture.plan.groups), 100)
    for _ in range(150):
        for batch in loader:
            group = batch["info"][GROUP_KEY]
            counts.index_put_((group, law(group)), torch.ones(len(group)), accumulate=True)
    expected = mixture.plan.joint * counts.sum()
    allowed = mixture.plan.joint > 0
    assert not counts[~allowed].any()
    # Pool ten neighbouring timesteps, so that every cell has enough counts for the chi-square law.
    observed, wanted = (table.double().reshape(len(table), 10, 10).sum(2) for table in (counts, expected))
    cells = wanted > 0
    assert stats.chisquare(observed[cells].numpy(), wanted[cells].numpy()).pvalue > 1e-4


@pytest.mark.parametrize("mixing", [Ambient(None), Ambient(0.3), Exclusive()], ids=lambda mixing: repr(mixing))
def test_no_forbidden_pair_in_a_million_draws(roots, mixing):
    mixture = mixture_with(roots, mixing)
    sampler = mixture.sampler(seed=1)
    frames = np.concatenate([np.fromiter(iter(sampler), dtype=np.int64) for _ in range(1 + 100_000 // len(sampler))])
    frames = torch.from_numpy(frames[:100_000])
    # The sampler's own view and the dataset's label of a frame must agree for the pair to be allowed.
    label = torch.tensor([mixture.dataset[i]["info"][GROUP_KEY] for i in range(len(mixture.dataset))])
    group = label[frames].repeat(10)
    law = TimestepLaw(mixture.plan)
    torch.manual_seed(0)
    sigma = SCHEDULE.sigmas[torch.cat([law(part) for part in group.split(100_000)])]
    window = mixture.plan.groups[1].window
    assert window.admits(sigma[group == 1]).all()
    if isinstance(mixing, Exclusive):
        assert not window.admits(sigma[group == 0]).any()
