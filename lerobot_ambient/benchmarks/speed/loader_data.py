# SPDX-License-Identifier: Apache-2.0
"""Data for the loader benchmark when it is given none: random low-dimensional episodes, a moving pattern as video.

The numbers in the frames do not matter to a loader; their sizes do. A video has to move, or it decodes too easily.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from numpy.typing import NDArray
from tqdm import tqdm

from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import write_low_dim_dataset

FPS = 30
EPISODES, FRAMES = 50, 200
"""Of each low-dimensional dataset: the size of a usual set of demonstrations."""
VIDEO_EPISODES, VIDEO_FRAMES = 4, 120
HEIGHT, WIDTH = 240, 320
JOINTS = tuple(f"joint_{number}.pos" for number in range(7))

_ARM: dict[str, dict[str, Any]] = {
    "observation.state": {"dtype": "float32", "shape": (len(JOINTS),), "names": list(JOINTS)},
    "action": {"dtype": "float32", "shape": (len(JOINTS),), "names": list(JOINTS)},
}
_GOAL: dict[str, dict[str, Any]] = {
    "observation.environment_state": {"dtype": "float32", "shape": (2,), "names": ["goal_x", "goal_y"]},
}
_CAMERA: dict[str, dict[str, Any]] = {
    "observation.images.front": {
        "dtype": "video",
        "shape": (HEIGHT, WIDTH, 3),
        "names": ["height", "width", "channels"],
    },
}


def write_low_dim(parent: Path) -> tuple[Path, Path]:
    """Write a target and a source of 7 joints and a goal to `parent`; returns their folders."""
    roots = parent / "target", parent / "source"
    for seed, root in enumerate(roots):
        rng = np.random.default_rng(np.random.SeedSequence([seed, 11]))
        shapes = {key: spec["shape"] for key, spec in (_ARM | _GOAL).items()}
        episodes = [
            {key: rng.normal(size=(FRAMES, *shape)).astype(np.float32) for key, shape in shapes.items()}
            for _ in range(EPISODES)
        ]
        write_low_dim_dataset(root, root.name, FPS, _ARM | _GOAL, episodes, "move")
    return roots


def write_video(root: Path) -> Path:
    """Write a dataset with one camera through LeRobot's own encoder, with its default settings; returns `root`.

    Raises:
        ValueError: the video cannot be encoded here.
    """
    rng = np.random.default_rng(np.random.SeedSequence([2, 11]))
    try:
        dataset = LeRobotDataset.create(root.name, FPS, _ARM | _CAMERA, root=root, use_videos=True)
        for _ in tqdm(range(VIDEO_EPISODES), desc="encode", unit="episode"):
            path = rng.normal(size=(VIDEO_FRAMES + 1, len(JOINTS))).astype(np.float32)
            for t, image in enumerate(_moving_pattern(rng)):
                dataset.add_frame(
                    {
                        "observation.state": path[t],
                        "action": path[t + 1],
                        "observation.images.front": image,
                        "task": "move",
                    }
                )
            dataset.save_episode()
        dataset.finalize()
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"the benchmark's video cannot be encoded here ({error}). Give a recorded dataset with --video-root, or "
            "leave video out with --skip-video."
        ) from error
    return root


def _moving_pattern(rng: np.random.Generator) -> NDArray[np.uint8]:
    """(VIDEO_FRAMES, HEIGHT, WIDTH, 3) waves that travel over a noisy ground."""
    y, x, t = np.ogrid[:HEIGHT, :WIDTH, :VIDEO_FRAMES]
    ground = rng.integers(0, 40, (HEIGHT, WIDTH, 1))
    speeds = rng.uniform(0.05, 0.2, 3)
    waves = [
        100 + 80 * np.sin(x / 23 + channel + speed * t) * np.cos(y / 31 - speed * t)
        for channel, speed in enumerate(speeds)
    ]
    frames = np.stack([wave + ground for wave in waves], axis=-1)
    return np.moveaxis(frames.astype(np.uint8), 2, 0)
