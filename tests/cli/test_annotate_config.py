# SPDX-License-Identifier: Apache-2.0
"""What findings become in a configuration."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lerobot_ambient.annotate.results.found_windows import Finding
from lerobot_ambient.cli.annotate_config import windows_of
from lerobot_ambient.cli.annotating.render import source_windows


def options(sigma_min: float, sigma_max: float, path: Path | None = None, granularity="dataset", **kwargs) -> dict:
    levels = np.full(3, sigma_min), np.full(3, sigma_max)
    finding = Finding("me/sim", "classifier", granularity, *levels, interval=(0.1, 0.4))
    annotations = [SimpleNamespace(finding=finding)]
    (found,) = windows_of(
        annotations, source_windows(annotations, ["me/sim"], [path]), **{"in_folders": False, **kwargs}
    )
    return dict(found.options)


@pytest.mark.parametrize(
    ("sigma_min", "sigma_max", "expected"),
    [
        (0.123456, 0.0, {"sigma_min": 0.1235}),
        (0.5, 0.25, {"sigma_min": 0.5, "sigma_max": 0.25}),
        (1.0, 0.25, {"sigma_min": 1.0, "sigma_max": 0.25}),
        # It may teach nowhere, which a configuration refuses to say; or nothing was seen that parts it.
        (1.0, 0.0, {}),
        (0.99996, 0.0, {}),
        (0.0, 0.0, {}),
        (0.00001, 0.0, {"sigma_min": 1e-05}),
        (0.3, 0.4, {}),
        (0.3, 0.3, {"sigma_min": 0.3, "sigma_max": 0.3}),
    ],
)
def test_one_window(sigma_min, sigma_max, expected):
    assert options(sigma_min, sigma_max) == expected


def test_many_windows_are_a_file():
    path = Path("windows/me__sim.parquet")
    assert options(0.2, 0.0, path, "bucket") == {"windows": "windows/me__sim.parquet"}
    assert options(1.0, 0.0, path, "bucket") == {}
    in_folder = options(0.2, 0.0, Path("x/meta/ambient_windows.parquet"), "datapoint", in_folders=True)
    assert in_folder == {"windows": "meta/ambient_windows.parquet"}
