# SPDX-License-Identifier: Apache-2.0
"""The arm: its scene against hand-made facts, its task, and the contract that every environment here keeps."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from lerobot.envs import make_env, make_env_config

pytest.importorskip("mujoco", reason="needs the extra 'arm7'")

from lerobot_ambient.benchmarks.tasks.arm7.environment import Arm7Env
from lerobot_ambient.benchmarks.tasks.arm7.scene import RESOLUTION, ArmScene
from lerobot_ambient.benchmarks.tasks.arm7.task import (
    CENTRE,
    CLEARANCE,
    GOAL_TOLERANCE,
    HIGH,
    LOW,
    MAX_STEP,
    MIN_SEPARATION,
    REACH_HIGH,
    REACH_LOW,
    SPREAD,
    draw_task,
    is_success,
)
from lerobot_ambient.benchmarks.tasks.configuration import AmbientArm7EnvConfig
from lerobot_ambient.benchmarks.tasks.shared.conformance import check_environment
from lerobot_ambient.benchmarks.tasks.shared.conformance_lerobot import check_lerobot
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration

HOME = np.array([0.0, 0.0, 0.0, -np.pi / 2, 0.0, np.pi / 2, 0.0])
"""Upper arm upright, forearm level, hand down."""
LOWERED = np.array([0.0, 0.3, 0.0, -2.2, 0.0, 2.5, 0.0])
"""Hand down over the table."""


@pytest.fixture(scope="module")
def scene() -> ArmScene:
    return ArmScene()


def turned(angles: np.ndarray, joint: int, value: float) -> np.ndarray:
    changed = angles.copy()
    changed[joint] = value
    return changed


def wander(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    """About the goal's direction."""
    here, goal = observation["agent_pos"], observation["environment_state"]
    return (here + 0.1 * (goal - here) + rng.uniform(-0.05, 0.05, 7)).astype(np.float32)


def stay(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    return observation["agent_pos"]


# The scene.


def test_the_links_have_the_panda_s_lengths(scene: ArmScene) -> None:
    """Upright, all in the plane y = 0: 0.333 to the shoulder, 0.316 to the elbow, which is 0.0825 out of line; level
    from there 0.384 to the wrist, then 0.088 and down to the tool."""
    points = scene.points(HOME)
    assert points.shape == (9, 3)
    assert points[[2, 4, 6, 7, 8]] == pytest.approx(
        np.array(
            [
                [0.0, 0.0, 0.333],
                [0.0825, 0.0, 0.649],
                [0.4665, 0.0, 0.7315],
                [0.5545, 0.0, 0.7315],
                [0.5545, 0.0, 0.5215],
            ]
        ),
        abs=1e-6,
    )


@pytest.mark.parametrize("angle", [0.7, -1.1])
def test_the_first_joint_turns_everything_about_the_vertical(scene: ArmScene, angle: float) -> None:
    before, after = scene.points(LOWERED), scene.points(turned(LOWERED, 0, angle))
    c, s = np.cos(angle), np.sin(angle)
    assert after == pytest.approx(before @ np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]), abs=1e-9)


def test_known_configurations_are_free_or_not(scene: ArmScene) -> None:
    assert scene.free(HOME)
    assert scene.free(LOWERED)
    assert not scene.free(turned(LOWERED, 1, 1.2)), "leaning forward, the hand is in the table"
    assert scene.points(turned(LOWERED, 1, 1.2))[-1, 2] < 0.0
    assert not scene.free(np.array([0.0, 0.0, 0.0, -3.05, 0.0, 0.3, 0.0])), "folded, the hand is in the base"


def test_limits_belong_to_the_free_space_and_nothing_beyond_does(scene: ArmScene) -> None:
    for joint in (0, 6):
        edge = turned(HOME, joint, HIGH[joint])
        assert scene.free(edge)
        assert not scene.free(turned(HOME, joint, HIGH[joint] + 1e-9))
        assert not scene.free(turned(HOME, joint, LOW[joint] - 1e-9))


def test_clearance_is_kept_to_the_millimetre(scene: ArmScene) -> None:
    """Lower the hand onto the table: at clearance c the arm stops being free c above the place where it touches."""

    def lowest(clearance: float) -> float:
        there = ArmScene(clearance)
        low, high = 0.3, 0.9
        assert there.free(turned(LOWERED, 1, low)) and not there.free(turned(LOWERED, 1, high))
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if there.free(turned(LOWERED, 1, middle)) else (low, middle)
        # The tool is the end of a finger of radius 25 mm; its lowest point is that far below.
        return float(scene.points(turned(LOWERED, 1, low))[-1, 2]) - 0.025

    assert lowest(0.0) == pytest.approx(0.0, abs=1e-3)
    assert lowest(0.03) == pytest.approx(0.03, abs=1e-3)


def test_a_clearance_beyond_reason_is_refused() -> None:
    with pytest.raises(ValueError, match=r"clearance is -0.01 m, must lie in \[0, 0.1\]"):
        ArmScene(-0.01)


def test_a_motion_through_a_post_is_not_free_although_its_ends_are(scene: ArmScene) -> None:
    low = turned(LOWERED, 3, -2.0)
    left = turned(low, 0, 1.4)
    assert scene.free(low) and scene.free(left)
    assert not scene.motion_free(low, left)
    assert scene.motion_free(low, low + RESOLUTION / 10)


# The task.


