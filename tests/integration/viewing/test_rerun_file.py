# SPDX-License-Identifier: Apache-2.0
"""A rerun recording holds the dataset's numbers under its joints' names, the windows, and as many pictures as asked."""

import numpy as np
import pytest

from lerobot_ambient.integration.viewing.rerun_file import require_recording, write_recording

from .conftest import CAMERA, EVIL, JOINT_NAMES, SHAKY, shade
from .test_pictures import colour_of

rerun = pytest.importorskip("rerun", reason="the extra view is not installed")


@pytest.fixture(scope="module")
def recorded(view, tmp_path_factory):
    """What was written, and columns(entity, component): its frames and values as rerun reads them from the file."""
    from rerun.experimental import RrdReader

    written = write_recording(view, tmp_path_factory.mktemp("rerun") / "deep" / "view.rrd", images=40)
    chunks = list(RrdReader(written.path).store().stream().to_chunks())

    def columns(entity, component):
        found = []
        for chunk in chunks:
            batch = chunk.to_record_batch()
            if str(chunk.entity_path) == entity and component in batch.schema.names:
                times = batch.column("frame_index").to_pylist()
                found += [(time, one[0]) for time, one in zip(times, batch.column(component).to_pylist(), strict=True)]
        found.sort(key=lambda one: one[0])
        return [time for time, _ in found], [value for _, value in found]

    return written, columns


def test_a_name_that_is_none_of_rerun_s_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is no recording's name; write e\.g\. --rerun=.*view\.rrd"):
        require_recording(tmp_path / "view.mp4")


def test_the_joints_are_the_recording_s(recorded, view):
    written, columns = recorded
    told = view.episode(view.find(1, SHAKY))["columns"]
    place = f"/source/{rerun.escape_entity_path_part(EVIL)}/episode_{SHAKY}"
    for dimension, name in enumerate(JOINT_NAMES):
        for key, short in (("action", "action"), ("observation.state", "state")):
            times, values = columns(f"{place}/{short}/{name}", "Scalars:scalars")
            assert times == list(range(84))
            assert values == pytest.approx(told[key][dimension], abs=1e-3)
    assert written.episodes == 17


def test_the_bounds_of_the_window_are_series(recorded, view):
    _, columns = recorded
    place = f"/source/{rerun.escape_entity_path_part(EVIL)}/episode_1/window"
    assert columns(f"{place}/sigma_min", "Scalars:scalars")[1] == pytest.approx(0.2 + 0.005 * np.arange(80), abs=1e-6)
    assert columns(f"{place}/sigma_max", "Scalars:scalars")[1] == pytest.approx([0.1] * 80)
    assert columns("/rollouts/rollouts/episode_0/window/sigma_min", "Scalars:scalars") == ([], [])


def test_pictures_are_those_of_their_frames_and_no_more_than_asked(recorded, view):
    written, columns = recorded
    assert written.pictures == 30
    times, blobs = columns(f"/target/me\\/target/episode_2/{CAMERA}", "EncodedImage:blob")
    assert times == [0, 35]
    for frame, blob in zip(times, blobs, strict=True):
        assert colour_of(bytes(blob)) == pytest.approx(shade(2, frame), abs=3)
