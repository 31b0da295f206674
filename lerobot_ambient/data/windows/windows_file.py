# SPDX-License-Identifier: Apache-2.0
"""The stored form of windows: one parquet file, `meta/ambient_windows.parquet`, pushed with its dataset.

Columns: repo_id, revision (string), episode_index, frame_index (int64), sigma_min, sigma_max (float32), and
the whole curve `p` (list of float32, one value per level of the metadata's `sigmas`; null for windows set by
hand), so that a threshold can change without training again. Metadata, one JSON object under the key
"lerobot_ambient": schema_version, method, tau, sigmas, normalization, evidence, package version.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lerobot_ambient.data.normalization.affine import ActionNormalization

WINDOWS_PATH = "meta/ambient_windows.parquet"
SCHEMA_VERSION = 1
_KEY = b"lerobot_ambient"
_ROW_GROUP = 1 << 20
_SCHEMA = pa.schema(
    {
        "repo_id": pa.string(),
        "revision": pa.string(),
        "episode_index": pa.int64(),
        "frame_index": pa.int64(),
        "sigma_min": pa.float32(),
        "sigma_max": pa.float32(),
        "p": pa.list_(pa.float32()),
    }
)


@dataclass(frozen=True)
class WindowTable:
    """Windows of the frames of one dataset.

    Args:
        repo_id: the dataset.
        revision: its revision, or None for a local one.
        episode_index, frame_index: (N,) int64; a frame is named by its episode and its index in it.
        sigma_min, sigma_max: (N,) float32 VP levels.
        normalization: what the levels are relative to.
        method: how they were found ("manual", "classifier", "spectral", ...).
        granularity: what shares a window ("dataset", "bucket", "datapoint"), or None where it was not said.
        tau: threshold margin of the classifier method, else None.
        sigmas: levels of the curve `p`, empty without curves.
        p: (B, len(sigmas)) float32 curves, or None.
        curve_of: (N,) int64, the row of `p` that is each frame's; None where frame i has row i, as in files.
        evidence: what the method says of its windows, JSON values by name; nothing for windows set by hand.

    Raises:
        ValueError: columns of different lengths, levels outside [0, 1], a frame named twice.
    """

    repo_id: str
    episode_index: NDArray[np.int64]
    frame_index: NDArray[np.int64]
    sigma_min: NDArray[np.float32]
    sigma_max: NDArray[np.float32]
    normalization: ActionNormalization
    method: str
    revision: str | None = None
    granularity: str | None = None
    tau: float | None = None
    sigmas: tuple[float, ...] = field(default_factory=tuple)
    p: NDArray[np.float32] | None = None
    curve_of: NDArray[np.int64] | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ("episode_index", "frame_index", "sigma_min", "sigma_max")
        lengths = {name: len(getattr(self, name)) for name in names}
        if self.p is not None:
            each = "p" if self.curve_of is None else "curve_of"
            lengths[each] = len(getattr(self, each))
        if len(set(lengths.values())) != 1:
            raise ValueError(f"windows of '{self.repo_id}': columns differ in length, {lengths}.")
        for name in ("sigma_min", "sigma_max"):
            values = getattr(self, name)
            bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
            if bad.size:
                raise ValueError(
                    f"windows of '{self.repo_id}': {name} = {values[bad[0]]} (episode {self.episode_index[bad[0]]}, "
                    f"frame {self.frame_index[bad[0]]}) is outside [0, 1]."
                )
        order = np.lexsort((self.frame_index, self.episode_index))
        same = (np.diff(self.episode_index[order]) == 0) & (np.diff(self.frame_index[order]) == 0)
        if same.any():
            at = order[int(np.flatnonzero(same)[0])]
            raise ValueError(
                f"windows of '{self.repo_id}': episode {self.episode_index[at]}, frame {self.frame_index[at]} twice."
            )

    def __len__(self) -> int:
        return len(self.episode_index)

    def __repr__(self) -> str:
        low, high = (self.sigma_min.min(), self.sigma_min.max()) if len(self) else (0.0, 0.0)
        return f"WindowTable('{self.repo_id}', {len(self)} frames, {self.method}, sigma_min {low:.3f} .. {high:.3f})"


def write_windows(table: WindowTable, path: Path) -> None:
    """Write atomically: a reader sees the old file or the whole new one. Curves go block by block."""
    metadata: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "method": table.method,
        "granularity": table.granularity,
        "tau": table.tau,
        "sigmas": list(table.sigmas),
        "normalization": table.normalization.to_dict(),
        "evidence": dict(table.evidence),
        "package_version": _package_version(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    schema = _SCHEMA.with_metadata({_KEY: json.dumps(metadata).encode()})
    try:
        with pq.ParquetWriter(partial, schema) as writer:
            for start in range(0, max(len(table), 1), _ROW_GROUP):
                writer.write_table(_rows(table, slice(start, start + _ROW_GROUP)).cast(schema))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _rows(table: WindowTable, rows: slice) -> pa.Table:
    """Some rows as an arrow table; curves that rows share are repeated only for these."""
    count = len(table.sigma_min[rows])
    if table.p is None:
        curves = pa.nulls(count, _SCHEMA.field("p").type)
    else:
        flat = np.ascontiguousarray(table.p[rows if table.curve_of is None else table.curve_of[rows]], dtype=np.float32)
        ends = np.arange(count + 1, dtype=np.int32) * flat.shape[1]
        curves = pa.ListArray.from_arrays(pa.array(ends), pa.array(flat.reshape(-1)))
    return pa.table(
        {
            "repo_id": pa.array([table.repo_id] * count, pa.string()),
            "revision": pa.array([table.revision] * count, pa.string()),
            "episode_index": pa.array(table.episode_index[rows], pa.int64()),
            "frame_index": pa.array(table.frame_index[rows], pa.int64()),
            "sigma_min": pa.array(table.sigma_min[rows], pa.float32()),
            "sigma_max": pa.array(table.sigma_max[rows], pa.float32()),
            "p": curves,
        }
    )


def read_windows(path: Path, *, curves: bool = True, episodes: Sequence[int] | None = None) -> WindowTable:
    """Read a windows file.

    Args:
        path: of the file.
        curves: read the curves too, by far the largest part (4 bytes per frame and level, twice while they are read);
            without them `p` is None.
        episodes: read the rows of these alone, and of a large file the parts that hold them; all when None.

    Raises:
        ValueError: not a windows file, of a newer schema, or of several datasets.
        FileNotFoundError: no such file.
    """
    with _named(path):
        return _read_windows(path, curves=curves, episodes=episodes)


def _read_windows(path: Path, *, curves: bool, episodes: Sequence[int] | None) -> WindowTable:
    values = windows_metadata(path)
    names = [name for name in pq.read_schema(path).names if curves or name != "p"]
    only = None if episodes is None else [("episode_index", "in", list(episodes))]
    arrow = pq.read_table(path, columns=names, filters=only)
    lacking = [name for name in _SCHEMA.names if name not in names and name != "p"]
    nulls = [name for name in names if name not in ("revision", "p") and arrow[name].null_count]
    if lacking or nulls:
        raise ValueError(f"{path} is no whole windows file: it lacks the columns {lacking}, and {nulls} hold nulls.")
    owners = sorted(arrow["repo_id"].unique().to_pylist())
    if len(owners) > 1:
        raise ValueError(f"{path} holds windows of several datasets: {owners}; one file per dataset.")
    return WindowTable(
        repo_id=owners[0] if owners else "",
        revision=arrow["revision"][0].as_py() if arrow.num_rows else None,
        episode_index=arrow["episode_index"].to_numpy(),
        frame_index=arrow["frame_index"].to_numpy(),
        sigma_min=arrow["sigma_min"].to_numpy(),
        sigma_max=arrow["sigma_max"].to_numpy(),
        normalization=ActionNormalization.from_dict(values["normalization"]),
        method=values["method"],
        granularity=values.get("granularity"),
        tau=values["tau"],
        sigmas=tuple(values["sigmas"]),
        p=_matrix(arrow["p"]) if curves else None,
        evidence=values.get("evidence", {}),
    )


def windows_metadata(path: Path) -> dict[str, Any]:
    """What a windows file says of itself: schema_version, method, granularity, tau, sigmas, normalization, evidence.

    Raises:
        ValueError: not a windows file, or of a newer schema.
        FileNotFoundError: no such file.
    """
    with _named(path):
        metadata = (pq.read_schema(path).metadata or {}).get(_KEY)
    if metadata is None:
        raise ValueError(f"{path} is no windows file: its parquet metadata lacks '{_KEY.decode()}'.")
    with _named(path):
        values: dict[str, Any] = json.loads(metadata)
    if values["schema_version"] > SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {values['schema_version']}, this lerobot_ambient reads up to {SCHEMA_VERSION}; "
            "upgrade lerobot_policy_ambient_diffusion."
        )
    return values


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What goes wrong inside says which file it was, and what to do."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{path} is no whole windows file ({reason}). Copy it again from where it came from, or annotate again."
        ) from error


def _matrix(curves: pa.ChunkedArray) -> NDArray[np.float32] | None:
    """(N, levels) of a column of lists of one length; None where there are no curves."""
    if curves.null_count or len(curves) == 0:
        return None
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in curves.chunks])
    return flat.reshape(len(curves), -1).astype(np.float32, copy=False)


def _package_version() -> str:
    try:
        return version("lerobot_policy_ambient_diffusion")
    except PackageNotFoundError:
        return "uninstalled"
