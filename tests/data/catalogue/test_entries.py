# SPDX-License-Identifier: Apache-2.0
"""The entries that come with the package: enough of them, each whole, and each good for a source."""

import pytest

from lerobot_ambient.data.catalogue.library import entries, references
from lerobot_ambient.data.catalogue.resolve import Beside, options_of
from lerobot_ambient.data.declared.sources import Source

ENTRIES = entries()


def test_there_are_enough_whole_ones():
    whole = [one for one in ENTRIES.values() if one.is_complete]
    assert len(ENTRIES) >= 45
    assert len(whole) >= 44
    assert len([one for one in whole if one.name.startswith("openx/")]) >= 27
    assert {one.arms for one in whole} == {1, 2}
    kinds = {one.action.kind for one in whole}
    assert {"joint", "joint_delta", "ee_delta", "ee_absolute", "ee_velocity"} <= kinds


def test_a_name_means_the_same_everywhere():
    for one in ENTRIES.values():
        for key, feature in one.features.items():
            assert all(name == name.lower() for name in feature.names), (one.name, key)
            if feature.kind.startswith("ee_") and one.arms != 2:
                # By these the poses and steps of different datasets find each other.
                assert {"x", "y"} & set(feature.names) or feature.rotation == "matrix", (one.name, key)
            if feature.rotation == "rpy":
                assert {"roll", "pitch", "yaw"} <= {
                    name.removeprefix("left_").removeprefix("right_") for name in feature.names
                }, (one.name, key)


def test_every_reference_is_used():
    used = {which for one in ENTRIES.values() for names in one.evidence.values() for which in names}
    assert used == set(references())


def test_no_two_have_one_camera_role_or_one_dataset_twice():
    for one in ENTRIES.values():
        roles = [camera.role for camera in one.cameras.values()]
        assert len(set(roles)) == len(roles), one.name
        assert one.repo_id not in one.also, one.name


@pytest.mark.parametrize("name", ENTRIES)
def test_it_is_a_source(name):
    one = ENTRIES[name]
    own = {} if one.repo_id else {"repo_id": "me/converted"}
    source = Source(catalogue=name, **own)
    assert source.repo_id == (one.repo_id or "me/converted")
    assert source.catalogue == f"{name}@{one.digest}"
    options = options_of(one, Beside({}, {}, ""))
    assert source.rename == options.get("rename", {})
    action = source.dimension_names.get("action")
    assert action is None or tuple(action) == one.action.names
    if one.action is not None and one.action.kind != "mixed":
        assert source.action_type == ("delta" if one.action.is_stepwise else "absolute")
