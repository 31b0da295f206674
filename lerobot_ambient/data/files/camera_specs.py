# SPDX-License-Identifier: Apache-2.0
"""What info.json says of a camera, as the policy will see it, and whether a picture is what it says.

LeRobot's image encoder takes three channels of eight bits. A grey camera (one channel, not depth) is therefore one of
three equal channels, in training and in the policy's features, which is also what LeRobot's cameras give at a rollout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import PIL.Image

CAMERA_DTYPES = ("image", "video")
LEAVE_OUT = (
    "`lerobot-ambient doctor` with the same options lists every episode of this kind; fix the files (a new download, "
    "say), or leave those episodes out (target: --dataset.episodes; source: `episodes`, or `skip_broken: true`)."
)
_CHANNELS = {"RGB": 3, "L": 1}
"""By PIL's mode: the pictures whose values LeRobot reads as brightness from 0 to 255."""
_NAMES = ["height", "width", "channels"]


def is_depth(spec: Mapping[str, Any]) -> bool:
    """Whether a feature is a depth map, by LeRobot's mark."""
    infos = [spec.get("info") or {}, spec.get("video_info") or {}]
    return any(info.get(mark, False) for info in infos for mark in ("is_depth_map", "video.is_depth_map"))


def camera_shape(spec: Mapping[str, Any]) -> tuple[int, int, int]:
    """(C, H, W) of a camera feature.

    LeRobot's specs are (H, W, C) or (C, H, W) and say so in `names`; names that contradict the numbers, such as 3
    "heights", are not believed. Two numbers are a grey picture.

    Raises:
        ValueError: a shape of another length.
    """
    shape = tuple(int(n) for n in spec["shape"])
    if len(shape) == 2:
        return (1, *shape)
    if len(shape) != 3:
        raise ValueError(f"shape {list(shape)} in meta/info.json is no picture's; write [height, width, channels]")
    first, last = shape[0] in (1, 3, 4), shape[2] in (1, 3, 4)
    names = spec.get("names") or []
    if first == last:
        named = names[2] if len(names) == 3 else None
        last = named in ("channel", "channels") or (named is None and last)
    return (shape[2], shape[0], shape[1]) if last else (shape[0], shape[1], shape[2])


def policy_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """A camera's spec as LeRobot makes policy features of it: the same where it reads it right, else (H, W, C)."""
    channels, height, width = camera_shape(spec)
    names = spec.get("names") or []
    last = len(names) == 3 and names[2] in ("channel", "channels")
    shape = tuple(spec["shape"])
    read = (shape[2], shape[0], shape[1]) if last else shape
    grey = channels == 1 and not is_depth(spec)
    if read == (channels, height, width) and len(names) == 3 and not grey:
        return spec
    return {**spec, "shape": (height, width, 3 if grey else channels), "names": list(_NAMES)}


def picture_misfit(picture: PIL.Image.Image | None, channels: int, size: tuple[int, int]) -> str | None:
    """What is wrong with a picture, and the fix, as the end of a sentence; None where it is what info.json says.

    Args:
        picture: opened; None for a cell without one.
        channels, size: C and (H, W) of info.json.
    """
    if picture is None:
        return f"is not there (null). {LEAVE_OUT}"
    found = _CHANNELS.get(picture.mode)
    if found is None:
        return (
            f"has the mode {picture.mode}; the image encoder reads eight bits of RGB, or of grey (mode L). Store the "
            "pictures as RGB, or mark a depth camera with `is_depth_map: true` under `info` in meta/info.json."
        )
    shape = (found, picture.height, picture.width)
    if shape != (channels, *size):
        return other_size(shape, (channels, *size))
    return None


def other_size(found: Sequence[int], declared: Sequence[int]) -> str:
    """That a picture is not of the declared (C, H, W), as the end of a sentence."""
    return (
        f"has (height, width, channels) {_hwc(found)}, meta/info.json says {_hwc(declared)}. If all are like "
        f"this, correct the feature's `shape` in meta/info.json to {_hwc(found)}, else leave the episode out with "
        "`episodes`."
    )


def _hwc(shape: Sequence[int]) -> list[int]:
    return [int(shape[-2]), int(shape[-1]), int(shape[-3])]
