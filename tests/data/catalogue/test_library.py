# SPDX-License-Identifier: Apache-2.0
"""Entries found by name, file, folder and filter, and what is wrong with a file that is none."""

import os
import re

import pytest
import yaml

from lerobot_ambient.data.catalogue.library import VARIABLE, chosen, entries, entry, entry_of, unpinned

from .mine import VALUES, changed, text


@pytest.fixture
def folder(tmp_path):
    """mine/arm.yaml and openx/toto.yaml below a folder."""
    for name in ("mine/arm", "openx/toto"):
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir()
        path.write_text(text(VALUES))
    return tmp_path


def refused(tmp_path, values) -> str:
    path = tmp_path / "wrong.yaml"
    path.write_text(values if isinstance(values, str) else text(values))
    with pytest.raises(ValueError) as refusal:
        entry(str(path))
    message = str(refusal.value)
    assert str(path) in message
    return message


def test_an_own_entry_is_found_by_its_path(folder):
    one = entry(str(folder / "mine/arm.yaml"))
    assert (one.name, one.repo_id, one.fps) == ("arm", "me/arm", 10.0)
    assert one.action.gripper == {"gripper": {"open": 1.0, "closed": 0.0}}


def test_a_folder_of_the_environment_stands_before_the_package(folder, monkeypatch):
    assert entry("openx/toto").repo_id == "lerobot/toto"
    monkeypatch.setenv(VARIABLE, os.pathsep.join([str(folder), str(folder / "mine/arm.yaml")]))
    assert entry("openx/toto").repo_id == entry("mine/arm").repo_id == entry("arm").repo_id == "me/arm"
    assert entry_of("me/arm") is not None
    assert len(entries()) == len(entries([folder])) > 40


def test_an_own_folder_may_bring_references(folder):
    values = changed(
        unverified={k: v for k, v in VALUES["unverified"].items() if k != "fps"}, evidence={"fps": ["log"]}
    )
    (folder / "mine/arm.yaml").write_text(text(values))
    with pytest.raises(ValueError, match=r"evidence\.fps is \['log'\]; write some of .*or add to references\.yaml"):
        entries([folder])
    (folder / "references.yaml").write_text(yaml.safe_dump({"log": {"what": "my notes", "where": "a drawer"}}))
    assert entry("mine/arm", [folder]).evidence == {"fps": ("log",)}
    (folder / "mine/references.yaml").write_text((folder / "references.yaml").read_text())
    assert entry(str(folder / "mine/arm.yaml")).evidence == {"fps": ("log",)}
    (folder / "references.yaml").write_text("log: here")
    with pytest.raises(
        ValueError, match=r"references\.yaml: the reference 'log' is 'here'; write what it is and where"
    ):
        entries([folder])


def test_a_name_that_there_is_not_is_answered_with_those_alike(tmp_path):
    with pytest.raises(ValueError, match=r"no entry 'openx/brige'\. Did you mean openx/bridge.*LEROBOT_AMBIENT_CATALO"):
        entry("openx/brige")
    with pytest.raises(ValueError, match=r"no catalogue entry at nowhere\.yaml \(that is /.*nowhere\.yaml\)"):
        entry("nowhere.yaml")


def test_a_copy_is_found_by_its_repo_id_too():
    assert entry_of("IPEC-COMMUNITY/toto_lerobot").name == "openx/toto"
    assert entry_of("me/nothing") is None


def test_filters():
    known = list(entries().values())
    franka = chosen(known, robot="Franka", action="ee_delta", camera="wrist")
    assert "openx/viola" in [one.name for one in franka]
    assert all("franka" in one.robot.lower() and one.action.kind == "ee_delta" for one in franka)
    both = chosen(known, arms=2, camera="wrist")
    assert both
    assert all(one.camera_of("left_wrist") and one.arms == 2 for one in both)
    assert {one.action.kind for one in chosen(known, action="ee")} == {"ee_delta", "ee_absolute", "ee_velocity"}
    with pytest.raises(ValueError, match=r"no kind of actions begins with 'pose'; there are joint, "):
        chosen(known, action="pose")
    with pytest.raises(ValueError, match=r"no camera is called 'front'; there are third_person, "):
        chosen(known, camera="front")


