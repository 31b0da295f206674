# SPDX-License-Identifier: Apache-2.0
"""The pushing task: its geometry, its two physics, and the contract that every environment here keeps."""

import math
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lerobot.envs import make_env, make_env_config

pytest.importorskip("pymunk", reason="needs the extra 'pushing'")

from lerobot_ambient.benchmarks.tasks.configuration import AmbientPushingEnvConfig
from lerobot_ambient.benchmarks.tasks.pushing.environment import PushingEnv
from lerobot_ambient.benchmarks.tasks.pushing.task import (
    ANGLE_TOLERANCE,
    HALF,
    PHYSICS,
    POSITION_TOLERANCE,
    TABLE,
    Physics,
    clearance,
    draw_start,
    fold,
    is_success,
)
from lerobot_ambient.benchmarks.tasks.pushing.world import World
from lerobot_ambient.benchmarks.tasks.shared.conformance import check_environment
from lerobot_ambient.benchmarks.tasks.shared.conformance_lerobot import check_lerobot
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration

TARGET, SOURCE = PHYSICS["target"], PHYSICS["source"]
QUIET = replace(TARGET, noise=0.0, delay=0)
FAR = np.array([20.0, 20.0, 0.0])


def world(physics: Physics, pusher: tuple[float, float] = (0.0, 0.0), pose: np.ndarray = FAR) -> World:
    return World(physics, np.array(pusher), pose, np.random.default_rng(0))


def wander(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    """Into the block and about it."""
    return (0.6 * observation["environment_state"][:2] + rng.uniform(-6.0, 6.0, 2)).astype(np.float32)


def stay(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    return observation["agent_pos"]


# The task.


@given(st.floats(-20.0, 20.0), st.integers(-9, 9))
def test_a_quarter_turn_changes_nothing(angle: float, turns: int) -> None:
    folded = float(fold(angle))
    assert abs(folded) <= math.pi / 4 + 1e-12
    gap = float(fold(angle + turns * math.pi / 2)) - folded
    assert min(abs(gap), abs(abs(gap) - math.pi / 2)) < 1e-9, "equal, or at the two ends of the fold"


@pytest.mark.parametrize("name", ["distance", "angle"])
def test_the_tolerances_belong_to_success(name: str) -> None:
    for step, wanted in ((-1e-9, True), (0.0, True), (1e-9, False)):
        if name == "distance":
            pose = [0.0, POSITION_TOLERANCE + step, math.pi / 2]
        else:
            pose = [0.0, 0.0, ANGLE_TOLERANCE + step]
        assert is_success(pose) is wanted


def test_clearance_is_the_distance_to_the_square() -> None:
    turned = [1.0, 2.0, math.pi / 4]
    assert clearance([1.0 + HALF * math.sqrt(2.0) + 3.0, 2.0], turned) == pytest.approx(3.0)
    assert clearance([1.0, 2.5], turned) == 0.0
    assert clearance([HALF + 3.0, HALF + 4.0], [0.0, 0.0, 0.0]) == pytest.approx(5.0)


def test_starts_keep_their_distances() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        pusher, pose = draw_start(rng)
        assert 5.0 <= math.hypot(*pose[:2]) <= 12.0 and abs(pose[2]) <= math.pi / 6
        assert np.abs(pusher).max() <= TABLE - 3.0 and clearance(pusher, pose) >= 4.0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ground_friction": 0.0}, "ground_friction is 0.0, must be finite and positive"),
        ({"noise": -1.0}, "noise is -1.0, must be finite and not negative"),
        ({"pusher_radius": math.nan}, "pusher_radius is nan"),
        ({"stiffness": 60.0}, "stiffness is 60.0 1/s, must be at most 50"),
        ({"delay": 1.5}, "whole number of control steps"),
    ],
)
def test_impossible_physics_are_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(TARGET, **change)


# The world.


@pytest.mark.parametrize("physics", [TARGET, SOURCE], ids=list(PHYSICS))
def test_a_command_arrives_after_its_delay_and_stays(physics: Physics) -> None:
    there = world(replace(physics, noise=0.0))
    for _ in range(physics.delay):
        there.step(np.array([6.0, -3.0]))
        assert np.allclose(there.pusher, 0.0)
    for _ in range(15):
        there.step(np.array([6.0, -3.0]))
    assert there.pusher == pytest.approx([6.0, -3.0], abs=0.01)


def test_the_noise_of_commands_has_its_size() -> None:
    """A stiff pusher has followed each command by the end of the step: all but (1 + 5) exp(-5), 4 %, of it."""
    there = world(replace(SOURCE, stiffness=50.0, noise=0.3))
    places = []
    for _ in range(400):
        there.step(np.zeros(2))
        places.append(there.pusher)
    # Four standard errors of a deviation from 800 numbers are 10 %.
    assert np.std(places) == pytest.approx(0.3, rel=0.15)


@pytest.mark.parametrize("physics", [TARGET, SOURCE], ids=list(PHYSICS))
@pytest.mark.parametrize("share", [0.8, 1.25])
def test_the_block_slides_when_the_spring_exceeds_the_friction(physics: Physics, share: float) -> None:
    """The spring pulls with stiffness^2 times the lead of the command; the table holds up to the load."""
    quiet = replace(physics, noise=0.0, delay=0)
    touching = (-HALF - quiet.pusher_radius, 0.0)
    there = world(quiet, touching, np.zeros(3))
    for _ in range(15):
        there.step(np.array([touching[0] + share * quiet.deflection, 0.0]))
    moved = there.pose[0]
    if share < 1.0:
        assert abs(moved) < 0.03
    else:
        assert moved == pytest.approx((share - 1.0) * quiet.deflection, abs=0.25 * quiet.deflection)


