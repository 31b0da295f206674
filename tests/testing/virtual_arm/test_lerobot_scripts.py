# SPDX-License-Identifier: Apache-2.0
"""LeRobot's teleoperate, record and replay over two virtual arms; and a recording that a fault interrupts."""

import threading
import time

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("feetech")


@pytest.fixture
def pair(start_arm):
    """Configurations of a follower and of a leader that waves, and the follower's arm."""
    from lerobot.robots.so_follower import SOFollowerRobotConfig
    from lerobot.teleoperators.so_leader import SOLeaderTeleopConfig

    def options(arm):
        return {"port": str(arm.spec.port), "id": arm.spec.port.name, "calibration_dir": arm.spec.calibration_dir}

    follower, leader = start_arm("follower"), start_arm("leader", motion="wave")
    return SOFollowerRobotConfig(**options(follower)), SOLeaderTeleopConfig(**options(leader)), follower


def recording(pair, root, *, episodes: int, seconds: float):
    from lerobot.configs.dataset import DatasetRecordConfig
    from lerobot.scripts.lerobot_record import RecordConfig

    dataset = DatasetRecordConfig(
        repo_id="me/waving",
        single_task="wave",
        root=root,
        fps=20,
        episode_time_s=seconds,
        reset_time_s=0,
        num_episodes=episodes,
        push_to_hub=False,
    )
    return RecordConfig(robot=pair[0], teleop=pair[1], dataset=dataset, play_sounds=False)


def test_what_is_recorded_can_be_read_and_replayed(pair, tmp_path):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.scripts.lerobot_record import record
    from lerobot.scripts.lerobot_replay import DatasetReplayConfig, ReplayConfig, replay

    root = tmp_path / "data"
    record(recording(pair, root, episodes=1, seconds=2.0))
    dataset = LeRobotDataset("me/waving", root=root)
    # A crowded machine loses frames, so only the upper bound is the frame rate's.
    assert 5 <= dataset.num_frames <= 41
    actions = np.array([dataset[i]["action"].numpy() for i in range(dataset.num_frames)])
    states = np.array([dataset[i]["observation.state"].numpy() for i in range(dataset.num_frames)])
    assert (np.ptp(actions, axis=0) > 1.0).all()
    assert (np.ptp(states, axis=0) > 1.0).all()
    replay(
        ReplayConfig(
            robot=pair[0], dataset=DatasetReplayConfig("me/waving", episode=0, root=root, fps=20), play_sounds=False
        )
    )


def test_a_recording_goes_on_in_the_same_data_set(pair, tmp_path):
    import dataclasses

    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.scripts.lerobot_record import record

    first = recording(pair, tmp_path / "data", episodes=1, seconds=0.5)
    record(first)
    with pytest.raises(FileExistsError):
        record(first)
    record(dataclasses.replace(first, resume=True))
    assert LeRobotDataset("me/waving", root=tmp_path / "data").num_episodes == 2


def test_teleoperation_ends_after_its_time(pair):
    from lerobot.scripts.lerobot_teleoperate import TeleoperateConfig, teleoperate

    teleoperate(TeleoperateConfig(robot=pair[0], teleop=pair[1], fps=30, teleop_time_s=0.5))


def test_episodes_before_a_fault_stay_readable(pair, tmp_path):
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.scripts.lerobot_record import record

    root, (_, _, arm) = tmp_path / "data", pair

    def fail_in_the_second_episode() -> None:
        while not list(root.glob("meta/**/*.parquet")):
            time.sleep(0.02)
        time.sleep(0.3)
        arm.tell("fault no_answer:motor=3")

    watcher = threading.Thread(target=fail_in_the_second_episode, daemon=True)
    watcher.start()
    with pytest.raises(ConnectionError, match="no status packet"):
        record(recording(pair, root, episodes=20, seconds=0.6))
    watcher.join(5)
    dataset = LeRobotDataset("me/waving", root=root)
    assert dataset.num_episodes >= 1
    assert len(dataset) == dataset.num_frames > 0
