# SPDX-License-Identifier: Apache-2.0
"""Reads meta/info.json and checks every entry that reading the dataset depends on, before LeRobot relies on it.

Three kinds of entries: those without which nothing can be read (refused by name, with the line to write), totals,
which the tables say as well (theirs count), and those that change nothing (ignored where they make no sense).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.utils import DEFAULT_DATA_PATH, DEFAULT_VIDEO_PATH, DatasetInfo
from lerobot.utils.constants import DEFAULT_FEATURES

from lerobot_ambient.data.files.camera_specs import CAMERA_DTYPES
from lerobot_ambient.data.files.dataset_format import check_format, owner_of

INFO = "meta/info.json"
_TOTALS = ("total_episodes", "total_frames", "total_tasks")
_TEXTS = ("string", "language")
_NUMBERS = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
_SIZES = ("chunks_size", "data_files_size_in_mb", "video_files_size_in_mb")


def read_info(root: Path, repo_id: str, fps: float | None = None) -> tuple[DatasetInfo, list[str]]:
    """meta/info.json of the dataset in `root`.

    Args:
        root: folder of the dataset.
        repo_id: for messages.
        fps: frames per second that a person declared, used where the file has none.

    Returns:
        The entries, totals that make no sense as -1, and a line for everything that was replaced.

    Raises:
        ValueError: naming the entry, what it is, and what to write.
        FileNotFoundError: no such file.
    """
    owner = owner_of(repo_id, root)
    values = read_json(root / INFO, f"{owner}: {INFO}")
    if not isinstance(values, dict):
        raise ValueError(f"{owner}: {INFO} holds {_shown(values)}, not an object of entries. {copy_again(root)}")
    notes = []
    if (note := check_format(values.get("codebase_version"), repo_id, root)) is not None:
        notes.append(note)
    _check_features(values, owner)
    _check_fps(values, owner, root, fps)
    _check_path(values, "data_path", DEFAULT_DATA_PATH, owner)
    _check_place(values["data_path"], owner, root)
    videos = [key for key, spec in values["features"].items() if spec["dtype"] == "video"]
    if videos:
        _check_path(values, "video_path", DEFAULT_VIDEO_PATH, f"{owner}: features {videos} are videos")
    elif not isinstance(values.get("video_path"), str):
        values["video_path"] = None
    for name in _TOTALS:
        if not _is_count(values.get(name)):
            there = f"is {_shown(values[name])}" if name in values else "is missing"
            notes.append(f"{INFO}: {name} {there}; what the tables hold is used.")
            values[name] = -1
    # Of use to a writer only.
    for name in _SIZES:
        if not (_is_count(values.get(name)) and values[name] > 0):
            values.pop(name, None)
    for name, kind in (("splits", dict), ("tools", list)):
        if not isinstance(values.get(name), kind):
            values.pop(name, None)
    if not isinstance(values.get("robot_type"), str | None):
        notes.append(f"{INFO}: robot_type is {_shown(values['robot_type'])}, not a name; it is ignored.")
        values["robot_type"] = None
    return DatasetInfo.from_dict(values), notes


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: it is not JSON; the message begins with `what`.
    """
    text = path.read_bytes()
    if not text.strip():
        raise ValueError(f"{what} is empty. {copy_again(path.parent.parent)}")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{what} is cut or damaged ({error}). {copy_again(path.parent.parent)}") from error


def copy_again(root: Path) -> str:
    """The fix for a file under meta/ that did not arrive whole."""
    return (
        "Copy the file again from where the dataset came from; of a dataset on the Hub: `hf download REPO_ID "
        f"--repo-type=dataset --include='meta/*' --local-dir={root}`."
    )


def _check_features(values: dict[str, Any], owner: str) -> None:
    features = values.get("features")
    if not isinstance(features, dict) or not features:
        there = "is missing" if "features" not in values else f"is {_shown(features)}"
        raise ValueError(
            f"{owner}: {INFO}: features {there}; it says of every column its dtype, shape and names, as in "
            '"features": {"action": {"dtype": "float32", "shape": [6], "names": null}}. Without it nothing can be read.'
        )
    for key, spec in features.items():
        _check_feature(key, spec, owner)
    for key, spec in DEFAULT_FEATURES.items():
        if key not in features:
            line = json.dumps({key: {**spec, "shape": list(spec["shape"])}})[1:-1]
            raise ValueError(
                f"{owner}: {INFO}: features lacks '{key}', by which LeRobot finds frames. Add {line} where the parquet "
                "files under data/ have that column; otherwise convert the dataset again."
            )
        if features[key]["dtype"] not in _NUMBERS or math.prod(features[key]["shape"]) != 1:
            raise ValueError(
                f"{owner}: {INFO}: features.{key} is {_shown(features[key])}, but counters are single numbers: "
                f'"dtype": "{spec["dtype"]}", "shape": [1].'
            )


