# SPDX-License-Identifier: Apache-2.0
"""Another threshold for windows whose curves are stored."""

import numpy as np
import pytest

from lerobot_ambient.annotate.results.windows_from_curves import Threshold, rethreshold
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


def test_a_threshold_reads_the_same_from_shared_curves_as_from_repeated_ones():
    shared, repeated = (
        rethreshold(one, Threshold(tau=0.1), takes="estimate").sigma_min
        for one in (table(p=CURVES, curve_of=CURVE_OF), table(p=CURVES[CURVE_OF]))
    )
    np.testing.assert_array_equal(shared, repeated)
    assert len(np.unique(shared)) == 2


def test_the_safe_end_is_read_from_lowered_curves_at_any_threshold(tmp_path):
    evidence = {"takes": "safe", "crossing": "isotonic", "reach": [0.1, 0.1, 0.1], "compared": "chunks"}
    write_windows(table(p=CURVES[CURVE_OF], tau=0.05, evidence=evidence), tmp_path / "w.parquet")
    stored = read_windows(tmp_path / "w.parquet")
    assert stored.evidence == evidence
    # What is in the file already stays to the last digit.
    assert rethreshold(stored, Threshold()) is stored
    safe, estimate = (rethreshold(stored, Threshold(tau=0.2), takes=end) for end in ("safe", "estimate"))
    lowered = rethreshold(table(p=CURVES[CURVE_OF] - np.float32(0.1)), Threshold(tau=0.2), takes="estimate")
    np.testing.assert_allclose(safe.sigma_min, lowered.sigma_min, atol=1e-6)
    assert (safe.sigma_min > estimate.sigma_min).all()
    assert safe.evidence["sigma_min_estimate"] == estimate.evidence["sigma_min_estimate"]
    assert (safe.evidence["takes"], estimate.evidence["takes"]) == ("safe", "estimate")


def test_files_of_older_versions_have_no_safe_end_and_say_so():
    with pytest.raises(ValueError, match=r"windows of 'me/sim' hold curves but not how far.*--take=estimate"):
        rethreshold(table(p=CURVES[CURVE_OF]), Threshold(tau=0.1))
