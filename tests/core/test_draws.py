# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from scipy import stats

from lerobot_ambient.core.draws import TimestepLaw, frame_noise
from lerobot_ambient.core.mixing import Ambient, Cotrain, Exclusive, Soft
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.windows import EVERYTHING, Window

SCHEDULE = NoiseSchedule(torch.linspace(0.02, 0.999, 100, dtype=torch.float64))
GROUPS = [
    Group(0, "target", 50, EVERYTHING),
    Group(1, "sim", 500, Window(0.3, 0.1)),
    Group(2, "other", 90, Window(0.8)),
]


@pytest.mark.parametrize("mixing", [Ambient(None), Ambient(0.4), Exclusive(), Soft.linear(1.0, 0.1)])
def test_timesteps_follow_the_plan_and_never_leave_it(mixing):
    plan = make_plan(GROUPS, SCHEDULE, mixing)
    law = TimestepLaw(plan)
    torch.manual_seed(0)
    n = 340_000
    for group in range(3):
        drawn = law(torch.full((n,), group))
        counts = torch.bincount(drawn, minlength=100).double()
        expected = n * plan.timestep_law[group]
        assert not counts[expected == 0].any()
        support = expected > 0
        assert stats.chisquare(counts[support].numpy(), expected[support].numpy()).pvalue > 1e-4


def test_open_windows_draw_the_very_timesteps_of_lerobot():
    plan = make_plan([Group(0, "a", 5, EVERYTHING), Group(1, "b", 50, EVERYTHING)], SCHEDULE, Cotrain())
    torch.manual_seed(3)
    ours = TimestepLaw(plan)(torch.tensor([0, 1, 1, 0, 1]))
    state = torch.get_rng_state()
    torch.manual_seed(3)
    theirs = torch.randint(low=0, high=100, size=(5,)).long()
    assert torch.equal(ours, theirs)
    assert torch.equal(state, torch.get_rng_state())


def test_tables_are_not_saved():
    assert TimestepLaw(make_plan(GROUPS, SCHEDULE, Ambient(None))).state_dict() == {}


def test_frame_noise_is_a_pure_function_of_the_frame():
    index = torch.tensor([5, 1_000_000_007, 5, 0])
    first = frame_noise(index, (16, 6))
    torch.manual_seed(123)
    torch.randn(10)
    assert torch.equal(first, frame_noise(index, (16, 6)))
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first[0], first[3])
    assert not torch.equal(first, frame_noise(index, (16, 6), seed=1))


def test_frame_noise_is_standard_normal_and_independent():
    noise = frame_noise(torch.arange(20_000), (4, 2)).double()
    flat = noise.flatten()
    assert stats.kstest(flat[::3].numpy(), "norm").pvalue > 1e-4
    correlations = torch.corrcoef(noise.flatten(1).T)
    off_diagonal = correlations[~torch.eye(8, dtype=torch.bool)]
    assert off_diagonal.abs().max() < 5 / 20_000**0.5
    neighbours = torch.corrcoef(torch.stack([flat[:-8], flat[8:]]))[0, 1]
    assert neighbours.abs() < 5 / 160_000**0.5
