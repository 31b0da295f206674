# SPDX-License-Identifier: Apache-2.0
"""What a method found for one source, and the windows file made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_ambient.annotate.chunks import Chunks
from lerobot_ambient.data.mixture import Mixture
from lerobot_ambient.data.windows_file import WindowTable

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Finding:
    """The window of a source, or of each of its samples.

    Args:
        source: name of the data set.
        method: "spectral", "classifier".
        granularity: "dataset", "bucket" or "datapoint".
        sigma_min, sigma_max: (N,) VP levels, one per sample of the source (`Chunks`); equal ones per data set.
        interval: of the data set's sigma_min, at the confidence the notes name.
        notes: caveats, in words.
        tau: margin of a classifier, else None.
        sigmas: (L,) levels of the classifier's curves, else empty.
        curves: (B, L) float32 curves that windows were read from: one of the data set, or one per bucket or sample.
        curve_of: (N,) the curve of each sample; None where there is one for all.
    """

    source: str
    method: str
    granularity: str
    sigma_min: Floats
    sigma_max: Floats
    interval: tuple[float, float]
    notes: tuple[str, ...] = ()
    tau: float | None = None
    sigmas: tuple[float, ...] = ()
    curves: NDArray[np.float32] | None = None
    curve_of: NDArray[np.int64] | None = None

    def with_notes(self, *notes: str) -> Finding:
        """The finding with further caveats."""
        return replace(self, notes=(*self.notes, *notes))

    def to_dict(self) -> dict[str, Any]:
        """One entry of `annotate --json`; of many windows the median, and their 5 and 95 % quantiles."""
        low, high = self.interval
        return {
            "source": self.source,
            "granularity": self.granularity,
            "method": self.method,
            "sigma_min": float(np.median(self.sigma_min)),
            "sigma_max": float(np.median(self.sigma_max)),
            "interval": [float(low), float(high)],
            "quantiles": [float(level) for level in np.quantile(self.sigma_min, [0.05, 0.95])],
            "tau": self.tau,
            "notes": list(self.notes),
        }

    def table(self, mixture: Mixture, index: int, chunks: Chunks) -> WindowTable:
        """Windows of every frame of the source.

        Frames at an episode's end start no sample and were not looked at; they take the window of the last one that
        was. Episodes without any take those of the sample whose sigma_min is the median.

        Args:
            mixture: it was found on.
            index: of the source in the mixture.
            chunks: the samples that `sigma_min` counts.
        """
        source, normalization = mixture.sources[index], mixture.normalizations[index]
        frames = len(source)
        local = chunks.rows.numpy() - mixture.dataset.offsets[index]
        of_frame = np.full(frames, -1, dtype=np.int64)
        of_frame[local] = np.arange(len(chunks))
        # The last sample at or before each frame, if it lies in the same episode.
        last = np.maximum.accumulate(of_frame)
        start = np.repeat(source.starts, source.stops - source.starts)
        known = (last >= 0) & (local[np.maximum(last, 0)] >= start)
        middle = int(np.argsort(self.sigma_min, kind="stable")[len(self.sigma_min) // 2])
        rows = np.where(known, last, middle)
        curve_of = None
        if self.curves is not None:
            curve_of = np.zeros(frames, dtype=np.int64) if self.curve_of is None else self.curve_of[rows]
        return WindowTable(
            repo_id=source.config.repo_id,
            revision=source.config.revision,
            episode_index=source.columns["episode_index"].astype(np.int64),
            frame_index=source.columns["frame_index"].astype(np.int64),
            sigma_min=self.sigma_min[rows].astype(np.float32),
            sigma_max=self.sigma_max[rows].astype(np.float32),
            normalization=normalization,
            method=self.method,
            granularity=self.granularity,
            tau=self.tau,
            sigmas=self.sigmas,
            p=self.curves,
            curve_of=curve_of,
        )
