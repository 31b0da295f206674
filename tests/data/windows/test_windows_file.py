# SPDX-License-Identifier: Apache-2.0
"""The windows file: curves that frames share, and what a failed write leaves behind."""

import numpy as np
import pytest

from lerobot_ambient.data.normalization.affine import ActionNormalization
from lerobot_ambient.data.windows.windows_file import WindowTable, read_windows, write_windows

NORMALIZATION = ActionNormalization(mode="MEAN_STD", relative=False, offset=(0.0,), scale=(1.0,), horizon=4)
CURVES = np.array([[0.1, 0.3, 0.5], [0.2, 0.5, 0.5]], dtype=np.float32)
FRAMES = 7
CURVE_OF = np.array([0, 1, 1, 0, 0, 1, 0])


def table(**given):
    level = np.linspace(0.1, 0.7, FRAMES, dtype=np.float32)
    values = {
        "repo_id": "me/sim",
        "episode_index": np.zeros(FRAMES, dtype=np.int64),
        "frame_index": np.arange(FRAMES),
        "sigma_min": level,
        "sigma_max": np.zeros(FRAMES, dtype=np.float32),
        "normalization": NORMALIZATION,
        "method": "classifier",
        "sigmas": (0.2, 0.5, 0.8),
    }
    return WindowTable(**values | given)


def test_shared_curves_are_written_for_every_frame(tmp_path, monkeypatch):
    monkeypatch.setattr("lerobot_ambient.data.windows.windows_file._ROW_GROUP", 3)
    write_windows(table(p=CURVES, curve_of=CURVE_OF), tmp_path / "w.parquet")
    again = read_windows(tmp_path / "w.parquet")
    assert again.curve_of is None
    np.testing.assert_array_equal(again.p, CURVES[CURVE_OF])
    np.testing.assert_array_equal(again.frame_index, np.arange(FRAMES))


def test_curves_of_other_frames_are_refused():
    with pytest.raises(ValueError, match=r"windows of 'me/sim': columns differ in length, .*'p': 2"):
        table(p=CURVES)
    with pytest.raises(ValueError, match=r"columns differ in length, .*'curve_of': 6"):
        table(p=CURVES, curve_of=CURVE_OF[:-1])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "w.parquet"
    write_windows(table(), path)
    before = path.read_bytes()
    # A curve of a row that is not there is noticed when it is written.
    with pytest.raises(IndexError):
        write_windows(table(p=CURVES, curve_of=CURVE_OF + 1), path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before
