# SPDX-License-Identifier: Apache-2.0
"""The windows of a source's frames, wherever they were declared: in the config, in a windows file, in columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.mixing import MixingRule
from lerobot_ambient.core.windows import EVERYTHING, Window
from lerobot_ambient.data.normalization.affine import ActionNormalization
from lerobot_ambient.data.reading.open_dataset import OpenedDataset
from lerobot_ambient.data.windows.merged_file import MERGE_PATH, tagged_windows
from lerobot_ambient.data.windows.windows_file import WindowTable, read_windows

PerFrame = tuple[NDArray[np.float32], NDArray[np.float32]]


def windows_of(
    source: OpenedDataset, index: int, mixing: MixingRule, normalization: ActionNormalization
) -> Window | PerFrame:
    """The window all frames of a source share, or (sigma_min, sigma_max) per frame.

    Args:
        source: aligned.
        index: its place in the mixture; 0 is the target, which admits everything.
        mixing: whether it needs windows.
        normalization: what the noise levels are relative to.

    Raises:
        ValueError: no window where one is needed, one made under another normalisation, frames without one.
    """
    if index == 0:
        return EVERYTHING
    if source.config.windows is None:
        return source.config.window(required=mixing.needs_windows)
    table = window_table(source)
    difference = table.normalization.difference(normalization)
    if difference is not None:
        raise ValueError(
            f"source '{source.name}': its windows ({source.config.windows}) were annotated under another normalisation:"
            f" {difference}. A noise level means something else there; annotate again with this policy and target."
        )
    return match_frames(source, table)


def window_table(source: OpenedDataset) -> WindowTable:
    """The table that `windows` names: the tags of a merged dataset, or a file, looked up in its folder first."""
    assert source.config.windows is not None
    if source.config.windows == MERGE_PATH:
        return tagged_windows(source.meta, source.columns)
    try:
        return read_windows(windows_path(source), curves=False)
    except ValueError as error:
        raise ValueError(f"source '{source.name}': {error}") from error


def windows_path(source: OpenedDataset) -> Path:
    """The file that `windows` names, looked up in the dataset's folder first.

    Raises:
        ValueError: it is in neither place.
    """
    path = Path(source.config.windows or "")
    local = Path(source.meta.root) / path
    if not local.is_file() and not path.is_file():
        raise ValueError(
            f"source '{source.name}': its windows file is neither {local} nor {path.absolute()}; give the path of one, "
            "or write sigma_min instead."
        )
    return local if local.is_file() else path


def match_frames(source: OpenedDataset, table: WindowTable) -> PerFrame:
    """Levels of a table in the order of the source's frames.

    Raises:
        ValueError: frames the table does not have.
    """
    episode, frame = source.columns["episode_index"], source.columns["frame_index"]
    if np.array_equal(table.episode_index, episode) and np.array_equal(table.frame_index, frame):
        return table.sigma_min, table.sigma_max
    span = 1 + max(int(frame.max()), int(table.frame_index.max()))
    have = table.episode_index * span + table.frame_index
    order = np.argsort(have)
    want = episode * span + frame
    at = np.searchsorted(have[order], want)
    found = (at < len(have)) & (have[order[np.minimum(at, len(have) - 1)]] == want)
    if not found.all():
        first = int(np.flatnonzero(~found)[0])
        raise ValueError(
            f"source '{source.name}': its windows ({source.config.windows}) lack {int((~found).sum())} of {len(want)} "
            f"frames, the first is frame {frame[first]} of episode {episode[first]}. Annotate these episodes too, or "
            "leave them out with `episodes`."
        )
    rows = order[at]
    return table.sigma_min[rows], table.sigma_max[rows]
