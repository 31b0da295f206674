# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from scipy import stats

from lerobot_ambient.core.flow_time import FlowTime, TimeTransport
from lerobot_ambient.core.mixing import Ambient, Cotrain, Exclusive, Soft
from lerobot_ambient.core.noise_levels import flow_to_vp, vp_to_flow
from lerobot_ambient.core.plan import Group, make_plan
from lerobot_ambient.core.time_laws import BetaTime, ShiftedTime
from lerobot_ambient.core.windows import EVERYTHING, Window

TIMES = {
    "pi0": FlowTime(BetaTime(1.5, 1.0, low=0.001, high=1.0)),
    "data at one": FlowTime(BetaTime(1.5, 1.0, low=0.001, high=1.0), data_at_one=True),
    "uniform": FlowTime(BetaTime()),
    "shifted": FlowTime(ShiftedTime(5.0), scale=1000.0),
    "symmetric": FlowTime(BetaTime(2.0, 2.0)),
    "half precision": FlowTime(BetaTime(1.5, 1.0, low=0.001, high=1.0), data_at_one=True, dtype=torch.bfloat16),
}
GROUPS = [
    Group(0, "target", 50, EVERYTHING),
    Group(1, "sim", 500, Window(0.7, 0.1)),
    Group(2, "other", 90, Window(0.95)),
    Group(3, "rest", 70, Window(1.0, 0.3)),
]
MIXINGS = [Ambient(None), Ambient(0.4), Exclusive(), Soft.linear(1.0, 0.1)]


def stock_draw(time, n):
    """What a policy's sampler returns: float32 arithmetic, then the policy's dtype."""
    return time.time_of(time.law.quantile(torch.rand(n))).float().to(time.dtype)


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("mixing", MIXINGS, ids=str)
def test_the_time_of_a_group_follows_its_law_and_no_forbidden_level_is_drawn(name, mixing):
    time = TIMES[name]
    plan = make_plan(GROUPS, time.schedule(), mixing)
    transport = TimeTransport(plan, time)
    torch.manual_seed(0)
    n = 20_000
    for index, group in enumerate(GROUPS):
        moved = transport(torch.full((n,), index), stock_draw(time, n))
        assert moved.dtype == time.dtype
        if not group.is_target:
            assert bool(group.window.admits(time.sigma_of(moved)).all())
        if time.dtype == torch.float32:
            # The exact law: that of the cells, inside a cell the policy's own.
            law, u = plan.timestep_law[index], time.law.cdf(time.tau_of(moved))
            edges = torch.cat([torch.zeros(1), law.cumsum(0)]).double()
            place = u * len(law)
            cell = place.long().clamp_max(len(law) - 1)
            exact = edges[cell] + (place - cell) * law[cell]
            assert stats.kstest(exact.numpy(), "uniform").pvalue > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["pi0", "data at one"])
def test_no_forbidden_level_in_any_of_a_million_draws(name, dtype):
    time = FlowTime(TIMES[name].law, TIMES[name].data_at_one, dtype=dtype)
    windows = [Window(0.5), Window(0.9, 0.02), Window(0.999), Window(0.31, 0.3), Window(1.0, 0.05)]
    groups = [Group(0, "target", 10, EVERYTHING)]
    groups += [Group(i + 1, f"s{i}", 10, window) for i, window in enumerate(windows)]
    transport = TimeTransport(make_plan(groups, time.schedule(), Ambient(None)), time)
    torch.manual_seed(1)
    for index, window in enumerate(windows):
        moved = transport(torch.full((100_000,), index + 1), stock_draw(time, 100_000))
        assert bool(window.admits(time.sigma_of(moved)).all()), window


def test_open_groups_keep_the_stock_tensor_to_the_bit():
    time = TIMES["pi0"]
    open_groups = [Group(0, "target", 50, EVERYTHING), Group(1, "sim", 500, EVERYTHING)]
    drawn = stock_draw(time, 100)
    transport = TimeTransport(make_plan(open_groups, time.schedule(), Cotrain()), time)
    state = torch.get_rng_state()
    assert transport(torch.zeros(100, dtype=torch.long), drawn) is drawn
    # Beside closed ones an open group keeps its times too, and no random number is used.
    groups = [*open_groups, Group(2, "other", 90, Window(0.9))]
    group = torch.arange(100) % 3
    moved = TimeTransport(make_plan(groups, time.schedule(), _Thirds()), time)(group, drawn)
    assert torch.equal(moved[group == 0], drawn[group == 0])
    assert not (moved[group != 0] == drawn[group != 0]).any()
    assert torch.equal(state, torch.get_rng_state())


class _Thirds:
    """A half for the first group at every level; the other half for the second below, for the third above."""

    def shares(self, groups, schedule):
        upper = (torch.arange(len(schedule)) >= len(schedule) // 2).double()
        return 0.5 * torch.stack([torch.ones(len(schedule), dtype=torch.float64), upper, 1 - upper])


def test_ends_of_the_law_stay_inside():
    time = TIMES["pi0"]
    transport = TimeTransport(make_plan(GROUPS, time.schedule(), Ambient(None)), time)
    ends = torch.tensor([0.0, 0.001, 1.0])
    for index, group in enumerate(GROUPS):
        moved = transport(torch.full((3,), index), ends)
        if not group.is_target:
            assert bool(group.window.admits(time.sigma_of(moved)).all())


@pytest.mark.parametrize("name", TIMES)
def test_cells_cover_the_range_and_are_admitted_as_a_whole(name):
    schedule = TIMES[name].schedule()
    assert len(schedule) == 256
    assert schedule.unit == "cells"
    assert bool((schedule.lower[1:] <= schedule.upper[:-1]).all())
    for bound in (0.2, 0.5, 0.83, float(schedule.upper[99]), float(schedule.lower[99])):
        mask = Window(bound).admits_of(schedule)
        assert torch.equal(mask, schedule.lower > bound)
        below, above = Window(bound, bound / 2).effective(schedule)[::-1]
        assert above > bound
        assert below is None or below < bound / 2
    assert "256 cells of" in repr(schedule)


def test_the_share_of_a_window_is_the_mass_of_the_policys_own_law():
    """P(sigma > 0.7) is 0.65 under pi0's law and 0.5 under a uniform time."""
    groups = [Group(0, "target", 1, EVERYTHING), Group(1, "sim", 1, Window(0.7))]
    for name, mass in (("pi0", 0.65), ("uniform", 0.505)):
        plan = make_plan(groups, TIMES[name].schedule(), Exclusive())
        assert plan.group_law[1].item() == pytest.approx(mass, abs=0.006)


def test_both_directions_of_time_convert_back():
    sigma = torch.linspace(0.01, 0.999, 50, dtype=torch.float64)
    torch.testing.assert_close(flow_to_vp(vp_to_flow(sigma)), sigma)
    for time in TIMES.values():
        if time.dtype == torch.float32:
            t = time.time_of(vp_to_flow(sigma))
            torch.testing.assert_close(time.sigma_of(t), sigma, atol=1e-12, rtol=0)
