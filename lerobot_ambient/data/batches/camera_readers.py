# SPDX-License-Identifier: Apache-2.0
"""A reader of each camera of each dataset: the target's size, one dtype, decoded at every visit or once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lerobot.datasets.video_utils import get_safe_default_video_backend

from lerobot_ambient.data.alignment.align import common_keys
from lerobot_ambient.data.alignment.aligned_source import AlignedSource
from lerobot_ambient.data.cameras.frame_cache import CacheJob, open_frame_cache
from lerobot_ambient.data.cameras.frame_cache_build import EpisodeFrames
from lerobot_ambient.data.cameras.readers import (
    AbsentReader,
    FittedReader,
    FrameReader,
    Size,
    StoredImageReader,
    SwappedReader,
    VideoReader,
)
from lerobot_ambient.data.files.camera_specs import camera_shape, policy_spec
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.reading.open_dataset import ReadOptions
from lerobot_ambient.data.reading.storage import WantedFrames


def camera_readers(sources: Sequence[AlignedSource], options: ReadOptions) -> list[dict[str, FrameReader]]:
    """Per dataset, a reader of each camera the merged items have, all giving one size and dtype.

    With `options.frame_cache` this decodes what is not there yet, with a progress bar.

    Args:
        sources: aligned, the target first.
        options: how cameras are read.
    """
    target = sources[0]
    readers: list[dict[str, FrameReader]] = [{} for _ in sources]
    jobs: list[tuple[dict[str, FrameReader], str, CacheJob]] = []
    for key in (key for key in common_keys(sources) if key in target.camera_keys):
        channels, *target_size = camera_shape(target.features[key])
        aspect: Size = (target_size[0], target_size[1])
        cached = options.frame_cache is not None
        size = options.frame_size if cached and options.frame_size is not None else aspect
        as_uint8 = cached or not all(_is_stored(source, key) for source in sources)
        for source, made in zip(sources, readers, strict=True):
            declared = source.config.cameras.get(key)
            if declared is not None and declared.fill is not None:
                dtype = torch.uint8 if as_uint8 else torch.float32
                made[key] = AbsentReader(f"'{source.name}' {key}", (channels, *size), declared.fill, dtype)
                continue
            fit = declared.fit if declared is not None and declared.fit is not None else "stretch"
            reader = _first_seen(_reader(source, key, options, as_uint8))
            if source.config.has_swapped(source.original[key]):
                reader = SwappedReader(reader)
            made[key] = reader if reader.shape == (channels, *size) else FittedReader(reader, size, aspect, fit)
            if cached:
                jobs.append((made, key, _job(source, key, made[key], size, aspect, fit)))
    if options.frame_cache is not None and jobs:
        opened = open_frame_cache(options.frame_cache, [job for _, _, job in jobs])
        for (made, key, _), frames in zip(jobs, opened, strict=True):
            made[key] = frames
    return readers


def _first_seen(reader: StoredImageReader | VideoReader) -> FrameReader:
    """What info.json promises is compared with one frame before anything is built on it."""
    reader.first()
    return reader


def _is_stored(source: AlignedSource, key: str) -> bool:
    """Whether a camera is stored as images, or not at all.

    Stored images come as LeRobot gives them, float in [0, 1]; beside video, or cached, everything is uint8.
    """
    declared = source.config.cameras.get(key)
    absent = declared is not None and declared.fill is not None
    return absent or _own_spec(source, key)["dtype"] == "image"


def _own_spec(source: AlignedSource, key: str) -> dict[str, Any]:
    """A camera's spec as the dataset itself has it (alignment puts the target's in its place)."""
    spec: dict[str, Any] = source.meta.features[source.original[key]]
    return spec


def _reader(source: AlignedSource, key: str, options: ReadOptions, as_uint8: bool) -> StoredImageReader | VideoReader:
    own, spec = source.original[key], _own_spec(source, key)
    wanted = WantedFrames(
        f"'{source.name}' {key}",
        own,
        camera_shape(policy_spec(spec)),
        source.episode_ids,
        source.starts,
        source.columns["timestamp"],
        as_uint8,
        options.tolerance_s,
        # Asked once: left to the decoder, every call would try to import what is not there.
        options.video_backend or get_safe_default_video_backend(),
    )
    return source.storage.frames(source.meta, wanted, source.dataset if spec["dtype"] == "image" else None)


def _job(source: AlignedSource, key: str, reader: FrameReader, size: Size, aspect: Size, fit: str) -> CacheJob:
    """What the frame cache keeps of a camera. Its address does not depend on the selected episodes or on the root."""
    own, meta = source.original[key], source.meta
    table = EpisodeTable(meta)
    identity = {
        "repo_id": source.config.repo_id,
        "content": source.storage.content(meta, own),
        "camera": own,
        "size": list(size),
        # Without a fit the whole image is stretched, whatever the target's shape.
        "fit": fit if fit == "stretch" else [fit, *aspect],
        **({"colours": "bgr"} if source.config.has_swapped(own) else {}),
    }
    places = table.column("dataset_from_index")[table.rows(source.episode_ids)]
    episodes = [
        EpisodeFrames(int(episode), row=int(start), place=int(place), length=int(stop - start))
        for episode, start, stop, place in zip(source.episode_ids, source.starts, source.stops, places, strict=True)
    ]
    # More than the frames that are there, where episodes were removed and the others kept their places.
    total = max(meta.total_frames, int(table.column("dataset_to_index").max()))
    return CacheJob(reader=reader, identity=identity, total_frames=total, episodes=episodes)
