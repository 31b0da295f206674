# SPDX-License-Identifier: Apache-2.0
"""An arm's target, a source with one shaky episode and a window per frame, and rollouts; pictures tell their frame."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest

from lerobot_ambient.data.windows.windows_file import WindowTable, write_windows
from lerobot_ambient.integration.training.configured_mixture import load_train_config
from lerobot_ambient.integration.viewing.opened import Bounds, open_to_view, rollout_sources
from lerobot_ambient.integration.viewing.shown import View
from lerobot_ambient.testing.generated.dataset_files import write_dataset as write_files
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

JOINT_NAMES = [f"{joint.name}.pos" for joint in JOINTS]
CAMERA = "observation.images.front"
EVIL = "me/<img src=x onerror=document.title='broken'>"
TARGET_LENGTHS, SOURCE_LENGTHS, ROLLOUT_LENGTHS = (
    [40, 44, 36, 40, 42, 38, 41],
    [70, 80, 76, 84, 72, 78, 74, 82],
    [33, 35],
)
SHAKY = 3


def shade(episode: int, frame: int) -> tuple[int, int, int]:
    """The colour of a picture; flat, so that JPEG keeps it within a few levels."""
    return 20 + 20 * episode, 30 + 2 * frame, 200


def recording(
    root: Path,
    lengths: list[int],
    seed: int,
    *,
    fps: int,
    shaky: int | None = None,
    camera: bool = True,
    reached: list[int] | None = None,
) -> Path:
    """Smooth joints; in the `shaky` episode the elbow trembles."""
    rng = np.random.default_rng(seed)
    parts, pictures = [], []
    for episode, length in enumerate(lengths):
        time = np.linspace(0, 1, length)[:, None]
        phase = 0.03 * rng.standard_normal(6)
        move = np.array([30.0, -60, 50, 40, 20, 40]) * np.sin(2 * np.pi * (time + phase))
        move += np.array([0.0, -10, 40, 20, 0, 50])
        if episode == shaky:
            move[:, 2] += 60 * rng.standard_normal(length)
        parts.append(move)
        if camera:
            for frame in range(length):
                content = io.BytesIO()
                PIL.Image.new("RGB", (64, 48), shade(episode, frame)).save(content, "png")
                pictures.append(content.getvalue())
    action = np.concatenate(parts).astype(np.float32)
    vector = {"dtype": "float32", "shape": (6,), "names": JOINT_NAMES}
    features: dict[str, Any] = {"action": vector, "observation.state": vector}
    columns: dict[str, Any] = {"action": action, "observation.state": action - 0.5}
    if camera:
        features[CAMERA] = {"dtype": "image", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
        columns[CAMERA] = pictures
    if reached is not None:
        # In a recording the last frame of a rollout says it.
        ends = np.cumsum(lengths)[reached] - 1
        features["next.success"] = {"dtype": "float32", "shape": (1,), "names": None}
        columns["next.success"] = np.isin(np.arange(sum(lengths)), ends)[:, None].astype(np.float32)
    return write_files(root, features, columns, lengths, fps=fps, task="pick <b>it</b> up")


@pytest.fixture(scope="session")
def arm_data(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Folders `target` (20 fps), `source` (40 fps) and `rollouts` (20 fps, no camera, the second failed)."""
    folder = tmp_path_factory.mktemp("viewed")
    return SimpleNamespace(
        target=recording(folder / "target", TARGET_LENGTHS, 1, fps=20),
        source=recording(folder / "source", SOURCE_LENGTHS, 2, fps=40, shaky=SHAKY),
        rollouts=recording(folder / "rollouts", ROLLOUT_LENGTHS, 3, fps=20, camera=False, reached=[0]),
    )


@pytest.fixture(scope="session")
def config(arm_data: SimpleNamespace) -> Callable[..., Any]:
    """config(**source options): a training configuration with the source under a name that is HTML."""

    def make(*words: str, **source: Any) -> Any:
        import json

        declared = [{"repo_id": EVIL, "root": str(arm_data.source), **source}]
        return load_train_config(
            None,
            [
                *("--policy.type=ambient_diffusion", "--policy.horizon=8", "--policy.n_action_steps=4"),
                *("--policy.drop_n_last_frames=2", "--policy.device=cpu", "--dataset.repo_id=me/target"),
                *(f"--dataset.root={arm_data.target}", f"--policy.sources={json.dumps(declared)}", *words),
            ],
        )

    return make


@pytest.fixture(scope="session")
def windows_file(
    arm_data: SimpleNamespace, config: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A window per frame of the source: sigma_min rises from 0.2 with the frame, sigma_max is 0.1 in odd episodes."""
    normalization = open_to_view(config(sigma_min=0.5)).mixture.normalization
    episode = np.repeat(np.arange(len(SOURCE_LENGTHS)), SOURCE_LENGTHS)
    frame = np.concatenate([np.arange(length) for length in SOURCE_LENGTHS])
    path = tmp_path_factory.mktemp("windows") / "windows.parquet"
    table = WindowTable(
        repo_id=EVIL,
        episode_index=episode,
        frame_index=frame,
        sigma_min=(0.2 + 0.005 * frame).astype(np.float32),
        sigma_max=np.where(episode % 2, 0.1, 0.0).astype(np.float32),
        normalization=normalization,
        method="classifier",
        granularity="datapoint",
    )
    write_windows(table, path)
    return path


@pytest.fixture(scope="session")
def view(arm_data: SimpleNamespace, config: Callable[..., Any], windows_file: Path) -> View:
    """All of it, opened."""
    rollouts = rollout_sources(str(arm_data.rollouts), None)
    return View.of(open_to_view(config(windows=str(windows_file)), rollouts, Bounds()))
