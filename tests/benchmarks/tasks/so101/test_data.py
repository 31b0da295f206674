# SPDX-License-Identifier: Apache-2.0
"""Careful and clumsy recordings as of an SO-101: what they show, and that they are LeRobot's."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.benchmarks.tasks.so101.camera import pictures
from lerobot_ambient.benchmarks.tasks.so101.data import CAMERA, make_so101_data
from lerobot_ambient.benchmarks.tasks.so101.recordings import ABOVE, BOX, CUBE_R, FPS, OPEN, TABLE, pose, record
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.testing.virtual_arm.geometry import links
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

NAMES = [joint.name for joint in JOINTS]


def episodes(hand, count=40):
    return [record(hand, np.random.default_rng(seed)) for seed in range(count)]


@pytest.mark.parametrize("r", [*CUBE_R, BOX[1]])
@pytest.mark.parametrize("z", [TABLE, ABOVE])
def test_a_pose_brings_the_tip_where_it_is_wanted_and_down(r, z):
    angles = dict(zip(NAMES, pose(30.0, r, z, OPEN, roll=20.0), strict=True))
    points = links(angles)
    assert points[5] == pytest.approx([r, z])
    assert points[4] - points[5] == pytest.approx([0.0, 0.098])
    assert (angles["shoulder_pan"], angles["wrist_roll"], angles["gripper"]) == (30.0, 20.0, OPEN)
    for joint in JOINTS:
        if joint.stops is not None and not joint.is_gripper:
            assert joint.angle(joint.stops[0]) < angles[joint.name] < joint.angle(joint.stops[1])


def test_where_the_arm_does_not_reach_is_refused():
    with pytest.raises(ValueError, match=r"does not reach r = 0.5 m, z = 0.02 m"):
        pose(0.0, 0.5, 0.02, OPEN)


@pytest.mark.parametrize(("hand", "degrees"), [("careful", 1.0), ("clumsy", 7.0)])
def test_an_episode_begins_above_the_cube_and_ends_open_above_the_box(hand, degrees):
    for episode, (pan, r) in episodes(hand):
        first, last = episode["observation.state"][0], episode["action"][-1]
        np.testing.assert_allclose(first[:4], pose(pan, r, ABOVE, OPEN)[:4], atol=degrees)
        np.testing.assert_allclose(last, pose(*BOX, ABOVE, OPEN), atol=degrees)
        assert episode["action"][:, 5].min() < 25.0, "the jaws close"


def test_the_state_follows_the_command_by_a_frame_or_two():
    """The mean delay: how far the state is behind what was commanded, over how fast the command moves."""
    for episode, _ in episodes("careful", 5):
        state, action = (episode[key].astype(float) for key in ("observation.state", "action"))
        speed = action[1:-1] - action[:-2]
        fast = np.abs(speed) > 1.0
        # The state of a frame answers to the command of the frame before.
        delay = ((action[:-2] - state[1:-1])[fast] / speed[fast]).mean()
        assert delay == pytest.approx((1 - 0.45) / 0.45, abs=0.35)


def test_the_clumsy_hand_trembles_in_the_band_of_a_hand_and_takes_longer():
    """Of a joint that stands still: nearly all power lies between 3 and 9 Hz, a hundred times the other hand's."""
    powers, lengths = {}, {}
    for hand in ("careful", "clumsy"):
        made = [episode for episode, _ in episodes(hand)]
        lengths[hand] = np.mean([len(episode["action"]) for episode in made])
        # Until the arm lifts, the pan stands still.
        still = [episode["action"][:40, 0] - episode["action"][:40, 0].mean() for episode in made]
        power = np.mean([np.square(np.abs(np.fft.rfft(one * np.hanning(40)))) for one in still], axis=0)
        hertz = np.fft.rfftfreq(40, 1.0 / FPS)
        inside = (hertz > 2.0) & (hertz < 10.0)
        assert power[inside].sum() > 0.95 * power[1:].sum()
        powers[hand] = power[inside].sum()
    assert 50.0 < powers["clumsy"] / powers["careful"] < 250.0  # (1.6 / 0.15)^2 = 114
    assert lengths["clumsy"] > lengths["careful"] + 10


