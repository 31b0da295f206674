# SPDX-License-Identifier: Apache-2.0
"""Finds episodes whose video cannot be read to its end, without decoding a frame.

A file's header may promise a length that its bytes do not hold (a download that was cut off), so an episode
counts as readable when the packet of its last frame is there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray
from tqdm import tqdm

_REORDERED = 32
"""Frames that a codec may store before others that are shown earlier; codecs in use stay at 16 or below."""


def broken_videos(
    meta: LeRobotDatasetMetadata,
    episodes: Sequence[int],
    *,
    keys: Sequence[str] | None = None,
    progress: bool = False,
) -> dict[int, str]:
    """Episodes that lack a part of a video, with the reason.

    Args:
        meta: of a dataset; only its `root`, `video_keys`, `video_path`, `fps` and `episodes` are used.
        episodes: which of its episodes to look at; unknown ones are passed over.
        keys: which of its cameras; all that are stored as video when None.
        progress: show a bar, where stderr is a terminal.

    Returns:
        Reasons by episode, in the order of the episodes; each begins with the file's path below the root.
    """
    found: dict[int, list[str]] = {}
    last_frames = _last_frames(meta, episodes, keys)
    for path, lasts in tqdm(last_frames.items(), desc="open videos", unit="file", disable=None if progress else True):
        for episode, reason in _unreadable(meta.root / path, lasts, slack=0.5 / meta.fps).items():
            found.setdefault(episode, []).append(f"{path} {reason}")
    return {episode: "; ".join(found[episode]) for episode in sorted(found)}


def count_videos(meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str] | None = None) -> int:
    """How many files hold the videos of these episodes."""
    return len(_last_frames(meta, episodes, keys))


def timestamp_error(file: Any, seconds: NDArray[np.float64]) -> tuple[float, float]:
    """How far the frames of a file are from where they are wanted, without decoding one.

    Args:
        file: path, or open file, of a video that can be read.
        seconds: (T,) times in the file at which a frame is wanted.

    Returns:
        The largest distance to the nearest frame, and the seconds that a frame lasts (infinite for a single one).
    """
    first, last = float(seconds.min()), float(seconds.max())
    with av.open(str(file) if isinstance(file, Path) else file) as container:
        stream = container.streams.video[0]
        base = float(stream.time_base or 0)
        container.seek(max(0, round(first / base) - 1), backward=True, any_frame=False, stream=stream)
        times: list[float] = []
        # Frames are stored in the order of decoding, a few places from that of showing.
        past = 0
        for packet in container.demux(stream):
            if packet.pts is not None:
                times.append(packet.pts * base)
                past = past + 1 if times[-1] > last else 0
            if past > _REORDERED:
                break
    shown = np.sort(np.array(times))
    if not len(shown):
        return math.inf, math.inf
    after = np.clip(np.searchsorted(shown, seconds), 1, max(len(shown) - 1, 1))
    distance = np.minimum(abs(shown[np.minimum(after, len(shown) - 1)] - seconds), abs(shown[after - 1] - seconds))
    return float(distance.max()), float(np.median(np.diff(shown))) if len(shown) > 1 else math.inf


def timestamp_fix(error: float, frame: float) -> str:
    """What to do about timestamps that are `error` seconds off the frames of a video, of `frame` seconds each."""
    if error < frame / 2:
        return f"`--tolerance_s={_rounded_up(error)}` takes the nearest frames"
    return (
        f"that is half a frame ({frame / 2:.4g} s) or more, so pictures of other moments would be taken: correct "
        "from_timestamp of the camera in meta/episodes, or leave such episodes out with `episodes`"
    )


def _rounded_up(seconds: float) -> str:
    """A little more than this, with two digits."""
    unit = 10.0 ** (math.floor(math.log10(seconds)) - 1)
    return f"{math.ceil(1.02 * seconds / unit) * unit:.2g}"


def _last_frames(
    meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str] | None
) -> dict[Path, dict[int, float]]:
    """Per video file, relative to the root: when each episode in it shows its last frame, in seconds of the file."""
    table = meta.episodes
    assert table is not None
    numbers = np.asarray(table["episode_index"])
    rows = np.flatnonzero(np.isin(numbers, episodes)).tolist()
    seconds = (np.asarray(table["length"]) - 1) / meta.fps
    files: dict[Path, dict[int, float]] = {}
    for key in meta.video_keys if keys is None else keys:
        chunk, file, start, stop = (
            np.asarray(table[f"videos/{key}/{name}"])
            for name in ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
        )
        for row in rows:
            name = meta.video_path.format(video_key=key, chunk_index=int(chunk[row]), file_index=int(file[row]))
            # to_timestamp lies a frame after the last one, or at it: recorders differ.
            last = min(start[row] + seconds[row], stop[row])
            files.setdefault(Path(name), {})[int(numbers[row])] = float(last)
    return files


def _unreadable(path: Path, lasts: Mapping[int, float], slack: float) -> dict[int, str]:
    """Episodes of one file that cannot be read to their last frame, with the reason."""
    if not path.is_file():
        return dict.fromkeys(lasts, "is missing")
    try:
        with av.open(str(path)) as container:
            broken = _without_end(container, lasts, slack)
    except av.FFmpegError as error:
        broken = dict.fromkeys(lasts, _why_not_opened(path, error))
    return broken


def _without_end(container: Any, lasts: Mapping[int, float], slack: float) -> dict[int, str]:
    if not container.streams.video:
        return dict.fromkeys(lasts, "holds no video")
    stream = container.streams.video[0]
    if stream.codec_context is None:
        return dict.fromkeys(lasts, "is encoded with a codec that PyAV cannot decode")
    cut = (episode for episode, last in lasts.items() if not _has_packet(container, stream, last, slack))
    return {episode: f"ends before the episode does, at {lasts[episode]:.2f} s" for episode in cut}


def _has_packet(container: Any, stream: Any, seconds: float, slack: float) -> bool:
    """Whether the file holds a frame shown at this time (within `slack` before it) or later."""
    container.seek(round(seconds / stream.time_base), backward=True, any_frame=False, stream=stream)
    return any(
        packet.pts is not None and not packet.is_corrupt and packet.pts * stream.time_base >= seconds - slack
        for packet in container.demux(stream)
    )


def _why_not_opened(path: Path, error: av.FFmpegError) -> str:
    with path.open("rb") as file:
        if file.read(32).startswith(b"version https://git-lfs"):
            return "is a Git LFS pointer, not the video: run `git lfs pull`"
    return f"is truncated or damaged ({error.strerror})"
