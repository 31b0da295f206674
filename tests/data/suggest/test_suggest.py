# SPDX-License-Identifier: Apache-2.0
import dataclasses

import draccus
import numpy as np
import pytest
import yaml

from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.suggest.as_yaml import to_yaml
from lerobot_ambient.data.suggest.suggest import DatasetFacts, suggest

SO101 = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos"]
ME = Source("me/sim", sigma_min=0.3)


def numbers(names, size=None):
    return {"dtype": "float32", "shape": (size or len(names),), "names": names}


def camera(height=480, width=640, channels=3, depth=False):
    spec = {"dtype": "video", "shape": (height, width, channels), "names": ["height", "width", "channels"]}
    return spec | {"info": {"is_depth_map": True}} if depth else spec


def stats(low, high, mean=None):
    low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    return {"min": low, "max": high, "mean": (low + high) / 2 if mean is None else mean, "std": (high - low) / 4}


def arm(
    name="me/target", names=SO101, low=None, high=None, *, fps=30, keys=("action", "observation.state"), cameras=()
):
    """A robot whose actions and states have the same dimensions and ranges; degrees unless told."""
    size = len(names)
    low, high = -90.0 * np.ones(size) if low is None else low, 90.0 * np.ones(size) if high is None else high
    features = {key: numbers(names) for key in keys} | dict(cameras)
    return DatasetFacts(name, features, {key: stats(low, high) for key in keys}, fps)


def proposed(suggestion):
    """The block as it would be read back: pasted, parsed, decoded."""
    (pasted,) = yaml.safe_load("policy:\n  sources:\n" + to_yaml([suggestion]))["policy"]["sources"]
    assert pasted == suggestion.config
    return draccus.decode(Source, pasted)


def rules(suggestion, key="action"):
    return {name: dict(rule) for name, rule in suggestion.config.get("dimensions", {}).get(key, {}).items()}


# Nothing to say


def test_an_equal_source_needs_nothing():
    result = suggest(arm(), arm("me/sim"), ME)
    assert not result.is_needed
    text = to_yaml([result])
    assert text.splitlines()[-1] == "# Nothing is needed: every source fits as it is declared."
    assert yaml.safe_load(text) is None


def test_names_in_another_order_need_nothing():
    assert not suggest(arm(), arm("me/sim", SO101[::-1]), ME).is_needed


def test_further_features_and_dimensions_of_the_source_need_nothing():
    source = arm("me/sim", [*SO101, "torso.pos"], cameras={"observation.images.top": camera()})
    assert not suggest(arm(), source, ME).is_needed


def test_what_the_policy_does_not_read_needs_no_stand_in():
    target = arm(keys=("action", "observation.state", "observation.effort"))
    assert not suggest(target, arm("me/sim"), ME).is_needed


# Keys


@pytest.mark.parametrize("state", ["state", "qpos", "joint_positions", "observation.qpos", "robot_state"])
@pytest.mark.parametrize("action", ["actions", "action.joint_position", "ctrl"])
def test_customary_keys_are_recognised(action, state):
    result = suggest(arm(), arm("me/sim", keys=(action, state)), ME)
    assert proposed(result).rename == {action: "action", state: "observation.state"}
    assert not rules(result)


def test_a_state_is_no_environment_state():
    target = arm()
    target.features["observation.environment_state"] = numbers(None, 2)
    target.stats["observation.environment_state"] = stats([0, 0], [4, 8])
    result = suggest(target, arm("me/sim", keys=("action", "state")), ME)
    assert result.config["rename"] == {"state": "observation.state"}
    # It has none, so every dimension is filled with the target's mean.
    assert rules(result, "observation.environment_state") == {"0": {"fill": 2.0}, "1": {"fill": 4.0}}


def test_declared_options_are_kept_and_not_proposed_again():
    declared = dataclasses.replace(ME, rename={"actions": "action"}, fps=15.0, episodes=[1, 2])
    source = arm("me/sim", keys=("actions", "state"), fps=15).renamed(declared.rename)
    result = suggest(arm(), source, declared)
    assert list(result.reasons) == [("rename", "state")]
    config = proposed(result)
    assert config == dataclasses.replace(declared, rename={"actions": "action", "state": "observation.state"})


def test_a_target_without_action_is_refused_with_the_option():
    with pytest.raises(ValueError, match=r"'me/target' has no feature 'action'.*--policy\.target_rename="):
        suggest(arm(keys=("actions", "state")), arm("me/sim"), ME)