def test_a_digest_behind_a_name():
    assert unpinned("openx/toto@1a2b3c4d") == ("openx/toto", "1a2b3c4d")
    assert unpinned("openx/toto") == ("openx/toto", None)


def test_damage_is_named_with_file_key_and_fix(tmp_path):
    feature = VALUES["features"]["action"]

    def with_action(**keys):
        action = {key: value for key, value in {**feature, **keys}.items() if value is not None}
        return changed(features={**VALUES["features"], "action": action})

    camera = {"cameras": {"observation.images.front": {"role": "front"}}}
    colours = {"cameras": {"observation.images.front": {"role": "wrist", "colours": "grb"}}}
    size = {"cameras": {"observation.images.front": {"role": "wrist", "shape": [3, 4, 5]}}}
    for values, message in (
        ("a: [", r"is no YAML"),
        ("- a", r"the file is \['a'\]; write a mapping"),
        (changed(fsp=3), r"the file is \[.*it knows no \['fsp'\]; the keys are \['repo_id'"),
        (changed(robot=None), r"it lacks \['robot'\]"),
        (changed(fps=-1), r"fps is -1; write a positive number"),
        (changed(fps=True), r"fps is True; write a positive number"),
        (changed(robot=7), r"robot is 7; write a text"),
        (changed(arms=3), r"arms is 3; write one of 1, 2"),
        (changed(quirks="none"), r"quirks is 'none'; write a list of texts"),
        (changed(**camera), r"cameras.observation.images.front.role is 'front'; write one of third_person"),
        (changed(**colours), r"cameras.observation.images.front.colours is 'grb'; write one of rgb, bgr"),
        (changed(**size), r"front\.shape is \[3, 4, 5\]; write \[height, width\]"),
        (with_action(kind="pose"), r"features.action.kind is 'pose'; write one of joint, joint_delta"),
        (with_action(frame=None), r"features.action.frame is None; of ee_delta write one of base, tool"),
        (with_action(frame="world"), r"features.action.frame is 'world'; write one of base"),
        (with_action(step="angles"), r"features.action.step is 'angles'; write one of relative, difference"),
        (with_action(kind="ee_absolute", step="difference"), r"action.step is 'difference'; leave it out: its numbers"),
        (with_action(rotation="xyz"), r"features.action.rotation is 'xyz'; write one of none, rpy"),
        (with_action(names=["x", "x"]), r"features.action.names is \['x', 'x'\]; write one name a dimension"),
        (with_action(stored=["a"]), r"features.action.stored is \['a'\]; write 7 names"),
        (with_action(units={"position": "inch"}), r"features.action.units.position is 'inch'; write one of m, mm"),
        (
            with_action(gripper={"hand": {"open": 1, "closed": 0}}),
            r"it knows no \['hand'\]; the keys are \('x', 'y'|it",
        ),
        (with_action(gripper={"gripper": {"open": 1}}), r"features.action.gripper.gripper is \['open'\]; it lacks"),
        (with_action(gripper={"gripper": {"open": "1", "closed": 0}}), r"gripper.open is '1'; write the number"),
        (with_action(gain={"x": 0}), r"features.action.gain.x is 0; write a positive number"),
        (with_action(padding=["pad"]), r"features.action.padding is \['pad'\]; \['pad'\] are none of"),
        (changed(rename={"state": "observation.state"}), r"rename is .*\['state'\] are neither among"),
        (changed(evidence={"weight": ["tfds"]}), r"evidence and unverified is .*\['weight'\] are no facts of it"),
        (changed(unverified={"fps": "x"}), r"evidence is \[\]; say where \['action', 'cameras', .*under unverified"),
        (changed(evidence={"fps": []}), r"evidence.fps is \[\]; write some of"),
    ):
        said = refused(tmp_path, values)
        assert re.search(message, said, re.DOTALL), said
