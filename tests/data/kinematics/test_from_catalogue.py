# SPDX-License-Identifier: Apache-2.0
"""Catalogue entries as end effectors: those that are known need no declaration, the others say what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from lerobot_ambient.data.catalogue.library import entries, entry
from lerobot_ambient.data.declared.end_effector import EndEffectorConfig, PoseConfig
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
    assert found.action == PoseConfig(["x", "y", "z"], ["roll", "pitch", "yaw"], kind="delta_base", gripper="gripper")
    assert found.state == PoseConfig(["x", "y", "z"], ["roll", "pitch", "yaw"], gripper="gripper")


def test_a_source_of_the_catalogue_needs_no_declaration():
    declared = bridge(end_effector=from_entry(entry("openx/bridge")))
    taken = in_shared_space(bridge(), SPACE)
    for key, values in in_shared_space(declared, SPACE).columns.items():
        np.testing.assert_array_equal(taken.columns[key], values)


def test_many_entries_are_known_and_the_others_say_why_not():
    known, why = [], {}
    for name, one in entries().items():
        try:
            from_entry(one)
            known.append(name)
        except ValueError as error:
            why[name] = str(error)
    assert len(known) >= 12 and "openx/bridge" in known
    assert all(text.startswith(("it", "the rotation of its")) for text in why.values())


def test_an_entry_that_does_not_know_enough_is_refused_with_what_it_says():
    one = entry("openx/bridge")
    for changed, message in (
        ({"frame": "unknown"}, "of kind ee_delta in the axes of unknown"),
        ({"rotation": "ypr"}, "the rotation of its action is ypr"),
        ({"gain": {"x": 0.1, "y": 0.2, "z": 0.1}}, "other gains along"),
        ({"names": ("x", "y", "z", "gripper")}, "no position, rotation"),
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
    made = from_entry(replace(one, features=one.features | {"action": replace(one.features["action"], gain=gain)}))
    assert (made.action.position_scale, made.action.rotation_scale) == (0.05, 0.5)
