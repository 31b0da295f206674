# SPDX-License-Identifier: Apache-2.0
"""Adds a camera to a dataset that `write_low_dim_dataset` has just written.

The pictures are stored as PNG in the parquet file, LeRobot's image feature: small flat pictures compress to half a
kilobyte without a loss, so a demonstration shows exactly what the environment shows. A video would blur them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.compute_stats import aggregate_stats, get_feature_stats, sample_indices
from lerobot.datasets.feature_utils import get_hf_features_from_features
from lerobot.datasets.io_utils import load_info, load_stats, write_info, write_stats
from lerobot.datasets.utils import DEFAULT_EPISODES_PATH
from numpy.typing import NDArray

from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import in_order

CAMERA = "observation.image"
"""What LeRobot calls the only picture of an environment's observation."""
_FILE = {"chunk_index": 0, "file_index": 0}
_HINT = b"huggingface"


def add_pictures(
    root: Path, pictures: Iterable[NDArray[np.uint8]], on_episode: Callable[[], object] = lambda: None
) -> None:
    """Add the feature `observation.image` to a dataset of one file.

    Not atomic: call it before the folder gets its name.

    Args:
        root: of the dataset.
        pictures: of every episode in turn, uint8 (frames, height, width, 3), all of one size.
        on_episode: called after every episode.

    Raises:
        ValueError: if the pictures do not fit the frames, or the file outgrows LeRobot's limit.
    """
    info = load_info(root)
    data_path, episodes_path = root / info.data_path.format(**_FILE), root / DEFAULT_EPISODES_PATH.format(**_FILE)
    episodes = pq.read_table(episodes_path)
    encoded: list[bytes] = []
    statistics: list[dict[str, NDArray[Any]]] = []
    shape: tuple[int, ...] = ()
    for number, (frames, length) in enumerate(zip(pictures, episodes["length"].to_pylist(), strict=True)):
        shape = shape or frames.shape[1:]
        if frames.shape != (length, *shape) or frames.dtype != np.uint8:
            raise ValueError(
                f"episode {number}: pictures are {frames.dtype} {frames.shape}, must be uint8 {(length, *shape)}"
            )
        encoded.extend(_png(frame) for frame in frames)
        statistics.append(_statistics(frames))
        on_episode()

    feature = {"dtype": "image", "shape": shape, "names": ["height", "width", "channels"]}
    info.features = {CAMERA: feature, **info.features}
    _write(_with_column(pq.read_table(data_path), encoded, info.features), data_path, info.data_files_size_in_mb)
    for name in statistics[0]:
        column = pa.array([one[name].tolist() for one in statistics])
        episodes = episodes.append_column(f"stats/{CAMERA}/{name}", column)
    _write(episodes, episodes_path, info.data_files_size_in_mb)
    stats = load_stats(root)
    assert stats is not None, f"{root} has no statistics"
    write_stats(in_order({**aggregate_stats([{CAMERA: one} for one in statistics]), **stats}), root)
    write_info(info, root)


def _png(frame: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(frame).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _statistics(frames: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """As LeRobot computes them: of a sample of an episode's pictures, per channel, in [0, 1]."""
    sample = frames[sample_indices(len(frames))].transpose(0, 3, 1, 2)
    found = get_feature_stats(sample, axis=(0, 2, 3), keepdims=True)
    return {name: value if name == "count" else np.squeeze(value / 255.0, axis=0) for name, value in found.items()}


def _with_column(table: pa.Table, encoded: list[bytes], features: dict[str, Any]) -> pa.Table:
    """The frames with the pictures before them, and with the hint by which `datasets` decodes them."""
    kind = datasets.Image().pa_type
    column = pa.StructArray.from_arrays(
        [pa.array(encoded, pa.binary()), pa.nulls(len(encoded), pa.string())], fields=list(kind)
    )
    described = get_hf_features_from_features(features)
    hint = {"info": {"features": described.to_dict()}}
    with_column = table.add_column(0, CAMERA, column)
    assert with_column.column_names == list(described), (with_column.column_names, list(described))
    return with_column.replace_schema_metadata({**(table.schema.metadata or {}), _HINT: json.dumps(hint).encode()})


def _write(table: pa.Table, path: Path, limit_in_mb: int) -> None:
    pq.write_table(table, path, compression="snappy", use_dictionary=True)
    size = path.stat().st_size / 2**20
    if size >= limit_in_mb:
        raise ValueError(
            f"{path} has {size:.0f} MB with its pictures, LeRobot's limit for one file is {limit_in_mb} MB; make fewer "
            "episodes or smaller pictures"
        )