def test_the_datasets_are_lerobots_and_the_second_call_makes_nothing(tmp_path):
    made = make_so101_data(tmp_path, target_episodes=2, source_episodes=3, pixels=32, progress=False)
    assert {kind: (one["episodes"], one["hand"]) for kind, one in made.items()} == {
        "target": (2, "careful"),
        "source": (3, "clumsy"),
    }
    assert made["source"]["mean_squared_acceleration"] > 10 * made["target"]["mean_squared_acceleration"]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert make_so101_data(tmp_path, target_episodes=2, source_episodes=3, pixels=32, progress=False) == made
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before

    dataset = LeRobotDataset(made["target"]["repo_id"], root=made["target"]["root"])
    assert dataset.meta.robot_type == "so101_follower"
    assert dataset.meta.features["action"]["names"] == [f"{name}.pos" for name in NAMES]
    assert (dataset.num_episodes, dataset.num_frames) == (2, made["target"]["frames"])
    item = dataset[10]
    assert item[CAMERA].shape == (3, 32, 32)
    assert item["task"] == "put the cube into the box"
    assert item["timestamp"].item() == pytest.approx(10 / FPS)


def test_recordings_do_not_depend_on_how_many_are_made_nor_on_the_global_generator(tmp_path):
    np.random.seed(7)
    few = make_so101_data(tmp_path / "few", target_episodes=2, source_episodes=1, progress=False)
    np.random.seed(8)
    more = make_so101_data(tmp_path / "more", target_episodes=3, source_episodes=1, progress=False)
    other = make_so101_data(tmp_path / "other", target_episodes=2, source_episodes=1, seed=1, progress=False)
    actions = [
        np.stack(LeRobotDataset("me/x", root=made["target"]["root"]).hf_dataset.with_format("numpy")["action"])
        for made in (few, more, other)
    ]
    np.testing.assert_array_equal(actions[0], actions[1][: len(actions[0])])
    assert not np.array_equal(actions[0][:50], actions[2][:50])


def test_the_camera_sees_the_cube_carried_into_the_box():
    (episode, cube), *_ = episodes("careful", 1)
    seen = [
        np.asarray(PIL.Image.open(io.BytesIO(one)), dtype=int)
        for one in pictures(episode["observation.state"], cube, 64)
    ]
    assert len(seen) == len(episode["action"])

    def red(picture):
        rows, columns = np.nonzero((picture[..., 0] > 150) & (picture[..., 1] < 110) & (picture[..., 2] < 100))
        return rows.mean(), columns.mean()

    # Forward is up and left is left; the box stands to the right.
    expected = {0: cube, -1: BOX}
    for place, (pan, r) in expected.items():
        turn = np.radians(pan)
        row, column = red(seen[place])
        assert row == pytest.approx(64 - 64 * (r * np.cos(turn) + 0.12) / 0.48, abs=2.5)
        assert column == pytest.approx(32 - 64 * r * np.sin(turn) / 0.48, abs=2.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1, must be at least 0"),
        ({"pixels": 8}, "pixels is 8, must be at least 16"),
        ({"source_episodes": 0}, "source recordings of an SO-101: episodes is 0, must be at least 1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        make_so101_data(tmp_path / "data", progress=False, **options)
    assert not (tmp_path / "data").exists()


def test_the_command_writes_what_it_says(tmp_path, capsys):
    words = ["make-data", "so101", f"--root={tmp_path}", "--target-episodes=1", "--source-episodes=1", "--camera=16"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "target: 1 episodes" in told and "a careful hand" in told
    assert "source: 1 episodes" in told and "a clumsy hand" in told
    assert LeRobotDataset("me/x", root=tmp_path / "source")[0][CAMERA].shape == (3, 16, 16)
