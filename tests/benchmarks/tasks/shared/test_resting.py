# SPDX-License-Identifier: Apache-2.0
"""Environments of a batch whose episode has ended do nothing until the next rollout."""

from __future__ import annotations

import numpy as np
import pytest
from lerobot.envs import make_env

from lerobot_ambient.benchmarks.tasks.configuration import AmbientMazeEnvConfig
from lerobot_ambient.benchmarks.tasks.maze.environment import MazeEnv

LENGTHS = (3, 8)


@pytest.fixture
def vector():
    """Two mazes, of which the first ends earlier."""
    made = make_env(AmbientMazeEnvConfig(), n_envs=2)["ambient_maze"][0]
    for env, length in zip(made.envs, LENGTHS, strict=True):
        env.unwrapped._max_episode_steps = length
    return made


def stay(vector):
    return np.stack([env.unwrapped.trail[-1] for env in vector.envs]).astype(np.float32)


def test_an_ended_episode_costs_no_step_and_no_picture(vector, monkeypatch):
    calls = {"step": 0, "render": 0, "reset": 0}
    for name in calls:
        original = getattr(MazeEnv, name)

        def counted(self, *args, original=original, name=name, **kwargs):
            calls[name] += 1
            return original(self, *args, **kwargs)

        monkeypatch.setattr(MazeEnv, name, counted)
    seen, _ = vector.reset(seed=[0, 1], options={"lerobot_new_rollout": True})
    for step in range(max(LENGTHS)):
        observation, reward, terminated, truncated, info = vector.step(stay(vector))
        ended = [step + 1 >= length for length in LENGTHS]
        assert (terminated | truncated).tolist() == ended
        # What LeRobot reads there, at every step from the end on.
        assert [bool(one) for one in info.get("_final_info", [False, False])] == ended
        assert np.array_equal(observation["environment_state"], seen["environment_state"])
        assert np.abs(reward).max() < 1e-6
        assert all(env.render().shape == (192, 192, 3) for env in vector.envs)
    assert calls["step"] == sum(LENGTHS)
    # Each end is painted once, whoever looks at it how often.
    assert calls["render"] == sum(LENGTHS)
    assert calls["reset"] == 2


@pytest.mark.parametrize(("seeds", "options"), [([0, 1], None), (None, {"lerobot_new_rollout": True})])
def test_the_next_rollout_begins_anew(vector, seeds, options):
    before, _ = vector.reset(seed=[5, 6])
    for _ in range(max(LENGTHS)):
        vector.step(stay(vector))
    after, _ = vector.reset(seed=seeds, options=options)
    assert not np.array_equal(before["environment_state"], after["environment_state"])
    _, _, terminated, truncated, _ = vector.step(stay(vector))
    assert not (terminated | truncated).any()


def test_the_last_reward_counts_once(vector):
    vector.reset(seed=[0, 1])
    earned = []
    for _ in range(max(LENGTHS)):
        step = np.where(len(earned) % 2, -0.05, 0.05)
        earned.append(vector.step(stay(vector) + np.float32(step))[1].copy())
    assert earned[LENGTHS[0] - 1][0] != 0
    assert not np.array(earned)[LENGTHS[0] :, 0].any()
