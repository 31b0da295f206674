# SPDX-License-Identifier: Apache-2.0
"""Draws tell of later draws, and are the draws that they would be without."""

import pickle

import numpy as np
import pytest

from lerobot_ambient.data.sampling.sampler import GroupedFrames, MixtureSampler
from lerobot_ambient.data.sampling.upcoming import Draw

FRAMES = GroupedFrames([(np.array([0, 40]), np.array([30, 60])), (np.array([60]), np.array([70]))])


def sampler(ahead, state=None):
    made = MixtureSampler(FRAMES, np.array([0.8, 0.2]), seed=3, look_ahead=ahead)
    if state is not None:
        made.load_state_dict(state)
    return made


@pytest.mark.parametrize("ahead", [1, 7, 59, 60, 61, 130])
@pytest.mark.parametrize("start", [0, 25])
def test_each_draw_tells_of_the_one_so_many_places_later(ahead, start):
    state = {"epoch": 1, "start_index": start}
    drawn = list(sampler(ahead, state))
    assert drawn == list(sampler(0, state))
    plain = sampler(0, state)
    following = [position for _ in range(4) for position in plain]
    left = len(drawn)
    told = [draw.upcoming for draw in drawn]
    # Beyond the epoch, at most the next one is looked into.
    expected = [following[i + ahead] if i + ahead < left + 60 else None for i in range(left)]
    assert [one for one in told if one is not None] == [one for one in expected if one is not None]
    assert [draw.unannounced for draw in drawn] == [i < ahead for i in range(left)]


def test_the_epoch_advances_as_without():
    ours, plain = sampler(5), sampler(0)
    for _ in range(3):
        assert list(ours) == list(plain)
        assert ours.state_dict() == plain.state_dict()


def test_a_draw_travels_to_a_worker():
    draw = pickle.loads(pickle.dumps(Draw(4, 9, True)))
    assert (draw, draw.upcoming, draw.unannounced) == (4, 9, True)
    assert np.array([draw], dtype=np.int64).tolist() == [4]
