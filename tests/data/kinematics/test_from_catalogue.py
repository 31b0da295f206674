# SPDX-License-Identifier: Apache-2.0
"""Catalogue entries as end effectors: those that are known need no declaration, the others say what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from lerobot_ambient.data.catalogue.library import entries, entry
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig, FrameConfig, PoseConfig
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.kinematics.from_catalogue import from_entry
from lerobot_ambient.data.kinematics.shared_space import in_shared_space
from lerobot_ambient.data.reading.open_dataset import OpenedDataset
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf

SPACE = EndEffectorConfig(chain=urdf(), tip=TIP)


def bridge(**said):
    names = {"action": entry("openx/bridge").action.names, "observation.state": entry("openx/bridge").state.names}
    rng = np.random.default_rng(0)
    config = Source(catalogue="openx/bridge", sigma_min=0.3, **said)
    return OpenedDataset(
        name="bridge",
        config=config,
        meta=None,
        storage=None,
        features={key: {"dtype": "float32", "shape": (len(n),), "names": list(n)} for key, n in names.items()},
        columns={key: rng.uniform(-1, 1, (9, len(n))).astype(np.float32) for key, n in names.items()},
        episode_ids=np.array([0]),
        starts=np.array([0]),
        stops=np.array([9]),
    )


def test_bridge_is_what_its_entry_says():
    found = from_entry(entry("openx/bridge"))
    pose = {"position": ["x", "y", "z"], "rotation": ["roll", "pitch", "yaw"], "gripper": "gripper"}
    assert found.action == PoseConfig(**pose, kind="difference", gripper_ends=[0.0, 1.0])
    assert found.state == PoseConfig(**pose)
    assert from_entry(entry("openx/furniture_bench")).action.kind == "delta_mixed"
    # Its action says 1 for an open gripper, its state 1 for a closed one.
    fractal = from_entry(entry("openx/fractal"))
    assert (fractal.action.gripper_ends, fractal.state.gripper_ends) == ([0.0, 1.0], [1.0, 0.0])


def test_a_source_of_the_catalogue_needs_no_declaration():
    declared = bridge(end_effector=from_entry(entry("openx/bridge")))
    taken = in_shared_space(bridge(), SPACE)
    for key, values in in_shared_space(declared, SPACE).columns.items():
        np.testing.assert_array_equal(taken.columns[key], values)


def test_a_source_of_the_catalogue_says_how_its_base_lies():
    base, tool = FrameConfig([0.0, 0.0, 90.0], [0.1, 0.0, 0.0]), FrameConfig([180.0, 0.0, 0.0])
    whole = replace(from_entry(entry("openx/bridge")), base=base, tool=tool)
    made, wanted = (
        in_shared_space(bridge(end_effector=said), SPACE) for said in (EndEffectorConfig(base=base, tool=tool), whole)
    )
    assert made.config.end_effector == whole
    for key, values in wanted.columns.items():
        np.testing.assert_array_equal(made.columns[key], values)
    with pytest.raises(ValueError, match="source 'me/arm': end_effector needs a urdf"):
        Source("me/arm", end_effector=EndEffectorConfig(base=base))


def test_what_its_entry_doubts_is_told(caplog):
    in_shared_space(bridge(), SPACE)
    assert "catalogue entry openx/bridge could not verify cameras, observation.state.gripper" in caplog.text


def test_many_entries_are_known_and_the_others_say_why_not(checkout):
    known, why = [], {}
    for name, one in entries().items():
        try:
            from_entry(one)
            known.append(name)
        except ValueError as error:
            why[name] = str(error)
    how_to = (checkout / "docs/how-to/train-in-end-effector-space.md").read_text()
    assert f"Of {len(known)} of the {len(known) + len(why)} datasets" in how_to
    # The how-to names each: nine with poses in their states, and the others after them.
    posed = [from_entry(entry(name)).state is not None for name in sorted(known, key=how_to.rindex)]
    assert sum(posed) == 9 and sorted(posed, reverse=True) == posed
    assert all(text.startswith(("it", "the rotation of its", "the position of its")) for text in why.values())


def test_an_entry_that_does_not_know_enough_is_refused_with_what_it_says():
    one = entry("openx/bridge")
    for changed, message in (
        ({"frame": "unknown"}, "of kind ee_delta in the axes of unknown"),
        ({"rotation": "ypr"}, "the rotation of its action is ypr"),
        ({"gain": {"x": 0.1, "y": 0.2, "z": 0.1}}, "other gains along"),
        ({"names": ("x", "y", "z", "gripper")}, r"its action has .*'gripper'\], and a pose with rotation rpy has"),
        (
            {"names": ("roll", "pitch", "yaw", "x", "y", "height", "gripper")},
            r"'height'.* a pose with rotation rpy has",
        ),
        ({"units": {"rotation": "rad"}}, "the position of its action is in a unit that is not known, not m or mm"),
        ({"units": {"position": "m/s", "rotation": "rad"}}, "the position of its action is in m/s, not m or mm"),
        (
            {"rotation": "rotation_vector", "names": ("x", "y", "z", "rx", "ry", "rz")},
            "of rotation rotation_vector, and its observation.state is a pose of rotation euler_xyz",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            from_entry(replace(one, features=one.features | {"action": replace(one.features["action"], **changed)}))
    with pytest.raises(ValueError, match="it has 2 arms"):
        from_entry(replace(one, arms=2))
    with pytest.raises(ValueError, match=r"action_gain is 0\.5, and the catalogue's 'openx/bridge' has None"):
        in_shared_space(bridge(action_gain=0.5), SPACE)


def test_a_controllers_gain_becomes_the_scales():
    one = entry("openx/bridge")
    gain = dict.fromkeys("xyz", 0.05) | dict.fromkeys(["roll", "pitch", "yaw"], 0.5)
    action = replace(one.features["action"], gain=gain, step="relative")
    made = from_entry(replace(one, features=one.features | {"action": action}))
    assert (made.action.position_scale, made.action.rotation_scale) == (0.05, 0.5)