def test_the_block_does_not_turn_under_a_central_push_and_turns_under_another() -> None:
    turns = []
    for offset in (0.0, 3.0, -3.0):
        there = world(QUIET, (-HALF - QUIET.pusher_radius, offset), np.zeros(3))
        for step in range(15):
            there.step(np.array([-5.0 + 0.8 * step, offset]))
        turns.append(there.pose[2])
        assert there.pose[0] > 1.0
    assert abs(turns[0]) < 0.02
    assert turns[1] < -0.1 and turns[2] == pytest.approx(-turns[1], rel=0.05)


def test_the_same_commands_end_elsewhere_in_the_other_physics() -> None:
    """What was right in the simulation falls short in the target: the arm yields and is late."""
    ends = []
    for physics in (TARGET, SOURCE):
        there = world(replace(physics, noise=0.0), (-HALF - 2.0, 0.0), np.zeros(3))
        for step in range(10):
            there.step(np.array([-6.0 + step, 0.0]))
        ends.append(there.pose[0])
    assert 0.0 < ends[0] < ends[1] - 1.0


# The environment.


@pytest.mark.parametrize("physics", list(PHYSICS))
def test_pushing_conforms(physics: str) -> None:
    check_environment(
        lambda: gym.make(
            "lerobot_ambient/Pushing-v0",
            disable_env_checker=True,
            physics=physics,
            episode_length=25,
            render_mode="rgb_array",
            image_size=48,
        ),
        policy=wander,
        idle_policy=stay,
        episode_return=lambda env: -mean_squared_acceleration(env.unwrapped.trail, env.unwrapped.fps),
        seeds=(0, 1, 2),
    )


@pytest.mark.parametrize("use_async_envs", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_pushing_runs_through_lerobot(use_async_envs: bool) -> None:
    check_lerobot(AmbientPushingEnvConfig(image_size=48), use_async_envs=use_async_envs)


def test_the_choice_is_registered_with_its_physics() -> None:
    config = make_env_config("ambient_pushing", physics="source", episode_length=11)
    assert isinstance(config, AmbientPushingEnvConfig) and config.type == "ambient_pushing"
    vector = make_env(config, n_envs=1)["ambient_pushing"][0]
    assert vector.call("_max_episode_steps") == (11,)
    assert vector.call("physics")[0] == SOURCE


def test_the_configuration_refuses_what_the_environment_cannot_do() -> None:
    with pytest.raises(ValueError, match="no physics 'moon'; choose from target, source"):
        AmbientPushingEnvConfig(physics="moon")
    with pytest.raises(ValueError, match="fps is 30, the pusher takes commands at 10"):
        AmbientPushingEnvConfig(fps=30)


def test_the_physics_do_not_change_the_start_and_the_observation_has_no_jump_at_the_fold() -> None:
    first, second = (PushingEnv(physics=name).reset(seed=5)[0] for name in PHYSICS)
    assert all(np.array_equal(first[key], second[key]) for key in first)
    env = PushingEnv()
    seen = []
    for angle in (math.pi / 4 - 1e-4, math.pi / 4 + 1e-4, -math.pi / 4 + 1e-4):
        observation, info = env.reset(options={"pusher": (20.0, 0.0), "pose": (1.0, -2.0, angle)})
        seen.append(observation["environment_state"])
        assert info["angle"] == pytest.approx(math.pi / 4, abs=2e-4)
        assert info["distance"] == pytest.approx(math.sqrt(5.0))
    assert np.ptp(seen, axis=0) == pytest.approx(0.0, abs=2e-3)
    assert seen[0] == pytest.approx([1.0, -2.0, -1.0, 0.0], abs=1e-3)


def test_success_ends_the_episode() -> None:
    env = PushingEnv()
    env.reset(options={"pusher": (-15.0, 0.0), "pose": (-3.0, 0.1, math.pi / 2)})
    for step in range(40):
        *_, terminated, truncated, info = env.step(np.array([min(-15.0 + step, -5.0), 0.1], np.float32))
        if terminated or truncated:
            break
    assert terminated and not truncated and info["is_success"] and info["distance"] <= POSITION_TOLERANCE
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pusher": (0.0, 0.0), "pose": (1.0, 1.0, 0.0)}, "overlaps the block"),
        ({"pusher": (0.0,)}, r"pusher \(0.0,\) must be 2 finite numbers"),
        ({"pose": (0.0, math.nan, 0.0)}, "must be 3 finite numbers"),
    ],
)
def test_impossible_starts_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PushingEnv().reset(options=options)


@pytest.mark.parametrize("action", [[np.nan, 0.0], [1.0], [[0.5, 0.5]]])
def test_bad_actions_are_refused(action: list) -> None:
    env = PushingEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="two finite numbers"):
        env.step(np.array(action, np.float32))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"episode_length": 0}, "episode_length is 0"),
        ({"render_mode": "human"}, "'human'"),
        ({"image_size": 4}, "4 pixels"),
        ({"physics": "moon"}, "no physics 'moon'"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PushingEnv(**arguments)


def test_the_picture_shows_goal_block_and_pusher() -> None:
    env = PushingEnv(render_mode="rgb_array", image_size=106)
    env.reset(options={"pusher": (-20.0, 10.0), "pose": (12.0, -12.0, 0.3)})
    picture = env.render()
    assert picture.shape == (106, 106, 3) and picture.dtype == np.uint8

    def colour(x: float, y: float) -> tuple[int, ...]:
        return tuple(picture[52 - round(2 * y), 53 + round(2 * x)].tolist())

    assert colour(-20.0, 10.0) == (214, 69, 65)
    assert colour(12.0, -12.0) == (84, 110, 150)
    assert colour(0.0, 0.0) == (178, 223, 183)
    assert colour(-12.0, -12.0) == (245, 245, 245)
