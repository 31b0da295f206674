# SPDX-License-Identifier: Apache-2.0
"""The recordings as two LeRobotDatasets: few careful ones, the target, and more clumsy ones, the source.

They have what `lerobot-record` writes of an SO-101, the keys, the names of the joints and the rate, and stand in for
recordings of one's own where there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import (
    KINDS,
    Kind,
    finished,
    require_at_least,
    summaries_of,
    write_recorded,
)
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import Episode
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration
from lerobot_ambient.benchmarks.tasks.so101.camera import pictures
from lerobot_ambient.benchmarks.tasks.so101.recordings import FPS, Hand, record
from lerobot_ambient.testing.generated.dataset_files import write_dataset
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

HANDS: dict[Kind, Hand] = {"target": "careful", "source": "clumsy"}
REPO_IDS: dict[Kind, str] = {"target": "ambient/so101_careful", "source": "ambient/so101_clumsy"}
TASK = "put the cube into the box"
CAMERA = "observation.images.top"
VERSION = 1
"""Raise it when the same arguments would give other recordings."""
_STREAM = 0x736F3130
"""First word of every spawn key, so that no recording shares a stream with another task's."""
_NAMES = [f"{joint.name}.pos" for joint in JOINTS]


def make_so101_data(
    root: Path,
    *,
    target_episodes: int = 20,
    source_episodes: int = 60,
    seed: int = 0,
    kinds: Sequence[Kind] = KINDS,
    pixels: int | None = None,
    progress: bool = True,
) -> dict[str, dict[str, Any]]:
    """Write careful recordings to `root/target` and clumsy ones to `root/source`.

    A recording depends on the seed and its number only. Calling it again with the same arguments returns at once;
    after a kill it makes what is missing.

    Args:
        root: parent folder of the two datasets.
        target_episodes, source_episodes: number of episodes, at least 1.
        seed: of the recordings, not negative.
        kinds: which of the two to make; the other is not touched.
        pixels: height and width of a camera above the table, at least 16; no camera when None.
        progress: whether to show progress bars.

    Returns:
        For each of `kinds`: root, repo_id, hand, episodes, frames, and mean_squared_acceleration (of the commands, the
        mean over episodes, in degrees^2 / s^4).

    Raises:
        ValueError: if a dataset made with other arguments is in the way, or an argument is out of range.
    """
    root = Path(root)
    counts: dict[Kind, int] = {"target": target_episodes, "source": source_episodes}
    require_at_least("recordings of an SO-101", seed=(seed, 0), pixels=(16 if pixels is None else pixels, 16))
    for kind in kinds:
        require_at_least(f"{kind} recordings of an SO-101", episodes=(counts[kind], 1))
    arguments = {
        kind: {
            "version": VERSION,
            "experiment": "so101",
            "kind": kind,
            "episodes": counts[kind],
            "seed": seed,
            "pixels": pixels,
        }
        for kind in kinds
    }
    missing = [kind for kind in kinds if finished(root / kind, arguments[kind]) is None]
    root.mkdir(parents=True, exist_ok=True)
    for kind in missing:
        _write(root / kind, arguments[kind], progress)
    return summaries_of(root, arguments)


def _write(folder: Path, arguments: dict[str, Any], progress: bool) -> None:
    kind: Kind = arguments["kind"]
    features: dict[str, dict[str, Any]] = {
        key: {"dtype": "float32", "shape": (len(_NAMES),), "names": list(_NAMES)}
        for key in ("action", "observation.state")
    }
    size = arguments["pixels"]
    if size is not None:
        features[CAMERA] = {"dtype": "image", "shape": (size, size, 3), "names": ["height", "width", "channels"]}
    episodes: list[Episode] = []
    seen: list[bytes] = []
    bar = tqdm(range(arguments["episodes"]), desc=f"record {kind}", unit="episode", disable=not progress)
    for number in bar:
        stream = np.random.SeedSequence(arguments["seed"], spawn_key=(_STREAM, KINDS.index(kind), number))
        episode, cube = record(HANDS[kind], np.random.default_rng(stream))
        episodes.append(episode)
        if size is not None:
            seen += pictures(episode["observation.state"], cube, size)
    lengths = [len(episode["action"]) for episode in episodes]
    columns: dict[str, Any] = {
        key: np.concatenate([episode[key] for episode in episodes]) for key in ("action", "observation.state")
    }
    if size is not None:
        columns[CAMERA] = seen
    summary = {
        "root": folder.name,
        "repo_id": REPO_IDS[kind],
        "hand": HANDS[kind],
        "episodes": len(lengths),
        "frames": sum(lengths),
        "mean_squared_acceleration": float(
            np.mean([mean_squared_acceleration(episode["action"], FPS) for episode in episodes])
        ),
    }
    write_recorded(
        folder,
        arguments,
        summary,
        lambda partial: write_dataset(
            partial, features, columns, lengths, fps=FPS, robot_type="so101_follower", task=TASK
        ),
    )
