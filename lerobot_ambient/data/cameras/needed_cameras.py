# SPDX-License-Identifier: Apache-2.0
"""Which cameras of a dataset are needed, and which of them have frames at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.utils.constants import OBS_PREFIX

from lerobot_ambient.data.files.camera_specs import CAMERA_DTYPES, camera_shape, is_depth, policy_spec
from lerobot_ambient.data.files.episode_table import EpisodeTable


def is_left_out(key: str, spec: Mapping[str, Any], rename: Mapping[str, str]) -> bool:
    """Whether a feature is a camera that was renamed out of the observations: nobody wants its frames."""
    return spec["dtype"] in CAMERA_DTYPES and key in rename and not rename[key].startswith(OBS_PREFIX)


def needed_cameras(
    meta: LeRobotDatasetMetadata, rename: Mapping[str, str], wanted: Sequence[str] | None = None
) -> list[str]:
    """The dataset's own keys of the cameras whose frames are read.

    Args:
        meta: of the dataset.
        rename: own key to the target's.
        wanted: the target's cameras, by the target's keys; every camera that is not left out when None.
    """
    keys = [key for key in meta.camera_keys if not is_left_out(key, meta.features[key], rename)]
    return keys if wanted is None else [key for key in keys if rename.get(key, key) in wanted]


def policy_features(name: str, key: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A feature's spec as policies see it.

    Raises:
        ValueError: the shape of a camera that is no picture's, with the dataset and the key.
    """
    if spec["dtype"] not in CAMERA_DTYPES:
        return spec
    try:
        return policy_spec(spec)
    except ValueError as error:
        raise ValueError(f"'{name}' {key}: {error}.") from error


def refuse_depth(name: str, meta: LeRobotDatasetMetadata, keys: Sequence[str]) -> None:
    """Raise where a camera that the policy would read is a depth camera.

    Raises:
        ValueError: the dataset, the cameras, and how to do without them.
    """
    depth = [key for key in keys if is_depth(meta.features[key])]
    if depth:
        raise ValueError(
            f"'{name}': {depth} hold depth, and LeRobot's image encoder reads colour only (three channels of eight "
            f"bits). Train without: {without(depth)}."
        )


def untrainable_cameras(name: str, features: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What keeps LeRobot's diffusion policies from being trained on these cameras, which are sound in themselves.

    Args:
        name: of the target, for the messages.
        features: of the mixture, by the target's keys.
    """
    shapes = {key: camera_shape(spec) for key, spec in features.items() if spec["dtype"] in CAMERA_DTYPES}
    problems = []
    for key in (key for key in shapes if not key.startswith(OBS_PREFIX)):
        problems.append(
            f"'{name}': the camera '{key}' is not under 'observation.', where policies read. Name it so, "
            f"--policy.target_rename='{{{key}: observation.images.{key.rsplit('.', 1)[-1]}}}', or train without it, "
            f"{without([key])}."
        )
    inside = {key: shape for key, shape in shapes.items() if key.startswith(OBS_PREFIX)}
    if len(set(inside.values())) > 1:
        listing = ", ".join(f"{key} {height}x{width}" for key, (_, height, width) in inside.items())
        problems.append(
            f"'{name}': its cameras have more than one size ({listing}), and LeRobot's diffusion policies take one. "
            f"Record or convert them to one size, or train without some, for instance {without(list(inside)[1:])}."
        )
    return problems


def without(keys: Sequence[str]) -> str:
    """The option that leaves cameras of the target out of the training."""
    unused = ", ".join(f"{key}: unused.{key.rsplit('.', 1)[-1]}" for key in keys)
    return f"--policy.target_rename='{{{unused}}}'"


def cameras_without_frames(
    meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str]
) -> dict[str, str]:
    """Cameras that info.json declares and of which no selected episode has a frame, with the reason.

    Args:
        meta: of the dataset.
        episodes: the selected ones; unknown ones are passed over.
        keys: the dataset's own keys.
    """
    table, root = EpisodeTable(meta), Path(meta.root)
    known = [episode for episode, row in zip(episodes, table.rows(episodes), strict=True) if row >= 0]
    found: dict[str, str] = {}
    for key in keys if known else ():
        if key in meta.image_keys:
            files = [root / path for path in dict.fromkeys(table.data_files(known))]
            # A file that cannot be read is reported episode by episode.
            if not any(_has_column(path, key) for path in files):
                found[key] = f"no parquet file under data/ has the column {key}"
        elif not table.has_videos(key):
            found[key] = f"meta/episodes has no columns videos/{key}/..."
        else:
            paths = list(dict.fromkeys(table.video_files(known, key)))
            if not any((root / path).is_file() for path in paths):
                found[key] = f"none of its {len(paths)} video files is there ({paths[0]})"
    return found


def _has_column(path: Path, key: str) -> bool:
    """Whether a parquet file has the column, or may have it: a file that is missing or cut is no evidence."""
    try:
        return key in pq.read_schema(path).names
    except (OSError, ValueError):
        return True