def _check_feature(key: str, spec: Any, owner: str) -> None:
    where = f"{owner}: {INFO}: features.{key}"
    if not isinstance(spec, dict):
        raise ValueError(
            f'{where} is {_shown(spec)}, not an object such as {{"dtype": "float32", "shape": [6], "names": null}}.'
        )
    known = (*_NUMBERS, *CAMERA_DTYPES, *_TEXTS)
    if spec.get("dtype") not in known:
        there = f"is {_shown(spec['dtype'])}" if "dtype" in spec else "is missing"
        raise ValueError(f"{where}.dtype {there}; known are {', '.join(known)}. Write what the parquet files hold.")
    if spec["dtype"] in _TEXTS:
        spec.setdefault("shape", (1,))
    shape = spec.get("shape")
    if not (isinstance(shape, list | tuple) and shape and all(_is_count(size) and size > 0 for size in shape)):
        there = f"is {_shown(shape)}" if "shape" in spec else "is missing"
        example = "[480, 640, 3]" if spec["dtype"] in CAMERA_DTYPES else "[6]"
        raise ValueError(f"{where}.shape {there}; write the size of each axis of one frame, such as {example}.")
    if not isinstance(spec.setdefault("names", None), list | tuple | dict | None):
        raise ValueError(
            f"{where}.names is {_shown(spec['names'])}; write the names of its dimensions as a list, or null."
        )


def _check_fps(values: dict[str, Any], owner: str, root: Path, declared: float | None) -> None:
    fps = values.get("fps")
    if isinstance(fps, int | float) and not isinstance(fps, bool) and math.isfinite(fps) and fps > 0:
        return
    if declared is not None:
        values["fps"] = declared
        return
    there = f"is {_shown(fps)}" if "fps" in values else "is missing"
    measured = _recorded_fps(root)
    line = (
        'Write the frames per second of the recording, such as "fps": 30'
        if measured is None
        else f'The timestamps under data/ advance at {measured:g} Hz: write "fps": {measured:g}'
    )
    raise ValueError(f"{owner}: {INFO}: fps {there}. {line}. A source may declare it instead, with `fps: ...`.")


def _recorded_fps(root: Path) -> float | None:
    """The rate of the timestamps of one parquet file, to three digits; None where they do not tell."""
    path = next(iter(sorted((root / "data").glob("*/*.parquet"))), None)
    if path is None:
        return None
    try:
        column = pq.read_table(path, columns=["timestamp"])["timestamp"].to_numpy()
        steps = np.diff(np.asarray(column, dtype=np.float64))
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError):
        return None
    steps = steps[steps > 0]
    return float(f"{1 / np.median(steps):.3g}") if len(steps) else None


def _check_path(values: dict[str, Any], name: str, default: str, owner: str) -> None:
    """A missing pattern is LeRobot's own, as LeRobot has it; one that cannot be filled in is refused."""
    pattern = values.setdefault(name, default)
    if not _is_pattern(pattern, default):
        raise ValueError(
            f'{owner}: {INFO}: {name} is {_shown(pattern)}, but the format v3.0 names files by "{name}": "{default}".'
        )


def _check_place(pattern: str, owner: str, root: Path) -> None:
    """Refuse a pattern of files that are not there, where those of LeRobot's own pattern are."""
    first = {"chunk_index": 0, "file_index": 0}
    if not (root / pattern.format(**first)).is_file() and (root / DEFAULT_DATA_PATH.format(**first)).is_file():
        raise ValueError(
            f"{owner}: {INFO}: data_path is {_shown(pattern)}, and there are no such files; those that are there are "
            f'named by "data_path": "{DEFAULT_DATA_PATH}".'
        )


def _is_pattern(pattern: Any, default: str) -> bool:
    """Whether a text can be filled in with what LeRobot fills into its own pattern."""
    if not isinstance(pattern, str) or not pattern:
        return False
    fields = {name for _, name, _, _ in Formatter().parse(default) if name is not None}
    try:
        pattern.format(**{name: "key" if name == "video_key" else 0 for name in fields})
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        return False
    return True


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(value: Any) -> str:
    """A value of a JSON file, shortened."""
    if isinstance(value, Mapping | list) and not value:
        return "empty"
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
