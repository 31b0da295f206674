# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient catalogue`, and what other verbs make of an entry: public sources for a target of the tests' own."""

import json
import re

import pytest
import yaml

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.catalogue.library import VARIABLE
from lerobot_ambient.integration.training.configured_mixture import load_train_config

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
ARM = """
repo_id: me/arm
robot: arm
fps: 10
cameras:
  observation.images.front: {role: third_person, shape: [24, 24]}
  observation.images.wrist: {role: wrist, shape: [24, 24]}
features:
  action:
    {kind: ee_delta, frame: base, rotation: rpy, names: &pose [x, "y", z, roll, pitch, yaw, gripper]}
  observation.state: {kind: ee_absolute, frame: base, rotation: rpy, names: *pose}
evidence: {}
unverified: {repo_id: a, license: a, robot: a, fps: a, cameras: a, action: a, observation.state: a}
"""
SMALL = ["--policy.type=ambient_diffusion", "--policy.device=cpu", "--policy.horizon=8", "--policy.n_action_steps=4"]
SMALL += ["--policy.drop_n_last_frames=0", "--policy.mixing.type=ambient"]


@pytest.fixture
def arm(tmp_path, monkeypatch):
    """The folder of `mine/arm`, which the environment names."""
    (tmp_path / "own/mine").mkdir(parents=True)
    (tmp_path / "own/mine/arm.yaml").write_text(ARM)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.fixture
def target(arm, generated_entry):
    return generated_entry("mine/arm")


