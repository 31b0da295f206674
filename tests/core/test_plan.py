# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from lerobot_ambient.core.mixing import Ambient, Cotrain, Exclusive, Soft, TargetOnly
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, Plan, make_plan
from lerobot_ambient.core.windows import EVERYTHING, Window

SCHEDULE = NoiseSchedule(torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=torch.float64))
TARGET = Group(0, "target", 100, EVERYTHING)
SIM = Group(1, "sim", 300, Window(0.4))
OMNI = Group(2, "omni", 200, Window(1.0, 0.4), weight=0.5)
GROUPS = [TARGET, SIM, OMNI]


def shares(mixing, groups=GROUPS):
    return make_plan(groups, SCHEDULE, mixing).shares_by_source()


def test_ambient_is_by_weight_times_size_over_the_admissible():
    # Levels 0.1 and 0.3: target 100 against omni 0.5 * 200; above 0.4: target 100 against sim 300.
    expected = [[0.5, 0.5, 0.25, 0.25, 0.25], [0, 0, 0.75, 0.75, 0.75], [0.5, 0.5, 0, 0, 0]]
    torch.testing.assert_close(shares(Ambient(None)), torch.tensor(expected, dtype=torch.float64))


def test_ambient_alpha_is_the_targets_share_only_where_a_source_is_admissible():
    groups = [TARGET, SIM]
    expected = [[1, 1, 0.4, 0.4, 0.4], [0, 0, 0.6, 0.6, 0.6]]
    torch.testing.assert_close(shares(Ambient(alpha=0.4), groups), torch.tensor(expected, dtype=torch.float64))


def test_cotrain_ignores_windows():
    by_size = torch.tensor([1.0, 3.0, 1.0], dtype=torch.float64) / 5
    torch.testing.assert_close(shares(Cotrain()), by_size.unsqueeze(1).expand(-1, 5))
    alpha = torch.tensor([0.2, 0.8 * 0.75, 0.8 * 0.25], dtype=torch.float64)
    torch.testing.assert_close(shares(Cotrain(alpha=0.2)), alpha.unsqueeze(1).expand(-1, 5))


def test_target_only_draws_nothing_else():
    plan = make_plan(GROUPS, SCHEDULE, TargetOnly())
    assert plan.group_law.tolist() == pytest.approx([1.0, 0.0, 0.0])
    torch.testing.assert_close(plan.timestep_law[0], SCHEDULE.uniform())


def test_exclusive_bands_do_not_overlap():
    groups = [TARGET, SIM]
    expected = [[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]]
    torch.testing.assert_close(shares(Exclusive(), groups), torch.tensor(expected, dtype=torch.float64))


def test_soft_share_is_linear_between_knots():
    groups = [TARGET, Group(1, "sim", 300, EVERYTHING)]
    clean = shares(Soft.linear(1.0, 0.0), groups)[0]
    torch.testing.assert_close(clean, 1.0 - SCHEDULE.sigmas)
    knots = Soft(sigmas=[0.2, 0.4, 0.8], clean_shares=[1.0, 0.5, 0.1])
    torch.testing.assert_close(shares(knots, groups)[0], torch.tensor([1.0, 0.75, 0.4, 0.2, 0.1], dtype=torch.float64))


def test_soft_still_respects_a_declared_window():
    assert shares(Soft.linear(0.9, 0.1), [TARGET, SIM])[:, 0].tolist() == [1.0, 0.0]


def test_limits_of_ambient_are_cotraining_and_filtering():
    opened = [TARGET, Group(1, "sim", 300, EVERYTHING)]
    closed = [TARGET, Group(1, "sim", 300, Window(0.95))]
    assert torch.equal(shares(Ambient(None), opened), shares(Cotrain(), opened))
    assert torch.equal(shares(Ambient(None), closed), shares(TargetOnly(), closed))


@pytest.mark.parametrize(
    "mixing", [Ambient(None), Ambient(0.3), Cotrain(), Cotrain(0.7), Exclusive(), Soft.linear(1, 0.2)]
)
def test_the_joint_law_factors_exactly(mixing):
    plan = make_plan(GROUPS, SCHEDULE, mixing)
    torch.testing.assert_close(plan.group_law.unsqueeze(1) * plan.timestep_law, plan.joint)
    torch.testing.assert_close(plan.joint.sum(0), SCHEDULE.uniform())
    if mixing.needs_windows:
        forbidden = torch.stack([~g.window.admits(SCHEDULE.sigmas) for g in GROUPS])
        assert not plan.joint[forbidden].any()


def test_a_plan_must_be_a_law():
    base = SCHEDULE.uniform()
    with pytest.raises(ValueError, match="miss the base law"):
        Plan((TARGET,), SCHEDULE, 0.9 * base.unsqueeze(0), base)
    with pytest.raises(ValueError, match=r"shape \(1, 4\), expected"):
        Plan((TARGET,), SCHEDULE, base[:4].unsqueeze(0), base)
    with pytest.raises(ValueError, match="negative"):
        Plan((TARGET, SIM), SCHEDULE, torch.stack([base + 0.1, torch.full_like(base, -0.1)]), base)
    with pytest.raises(ValueError, match="no target"):
        make_plan([SIM], SCHEDULE, Ambient(None))


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.2, 1.5])
def test_alpha_must_be_a_proper_share(alpha):
    for rule in (Ambient, Cotrain):
        with pytest.raises(ValueError, match=f"alpha = {alpha} must lie strictly"):
            rule(alpha)


@pytest.mark.parametrize(
    ("sigmas", "values", "message"),
    [
        ([], [], "at least two knots"),
        ([0.0, 1.0], [1.0], "as many sigmas as clean_shares"),
        ([0.0, 1.2], [1.0, 0.1], "lie in"),
        ([0.5, 0.5], [1.0, 0.1], "grow strictly"),
    ],
)
def test_soft_needs_proper_knots(sigmas, values, message):
    with pytest.raises(ValueError, match=message):
        Soft(sigmas=sigmas, clean_shares=values)


def test_groups_are_validated():
    with pytest.raises(ValueError, match="'sim' has 0 samples"):
        Group(1, "sim", 0, EVERYTHING)
    with pytest.raises(ValueError, match="weight of 'sim' must be positive"):
        Group(1, "sim", 1, EVERYTHING, weight=0.0)


def test_the_target_has_half_of_each_level_that_it_shares_unless_told_otherwise():
    assert shares(Ambient(), [TARGET, SIM])[0].tolist() == [1.0, 1.0, 0.5, 0.5, 0.5]
