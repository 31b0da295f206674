# SPDX-License-Identifier: Apache-2.0
import gymnasium as gym
import numpy as np
import pytest

import lerobot_ambient.benchmarks.tasks  # noqa: F401
from lerobot_ambient.benchmarks.tasks.maze.environment import MazeEnv
from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze
from lerobot_ambient.benchmarks.tasks.maze.task import (
    CLEARANCE,
    GOAL_RADIUS,
    MAX_STEP,
    MIN_SEPARATION,
    draw_start_goal,
    resample,
)
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration


def walk(env: MazeEnv, points: list[tuple[float, float]]) -> tuple[list[float], dict]:
    """Step towards each point in turn; the rewards and the last info."""
    rewards, info = [], {}
    for point in points:
        _, reward, terminated, truncated, info = env.step(np.array(point, np.float32))
        rewards.append(reward)
        if terminated or truncated:
            break
    return rewards, info


def test_gym_make_finds_it() -> None:
    env = gym.make("lerobot_ambient/Maze-v0", maze_seed=3, episode_length=7)
    assert env.unwrapped.maze == Maze.from_seed(3)
    assert env.get_wrapper_attr("_max_episode_steps") == 7


def test_a_step_is_at_most_max_step_long_and_straight() -> None:
    env = MazeEnv()
    observation, _ = env.reset(options={"start": (0.5, 0.5), "goal": (3.5, 3.5)})
    observation, *_ = env.step(np.array([0.5, 0.58], np.float32))
    assert observation["agent_pos"] == pytest.approx([0.5, 0.58], abs=1e-6)
    observation, *_ = env.step(np.array([0.5, 0.08 + 3], np.float32))
    assert observation["agent_pos"] == pytest.approx([0.5, 0.58 + MAX_STEP], abs=1e-6)


def test_a_wall_ends_the_episode_without_the_move() -> None:
    env = MazeEnv()
    env.reset(options={"start": (0.1, 0.5), "goal": (3.5, 3.5)})
    observation, reward, terminated, truncated, info = env.step(np.array([0.0, 0.5], np.float32))
    assert terminated and not truncated
    assert info["collision"] and not info["is_success"]
    assert observation["agent_pos"] == pytest.approx([0.1, 0.5])
    assert len(env.trail) == 1 and reward == 0.0


def test_success_within_the_goal_radius_inclusive() -> None:
    env = MazeEnv()
    start = (0.5, 0.5)
    for distance, wanted in ((GOAL_RADIUS, True), (GOAL_RADIUS + 1e-3, False)):
        env.reset(options={"start": start, "goal": (0.5, 0.5 + distance - 1e-9)})
        _, _, terminated, _, info = env.step(np.array(start, np.float32))
        assert (terminated, info["is_success"]) == (wanted, wanted)


def test_truncation_at_the_limit_and_not_before() -> None:
    env = MazeEnv(episode_length=3)
    env.reset(options={"start": (0.5, 0.5), "goal": (3.5, 3.5)})
    ends = [env.step(np.array([0.5, 0.5], np.float32))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.array([0.5, 0.5], np.float32))


def test_rewards_sum_to_minus_the_mean_squared_acceleration() -> None:
    env = MazeEnv(episode_length=12)
    rng = np.random.default_rng(0)
    for _ in range(20):
        env.reset(options={"start": (0.5, 0.5), "goal": (3.5, 3.5)})
        rewards, info = walk(env, [tuple(rng.uniform(0.2, 0.8, 2)) for _ in range(12)])
        assert sum(rewards) == pytest.approx(-mean_squared_acceleration(env.trail, env.fps), abs=1e-9)
        assert info["mean_squared_acceleration"] == pytest.approx(-sum(rewards), abs=1e-9)
        assert rewards[0] == 0.0


def test_mean_squared_acceleration_is_physical() -> None:
    """A circle of radius r at speed v has acceleration v^2 / r; a straight line has none; fps sets the time."""
    fps, radius, speed = 200, 0.5, 1.0
    angle = speed / radius * np.arange(400) / fps
    circle = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert mean_squared_acceleration(circle, fps) == pytest.approx((speed**2 / radius) ** 2, rel=1e-3)
    line = np.linspace([0, 0], [1, 2], 11)
    assert mean_squared_acceleration(line, 10) == pytest.approx(0.0, abs=1e-20)
    assert mean_squared_acceleration([[0, 0], [1, 0]], 10) == 0.0
    bend = [[0, 0], [0.1, 0], [0.1, 0.1]]
    assert mean_squared_acceleration(bend, 10) == pytest.approx(2 * 0.1**2 * 10**4)


def test_starts_and_goals_follow_the_seed_only_and_keep_their_distance() -> None:
    maze = Maze.from_seed()
    rng = np.random.default_rng(0)
    pairs = np.array([draw_start_goal(rng, maze) for _ in range(300)])
    assert maze.thickened(CLEARANCE).points_free(pairs).all()
    assert (np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=-1) >= MIN_SEPARATION).all()
    first, second = MazeEnv().reset(seed=5)[0], MazeEnv().reset(seed=5)[0]
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_resample_keeps_the_ends_and_spaces_evenly() -> None:
    corner = np.array([[0.0, 0.0], [1.03, 0.0], [1.03, 0.5]])
    points = resample(corner, 0.1)
    assert len(points) == 16
    assert np.array_equal(points[[0, -1]], corner[[0, -1]])
    along = np.abs(np.diff(points, axis=0)).sum(axis=1)
    assert along == pytest.approx(np.full(15, 1.53 / 15))


def test_a_maze_too_small_for_the_separation_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3 cells"):
        MazeEnv(cells=2, loops=0).reset(seed=0)


@pytest.mark.parametrize("action", [[np.nan, 0.0], [1.0], [[0.5, 0.5]]])
def test_bad_actions_are_refused(action: list) -> None:
    env = MazeEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="two finite numbers"):
        env.step(np.array(action, np.float32))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"episode_length": 0}, "episode_length is 0"),
        ({"fps": 0}, "fps is 0"),
        ({"render_mode": "human"}, "'human'"),
        ({"image_size": 4}, "4 pixels"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MazeEnv(**arguments)


def test_a_start_inside_a_wall_is_refused() -> None:
    with pytest.raises(ValueError, match=r"start .* free space"):
        MazeEnv().reset(options={"start": (0.0, 0.0)})


def test_the_picture_shows_walls_goal_and_robot() -> None:
    env = MazeEnv(render_mode="rgb_array", image_size=96)
    env.reset(options={"start": (0.5, 0.5), "goal": (3.5, 3.5)})
    picture = env.render()
    assert picture.shape == (96, 96, 3) and picture.dtype == np.uint8

    def colour(x: float, y: float) -> tuple[int, ...]:
        scale = 96 / 4.15
        return tuple(picture[95 - int((y + 0.075) * scale), int((x + 0.075) * scale)].tolist())

    assert colour(0.5, 0.5) == (214, 69, 65)
    assert colour(3.5, 3.5) == (80, 180, 90)
    assert colour(0.0, 2.0) == (40, 44, 52)
    assert colour(2.5, 0.5) == (245, 245, 245)