def test_a_source_without_actions_is_a_problem_and_not_a_fit():
    result = suggest(arm(), arm("me/sim", keys=("observation.state",)), ME)
    assert result.problems == ["none of its features resembles action (it has ['observation.state'])"]
    assert "PROBLEM" in to_yaml([result])
    assert "Nothing is needed" not in to_yaml([result])


# Dimensions


def test_affixes_and_an_arm_are_seen_through():
    names = [name.replace("shoulder", "main_shoulder").removesuffix(".pos") for name in SO101]
    result = suggest(arm(), arm("me/sim", names), ME)
    assert {name: rule["take"] for name, rule in rules(result).items()} == dict(zip(SO101, names, strict=True))
    assert set(result.reasons.values()) == {"same name but for affixes", "as action"}


def test_customary_names_of_the_same_joints():
    names = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper"]
    result = suggest(arm(), arm("me/aloha", names), ME)
    takes = [rules(result)[name]["take"] for name in SO101]
    assert takes == ["waist", "shoulder", "elbow", "wrist_angle", "wrist_rotate", "gripper"]


def test_the_arm_that_moves_more_is_mapped_by_order_and_its_hand_to_the_gripper():
    names = [f"{side}.joint_{i}.pos" for side in ("left", "right") for i in range(1, 8)]
    names += [f"{side}_hand.joint_{i}.pos" for side in ("left", "right") for i in (1, 2, 3)]
    high = np.array([1.0] * 7 + [40.0] * 7 + [0.0] * 3 + [10.0, 250.0, 30.0])
    result = suggest(arm(), arm("me/hands", names, -high / 10, high), ME)
    takes = [rules(result)[name]["take"] for name in SO101]
    assert takes == [*(f"right.joint_{i}.pos" for i in range(1, 6)), "right_hand.joint_2.pos"]
    assert (
        "joint 1 of 5 by order (7 there), right arm (it moves more)" in result.reasons["dimensions", "action", SO101[0]]
    )
    assert rules(result, "observation.state") == rules(result)


def test_a_single_arm_teaches_the_arm_that_moves_more_and_the_other_carries_no_loss():
    names = [f"{side}_{name}" for side in ("left", "right") for name in SO101]
    high = np.array([50.0] * 6 + [5.0] * 6)
    result = suggest(arm(names=names, low=-high, high=high), arm("me/sim"), ME)
    action, state = rules(result), rules(result, "observation.state")
    assert {name: rule["take"] for name, rule in action.items() if "take" in rule} == {f"left_{n}": n for n in SO101}
    assert all(action[f"right_{name}"] == {"mask": True} for name in SO101)
    assert all(state[f"right_{name}"] == {"fill": 0.0} for name in SO101)


def test_one_unknown_joint_of_a_known_arm_is_absent_and_not_filled_up_by_order():
    names = [*SO101[:4], "torso_lift.pos", SO101[5]]
    result = suggest(arm(), arm("me/sim", names), ME)
    assert rules(result) == {"wrist_roll.pos": {"mask": True}}
    assert rules(result, "observation.state") == {"wrist_roll.pos": {"fill": 0.0}}


def test_a_wrist_under_another_name_is_taken_and_never_masked():
    names = [*SO101[:3], "wrist_pitch", SO101[4], SO101[5]]
    result = suggest(arm(), arm("me/sim", names), ME)
    assert rules(result) == {"wrist_flex.pos": {"take": "wrist_pitch"}}
    assert rules(result, "observation.state") == {"wrist_flex.pos": {"take": "wrist_pitch"}}
    assert result.notes == []


def test_one_common_gripper_does_not_make_the_joints_absent():
    joints = [f"joint_{i}.pos" for i in range(1, 7)]
    result = suggest(arm(), arm("me/piper", [*joints, "gripper.pos"]), ME)
    assert {name: rule["take"] for name, rule in rules(result).items()} == dict(zip(SO101[:5], joints[:5], strict=True))
    assert all("by order" in why and "check" in why for (_, key, _), why in result.reasons.items() if key == "action")
    assert "left over in action and observation.state: none of the target; joint_6.pos of the source" in result.notes


def test_what_is_left_over_is_listed_on_both_sides():
    result = suggest(arm(), arm("me/sim", [*SO101[:4], "torso_lift.pos", "x"]), ME)
    assert result.notes[0] == (
        "left over in action and observation.state: wrist_roll.pos, gripper.pos of the target; "
        "torso_lift.pos, x of the source"
    )
    assert "# note: left over in action" in to_yaml([result])


