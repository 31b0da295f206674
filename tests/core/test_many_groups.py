# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, make_plan, require_plan_fits
from lerobot_ambient.core.windows import EVERYTHING, Window

SCHEDULE = NoiseSchedule(torch.linspace(0.01, 1.0, 100, dtype=torch.float64))


def groups_of(windows):
    return [Group(0, "target", 50, EVERYTHING), *(Group(1, "sim", 3 + i, w) for i, w in enumerate(windows))]


def test_every_group_is_drawn_exactly_where_its_window_admits_it():
    levels = np.random.default_rng(0).choice([0.0, 0.005, *SCHEDULE.sigmas.tolist()], size=(500, 2))
    groups = groups_of([Window(*pair) for pair in levels.tolist()])
    plan = make_plan(groups, SCHEDULE, Ambient(None))
    for i, group in enumerate(groups):
        assert torch.equal(plan.joint[i] > 0, group.window.admits(SCHEDULE.sigmas))
    size = torch.tensor([group.count for group in groups], dtype=torch.float64)
    admitted = torch.stack([group.window.admits(SCHEDULE.sigmas) for group in groups])
    for t in range(0, 100, 9):
        expected = torch.where(admitted[:, t], size, 0.0)
        torch.testing.assert_close(plan.joint[:, t], 0.01 * expected / expected.sum(), rtol=1e-12, atol=0.0)


def test_a_plan_that_would_fill_the_memory_is_refused(monkeypatch):
    require_plan_fits(505_001, SCHEDULE)  # 100 sources with sigma_min and sigma_max per data point
    message = "3000000 groups x 100 timesteps = 2.2 GiB, at most 2 GiB are allowed. Round sigma_min"
    with pytest.raises(ValueError, match=message):
        require_plan_fits(3_000_000, SCHEDULE)
    monkeypatch.setattr("lerobot_ambient.core.plan._MAX_CELLS", 300)
    make_plan(groups_of([Window(0.5), Window(0.7)]), SCHEDULE, Ambient(None))
    with pytest.raises(ValueError, match="4 groups x 100 timesteps"):
        make_plan(groups_of([Window(0.5), Window(0.6), Window(0.7)]), SCHEDULE, Ambient(None))
