# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint keeps of one dataset. A module of its own: the policy's configuration imports nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class DataRecord:
    """One dataset of a mixture.

    Args:
        name: what messages call it; the repo_id, numbered where it is used more than once.
        repo_id: the dataset.
        revision: what was asked for on the Hub, or None.
        episodes, frames, samples: selected; samples are frames that may start a chunk.
        fps: frames a second.
        robot_type: as recorded, or None.
        on_the_hub: whether it was read by its name, not from a folder.
        license: what the dataset's own card states, or None.
        windows: its distinct windows, or how many there are.
        found: how the windows were found.
        normalization: target or own.
        weight: as declared.
        share: of all draws, in [0, 1].
        shares: share at each timestep from 0 on, as runs "count*share"; see `export.record.encode_shares`.
    """

    name: str = ""
    repo_id: str = ""
    revision: str | None = None
    episodes: int = 0
    frames: int = 0
    samples: int = 0
    fps: float = 0.0
    robot_type: str | None = None
    on_the_hub: bool = False
    license: str | None = None
    windows: list[str] = field(default_factory=list)
    found: str = ""
    normalization: str = "target"
    weight: float = 1.0
    share: float = 0.0
    shares: str = ""
