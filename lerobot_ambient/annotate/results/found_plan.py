# SPDX-License-Identifier: Apache-2.0
"""The plan that found windows lead to, without opening the data again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lerobot_ambient.annotate.chunks.mixture_chunks import Chunks
from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.core.plan import Group, Mixing, Plan, make_plan
from lerobot_ambient.data.grouping import split_windows
from lerobot_ambient.data.mixture import Mixture


def found_plan(mixture: Mixture, chunks: Sequence[Chunks], findings: Sequence[Finding], mixing: Mixing) -> Plan:
    """The plan of the mixture with the windows of `findings`, a finding per source.

    Samples whose window admits no timestep are left out; a source may lose all.
    """
    target = mixture.plan.groups[0]
    schedule = mixture.plan.schedule
    groups: list[Group] = [Group(0, target.name, len(chunks[0]), target.window, target.weight)]
    for index, finding in enumerate(findings, start=1):
        count = len(chunks[index])
        starts, stops = np.array([0]), np.array([count])
        bounds = (finding.sigma_min.astype(np.float32), finding.sigma_max.astype(np.float32))
        made = split_windows(*bounds, starts, stops, schedule)
        config = mixture.sources[index].config
        groups.extend(
            Group(index, chunks[index].name, samples, window, config.weight)
            for samples, window in zip(made.counts.tolist(), made.windows, strict=True)
            if bool(window.admits(schedule.sigmas).any())
        )
    return make_plan(groups, schedule, mixing)
