# SPDX-License-Identifier: Apache-2.0
"""The story of end-effector space: its data open as one mixture, its stages, and how its rollouts are measured."""

import json

import draccus
import numpy as np
import pytest

from lerobot_ambient.benchmarks.walkthroughs.end_effector_data import (
    GOALS,
    MOTORS,
    STEPPED,
    _stepped,
    demonstration,
)
from lerobot_ambient.benchmarks.walkthroughs.end_effector_story import (
    EndEffectorOptions,
    results_of,
    stages_of,
    text_of,
)
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.kinematics.shared_space import in_shared_space
from lerobot_ambient.data.reading.open_dataset import OpenedDataset
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf
from lerobot_ambient.testing.virtual_arm.joints import JOINTS


def test_what_the_story_declares_makes_both_recordings_the_same_numbers(tmp_path):
    arguments = next(stage for stage in stages_of(EndEffectorOptions(tmp_path)) if stage.folder.name == "train").command
    (declared,) = json.loads(next(word for word in arguments if word.startswith("--policy.sources=")).split("=", 1)[1])
    source = draccus.decode(Source, declared)
    path = demonstration(next(iter(GOALS.values())), np.random.default_rng(0), 20)
    space = EndEffectorConfig(chain=urdf(), tip=TIP)

    def opened(action, state, names, config):
        spec = {"dtype": "float32", "shape": (len(names),), "names": names}
        return OpenedDataset(
            name=config.repo_id,
            config=config,
            meta=None,
            features={"action": spec, "observation.state": spec},
            columns={"action": action.astype(np.float32), "observation.state": state.astype(np.float32)},
            episode_ids=np.array([0]),
            starts=np.array([0]),
            stops=np.array([len(action)]),
            storage=None,
        )

    joints = in_shared_space(opened(path[1:], path[:-1], MOTORS, Source("a", end_effector=space)), space)
    steps = in_shared_space(opened(*_stepped(path), STEPPED, source), space)
    for key in ("action", "observation.state"):
        np.testing.assert_allclose(steps.columns[key][:, :9], joints.columns[key][:, :9], atol=1e-5)
        np.testing.assert_allclose(100.0 * steps.columns[key][:, 9], joints.columns[key][:, 9], rtol=1e-5)


def test_the_stages_stand_in_their_order_and_no_key_depends_on_their_place(tmp_path):
    here, there = (stages_of(EndEffectorOptions(tmp_path / name)) for name in ("here", "there"))
    assert [stage.folder.name for stage in here] == ["data", "train", *(f"rollout_{n}" for n in range(4))]
    assert [stage.key for stage in here] == [stage.key for stage in there]
    other = stages_of(EndEffectorOptions(tmp_path / "here", learn="delta_tool"))
    assert [a.key != b.key for a, b in zip(here, other, strict=True)] == [False, *[True] * 5]


def test_where_the_arm_ends_is_compared_with_the_demonstrated_pose(tmp_path):
    stages = stages_of(EndEffectorOptions(tmp_path))
    for number, (goal, stage) in enumerate(zip(GOALS.values(), stages[2:], strict=True)):
        stage.folder.mkdir(parents=True)
        angles = dict(zip([joint.name for joint in JOINTS], goal, strict=True))
        angles["wrist_roll"] += number
        state = {"follower": {"angles": angles, "commands": {"count": 140}}}
        (stage.folder / "states.json").write_text(json.dumps(state), encoding="utf-8")
    found = results_of(stages)
    assert [one["pose"] for one in found] == list(GOALS)
    assert found[0]["metres"] == 0.0 and found[0]["radians"] == 0.0 and found[0]["gripper"] == 0.0
    # A roll turns the tip in its place.
    assert found[3]["metres"] == 0.0 and found[3]["radians"] == pytest.approx(np.radians(3.0), abs=1e-4)
    assert "far right, closed     0.0 mm    0.052 rad" in text_of(found)
