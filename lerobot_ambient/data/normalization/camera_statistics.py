# SPDX-License-Identifier: Apache-2.0
"""The target's statistics of its cameras, as LeRobot's normaliser needs them: a finite number a channel, of images in
[0, 1]; taken from some of its frames where stats.json has something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lerobot_ambient.data.cameras.readers import FrameReader
from lerobot_ambient.data.normalization.statistics import QUANTILES

_SAMPLED = 64
"""Frames that statistics are taken from."""
_PIXELS = 4096
"""Of each of them, those that quantiles are taken from."""
_NAMES = ("min", "max", "mean", "std")


def camera_stats(
    name: str, readers: Mapping[str, FrameReader], stats: Mapping[str, Mapping[str, Any]], frames: int
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Statistics of the cameras, and one line for each that was changed.

    Args:
        name: of the target, for messages.
        readers: of its cameras, whose frames are colour, uint8 or in [0, 1].
        stats: by camera, as stats.json has them.
        frames: how many the target has.
    """
    found: dict[str, dict[str, Any]] = {}
    notes = []
    for key, reader in readers.items():
        given, channels = stats.get(key, {}), reader.shape[0]
        if (misfit := _misfit(given, channels)) is not None:
            rows = np.unique(np.linspace(0, frames - 1, _SAMPLED).round().astype(np.int64))
            found[key] = _sampled(reader, rows)
            notes.append(f"{key}: stats.json of '{name}' {misfit}; computed from {len(rows)} of its frames.")
            continue
        fitting = {each: value for each, value in given.items() if each == "count" or np.size(value) in (1, channels)}
        odd = [each for each in fitting if each != "count" and np.shape(given[each])[-2:] != (1, 1)]
        found[key] = fitting
        if odd:
            found[key] |= {each: np.asarray(given[each]).reshape(-1, 1, 1) for each in odd}
            notes.append(f"{key}: the shape of {odd} in stats.json of '{name}' is not (channels, 1, 1); brought to it.")
    return found, notes


def _misfit(stats: Mapping[str, Any], channels: int) -> str | None:
    """Why statistics do not describe images, as the end of a sentence; None where they do."""
    for each in _NAMES:
        if each not in stats:
            return f"has no {each}"
        # One number stands for every channel of a grey camera.
        if np.size(stats[each]) not in (1, channels):
            return f"has a {each} of shape {np.shape(stats[each])}, not a number for each of {channels} channels"
        if not np.isfinite(np.asarray(stats[each], dtype=np.float64)).all():
            return f"has a {each} that is not finite"
    if float(np.max(stats["max"])) > 1.5 or float(np.min(stats["std"])) < 0:
        return "is not of images in [0, 1]"
    return None


def _sampled(reader: FrameReader, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """LeRobot-style statistics (C, 1, 1) of some frames, and count (1,)."""
    channels = reader.shape[0]
    low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
    sums, squares, count = np.zeros(channels), np.zeros(channels), 0
    pixels = []
    for row in rows.tolist():
        image = reader.read(torch.tensor([row]))[0].double().flatten(1).numpy()
        image = image / 255.0 if reader.dtype == torch.uint8 else image
        low, high = np.minimum(low, image.min(1)), np.maximum(high, image.max(1))
        sums, squares, count = sums + image.sum(1), squares + (image**2).sum(1), count + image.shape[1]
        pixels.append(image[:, :: max(1, image.shape[1] // _PIXELS)])
    mean = sums / count
    quantiles = np.quantile(np.concatenate(pixels, axis=1), list(QUANTILES.values()), axis=1)
    values = {"min": low, "max": high, "mean": mean, "std": np.sqrt(np.maximum(squares / count - mean**2, 0.0))}
    values |= dict(zip(QUANTILES, quantiles, strict=True))
    return {each: value.reshape(-1, 1, 1) for each, value in values.items()} | {"count": np.array([len(rows)])}
