# SPDX-License-Identifier: Apache-2.0
"""Checks of one dataset's cameras: every video, every picture, and the times at which a video shows its frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from tqdm import tqdm

from lerobot_ambient.data.cameras.needed_cameras import cameras_without_frames, needed_cameras, without
from lerobot_ambient.data.cameras.picture_files import broken_pictures
from lerobot_ambient.data.cameras.video_files import broken_videos, count_videos, timestamp_error, timestamp_fix
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.files.episode_table import EpisodeTable
from lerobot_ambient.data.reading.column_reader import read_columns
from lerobot_ambient.data.reading.storage import Storage
from lerobot_ambient.integration.doctor.installation import Check

_MANY = 40
"""Episodes; a longer list is not written out as a fix."""
_LISTED = 20
"""Episodes that a finding names one by one."""


def check_cameras(
    role: str,
    config: Source,
    meta: LeRobotDatasetMetadata,
    episodes: Sequence[int],
    *,
    wanted: Sequence[str] | None,
    tolerance_s: float,
    progress: bool,
    storage: Storage | None = None,
) -> list[Check]:
    """What of a dataset's pictures and videos a training could not read.

    Args:
        role: what the checks are called: target, source 1, ...
        config: as declared.
        meta: of the dataset.
        episodes: the selected ones.
        wanted: the target's cameras, by the target's keys; None for the target itself.
        tolerance_s: of the training, allowed distance of a timestamp from its frame.
        progress: show bars.
        storage: how the dataset is kept; in files here when None. Of videos that are not, the listing is checked.
    """
    filled = {key for key, camera in config.cameras.items() if camera.fill is not None}
    keys = [key for key in needed_cameras(meta, config.rename, wanted) if config.rename.get(key, key) not in filled]
    frameless = (cameras_without_frames if storage is None else storage.frameless)(meta, episodes, keys)
    checks = [_no_frames(role, config, key, reason) for key, reason in frameless.items()]
    keys = [key for key in keys if key not in frameless]
    if storage is not None and not storage.in_files:
        return [*checks, *_check_listed(role, config, meta, episodes, keys, storage)]
    videos, pictures = ([key for key in keys if key in stored] for stored in (meta.video_keys, meta.image_keys))
    if videos:
        broken = broken_videos(meta, episodes, keys=videos, progress=progress)
        files = count_videos(meta, episodes, videos)
        whole = f"{files} of {files} files open and reach the end of their episodes"
        checks.append(_check(f"{role} videos", config, episodes, broken, whole))
        sound = [episode for episode in episodes if episode not in broken]
        checks.extend(_check_times(role, config, meta, sound, videos, tolerance_s, progress))
    if pictures:
        broken = broken_pictures(meta, episodes, pictures, progress=progress)
        whole = f"every picture of {', '.join(pictures)} can be decoded and is what meta/info.json says"
        checks.append(_check(f"{role} pictures", config, episodes, broken, whole))
    return checks


def _check_listed(
    role: str,
    config: Source,
    meta: LeRobotDatasetMetadata,
    episodes: Sequence[int],
    keys: Sequence[str],
    storage: Storage,
) -> list[Check]:
    """The same of videos on the Hub or in tables, none of which is opened: that would read a part of each."""
    if not keys:
        return []
    broken = storage.broken(meta, episodes, keys, thorough=True)
    listed = count_videos(meta, episodes, [key for key in keys if key in meta.video_keys])
    whole = f"{listed} of {listed} files are there, by their listing; none was opened"
    return [_check(f"{role} videos", config, episodes, broken, whole)]


def _no_frames(role: str, config: Source, key: str, reason: str) -> Check:
    renamed = config.rename.get(key, key)
    way = without([key]) if role == "target" else f"`cameras: {{{renamed}: {{fill: 0.0}}}}`"
    return Check(
        f"{role} cameras",
        "problem",
        f"meta/info.json declares {key}, but {reason}",
        f"bring its frames back, or train without: {way}",
    )


def _check(name: str, config: Source, episodes: Sequence[int], broken: Mapping[int, str], whole: str) -> Check:
    if not broken:
        return Check(name, "ok", whole)
    found = [f"{len(broken)} of {len(episodes)} episodes cannot be read", *_listed(broken)]
    ways = ["bring the files back", *_leave_out(name.startswith("target"), config, episodes, broken)]
    if all("meta/info.json says" in reason for reason in broken.values()):
        ways[0] = "correct the feature's `shape` in meta/info.json where all are like this"
    return Check(name, "problem", "\n".join(found), ", ".join(ways))


def _listed(reasons: Mapping[int, str]) -> list[str]:
    lines = [f"episode {episode}: {reason}" for episode, reason in reasons.items()]
    return lines[:_LISTED] + ([f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else [])


def _leave_out(is_target: bool, config: Source, episodes: Sequence[int], broken: Mapping[int, str]) -> list[str]:
    """How to train without the broken episodes; nothing where all of them are."""
    good = [episode for episode in episodes if episode not in broken]
    if not good:
        return []
    selection = str(good) if len(good) <= _MANY else f"[...] without {list(broken)}"
    option = f"--dataset.episodes='{selection}'" if is_target else f"episodes: {selection}"
    ways = [f"or leave these episodes out with `{option}`"]
    if not is_target and not config.skip_broken:
        ways.append("or with `skip_broken: true`")
    return ways


def _check_times(
    role: str,
    config: Source,
    meta: LeRobotDatasetMetadata,
    episodes: Sequence[int],
    keys: Sequence[str],
    tolerance_s: float,
    progress: bool,
) -> list[Check]:
    """Episodes whose timestamps are off their video's frames; nothing where all are within the tolerance."""
    read = read_columns(meta, episodes, dict.fromkeys(("episode_index", "frame_index", "timestamp"), (1,)))
    table = EpisodeTable(meta)
    rows = table.rows(read.episode_ids)
    times = np.split(read.columns["timestamp"].astype(np.float64), read.starts[1:]) if len(read.starts) else []
    off: dict[int, tuple[float, float, str]] = {}
    bar = tqdm(
        total=len(keys) * len(times), desc="compare timestamps", unit="video", disable=None if progress else True
    )
    with bar:
        for key in keys:
            begins = table.column(f"videos/{key}/from_timestamp").astype(np.float64)[rows]
            files = table.video_files(read.episode_ids, key)
            for episode, begin, path, seconds in zip(read.episode_ids.tolist(), begins, files, times, strict=True):
                error, frame = timestamp_error(Path(meta.root) / path, begin + seconds)
                if error >= tolerance_s and error > off.get(episode, (0.0,))[0]:
                    off[episode] = (error, frame, key)
                bar.update()
    if not off:
        return []
    worst, frame, _ = max(off.values())
    reasons = {episode: f"up to {error:.4g} s ({key})" for episode, (error, _, key) in sorted(off.items())}
    found = [
        f"{len(off)} of {len(episodes)} episodes have timestamps up to {worst:.4g} s off their video's, and "
        f"tolerance_s is {tolerance_s:g}",
        *_listed(reasons),
    ]
    ways = [timestamp_fix(worst, frame), *_leave_out(role == "target", config, episodes, reasons)[:1]]
    return [Check(f"{role} timestamps", "problem", "\n".join(found), ", ".join(ways))]