def test_joints_are_not_taken_from_poses_or_velocities():
    result = suggest(arm(), arm("me/sim", ["x", "y", "z", "roll", "pitch", "yaw", "x.vel"]), ME)
    assert all(rule == {"mask": True} for rule in rules(result).values())
    assert result.problems == ["no dimension of its action resembles one of the target's: it would teach nothing"]


def test_missing_names_are_matched_by_place():
    source = DatasetFacts("me/sim", {key: numbers(None, 6) for key in ("action", "observation.state")})
    result = suggest(arm(), source, ME)
    assert not result.is_needed
    assert result.notes[0] == "action: one side names no dimensions; they are taken in their order"
    assert not suggest(source, source, ME).notes


def test_missing_names_of_another_size_are_matched_by_order_the_gripper_last():
    source = DatasetFacts("me/sim", {key: numbers(None, 8) for key in ("action", "observation.state")})
    takes = [rule["take"] for rule in rules(suggest(arm(), source, ME)).values()]
    assert takes == ["0", "1", "2", "3", "4", "7"]
    assert proposed(suggest(arm(), source, ME)).dimensions["action"][SO101[5]].take == "7"


def test_a_declared_dimension_is_kept_and_its_source_not_taken_twice():
    names = [f"joint_{i}" for i in range(1, 7)]
    declared = draccus.decode(
        Source, {"repo_id": "me/sim", "dimensions": {"action": {SO101[5]: {"take": "joint_1", "scale": -1.0}}}}
    )
    result = suggest(arm(), arm("me/sim", names), declared)
    action = rules(result)
    assert action[SO101[5]] == {"take": "joint_1", "scale": -1.0}
    assert [action[name]["take"] for name in SO101[:5]] == names[1:]
    # What was declared for actions holds for states of the same dimensions.
    assert rules(result, "observation.state") == action
    assert ("dimensions", "action", SO101[5]) not in result.reasons


def test_what_was_declared_wrongly_stays_a_problem():
    wrong = {"repo_id": "me/sim", "dimensions": {"action": {SO101[0]: {"take": "jont_1"}, "elbow": {"mask": True}}}}
    result = suggest(arm(), arm("me/sim"), draccus.decode(Source, wrong))
    (unknown, missing) = [problem for problem in result.problems if problem.startswith("action")]
    assert "dimensions names ['elbow']" in unknown
    assert "take: jont_1" in missing


def test_without_statistics_a_map_is_proposed_all_the_same():
    source = DatasetFacts("me/sim", {key: numbers(["a", "b"]) for key in ("action", "observation.state")})
    target = DatasetFacts("me/target", {key: numbers(["c", "d", "e"]) for key in ("action", "observation.state")})
    result = suggest(target, source, ME)
    assert rules(result) == {"c": {"take": "a"}, "d": {"take": "b"}, "e": {"mask": True}}
    assert rules(result, "observation.state")["e"] == {"fill": 0.0}
    assert "mean is not recorded" in result.reasons["dimensions", "observation.state", "e"]


# Units


@pytest.mark.parametrize("there", [np.pi, 6.3])
def test_radians_become_degrees(there):
    source = arm("me/sim", SO101, -np.ones(6) * there, np.array([there] * 5 + [1.0]))
    result = suggest(arm(), source, ME)
    assert [rules(result)[name] for name in SO101[:5]] == [{"scale": 57.29578}] * 5
    assert "radians to degrees, check the sign" in result.reasons["dimensions", "action", SO101[0]]
    assert proposed(result).dimensions["observation.state"][SO101[0]].scale == pytest.approx(180 / np.pi)


def test_degrees_become_radians():
    joints = SO101[:5]
    here = arm(names=joints, low=-2 * np.ones(5), high=2 * np.ones(5))
    result = suggest(here, arm("me/real", joints), ME)
    assert list(rules(result).values()) == [{"scale": 0.01745329}] * 5


def test_the_unit_is_judged_by_the_whole_arm():
    # One joint hardly moves; its sisters show that the arm is in degrees.
    still = [-1.0, *[-90.0] * 5]
    assert not suggest(arm(), arm("me/sim", SO101, still, -np.array(still)), ME).is_needed


