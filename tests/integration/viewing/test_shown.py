# SPDX-License-Identifier: Apache-2.0
"""What is shown is what training would be given: numbers, windows, chunks; and what looks wrong comes first."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from lerobot_ambient.integration.viewing import shown
from lerobot_ambient.integration.viewing.opened import open_to_view
from lerobot_ambient.integration.viewing.shown import View
from lerobot_ambient.integration.viewing.windows_shown import EVERYWHERE, LEFT_OUT, NONE_YET, ROLLOUTS, TARGET

from .conftest import EVIL, JOINT_NAMES, ROLLOUT_LENGTHS, SHAKY, SOURCE_LENGTHS, TARGET_LENGTHS


def recorded(root, key, episode):
    """(T, D) as the dataset's own file has it."""
    table = pq.read_table(root / "data")
    rows = np.flatnonzero(table["episode_index"].to_numpy() == episode)
    return np.stack(table[key].to_pylist())[rows]


def test_the_shaky_episode_comes_first_and_says_why(view):
    first = view.episodes[0]
    assert (first.dataset, first.episode, first.odd) == (1, SHAKY, True)
    assert "moves elbow_flex.pos" in first.why[0]
    assert first.score > 1.0
    assert [one.odd for one in view.episodes].count(True) == 1
    # Then the rollout that failed, and after it the others by their scores.
    second = view.episodes[1]
    assert (second.dataset, second.episode, second.success) == (2, 1, False)
    scores = [one.score for one in view.episodes[2:]]
    assert scores == sorted(scores, reverse=True)
    assert view.find(2, 0).success is True
    assert view.find(0, 0).success is None
    assert len(view.episodes) == len(TARGET_LENGTHS) + len(SOURCE_LENGTHS) + len(ROLLOUT_LENGTHS)


@pytest.mark.parametrize(("dataset", "folder", "episode"), [(0, "target", 2), (1, "source", SHAKY), (2, "rollouts", 1)])
def test_the_numbers_are_the_recording_s(view, arm_data, dataset, folder, episode):
    told = view.episode(view.find(dataset, episode))
    for key in ("action", "observation.state"):
        expected = recorded(getattr(arm_data, folder), key, episode)
        # Six digits of a joint's largest value.
        assert np.array(told["columns"][key]) == pytest.approx(expected.T, abs=6e-4)
    assert told["frames"] == len(expected)
    assert told["task"] == "pick <b>it</b> up"


def test_the_window_of_each_frame_is_the_file_s(view):
    even, odd = (view.episode(view.find(1, episode))["window"] for episode in (0, 1))
    assert even["sigma_min"] == pytest.approx([0.2 + 0.005 * frame for frame in range(70)], abs=1e-4)
    assert even["sigma_max"] == [0.0] * 70
    assert odd["sigma_max"] == [0.1] * 80
    assert view.episode(view.find(0, 0))["window"] == {"sigma_min": 0.0, "sigma_max": 0.0}
    assert view.episode(view.find(2, 0))["window"] is None
    words = [one["window"] for one in view.index()["datasets"]]
    assert words == [TARGET, "a window per frame (classifier)", ROLLOUTS]


def test_one_window_and_none_yet(config):
    one = View.of(open_to_view(config(sigma_min=0.3, sigma_max=0.1)))
    assert one.episode(one.find(1, 0))["window"] == {"sigma_min": 0.3, "sigma_max": 0.1}
    assert one.index()["datasets"][1]["window"] == "teaches at noise levels [0, 0.1) U (0.3, 1]"
    none = View.of(open_to_view(config()))
    assert none.index()["datasets"][1]["window"] == NONE_YET
    assert none.episode(none.find(1, 0))["window"] is None