def test_success_is_the_largest_joint_s_error_with_its_bound() -> None:
    for error, wanted in ((GOAL_TOLERANCE - 1e-9, True), (GOAL_TOLERANCE + 1e-9, False)):
        assert is_success(turned(np.zeros(7), 3, -error), np.zeros(7)) is wanted


def test_starts_and_goals_keep_their_promises() -> None:
    room, rng, blocked = ArmScene(CLEARANCE), np.random.default_rng(0), 0
    for _ in range(60):
        start, goal = draw_task(rng, room)
        assert np.linalg.norm(goal - start) >= MIN_SEPARATION
        for angles in (start, goal):
            tool = room.points(angles)[-1]
            assert room.free(angles) and (np.abs(angles - CENTRE) <= SPREAD).all()
            assert (tool >= REACH_LOW).all() and (tool <= REACH_HIGH).all()
        blocked += not ArmScene().motion_free(start, goal)
    assert 30 <= blocked <= 54, "planning is needed in most tasks, not in all"


# The environment.


def test_the_arm_conforms() -> None:
    check_environment(
        lambda: gym.make(
            "lerobot_ambient/Arm7-v0",
            disable_env_checker=True,
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
def test_the_arm_runs_through_lerobot(use_async_envs: bool) -> None:
    check_lerobot(AmbientArm7EnvConfig(image_size=48), use_async_envs=use_async_envs)


def test_the_choice_is_registered() -> None:
    config = make_env_config("ambient_arm7", episode_length=11)
    assert isinstance(config, AmbientArm7EnvConfig) and config.type == "ambient_arm7"
    vector = make_env(config, n_envs=1)["ambient_arm7"][0]
    assert vector.call("_max_episode_steps") == (11,)
    with pytest.raises(ValueError, match="fps is 30, the arm takes commands at 10"):
        AmbientArm7EnvConfig(fps=30)


def test_the_arm_moves_straight_and_no_faster_than_its_limit() -> None:
    env = Arm7Env()
    env.reset(seed=0, options={"start": HOME, "goal": LOWERED})
    command = HOME + np.array([0.4, 0.0, -0.2, 0.1, 0.0, 0.0, 0.0])
    env.step(command)
    assert env.trail[-1] - HOME == pytest.approx((command - HOME) * MAX_STEP / 0.4)
    env.step(env.trail[-1] + 0.02)
    assert np.diff(env.trail, axis=0)[-1] == pytest.approx(0.02)


def test_no_joint_goes_beyond_its_limits() -> None:
    env = Arm7Env()
    env.reset(seed=0, options={"start": turned(HOME, 6, HIGH[6] - 0.05), "goal": LOWERED})
    *_, terminated, _, info = env.step(turned(HOME, 6, 9.0))
    assert env.trail[-1][6] == pytest.approx(HIGH[6]) and not terminated and not info["collision"]


def test_success_ends_the_episode() -> None:
    env = Arm7Env()
    env.reset(seed=0, options={"start": HOME, "goal": turned(HOME, 0, 0.35)})
    *_, terminated, _, info = env.step(turned(HOME, 0, 0.14))
    assert not terminated and not info["is_success"]
    *_, terminated, truncated, info = env.step(turned(HOME, 0, 0.26))
    assert terminated and not truncated and info["is_success"]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(HOME)


def test_a_collision_ends_the_episode_without_success_and_the_motion_is_not_made() -> None:
    env = Arm7Env()
    env.reset(seed=0, options={"start": LOWERED, "goal": HOME})
    ended = False
    while not ended:
        *_, terminated, truncated, info = env.step(env.trail[-1] + np.array([0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]))
        ended = terminated or truncated
    assert terminated and info["collision"] and not info["is_success"]
    assert all(ArmScene().free(angles) for angles in env.trail)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": turned(HOME, 0, 3.0)}, r"start \(3.000, .*\) is beyond the joints' limits or touches something"),
        ({"goal": turned(LOWERED, 1, 1.2)}, r"goal \(.*\) .*touches something"),
        ({"goal": (0.0, 1.0)}, r"goal \(0.0, 1.0\) must be 7 finite numbers"),
        ({"start": turned(HOME, 0, np.nan)}, "must be 7 finite numbers"),
    ],
)
def test_impossible_starts_and_goals_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Arm7Env().reset(seed=0, options=options)


@pytest.mark.parametrize("action", [[np.nan] * 7, [1.0], [[0.5] * 7]])
def test_bad_actions_are_refused(action: list) -> None:
    env = Arm7Env()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="7 finite numbers"):
        env.step(np.array(action, np.float32))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"episode_length": 0}, "episode_length is 0"),
        ({"render_mode": "human"}, "'human'"),
        ({"image_size": 4}, "4 pixels"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Arm7Env(**arguments)


def test_the_picture_shows_the_arm_its_goal_and_the_obstacles() -> None:
    env = Arm7Env(render_mode="rgb_array", image_size=96)
    with pytest.raises(gym.error.ResetNeeded):
        env.render()
    env.reset(seed=0, options={"start": HOME, "goal": turned(LOWERED, 0, 0.9)})
    picture = env.render()
    assert picture.shape == (96, 96, 3) and picture.dtype == np.uint8
    for half in (picture[:48], picture[48:]):
        colours = {tuple(pixel) for pixel in half.reshape(-1, 3).tolist()}
        assert {(214, 69, 65), (120, 188, 130), (196, 200, 207), (226, 222, 212)} <= colours
    env.step(turned(HOME, 0, 0.15))
    assert not np.array_equal(env.render(), picture)
    assert Arm7Env().render() is None
