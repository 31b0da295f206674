# SPDX-License-Identifier: Apache-2.0
"""A generated dataset is what LeRobot's own writer makes of the same frames, and what its entry says."""

import json

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.data.catalogue.library import entry
from lerobot_ambient.testing.generated.entry_dataset import generated_entry_dataset

CAMERA = "observation.images.image_0"


def numbers(root, key):
    dataset = LeRobotDataset("generated", root=root)
    return np.stack(dataset.hf_dataset.with_format("numpy")[key])


def test_lerobots_writer_makes_the_same_of_the_same_frames(generated_entry, tmp_path):
    root = generated_entry("openx/bridge", cameras=[CAMERA])
    made = LeRobotDataset("me/made", root=root)
    features = {key: made.features[key] for key in ("action", "observation.state", CAMERA)}
    own = LeRobotDataset.create(
        "me/own", fps=made.fps, root=tmp_path / "own", features=features, robot_type="widowx", use_videos=False
    )
    for index in range(made.num_frames):
        item = made[index]
        frame = {key: item[key].numpy() for key in ("action", "observation.state")}
        picture = (item[CAMERA].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
        own.add_frame({**frame, CAMERA: picture, "task": item["task"]})
        if index in (23, 47):
            own.save_episode()
    own.finalize()
    own = LeRobotDataset("me/own", root=tmp_path / "own")
    here, there = (json.loads((one.root / "meta/info.json").read_text()) for one in (made, own))
    for one in (here, there):
        for size in ("data_files_size_in_mb", "video_files_size_in_mb", "chunks_size"):
            one.pop(size, None)
    assert here == there
    assert len(made) == len(own) == 48
    for index in (0, 23, 24, 47):
        ours, theirs = made[index], own[index]
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert value == theirs[key] if isinstance(value, str) else np.allclose(value, theirs[key])
    for key in ("action", "observation.state", "timestamp"):
        for name in ("min", "max", "mean", "std", "count"):
            assert np.allclose(made.meta.stats[key][name], own.meta.stats[key][name], atol=1e-5), (key, name)
    assert made.meta.stats[CAMERA].keys() == own.meta.stats[CAMERA].keys()


def test_steps_lead_from_one_state_to_the_next(generated_entry):
    root = generated_entry("openx/bridge", cameras=[])
    action, state = numbers(root, "action")[:24], numbers(root, "observation.state")[:24]
    assert np.allclose(state[:-1, :6] + action[:-1, :6], state[1:, :6], atol=1e-6)
    assert not state[:, 6].any()
    assert set(np.unique(action[:, 6])) <= {0.0, 1.0}


def test_positions_are_those_of_the_next_frame(generated_entry):
    root = generated_entry("so/so101_pickplace", cameras=[])
    assert np.allclose(numbers(root, "action")[:23], numbers(root, "observation.state")[1:24])


def test_a_velocity_is_in_the_unit_of_the_entrys_gain(generated_entry):
    root = generated_entry("openx/taco_play", cameras=[])
    known = entry("openx/taco_play")
    gain = known.action.gain["x"]
    (here, there) = (known.features[key].names.index("x") for key in ("action", "observation.state"))
    moved = np.diff(numbers(root, "observation.state")[:24, there])
    assert np.allclose(numbers(root, "action")[:23, here] * gain, moved, atol=1e-5)


def test_quaternions_are_unit_and_a_seed_gives_the_same_again(generated_entry, tmp_path):
    root = generated_entry("openx/fractal", cameras=[])
    quaternion = numbers(root, "observation.state")[:, 3:7]
    assert np.allclose(np.linalg.norm(quaternion, axis=1), 1.0, atol=1e-6)
    again = generated_entry_dataset(entry("openx/fractal"), tmp_path / "again", cameras=[])
    assert np.array_equal(numbers(again, "observation.state"), numbers(root, "observation.state"))
    other = generated_entry_dataset(entry("openx/fractal"), tmp_path / "other", cameras=[], seed=1)
    assert not np.array_equal(numbers(other, "observation.state"), numbers(root, "observation.state"))


def test_it_can_be_another_than_its_entry_says(generated_entry):
    root = generated_entry("openx/toto", cameras=[], change={"fps": 15, "robot_type": "ur5", "action": ["a", "b"]})
    info = json.loads((root / "meta/info.json").read_text())
    assert (info["fps"], info["robot_type"], info["features"]["action"]["names"]) == (15, "ur5", {"motors": ["a", "b"]})
    assert numbers(root, "action").shape == (48, 2)


def test_a_folder_that_is_there_is_not_written_over(tmp_path):
    with pytest.raises(FileExistsError):
        generated_entry_dataset(entry("openx/toto"), tmp_path)
