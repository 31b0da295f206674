# SPDX-License-Identifier: Apache-2.0
"""PushT: gym-pusht's own game through this project's contract."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from lerobot.envs import make_env, make_env_config

pytest.importorskip("gym_pusht", reason="needs the extra 'pusht'")

from lerobot_ambient.benchmarks.tasks.configuration import AmbientPushTEnvConfig
from lerobot_ambient.benchmarks.tasks.pusht.environment import KeypointPushTEnv, PushTEnv
from lerobot_ambient.benchmarks.tasks.pusht.task import (
    CENTRE,
    GOAL,
    INERTIA,
    OUTLINE,
    RADIUS,
    clearance,
    draw_start,
    place,
)
from lerobot_ambient.benchmarks.tasks.shared.conformance import check_environment
from lerobot_ambient.benchmarks.tasks.shared.conformance_lerobot import check_lerobot
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration

FAR = {"pusher": (60.0, 60.0), "pose": (300.0, 200.0, 0.4)}


def wander(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    """Into the T and about it."""
    middle = observation["environment_state"].reshape(-1, 2).mean(0)
    return np.clip(middle + rng.uniform(-80.0, 80.0, 2), 0.0, 512.0).astype(np.float32)


def stay(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    return observation["agent_pos"]


def test_pusht_conforms() -> None:
    check_environment(
        lambda: gym.make(
            "lerobot_ambient/PushT-v0",
            disable_env_checker=True,
            episode_length=15,
            render_mode="rgb_array",
            image_size=96,
        ),
        policy=wander,
        idle_policy=stay,
        episode_return=lambda env: -mean_squared_acceleration(env.unwrapped.trail, env.unwrapped.fps),
        seeds=(0, 1, 2),
    )


def test_pusht_runs_through_lerobot() -> None:
    check_lerobot(AmbientPushTEnvConfig(image_size=96))


def test_it_is_gym_pushts_own_game_seed_by_seed() -> None:
    """Starts, motion, coverage and limit: those of the id that `lerobot-eval --env.type=pusht` plays."""
    stock = gym.make("gym_pusht/PushT-v0", obs_type="environment_state_agent_pos", disable_env_checker=True)
    ours = KeypointPushTEnv()
    assert stock.spec is not None and stock.spec.max_episode_steps == ours._max_episode_steps
    for seed in (0, 1):
        theirs, _ = stock.reset(seed=seed)
        mine, _ = ours.reset(seed=seed)
        rng = np.random.default_rng(seed)
        for _ in range(25):
            assert all(np.array_equal(theirs[key].astype(np.float32), mine[key]) for key in mine)
            action = wander(ours, mine, rng)
            theirs, reward, *_, stock_info = stock.step(action)
            mine, *_, info = ours.step(action)
            assert info["coverage"] == pytest.approx(stock_info["coverage"], rel=1e-12)
            assert reward == pytest.approx(min(info["coverage"] / 0.95, 1.0))


def test_the_t_is_gym_pushts() -> None:
    """Its outline, centre of mass, inertia and goal, and that its contact has no friction: the planner relies on it."""
    env = KeypointPushTEnv()
    env.reset(options=FAR)
    block = env.inner.block
    assert complex(*block.center_of_gravity) == CENTRE
    assert block.moment / block.mass == INERTIA
    assert np.array_equal(env.inner.goal_pose, GOAL)
    assert all(shape.friction == 0.0 for shape in block.shapes)
    corners = {complex(*vertex) for shape in block.shapes for vertex in shape.get_vertices()}
    assert corners == set(OUTLINE)
    assert env.pose == pytest.approx(FAR["pose"])
    observed = env.inner.get_obs()["environment_state"].reshape(-1, 2)
    assert {complex(*point) for point in np.round(observed, 6)} == set(np.round(place(env.pose, OUTLINE), 6))


def test_clearance_is_the_distance_to_the_t() -> None:
    pose = [100.0, 200.0, math.pi / 2]
    # A quarter turn: the bar's outer edge looks along +x from the origin, the stem along -x.
    places = place(pose, np.array([0.0 - 7.0j, 15.0 + 3.0 + 100.0j, 60.0 + 3.0 - 4.0j, 5.0 + 60.0j]))
    assert clearance(places, pose) == pytest.approx([7.0, 3.0, 5.0, 0.0])


def test_a_shorter_reach_starts_nearer_to_the_goal() -> None:
    rng = np.random.default_rng(0)
    goal = place(GOAL, CENTRE)
    for _ in range(200):
        pusher, pose = draw_start(rng, 0.2)
        shift = place(pose, CENTRE) - goal
        assert max(abs(shift.real), abs(shift.imag)) <= 30.0 and abs(pose[2] - GOAL[2]) <= 0.2 * math.pi
        assert clearance(np.array([complex(*pusher)]), pose)[0] >= RADIUS + 10.0
    env = KeypointPushTEnv(reach=0.2)
    first = env.reset(seed=3)[0]
    assert np.array_equal(first["environment_state"], env.reset(seed=3)[0]["environment_state"])
    assert np.abs(env.pose[2] - GOAL[2]) <= 0.2 * math.pi


def test_success_ends_the_episode() -> None:
    """A push of ten pixels onto the mark, along the normal of the bar's outer edge."""
    inward = complex(math.cos(3 * math.pi / 4), math.sin(3 * math.pi / 4))
    pose = (GOAL[0] - 10 * inward.real, GOAL[1] - 10 * inward.imag, GOAL[2])
    start = complex(pose[0], pose[1]) - (RADIUS + 5) * inward
    env = KeypointPushTEnv()
    _, info = env.reset(options={"pusher": (start.real, start.imag), "pose": pose})
    assert not info["is_success"] and 0.5 < info["coverage"] < 0.95
    ended = False
    for step in range(40):
        command = start + min(step, 15.0) * inward
        *_, terminated, truncated, info = env.step(np.array([command.real, command.imag], np.float32))
        ended = terminated or truncated
        if ended:
            break
    assert terminated and info["is_success"] and info["coverage"] > 0.95
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2, np.float32))