def test_it_lists_those_that_fit(capsys):
    assert main(["catalogue", "--action", "ee_delta", "--camera", "wrist", "--robot", "franka", "--arms", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["entry", "robot", "arms", "fps", "actions", "numbers", "cameras", "dataset"]
    (viola,) = [line for line in lines if line.startswith("openx/viola ")]
    assert viola.split()[1:] == ["franka", "1", "20", "ee_delta", "7/8", "third_person,wrist", "lerobot/viola"]
    assert re.fullmatch(r"\d+ of \d+ entries; `lerobot-ambient catalogue NAME` shows one\.", lines[-1])
    assert main(["catalogue", "--robot", "no such robot"]) == 1
    assert "has all of that; robots are AgiBot_A2D, agilex_3rgb, aloha, " in capsys.readouterr().out
    # Its info.json calls it so100_follower.
    assert main(["catalogue", "--robot", "SO101"]) == 0
    assert "so/so101_pickplace  so100_follower" in capsys.readouterr().out


def test_it_shows_one_with_its_sources(capsys):
    assert main(["catalogue", "openx/fractal"]) == 0
    said = capsys.readouterr().out
    for line in (
        "openx/fractal: BrunoM42/fractal20220817_data_lerobot",
        "  observation.images.image: head, 256x320",
        "  ee_delta: steps of an end effector",
        "  gripper: 0 open, 1 closed",
        "  gripper: 1 open, 0 closed",
        "  in its info.json: x, y, z, rx, ry, rz, rw, gripper",
        "could not be verified",
        "in a configuration: sources: [{catalogue: openx/fractal, sigma_min: ...}]",
    ):
        assert line in said, line
    assert "beside policy.target_end_effector: nothing else; its actions are delta_base, its states poses" in said
    assert main(["catalogue", "openx/bridge"]) == 0
    assert "  difference: a step is the next pose's numbers less the state's" in capsys.readouterr().out
    assert main(["catalogue", "openx/fmb"]) == 0
    assert "declare end_effector, since the position of its action" in capsys.readouterr().out
    facts = said.partition("facts are from\n")[2]
    assert facts.startswith("  repo_id: gam\n")
    assert "  - openvla: " in facts


def test_json_has_everything(capsys):
    assert main(["catalogue", "openx/toto", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert (one["name"], one["complete"], one["fps"]) == ("openx/toto", True, 30)
    action = one["features"][0]
    assert (action["key"], action["names"][0], action["gripper"][0]["open"]) == ("action", "x", 1.0)
    assert main(["catalogue", "--arms", "2", "--json"]) == 0
    assert {entry["arms"] for entry in json.loads(capsys.readouterr().out)} == {2}


def test_own_entries_and_wrong_ones(arm, monkeypatch, capsys):
    monkeypatch.delenv(VARIABLE)
    assert main(["catalogue", "mine/arm", "--add", str(arm)]) == 0
    assert "mine/arm: me/arm" in capsys.readouterr().out
    assert main(["catalogue", "mine/arm"]) == 2
    assert "the catalogue has no entry 'mine/arm'" in capsys.readouterr().err
    assert main(["catalogue", "openx/toto", "--arms", "2"]) == 2
    assert "'openx/toto' names one entry, and" in capsys.readouterr().err
    (arm / "mine/arm.yaml").write_text(ARM.replace("fps: 10", "fps: ten"))
    assert main(["catalogue", "--add", str(arm)]) == 2
    assert "arm.yaml: fps is 'ten'; write a positive number" in capsys.readouterr().err


def test_init_writes_entries_with_views(target, generated_entry, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bridge, toto = (generated_entry(f"openx/{name}") for name in ("bridge", "toto"))
    sources = ["--source", f"catalogue:openx/bridge={bridge}", "--source", f"catalogue:openx/toto={toto}"]
    assert main(["init", "--target", f"me/arm={target}", *sources, *SMALL]) == 0
    said = capsys.readouterr().out
    assert "could not verify action.frame, action.rotation; `lerobot-ambient catalogue openx/toto` says why." in said
    text = (tmp_path / "mine.yaml").read_text()
    assert "wrist: observation.images.wrist         # the dataset has no such camera: black" in text
    first, second = yaml.safe_load(text)["policy"]["sources"]
    assert first == {
        "catalogue": "openx/bridge",
        "root": str(bridge),
        "views": {"third_person": FRONT, "wrist": WRIST},
    }
    # Joints are no pose, and the last of seven is no gripper.
    fills = second["dimensions"]["observation.state"]
    assert all(rule.keys() == {"fill"} for rule in fills.values())
    assert set(fills) == {"x", "y", "z", "roll", "pitch", "yaw", "gripper"}
    cfg = load_train_config("mine.yaml", [])
    assert [source.repo_id for source in cfg.policy.sources] == ["BrunoM42/bridge_orig_lerobot", "lerobot/toto"]


def test_init_refuses_an_entry_as_target_and_one_without_a_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--target=catalogue:openx/toto", "--source=me/sim"]) == 2
    assert "the catalogue is for sources" in capsys.readouterr().err
    assert main(["init", "--target=me/arm", "--source=catalogue:"]) == 2
    assert "catalogue:openx/toto for an entry of the catalogue" in capsys.readouterr().err


def options(target, *sources):
    return [*SMALL, "--dataset.repo_id=me/arm", f"--dataset.root={target}", f"--policy.sources={json.dumps(sources)}"]


def test_suggest_proposes_the_entry_of_a_repo_id(target, generated_entry, capsys):
    bad = str(generated_entry("openx/bridge", cameras=[], change={"action": ["a", "b", "c"]}))
    known = {"repo_id": "lerobot/viola", "root": str(generated_entry("openx/viola"))}
    others = {"repo_id": "BrunoM42/bridge_orig_lerobot", "root": bad}, {"catalogue": "openx/bridge", "root": bad}
    assert main(["inspect", "--suggest", "--json", *options(target, known, *others)]) == 1
    viola, bridge, asked = json.loads(capsys.readouterr().out)["sources"]
    assert viola["source"]["catalogue"] == "openx/viola"
    assert "repo_id" not in viola["source"]
    assert viola["source"]["views"] == {"third_person": FRONT, "wrist": WRIST}
    reasons = {tuple(one["option"]): one["why"] for one in viola["reasons"]}
    assert reasons["catalogue",] == "says what its numbers are: lerobot-ambient catalogue openx/viola"
    assert reasons["views", "wrist"] == "its observation.images.eye_in_hand_rgb: check the view"
    # Another dataset than the entry's: told where it is known by its repo_id, a problem where it is asked for.
    assert "catalogue" not in bridge["source"]
    assert bridge["notes"][0].startswith("another dataset than the catalogue has: ")
    assert asked["problems"][0].startswith("another dataset than the catalogue has: ")


def test_suggest_says_that_poses_teach_joints_little(write_dataset, generated_entry, tmp_path, capsys):
    arm = ["shoulder.pos", "elbow.pos", "gripper.pos"]
    joints = write_dataset(tmp_path / "joints", "me/joints", [8], dims=3, names=arm, env_state=False)
    taco = {
        "catalogue": "openx/taco_play",
        "root": str(generated_entry("openx/taco_play", cameras=[])),
        "sigma_min": 0.3,
    }
    assert main(["inspect", "--suggest", "--json", *options(joints, taco)]) == 0
    (told,) = json.loads(capsys.readouterr().out)["sources"]
    (note,) = [note for note in told["notes"] if "target_end_effector" in note]
    assert note.startswith("its actions are steps of an end effector, the target's are shoulder.pos, elbow.pos, grip")
    assert main(["inspect", *options(joints, taco)]) == 2
    assert "Its actions are of an end effector and the target's are not: policy.target_end" in capsys.readouterr().err
    # Its gains are of dimensions that the target lacks.
    assert main(["inspect", "--json", *options(joints, told["source"])]) == 0


def test_inspect_names_what_differs_and_refuses_what_would_change_a_meaning(target, generated_entry, capsys):
    views = {"third_person": FRONT, "wrist": WRIST}
    other = generated_entry("openx/bridge", change={"fps": 15, "robot_type": "ur5"})
    source = {"catalogue": "openx/bridge", "root": str(other), "sigma_min": 0.5, "views": views}
    assert main(["inspect", "--json", *options(target, source)]) == 0
    report = json.loads(capsys.readouterr().out)
    differ = "fps: the entry says 5, the dataset 15; robot: the entry says widowx, the dataset ur5"
    assert any(
        "its catalogue entry openx/bridge and its own metadata differ" in n and differ in n for n in report["notes"]
    )
    assert any("could not verify cameras" in note for note in report["notes"])
    swapped = ["y", "x", "z", "roll", "pitch", "yaw", "gripper"]
    wrong = generated_entry("openx/bridge", change={"action": swapped})
    assert main(["inspect", *options(target, {**source, "root": str(wrong)})]) == 2
    said = capsys.readouterr().err
    assert "action: the entry says its dimensions are ['x', 'y', 'z', " in said
    assert f"the dataset {swapped}" in said
    named = {**source, "root": str(wrong), "dimension_names": {"action": swapped}}
    assert main(["inspect", *options(target, named)]) == 0