@pytest.mark.parametrize(
    ("mixing", "words", "sigma_min"), [("cotrain", EVERYWHERE, 0.0), ("target_only", LEFT_OUT, 1.0)]
)
def test_a_mixing_that_does_not_act_on_windows_is_shown_as_it_trains(config, windows_file, mixing, words, sigma_min):
    for declared in ({}, {"sigma_min": 0.3}, {"windows": str(windows_file)}):
        view = View.of(open_to_view(config(f"--policy.mixing.type={mixing}", **declared)))
        assert view.index()["datasets"][1]["window"] == words
        assert view.episode(view.find(1, 0))["window"] == {"sigma_min": sigma_min, "sigma_max": 0.0}


def test_soft_mixing_keeps_a_window_that_is_declared(config):
    soft = ("--policy.mixing.type=soft", "--policy.mixing.sigmas=[0.0,1.0]", "--policy.mixing.clean_shares=[1.0,0.5]")
    for declared, shown_min in (({}, 0.0), ({"sigma_min": 0.3}, 0.3)):
        view = View.of(open_to_view(config(*soft, **declared)))
        assert view.episode(view.find(1, 0))["window"] == {"sigma_min": shown_min, "sigma_max": 0.0}


def test_windows_of_another_normalisation_are_drawn_and_said(config, windows_file):
    view = View.of(open_to_view(config("--policy.horizon=16", windows=str(windows_file))))
    assert any("annotated under another normalisation, horizon is 8 there and 16 here" in note for note in view.notes)


def test_what_the_page_needs_for_a_chunk_gives_training_s_chunk(view):
    """The arithmetic of chunk.js in Python; a test in the browser compares that one with these."""
    index, told = view.index(), view.episode(view.find(1, 2))
    assert told["rate"] == 2.0
    assert told["samples"] == SOURCE_LENGTHS[2] - 4
    chunks = view.chunks[1]
    row = int(np.flatnonzero((chunks.episode == 2) & (chunks.frame == 31))[0])
    expected, _ = chunks.gather(torch.tensor([row]))
    offset, scale = (np.array(index["normalization"][name]) for name in ("offset", "scale"))
    places = [31 + 2 * delta for delta in index["action_deltas"]]
    action = np.array(told["columns"]["action"]).T
    assert (action[places] - offset) / scale == pytest.approx(expected[0].numpy(), abs=1e-5)


def test_the_arm_stands_where_its_joints_say(view):
    told = view.episode(view.find(0, 1))
    pan = told["columns"]["observation.state"][0]
    assert told["arm"]["pan"] == pytest.approx(pan, abs=0.01)
    base, shoulder = np.array(told["arm"]["points"][7]).reshape(7, 2)[:2]
    assert base.tolist() == [0.0, 0.0]
    assert shoulder.tolist() == [3.0, 11.7]
    assert view.names["action"] == JOINT_NAMES


def test_a_source_with_its_own_statistics_says_that_its_numbers_are_moved(config, view):
    own = View.of(open_to_view(config(sigma_min=0.3, normalization="own")))
    assert own.episode(own.find(1, 0))["arm"] is None
    assert own.episode(own.find(0, 0))["arm"] is not None
    said = "keeps its own statistics: its joints are shown as training has them"
    assert [EVIL in note for note in own.notes if said in note] == [True]
    assert not any(said in note for note in view.notes)


def test_an_episode_is_cut_at_the_bound(view, monkeypatch):
    monkeypatch.setattr(shown, "MOST_FRAMES", 10)
    told = view.episode(view.find(0, 0))
    assert (told["frames"], told["recorded"], len(told["columns"]["action"][0])) == (10, 40, 10)
    assert "of an episode the first 10 frames are shown; the longest has 84." in view.notes


def test_everything_is_json_without_infinity(view):
    for one in view.episodes:
        json.dumps(view.episode(one), allow_nan=False)
    index = json.loads(json.dumps(view.index(), allow_nan=False))
    assert [one["name"] for one in index["datasets"]] == ["me/target", EVIL, "rollouts"]
    assert [one["cameras"] for one in index["datasets"]] == [[True], [True], [False]]
    assert "'rollouts': with fewer than 6 episodes none is said to stick out." in index["notes"]