def test_steps_keep_their_zero():
    names = ["claw"]
    target = arm(names=[SO101[5]], low=[0.0], high=[40.0])
    source = arm("me/hand", names, [5.0], [250.0])
    source.stats["action"] = stats([-2.0], [2.0])
    result = suggest(target, source, ME)
    assert result.config["action_type"] == "delta"
    # Ranges of both together: -2..250 onto 0..40. A step of 0 stays a step of 0.
    assert rules(result, "observation.state") == {SO101[5]: {"take": "claw", "scale": 0.1587, "offset": 0.3174}}
    assert rules(result) == {SO101[5]: {"take": "claw", "scale": 0.1587}}


def test_own_statistics_are_offered_where_ranges_hardly_overlap():
    far = suggest(arm(), arm("me/sim", SO101, 80 * np.ones(6), 170 * np.ones(6)), ME)
    assert ("normalization: own", far.alternatives[-1][1]) == far.alternatives[-1]
    assert "6 of 6" in far.alternatives[-1][1]
    assert not suggest(arm(), arm("me/sim"), ME).alternatives
    assert not suggest(
        arm(), arm("me/sim", low=80 * np.ones(6)), dataclasses.replace(ME, normalization="own")
    ).alternatives


# Cameras, time, action type


def test_the_only_camera_left_on_both_sides_is_the_pair():
    target = arm(cameras={"observation.images.front": camera(), "observation.images.top": camera()})
    source = arm("me/sim", cameras={"observation.images.top": camera(240, 320), "image": camera(120, 160)})
    result = suggest(target, source, ME)
    assert proposed(result).rename == {"image": "observation.images.front"}
    assert "cameras" not in result.config


def test_cameras_pair_by_name_then_by_order_and_the_rest_is_black():
    views = ("wrist_left", "front", "top")
    target = arm(cameras={f"observation.images.{view}": camera() for view in views})
    source = arm("me/sim", cameras={"cam_overhead": camera(), "camera_left_wrist": camera(720, 1280)})
    config = proposed(suggest(target, source, ME))
    assert config.rename == {
        "camera_left_wrist": "observation.images.wrist_left",
        "cam_overhead": "observation.images.front",
    }
    assert config.cameras["observation.images.top"].fill == 0.0
    assert config.cameras["observation.images.wrist_left"].fit == "crop"
    assert set(config.cameras) == {"observation.images.top", "observation.images.wrist_left"}


def test_depth_and_colour_do_not_pair():
    target = arm(cameras={"observation.images.front": camera()})
    result = suggest(target, arm("me/sim", cameras={"depth": camera(channels=1, depth=True)}), ME)
    assert result.config["cameras"] == {"observation.images.front": {"fill": 0.0}}
    same_key = suggest(target, arm("me/sim", cameras={"observation.images.front": camera(channels=1, depth=True)}), ME)
    assert same_key.problems == ["observation.images.front has 1 channels there, 3 here: rename another camera to it"]


def test_numbers_under_a_cameras_key_are_a_problem():
    target = arm(cameras={"observation.images.front": camera()})
    source = arm("me/sim", keys=("action", "observation.state", "observation.images.front"))
    assert suggest(target, source, ME).problems == [
        "observation.images.front is a camera here and numbers there: rename that one to a key of its own"
    ]


def test_another_frame_rate_is_only_reported():
    result = suggest(arm(), arm("me/sim", fps=10), ME)
    assert not result.is_needed
    assert result.notes == ["10 fps there, 30 here: resampled in time, nothing to declare"]


def test_steps_against_positions_are_proposed_with_the_evidence():
    steps = arm("me/sim")
    steps.stats["action"] = stats(-2 * np.ones(6), 2 * np.ones(6))
    result = suggest(arm(), steps, ME)
    assert proposed(result).action_type == "delta"
    assert "0.022 times as far as its states" in result.reasons["action_type",]
    assert suggest(steps, arm("me/sim"), ME).config["action_type"] == "absolute"
    assert not suggest(steps, steps, ME).is_needed


def test_a_window_is_left_to_the_person():
    result = suggest(arm(), arm("me/sim", keys=("actions", "state")), Source("me/sim"))
    text = to_yaml([result])
    assert "      # sigma_min: 0.3  # choose: see docs/how-to/choose-a-window.md" in text.splitlines()
    assert proposed(result).sigma_min is None
    assert "sigma_min: 0.3\n" in to_yaml([suggest(arm(), arm("me/sim", keys=("actions", "state")), ME)])
