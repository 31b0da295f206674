# SPDX-License-Identifier: Apache-2.0
"""The plan as a picture: which data set is trained on at which noise level."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

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


def shares_figure(
    shares: NDArray[np.float64],
    law: NDArray[np.float64],
    sigmas: NDArray[np.float64],
    names: list[str],
    width: float = 8.0,
    intervals: int = 8,
) -> Figure:
    """The heat map on its own canvas, without pyplot's global state.

    Args:
        shares: (S, T) share of each data set at each timestep, in [0, 1].
        law: (S,) share of all draws.
        sigmas: (T,) noise level of each timestep.
        names: (S,) what to call the data sets.
        width: inches.
        intervals: between labelled timesteps.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 1.6 + 0.42 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    image = axis.imshow(100 * shares, aspect="auto", cmap="viridis", vmin=0, vmax=100, interpolation="nearest")
    axis.set_yticks(range(len(names)), [f"{n}\n{100 * p:.1f} % of draws" for n, p in zip(names, law, strict=True)])
    ticks = sorted({round(k * (len(sigmas) - 1) / intervals) for k in range(intervals + 1)})
    axis.set_xticks(ticks, [f"{t}\n{sigmas[t]:.3f}" for t in ticks])
    axis.set_xlabel("timestep / noise level sigma")
    axis.set_title("Share of each data set at each noise level", fontsize=11)
    for row in range(1, len(names)):
        axis.axhline(row - 0.5, color="white", linewidth=1.5)
    figure.colorbar(image, ax=axis, label="share, %", fraction=0.05)
    return figure
