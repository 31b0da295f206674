# SPDX-License-Identifier: Apache-2.0
"""Finds episodes with a picture in the parquet files that is lost, damaged, or not what info.json says.

A picture's header and checksums are read, and JPEG, which has none, is decoded at an eighth of its size: a fraction of
a millisecond for a picture of 480x640, instead of the five that its pixels take.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from tqdm import tqdm

from lerobot_ambient.data.files.camera_specs import camera_shape, picture_misfit
from lerobot_ambient.data.files.episode_table import EpisodeTable

_AT_ONCE = 64
"""Pictures in memory at a time."""
_ORIENTATION = 0x0112
"""EXIF tag; LeRobot's reader turns such pictures, and 5 to 8 swap height and width."""


def broken_pictures(
    meta: LeRobotDatasetMetadata, episodes: Sequence[int], keys: Sequence[str], *, progress: bool = False
) -> dict[int, str]:
    """Episodes with a picture that cannot be used, with the first reason of each camera.

    Args:
        meta: of a dataset.
        episodes: which of its episodes to look at; unknown ones, and those whose parquet file cannot be read, are
            passed over.
        keys: which of its cameras stored as images.
        progress: show a bar, where stderr is a terminal.

    Returns:
        Reasons by episode, in the order of the episodes.
    """
    found: dict[int, dict[str, str]] = {}
    files = _files(meta, episodes) if keys else {}
    shapes = {key: camera_shape(meta.features[key]) for key in keys}
    frames = sum(sum(lengths.values()) for lengths in files.values())
    with tqdm(total=frames, desc="check pictures", unit="frame", disable=None if progress else True) as bar:
        for path, lengths in files.items():
            for episode, frame, cells in _cells(Path(meta.root) / path, keys, lengths):
                bar.update()
                reasons = found.setdefault(episode, {})
                for key, cell in cells.items():
                    channels, *size = shapes[key]
                    # One reason a camera: a whole episode of them says no more.
                    if key not in reasons and (problem := _picture_problem(cell, channels, (size[0], size[1]))):
                        reasons[key] = f"the picture of frame {frame} of {key} {problem}"
    return {episode: "; ".join(found[episode].values()) for episode in sorted(found) if found[episode]}


def _picture_problem(cell: Mapping[str, Any] | None, channels: int, size: tuple[int, int]) -> str | None:
    """What is wrong with a picture as it is stored, as the end of a sentence; None where it can be used.

    Args:
        cell: LeRobot's {bytes, path}, of which one is given, or None.
        channels, size: C and (H, W) of info.json.
    """
    data = None if cell is None else cell.get("bytes")
    path = None if cell is None else cell.get("path")
    if data is None and path is None:
        return "is not there (null)"
    if data is None and not Path(str(path)).is_file():
        return f"is to be in the file {path}, which is missing"
    source: Any = io.BytesIO(data) if data is not None else str(path)
    try:
        # PIL warns of odd metadata; what it cannot read it raises.
        with warnings.catch_warnings(action="ignore"), PIL.Image.open(source) as picture:
            if size != (picture.height, picture.width) and picture.getexif().get(_ORIENTATION, 1) > 4:
                size = (size[1], size[0])
            misfit = picture_misfit(picture, channels, size)
            if misfit is not None:
                return misfit.split(". ")[0]
            if picture.format == "PNG":
                picture.verify()
            else:
                picture.draft(None, (picture.width // 8, picture.height // 8))
                picture.load()
    except Exception as error:  # Every image format has exceptions of its own.
        return f"cannot be decoded ({error})"
    return None


def _files(meta: LeRobotDatasetMetadata, episodes: Sequence[int]) -> dict[Path, dict[int, int]]:
    """By parquet file: the frames of each of the episodes in it."""
    table = EpisodeTable(meta)
    rows = table.rows(episodes)
    known = np.asarray(episodes, dtype=np.int64)[rows >= 0]
    files: dict[Path, dict[int, int]] = {}
    for path, episode, length in zip(table.data_files(known), known, table.length[rows[rows >= 0]], strict=True):
        files.setdefault(path, {})[int(episode)] = int(length)
    return files


def _cells(
    path: Path, keys: Sequence[str], episodes: Mapping[int, int]
) -> Iterator[tuple[int, int, dict[str, Mapping[str, Any] | None]]]:
    """(episode, frame, cell by camera) of the frames of these episodes; nothing of a file that cannot be read."""
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            there = [key for key in keys if key in file.schema_arrow.names]
            columns = ["episode_index", "frame_index", *there]
            for group in range(file.num_row_groups):
                numbers = file.read_row_group(group, columns=["episode_index"])["episode_index"]
                if not set(_flat(numbers)) & set(episodes):
                    continue
                for batch in file.iter_batches(_AT_ONCE, row_groups=[group], columns=columns):
                    episode, frame = (_flat(batch[name]) for name in columns[:2])
                    cells = {key: batch[key].to_pylist() if key in there else [None] * len(batch) for key in keys}
                    for i in range(len(batch)):
                        if episode[i] in episodes:
                            yield episode[i], frame[i], {key: values[i] for key, values in cells.items()}
    except (pa.ArrowException, OSError):
        return


def _flat(column: pa.Array | pa.ChunkedArray) -> list[int]:
    """A counter's numbers; some converters store lists of one."""
    return [int(value[0] if isinstance(value, list) else value) for value in column.to_pylist()]
