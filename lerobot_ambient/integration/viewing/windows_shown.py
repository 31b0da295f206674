# SPDX-License-Identifier: Apache-2.0
"""The window of each frame of each dataset that is looked at, wherever it was declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.core.mixing import TargetOnly
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.windows.source_windows import match_frames, window_table, windows_path
from lerobot_ambient.data.windows.windows_file import read_windows
from lerobot_ambient.integration.viewing.opened import Opened

TARGET = "the target teaches at every noise level"
ROLLOUTS = "rollouts are not trained on"
LEFT_OUT = "target_only: no source is trained on"
EVERYWHERE = "teaches at every noise level: cotrain ignores windows"
NONE_YET = "no window yet: it says at which noise levels the source may teach"


@dataclass(frozen=True, eq=False)
class ShownWindows:
    """What is drawn of the windows of one dataset.

    Args:
        words: what they are.
        sigma_min, sigma_max: (N,) of its frames; None where nothing is drawn.
        note: what to know of them, or None.
    """

    words: str
    sigma_min: NDArray[np.float32] | None = None
    sigma_max: NDArray[np.float32] | None = None
    note: str | None = None

    def rows(self, rows: slice) -> dict[str, Any] | None:
        """`sigma_min` and `sigma_max` of some frames as lists, or as numbers where all of them share one window."""
        if self.sigma_min is None or self.sigma_max is None:
            return None
        bounds = {"sigma_min": self.sigma_min[rows], "sigma_max": self.sigma_max[rows]}
        if all((values == values[0]).all() for values in bounds.values()):
            return {name: _plain(values[:1])[0] for name, values in bounds.items()}
        return {name: _plain(values) for name, values in bounds.items()}


def windows_shown(opened: Opened) -> list[ShownWindows]:
    """The windows of every dataset, in the order of the mixture.

    Raises:
        ValueError: a windows file that cannot be read, or that lacks frames.
    """
    return [_of(opened, index) for index in range(len(opened.mixture.sources))]


def _of(opened: Opened, index: int) -> ShownWindows:
    source, declared = opened.mixture.sources[index], opened.declared[index]
    if index == 0:
        return _one(Window(0.0), len(source), TARGET)
    if index >= len(opened.mixture.sources) - opened.rollouts:
        return ShownWindows(ROLLOUTS)
    if isinstance(opened.mixing, TargetOnly):
        return _one(Window(1.0), len(source), LEFT_OUT)
    if not opened.mixing.admits_by_windows:
        return _one(Window(0.0), len(source), EVERYWHERE)
    if declared is None:
        # A part of a merged target, which was opened with the windows that it has.
        if source.config.windows is not None:
            return ShownWindows("a window per frame, as merged", *match_frames(source, window_table(source)))
        return _one(source.config.window(required=False), len(source))
    if declared.windows is not None:
        asked = replace(source, config=replace(source.config, windows=declared.windows))
        try:
            table = read_windows(windows_path(asked), curves=False, episodes=source.episodes)
        except ValueError as error:
            raise ValueError(f"source '{source.name}': {error}") from error
        difference = table.normalization.difference(opened.mixture.normalizations[index])
        note = None if difference is None else f"annotated under another normalisation, {difference}"
        words = f"a window per {'frame' if table.granularity is None else _GRANULARITY[table.granularity]}"
        return ShownWindows(f"{words} ({table.method})", *match_frames(asked, table), note)
    if opened.mixing.needs_windows and (declared.sigma_min, declared.sigma_max) == (None, None):
        return ShownWindows(NONE_YET)
    return _one(declared.window(required=False), len(source))


_GRANULARITY = {"dataset": "dataset", "bucket": "bucket", "datapoint": "frame"}


def _one(window: Window, frames: int, words: str | None = None) -> ShownWindows:
    low, high = (np.full(frames, level, dtype=np.float32) for level in (window.sigma_min, window.sigma_max))
    return ShownWindows(f"teaches at noise levels {window}" if words is None else words, low, high)


def _plain(values: NDArray[np.float32]) -> Sequence[float]:
    return [round(value, 4) for value in values.tolist()]
