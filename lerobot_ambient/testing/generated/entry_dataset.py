# SPDX-License-Identifier: Apache-2.0
"""A small LeRobotDataset with the real schema of a catalogue entry: keys, names, rate, cameras, kinds of numbers.

`generated_entry_dataset(entry, root)` is for every test that needs a public dataset and must not download one; the
fixture `generated_entry` in tests/conftest.py keeps what it wrote for a whole test run. Motions are smooth random
curves. States and actions belong together as the entry says: positions are those of the next frame, steps and
velocities lead there, grippers take the entry's own values, padding is 0.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from lerobot_ambient.testing.generated.dataset_files import write_dataset

_UNKNOWN_SIZE = (48, 64)
"""Height and width of a camera whose entry has none."""
_SHADES = 7


class FeatureLike(Protocol):
    """What is read of a catalogue entry's feature; see FeatureSchema."""

    kind: Any
    names: Any
    rotation: Any
    gripper: Any
    stored: Any
    gain: Any
    padding: Any


class EntryLike(Protocol):
    """What is read of a catalogue entry; see Entry."""

    name: Any
    repo_id: Any
    robot: Any
    fps: Any
    cameras: Any
    features: Any


def generated_entry_dataset(
    entry: EntryLike,
    root: Path,
    *,
    episodes: int = 2,
    frames: int = 24,
    seed: int = 0,
    cameras: Sequence[str] | None = None,
    height: int | None = 24,
    change: Mapping[str, Any] | None = None,
) -> Path:
    """Write a dataset that is what an entry says, or in some point is not.

    Args:
        entry: of the catalogue.
        root: a folder that is not there yet.
        episodes, frames: how many, and how many frames each.
        seed: of the motions.
        cameras: the dataset's own keys of the cameras to write, as images; all when None.
        height: of the images in pixels, the entry's aspect ratio kept; the entry's own size when None. A comparison
            names another size and refuses nothing.
        change: what info.json says otherwise: `fps`, `robot_type`, or a feature's key with its names in their order,
            as many numbers as names.

    Returns:
        The root.
    """
    change = dict(change or {})
    fps, robot = change.pop("fps", entry.fps), change.pop("robot_type", entry.robot)
    named = {key: list(change.get(key, feature.stored or feature.names)) for key, feature in entry.features.items()}
    features: dict[str, Any] = {
        key: {"dtype": "float32", "shape": (len(names),), "names": {"motors": names}} for key, names in named.items()
    }
    parts = [_numbers(entry.features, named, frames, float(entry.fps), _draws(seed, n)) for n in range(episodes)]
    columns: dict[str, Any] = {key: np.concatenate([part[key] for part in parts]) for key in named}
    for place, key in enumerate(entry.cameras if cameras is None else cameras):
        own = entry.cameras[key].shape or _UNKNOWN_SIZE
        size = own if height is None else (height, round(height * own[1] / own[0]))
        features[key] = {"dtype": "image", "shape": (*size, 3), "names": ["height", "width", "channels"]}
        columns[key] = [_picture(size, (t + place) % _SHADES) for t in range(episodes * frames)]
    write_dataset(root, features, columns, [frames] * episodes, fps=fps, robot_type=robot, task=entry.name)
    return root


def _draws(seed: int, episode: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([seed, episode]))


def _numbers(
    features: Mapping[str, FeatureLike],
    named: Mapping[str, Sequence[str]],
    frames: int,
    fps: float,
    rng: np.random.Generator,
) -> dict[str, NDArray[np.float32]]:
    """(frames, D) of every feature, all from one motion: what several features call by one name is one curve."""
    curves: dict[str, NDArray[np.float64]] = {}
    for feature in features.values():
        for name in feature.names:
            if name not in curves:
                curves[name] = _curve(frames + 1, rng)
    found: dict[str, NDArray[np.float32]] = {}
    for key, feature in features.items():
        values = np.stack([_column(feature, name, curves[name], fps) for name in feature.names], axis=1)
        values = _unit_quaternions(feature.names, values)
        is_action = key.startswith("action")
        shown = values[:frames] if _moves(feature) or not is_action else values[1 : frames + 1]
        # Another number of names than the entry has stands for a dataset that is not what the entry says.
        found[key] = np.resize(shown, (frames, len(named[key]))).astype(np.float32)
    return found


@cache
def _picture(size: tuple[int, int], shade: int) -> bytes:
    """A PNG of one shade, which packs best."""
    packed = io.BytesIO()
    PIL.Image.new("RGB", (size[1], size[0]), (shade * 255 // _SHADES,) * 3).save(packed, "PNG")
    return packed.getvalue()


def _curve(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth motion within about -1 and 1."""
    time = np.linspace(0.0, 1.0, frames)
    slow, fast = (np.sin(2 * math.pi * (rate * time + rng.random())) for rate in (0.5, 1.3))
    return np.asarray(0.5 * slow + 0.2 * fast + 0.1 * rng.normal(), dtype=np.float64)


def _moves(feature: FeatureLike) -> bool:
    return feature.kind in ("joint_delta", "ee_delta", "ee_velocity")


def _column(feature: FeatureLike, name: str, curve: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """(frames + 1,) of one dimension; the last of a step is 0."""
    if name in feature.padding or feature.kind == "none":
        return np.zeros(len(curve))
    if name in feature.gripper:
        ends = feature.gripper[name]
        return np.where(curve > 0.0, ends["open"], ends["closed"])
    if "gripper" in name or name == "terminate":
        return (curve > 0.0).astype(np.float64)
    if not _moves(feature):
        return curve
    gain = feature.gain.get(name, 1.0) if isinstance(feature.gain, Mapping) else feature.gain or 1.0
    return np.append(np.diff(curve), 0.0) / gain


def _unit_quaternions(names: Sequence[str], values: NDArray[np.float64]) -> NDArray[np.float64]:
    places = [j for j, name in enumerate(names) if name in ("qx", "qy", "qz", "qw", "q_1", "q_2", "q_3", "q_4")]
    if len(places) == 4:
        values[:, places] /= np.maximum(np.linalg.norm(values[:, places], axis=1, keepdims=True), 1e-9)
    return values
