# SPDX-License-Identifier: Apache-2.0
"""The heat map of a plan, also of one that lost datasets, and as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lerobot_ambient.core.heat_map import shares_figure
from lerobot_ambient.core.plan import Plan

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_plan(plan: Plan, path: Path) -> None:
    """Draw share(source | t) as a heat map over the timesteps, with the noise level below.

    Args:
        plan: the plan.
        path: image to write; its folder is made, an older picture replaced.
    """
    figure = plan_figure(plan, plan.source_names())
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def plan_figure(plan: Plan, names: list[str], width: float = 8.0, intervals: int = 8) -> Figure:
    """The heat map of a plan.

    Args:
        plan: the plan.
        names: (S,) what to call its data sets; those after the plan's last are drawn as never trained on.
        width: inches.
        intervals: between labelled timesteps.
    """
    shares = plan.shares_by_source().numpy()
    law = plan.by_source().sum(1).numpy()
    lost = len(names) - len(law)
    shares, law = np.pad(shares, ((0, lost), (0, 0))), np.pad(law, (0, lost))
    return shares_figure(shares, law, plan.schedule.sigmas.numpy(), names, width, intervals)
