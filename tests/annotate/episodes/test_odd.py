# SPDX-License-Identifier: Apache-2.0
"""Episodes to look at first: planted ones are named with what is wrong, and of clean datasets nothing is said."""

import dataclasses

import numpy as np
import pytest
import torch

from lerobot_ambient.annotate.chunks.chunk_set import ActionAxes, ArrayChunks
from lerobot_ambient.annotate.chunks.spread import spread_over_episodes
from lerobot_ambient.annotate.classifier.episode_scores import EpisodeScores
from lerobot_ambient.annotate.episodes.motion import EpisodeMotion, episode_motion
from lerobot_ambient.annotate.episodes.odd import deviations, limit, odd_episodes

HORIZON, LENGTH = 8, 40
AXES = ActionAxes(("pan", "lift", "elbow"), 10.0)


def walks(episodes, seed, far=0.3):
    """Smooth paths of three joints, from anywhere to anywhere, with waves."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0.0, 1.0, LENGTH)[None, :, None]
    start, end = rng.uniform(-0.8, 0.8, (2, episodes, 1, 3))
    waves = np.sin(2 * np.pi * (time * rng.uniform(0.5, 2.0, (episodes, 1, 3)) + rng.uniform(size=(episodes, 1, 3))))
    return start + (end - start) * time + far * waves + rng.normal(0.0, 0.01, (episodes, LENGTH, 3))


def chunks_of(paths):
    cut = np.lib.stride_tricks.sliding_window_view(paths, HORIZON, axis=1).transpose(0, 1, 3, 2)
    episode = np.repeat(np.arange(len(paths)), cut.shape[1])
    return ArrayChunks("me/sim", torch.from_numpy(cut.reshape(-1, HORIZON, 3).astype(np.float32)), episode, AXES)


def look(paths, scores=None):
    return odd_episodes("me/sim", episode_motion(chunks_of(paths)), scores)


PLANTED = {
    "frozen": (lambda path, rng: np.broadcast_to(path[:1], path.shape), "moves 1/"),
    "noisy": (lambda path, rng: path + 2.0 * rng.normal(size=(LENGTH, 1)) * np.array([0, 0, 1]), "times as "),
    "elsewhere": (lambda path, rng: path + np.array([6.0, 0.0, 0.0]), "has pan "),
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("episodes", [12, 200])
def test_a_planted_episode_is_named_with_what_is_wrong(kind, episodes):
    paths, (wrong, words) = walks(episodes, 0), PLANTED[kind]
    paths[7] = wrong(paths[7], np.random.default_rng(1))
    odd = look(paths)
    assert [one.episode for one in odd.found] == [7]
    assert any(words in why for why in odd.found[0].why), odd.found
    first, reason = odd.lines()
    assert first == "look at this first: episode 7"
    assert reason == f"  episode 7 {odd.found[0].why[0]}"
    assert odd.deviations[7] == odd.found[0].deviations > odd.limit


def test_of_clean_datasets_nothing_is_said():
    named = [
        (episodes, far, seed)
        for episodes in (6, 12, 60)
        for far in (0.05, 0.3)
        for seed in range(10)
        if look(walks(episodes, seed, far)).found
    ]
    # At most one in twenty.
    assert len(named) <= 3, named


def test_a_way_of_working_that_a_third_shares_is_no_oddity():
    paths = walks(40, 0)
    paths[:14] = paths[:14, :1]
    assert not look(paths).found
    paths[2:14] = walks(40, 1)[2:14]
    assert sorted(one.episode for one in look(paths).found) == [0, 1]


def test_five_episodes_are_too_few_to_say():
    paths = walks(5, 0)
    paths[3] = paths[3, :1]
    odd = look(paths)
    assert (odd.found, odd.lines(), odd.limit) == ((), [], np.inf)
    assert odd.rule == "5 episodes are too few to say which sticks out; 6 are needed."


def test_a_score_counts_on_the_side_of_what_is_unlike_the_target():
    motion = episode_motion(chunks_of(walks(30, 0)))
    log_odds = np.random.default_rng(0).normal(0.0, 0.3, 30)
    log_odds[[4, 9]] = [-6.0, 6.0]
    scores = EpisodeScores(0.1, motion.episode, 1.0 / (1.0 + np.exp(-log_odds)), log_odds)
    (one,) = odd_episodes("me/sim", motion, scores).found
    assert one.episode == 4
    assert one.why[0].startswith("is taken for the target's 0% of the time at sigma 0.10, the median episode ")
    assert one.to_dict()["deviations"] == round(one.deviations, 1)


def test_many_are_counted():
    motion = episode_motion(chunks_of(walks(100, 0)))
    wrong = motion.place.copy()
    wrong[:15, 0] += 50.0
    odd = odd_episodes("me/sim", dataclasses.replace(motion, place=wrong), None)
    assert odd.lines()[0].startswith("look at these first: episodes ")
    assert odd.lines()[0].endswith(" and 5 more")
    assert len(odd.lines()) == 11


def test_deviations_are_those_of_a_normal_law():
    x = np.random.default_rng(0).normal(3.0, 2.0, (20_000, 1))
    assert deviations(x, 1e-3).std() == pytest.approx(1.0, abs=0.03)
    assert deviations(np.zeros((9, 2)), 0.1).tolist() == np.zeros((9, 2)).tolist()
    assert [limit(5), limit(6), limit(30)] == [np.inf, 10.0, 6.0]


def test_motion_is_a_mean_over_each_episodes_chunks():
    paths = walks(3, 0)
    motion = episode_motion(chunks_of(paths))
    assert isinstance(motion, EpisodeMotion)
    cut = np.lib.stride_tricks.sliding_window_view(paths, HORIZON, axis=1)[
        :, np.linspace(0, 32, 32).round().astype(int)
    ]
    assert motion.place == pytest.approx(cut.mean((1, 3)), abs=1e-5)


def test_chunks_are_spread_over_every_episode():
    episode = np.repeat([3, 4, 9], [100, 5, 1])
    index = spread_over_episodes(episode)
    assert np.bincount(episode[index])[[3, 4, 9]].tolist() == [32, 5, 1]
    assert {0, 99, 105} <= set(index.tolist())
    assert (np.diff(index) > 0).all()
    many = np.repeat(np.arange(10_000), 20)
    assert np.bincount(many[spread_over_episodes(many)]).tolist() == [10] * 10_000
