# SPDX-License-Identifier: Apache-2.0
"""The proposed block as YAML: what is pasted is what was meant, and it leaves nothing to say."""

import shutil

import draccus
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_ambient.data.alignment.feature_map import resolve
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.suggest.as_yaml import to_yaml
from lerobot_ambient.data.suggest.suggest import DatasetFacts, facts_of, suggest

SO101 = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos"]
ME = Source("me/sim", sigma_min=0.3)


def numbers(names, size=None):
    return {"dtype": "float32", "shape": (size or len(names),), "names": names}


def camera(height):
    return {"dtype": "video", "shape": (height, 640, 3), "names": ["height", "width", "channels"]}


def robot(name="me/target", names=SO101, keys=("action", "observation.state")):
    return DatasetFacts(name, {key: numbers(names) for key in keys})


def proposed(suggestion):
    """The block as it would be read back: pasted, parsed, decoded."""
    (pasted,) = yaml.safe_load("policy:\n  sources:\n" + to_yaml([suggestion]))["policy"]["sources"]
    assert pasted == suggestion.config
    return draccus.decode(Source, pasted)


def test_a_source_that_needs_nothing_is_kept_beside_one_that_does():
    fits = suggest(robot(), robot("me/sim"), Source("me/sim", sigma_min=0.3, weight=2.0))
    other = suggest(robot(), robot("me/real", keys=("actions", "state")), Source("me/real", sigma_max=0.1))
    first, second = yaml.safe_load(to_yaml([fits, other]))
    assert first == {"repo_id": "me/sim", "sigma_min": 0.3, "weight": 2.0}
    assert second["rename"] == {"actions": "action", "state": "observation.state"}


def test_awkward_names_survive_yaml():
    names = ["on", "1e3", "a: b", "#k", "{m}", "'n'"]
    target = robot(names=["yes", "2", "c: d", "#s", "{t}", '"u"'])
    config = proposed(suggest(target, robot("me/sim", names), ME))
    assert [rule.take for rule in config.dimensions["action"].values()] == names


WORDS = st.sampled_from(["left", "right", "shoulder", "joint", "1", "2", "gripper", "hand", "x", "vel", "pan", "pos"])
NAMES = st.none() | st.lists(st.lists(WORDS, min_size=1, max_size=3).map("_".join), min_size=1, max_size=6, unique=True)


@st.composite
def data_sets(draw, keys):
    features, values = {}, {}
    for key in keys:
        names = draw(NAMES)
        size = len(names) if names is not None else draw(st.integers(1, 6))
        features[key] = numbers(names, size)
        if draw(st.booleans()):
            low = np.array(draw(st.lists(st.floats(-200, 200), min_size=size, max_size=size)))
            span = np.array(draw(st.lists(st.floats(0, 300), min_size=size, max_size=size)))
            values[key] = {"min": low, "max": low + span, "mean": low + span / 2, "std": span / 4}
    for view in draw(st.sets(st.sampled_from(["image", "observation.images.a", "observation.images.b"]))):
        features[view] = camera(draw(st.sampled_from([240, 480])))
    return DatasetFacts("me/any", features, values, draw(st.sampled_from([10.0, 30.0])))


@settings(max_examples=60, deadline=None)
@given(
    target=data_sets(["action", "observation.state", "observation.environment_state"]),
    source=data_sets(["actions", "observation.state"]),
)
def test_a_person_who_says_yes_has_said_everything(target, source):
    result = suggest(target, source, ME)
    assert not [problem for problem in result.problems if "would teach nothing" not in problem]
    config = proposed(result)
    renamed = source.renamed(config.rename)
    for key in ("action", "observation.state"):
        _, problems = resolve(key, target.features[key], renamed.features[key], config.dimensions.get(key, {}))
        assert problems == []
    takes = [rule.take for rule in config.dimensions.get("action", {}).values() if rule.take is not None]
    assert len(takes) == len(set(takes))
    again = suggest(target, renamed, config)
    assert again.reasons == {}
    assert again.config == result.config


def test_the_real_pair(shared_data, tmp_path):
    roots = {
        name: shutil.copytree(shared_data / name / "meta", tmp_path / name / "meta").parent
        for name in ("so101_teleop", "bimanual_hands")
    }
    target = facts_of(Source("so101_teleop", root=str(roots["so101_teleop"])))
    declared = Source("bimanual_hands", root=str(roots["bimanual_hands"]))
    result = suggest(target, facts_of(declared), declared)
    config = proposed(result)
    assert config.rename == {"actions": "action", "state": "observation.state"}
    takes = [config.dimensions["action"][name].take for name in SO101]
    # The left arm rests; joint 7 of the right hand is the one that opens and closes.
    assert takes == [*(f"right.joint_{i}.pos" for i in range(1, 6)), "right_hand.joint_7.pos"]
    assert config.dimensions["observation.state"] == config.dimensions["action"]
    assert all(config.dimensions["action"][name].scale == 1.0 for name in SO101[:5])
    gripper = config.dimensions["action"]["gripper.pos"]
    assert gripper.scale * np.array([5.0, 245.0]) + gripper.offset == pytest.approx([1.0, 34.41], abs=0.02)
    assert [line for line, _ in result.alternatives] == ["sigma_min: 0.3", "normalization: own"]
    # stats.json was computed on 50 episodes, 8 are here; its smallest action of this joint is -42 degrees.
    assert facts_of(declared).range("actions", "right.joint_3.pos") == pytest.approx((-39.4, -7.0), abs=0.01)