def test_the_choice_is_registered_with_its_reach() -> None:
    config = make_env_config("ambient_pusht", reach=0.3, episode_length=11)
    assert isinstance(config, AmbientPushTEnvConfig) and config.type == "ambient_pusht"
    vector = make_env(config, n_envs=1)["ambient_pusht"][0]
    assert vector.call("_max_episode_steps") == (11,)
    assert vector.call("reach") == (0.3,)


def test_the_configuration_refuses_what_the_environment_cannot_do() -> None:
    with pytest.raises(ValueError, match=r"reach is 0.0, must be in \(0, 1\]"):
        AmbientPushTEnvConfig(reach=0.0)
    with pytest.raises(ValueError, match="fps is 30, gym-pusht takes commands at 10"):
        AmbientPushTEnvConfig(fps=30)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pusher": (300.0, 210.0), "pose": (300.0, 200.0, 0.0)}, "overlaps the T"),
        ({"pusher": (0.0,), "pose": (300.0, 200.0, 0.0)}, r"pusher \(0.0,\) must be 2 finite numbers"),
        ({"pusher": (0.0, 0.0)}, "pose None must be 3 finite numbers; give pusher and pose"),
    ],
)
def test_impossible_starts_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KeypointPushTEnv().reset(options=options)


@pytest.mark.parametrize("action", [[np.nan, 0.0], [1.0], [[0.5, 0.5]]])
def test_bad_actions_are_refused(action: list) -> None:
    env = KeypointPushTEnv()
    env.reset(options=FAR)
    with pytest.raises(ValueError, match="two finite numbers"):
        env.step(np.array(action, np.float32))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"episode_length": 0}, "episode_length is 0"),
        ({"render_mode": "human"}, "'human'"),
        ({"reach": 1.5}, "reach is 1.5"),
        ({"image_size": 48}, "image_size is 48 pixels, must be at least 96"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        KeypointPushTEnv(**arguments)


def test_nothing_can_be_asked_before_the_first_reset() -> None:
    env = KeypointPushTEnv(render_mode="rgb_array")
    with pytest.raises(gym.error.ResetNeeded, match="pose before the first reset"):
        _ = env.pose
    assert isinstance(env.inner, PushTEnv) and len(env.trail) == 0
