# SPDX-License-Identifier: Apache-2.0
"""The datasets behind the golden files: small, and every number an exact fraction, so that no generator of random
numbers and no rounding stands between a golden file and the rule that it records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

STATE, ENVIRONMENT, CAMERA, ACTION = (
    *("observation.state", "observation.environment_state"),
    *("observation.images.cam", "action"),
)
JOINTS = ("pan.pos", "lift.pos")


@dataclass(frozen=True)
class Recording:
    """One dataset, called `me/<folder>`.

    Args:
        lengths: frames of each episode.
        salt: makes its numbers its own.
        names: of state and action dimensions.
        keys: other names of its features, e.g. {"action": "actions"}.
        fps: frames a second.
        camera: height and width of a camera's pictures.
        unit: multiplies states and actions; a power of two.
        steps: actions are steps from the state, in units of `unit`, instead of positions.
    """

    lengths: Sequence[int]
    salt: int
    names: Sequence[str] = JOINTS
    keys: tuple[tuple[str, str], ...] = ()
    fps: int = 10
    camera: tuple[int, int] | None = None
    unit: float = 1.0
    steps: bool = False


RECORDINGS = {
    "target": Recording((14, 12, 16), salt=1),
    "sim": Recording((20, 23), salt=2),
    "renamed": Recording((20, 23), salt=2, keys=((ACTION, "actions"), (STATE, "state"))),
    "other": Recording((18, 15), salt=3, names=("lift", "pan"), unit=0.25),
    "slow": Recording((12, 11), salt=4, fps=5),
    "steps": Recording((20, 19), salt=5, steps=True),
    "seeing": Recording((10, 12), salt=6, camera=(40, 48)),
    "smaller": Recording((11, 13), salt=7, camera=(20, 30)),
    "blind": Recording((12, 12), salt=8),
    # As few as annotate takes.
    "many": Recording((11,) * 5, salt=9),
    "rough": Recording((11,) * 5, salt=10, unit=0.5),
}


def values(salt: int, episode: int, frame: int, dims: int) -> np.ndarray:
    """(dims,) float32 multiples of 1/64 in [-2, 2): a smooth path, with what looks like noise on it."""
    d = np.arange(dims)
    slow = np.abs((3 * frame + 11 * episode + 7 * salt + 5 * d) % 128 - 64)
    fast = (frame * (frame + 3 * salt + d) * 13 + 29 * episode) % 17
    return ((3 * slow + fast - 104) / 64).astype(np.float32)


def write(root: Path, recording: Recording) -> Path:
    """Write it with LeRobot's own writer; returns its folder."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    to = {**{key: key for key in (STATE, ENVIRONMENT, CAMERA, ACTION)}, **dict(recording.keys)}
    dims = len(recording.names)
    features: dict[str, Any] = {
        to[key]: {"dtype": "float32", "shape": (dims,), "names": list(recording.names)} for key in (STATE, ACTION)
    }
    features[to[ENVIRONMENT]] = {"dtype": "float32", "shape": (2,), "names": None}
    if recording.camera is not None:
        shape = (*recording.camera, 3)
        features[to[CAMERA]] = {"dtype": "image", "shape": shape, "names": ["height", "width", "channels"]}
    dataset = LeRobotDataset.create(
        repo_id=f"me/{root.name}", fps=recording.fps, features=features, root=root, use_videos=False
    )
    for episode, length in enumerate(recording.lengths):
        at: Callable[[int], np.ndarray] = partial(values, recording.salt, episode, dims=dims)
        for frame in range(length):
            state, after = (np.float32(recording.unit) * at(one) for one in (frame, frame + 1))
            row: dict[str, Any] = {
                to[STATE]: state,
                to[ACTION]: (after - state) / np.float32(recording.unit) if recording.steps else after,
                to[ENVIRONMENT]: values(recording.salt + 50, episode, 0, 2),
                "task": "go",
            }
            if recording.camera is not None:
                height, width = recording.camera
                pixels = np.add.outer(3 * np.arange(height), 5 * np.arange(width))[..., None] + 7 * np.arange(3)
                row[to[CAMERA]] = ((pixels + 11 * frame + 13 * episode) % 256).astype(np.uint8)
            dataset.add_frame(row)
        dataset.save_episode()
    dataset.finalize()
    return root
