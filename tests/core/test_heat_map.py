# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from lerobot_ambient.core.flow_time import FlowTime
from lerobot_ambient.core.mixing import Ambient
from lerobot_ambient.core.noise_levels import NoiseSchedule
from lerobot_ambient.core.plan import Group, make_plan, require_plan_fits
from lerobot_ambient.core.time_laws import BetaTime
from lerobot_ambient.core.windows import EVERYTHING, Window

LAW = BetaTime(1.5, 1.0, low=0.001, high=1.0)
GROUPS = [Group(0, "target", 100, EVERYTHING), Group(1, "sim", 900, Window(0.7))]


def plan_of(schedule):
    return make_plan(GROUPS, schedule, Ambient(alpha=0.5))


def labels(axis):
    return [
        (place, *text.get_text().split("\n"))
        for place, text in zip(axis.get_xticks(), axis.get_xticklabels(), strict=True)
    ]


def test_the_axis_of_cells_is_the_quantile_of_the_policys_own_law():
    plan = plan_of(FlowTime(LAW).schedule())
    axis = plan.plot().axes[0]
    places, quantiles, sigmas = zip(*labels(axis), strict=True)
    # The edges of the picture's first and last pixel are the law's ends.
    assert places == tuple(256 * k / 8 - 0.5 for k in range(9))
    assert [float(q) for q in quantiles] == [k / 8 for k in range(9)]
    tau = LAW.quantile(torch.tensor([k / 8 for k in range(9)]))
    expected = tau / torch.hypot(tau, 1 - tau)
    assert [float(s) for s in sigmas] == pytest.approx(expected.tolist(), abs=6e-4)
    assert axis.get_xlabel() == (
        "quantile of the policy's own time / noise level sigma\n256 cells of Beta(1.5, 1) on [0.001, 1]"
    )


def test_the_axis_of_a_discrete_diffusion_is_the_timestep():
    axis = plan_of(NoiseSchedule(torch.linspace(0.1, 1.0, 17))).plot().axes[0]
    assert axis.get_xlabel() == "timestep / noise level sigma"
    assert labels(axis)[1] == (2, "2", "0.213")


def test_the_page_of_cells_gives_sigma_at_quarters_of_the_draws():
    plan = plan_of(FlowTime(LAW).schedule())
    page = plan._repr_html_()
    admitted = Window(0.7).admits_of(plan.schedule)
    edge = float(plan.schedule.lower[admitted][0])
    # Cells are shown two by two, and the hover text is of all of them.
    assert f"sim: 50 % at sigma {edge:.3f} to 1.000" in page
    for sigma in ("0.001", "0.551", "0.863", "0.978", "1.000"):
        assert f">{sigma}</text>" in page
    assert "quarters of the policy&#x27;s own draws of time," in page
    assert "Beta(1.5, 1) on [0.001, 1]; dark: never shown" in page


def test_too_large_a_plan_of_cells_has_no_timesteps_to_lower():
    with pytest.raises(ValueError, match=r"x 256 cells = .* or annotate with larger buckets\.$"):
        require_plan_fits(2_000_000, FlowTime(LAW).schedule())
