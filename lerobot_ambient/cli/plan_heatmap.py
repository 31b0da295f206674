# SPDX-License-Identifier: Apache-2.0
"""The plan as a picture: which data set is trained on at which noise level."""

from __future__ import annotations

from pathlib import Path

from lerobot_ambient.core.plan import Plan


def draw_plan(plan: Plan, path: Path) -> None:
    """Draw share(source | t) as a heat map over the timesteps, with the noise level below.

    Args:
        plan: the plan.
        path: image to write; its folder is made, an older picture replaced.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shares = plan.shares_by_source().numpy()
    sigmas = plan.schedule.sigmas.numpy()
    names = plan.source_names()
    law = plan.by_source().sum(1).tolist()
    figure, axis = plt.subplots(figsize=(8.0, 1.6 + 0.42 * len(names)), layout="constrained")
    image = axis.imshow(100 * shares, aspect="auto", cmap="viridis", vmin=0, vmax=100, interpolation="nearest")
    axis.set_yticks(range(len(names)), [f"{n}\n{100 * p:.1f} % of draws" for n, p in zip(names, law, strict=True)])
    ticks = sorted({round(k * (len(sigmas) - 1) / 8) for k in range(9)})
    axis.set_xticks(ticks, [f"{t}\n{sigmas[t]:.3f}" for t in ticks])
    axis.set_xlabel("timestep / noise level sigma")
    axis.set_title("Share of each data set at each noise level", fontsize=11)
    for row in range(1, len(names)):
        axis.axhline(row - 0.5, color="white", linewidth=1.5)
    figure.colorbar(image, ax=axis, label="share, %", fraction=0.05)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)
