# SPDX-License-Identifier: Apache-2.0
"""The maze seen in pictures: what the environment shows, what the demonstrations hold, and a policy between them."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import DEFAULT_EPISODES_PATH
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionRgbEncoder

from lerobot_ambient.benchmarks.tasks.configuration import AmbientMazeEnvConfig
from lerobot_ambient.benchmarks.tasks.maze import data as maze_data
from lerobot_ambient.benchmarks.tasks.maze.data import FEATURES, Pictures, make_maze_data, path_to_episode
from lerobot_ambient.benchmarks.tasks.maze.environment import MazeEnv
from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze
from lerobot_ambient.benchmarks.tasks.maze.images import CAMERA, add_pictures
from lerobot_ambient.benchmarks.tasks.maze.render import GOAL, OBSERVATION_SIZE, ROBOT, MazePainter
from lerobot_ambient.benchmarks.tasks.maze.task import TASK, draw_start_goal
from lerobot_ambient.benchmarks.tasks.shared.conformance import check_environment
from lerobot_ambient.benchmarks.tasks.shared.conformance_lerobot import check_lerobot
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import write_low_dim_dataset
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration
from lerobot_ambient.data.cameras.readers import StoredImageReader

DATA = Path("data/chunk-000/file-000.parquet")
SEEING = {"obs_type": "pixels_agent_pos"}


def wander(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    return (observation["agent_pos"] + rng.uniform(-0.1, 0.1, 2)).astype(np.float32)


def stay(env: gym.Env, observation: Any, rng: np.random.Generator) -> np.ndarray:
    return observation["agent_pos"]


def walk(number: int) -> np.ndarray:
    """A path of random small steps; where walls are does not matter here."""
    rng = np.random.default_rng(number)
    start, _ = draw_start_goal(rng, Maze.from_seed())
    steps = rng.uniform(-0.05, 0.05, (int(rng.integers(4, 12)), 2))
    return np.clip(start + np.cumsum(steps, axis=0), 0.0, 4.0).astype(np.float32)


@pytest.fixture
def demonstrate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, dict[str, Any]]]:
    """`make_maze_data` with random paths in place of the planners."""

    def plan(blocks: list, folder: Path, processes: int = 1) -> Any:
        folder.mkdir(parents=True, exist_ok=True)
        for block in blocks:
            paths = [walk(number) for number in range(block.count)]
            with (folder / block.name).open("wb") as file:
                np.savez(file, points=np.concatenate(paths), lengths=[len(path) for path in paths])
            yield block

    monkeypatch.setattr(maze_data, "plan_blocks", plan)
    monkeypatch.setattr(maze_data, "require_planner", lambda kind: None)

    def make(root: Path, **changes: Any) -> dict[str, dict[str, Any]]:
        return make_maze_data(root, **{"target_episodes": 3, "source_episodes": 4, "progress": False, **changes})

    return make


# What the environment shows.


def test_the_maze_in_pictures_conforms() -> None:
    check_environment(
        lambda: MazeEnv(episode_length=8, render_mode="rgb_array", image_size=48, hide_goal=True, **SEEING),
        policy=wander,
        idle_policy=stay,
        episode_return=lambda env: -mean_squared_acceleration(env.unwrapped.trail, env.unwrapped.fps),
        seeds=(0, 1),
    )


def test_lerobot_takes_the_pictures() -> None:
    config = AmbientMazeEnvConfig(episode_length=8, observation_size=33, **SEEING)
    assert config.features["pixels"].shape == (33, 33, 3)
    assert "environment_state" not in config.features
    check_lerobot(config)
    assert AmbientMazeEnvConfig().observation_size == OBSERVATION_SIZE


def test_the_state_is_observed_as_before_and_both_kinds_play_the_same_episode() -> None:
    state, seeing = MazeEnv(), MazeEnv(**SEEING)
    assert set(state.observation_space.spaces) == {"agent_pos", "environment_state"}
    assert set(AmbientMazeEnvConfig().features) == {"action", "agent_pos", "environment_state"}
    assert "pixels" not in AmbientMazeEnvConfig().features_map
    one, two = state.reset(seed=4)[0], seeing.reset(seed=4)[0]
    assert set(one) == {"agent_pos", "environment_state"} and set(two) == {"agent_pos", "pixels"}
    assert np.array_equal(one["environment_state"], state.goal.astype(np.float32))
    rng = np.random.default_rng(0)
    for _ in range(10):
        action = wander(state, one, rng)
        (one, *rest), (two, *others) = state.step(action), seeing.step(action)
        assert np.array_equal(one["agent_pos"], two["agent_pos"]) and rest == others
        if rest[1] or rest[2]:
            break
    assert np.array_equal(state.goal, seeing.goal)


def shown(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a colour is, as the mean (x, y) of its pixels in cells; empty if it is nowhere."""
    rows, columns = np.nonzero((picture == np.array(colour, np.uint8)).all(-1))
    size, wall = len(picture), Maze.from_seed().wall
    pixel = (4.0 + wall) / size
    where = np.stack([columns + 0.5, size - rows - 0.5], axis=-1) * pixel - wall / 2
    return where.mean(axis=0) if len(where) else where


@pytest.mark.parametrize("size", [20, 33, OBSERVATION_SIZE, 96])
def test_goal_and_robot_can_be_read_off_the_picture(size: int) -> None:
    """Neither falls between the pixels, at any size."""
    painter, maze = MazePainter(Maze.from_seed(), size), Maze.from_seed()
    rng = np.random.default_rng(1)
    pixel = (maze.cells + maze.wall) / size
    for _ in range(40):
        start, goal = draw_start_goal(rng, maze)
        picture = painter.observe(start, goal)
        assert np.abs(shown(picture, GOAL) - goal).max() < 0.75 * pixel
        assert np.abs(shown(picture, ROBOT) - start).max() < 0.75 * pixel
        assert not len(shown(painter.observe(start, None), GOAL))


def test_a_hidden_goal_leaves_no_trace_in_the_observation() -> None:
    env = MazeEnv(hide_goal=True, **SEEING)
    pictures = [env.reset(options={"start": (0.5, 0.5), "goal": goal})[0] for goal in ((3.5, 3.5), (0.5, 3.5))]
    assert all(np.array_equal(pictures[0][key], pictures[1][key]) for key in pictures[0])
    seeing = MazeEnv(**SEEING)
    assert not np.array_equal(
        *[seeing.reset(options={"start": (0.5, 0.5), "goal": goal})[0]["pixels"] for goal in ((3.5, 3.5), (0.5, 3.5))]
    )


def test_the_path_so_far_is_not_observed() -> None:
    env = MazeEnv(**SEEING)
    env.reset(options={"start": (0.5, 0.5), "goal": (3.5, 3.5)})
    for x in (0.6, 0.7):
        observation, *_ = env.step(np.array([x, 0.5], np.float32))
    start = observation["agent_pos"]
    fresh, _ = MazeEnv(**SEEING).reset(options={"start": start, "goal": (3.5, 3.5)})
    assert np.array_equal(observation["pixels"], fresh["pixels"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"obs_type": "pixels"}, "obs_type is 'pixels', must be one of 'state', 'pixels_agent_pos'"),
        ({"hide_goal": True}, "hide_goal leaves the goal out of the observed picture, but obs_type is 'state'"),
        ({"observation_size": 8, **SEEING}, "size is 8 pixels"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MazeEnv(**arguments)


@pytest.mark.parametrize(("size", "sees"), [(32, False), (33, True), (OBSERVATION_SIZE, True)])
def test_the_smallest_picture_that_lerobots_encoder_sees(size: int, sees: bool) -> None:
    """Why observations have 40 pixels: at 32 the encoder gives the same features for every picture."""
    from lerobot.configs import FeatureType, PolicyFeature

    config = DiffusionConfig(pretrained_backbone_weights=None, use_group_norm=True)
    config.input_features = {CAMERA: PolicyFeature(FeatureType.VISUAL, (3, size, size))}
    torch.manual_seed(0)
    with torch.no_grad():
        features = DiffusionRgbEncoder(config)(torch.rand(4, 3, size, size))
    assert bool((features.std(dim=0) > 0).any()) == sees


# What the demonstrations hold.


@pytest.mark.parametrize("hide_goal", [False, True])
def test_a_demonstration_shows_what_the_environment_shows(
    tmp_path: Path, demonstrate: Callable[..., Any], hide_goal: bool
) -> None:
    demonstrate(tmp_path, pictures=Pictures(OBSERVATION_SIZE, hide_goal))
    dataset = LeRobotDataset("ambient/maze_source", root=tmp_path / "source")
    assert "observation.environment_state" not in dataset.features
    env = MazeEnv(hide_goal=hide_goal, **SEEING)
    index, compared = 0, 0
    for number in range(4):
        path = walk(number)
        for frame, place in enumerate(path[:-1]):
            item = dataset[index]
            index += 1
            assert (item["episode_index"], item["frame_index"]) == (number, frame)
            assert torch.equal(item["observation.state"], torch.from_numpy(place))
            if not env.maze.points_free(np.stack([place, path[-1]]).astype(np.float64)).all():
                continue
            observation, _ = env.reset(options={"start": place, "goal": path[-1]})
            pixels = torch.from_numpy(observation["pixels"]).permute(2, 0, 1) / 255
            assert torch.equal(item[CAMERA], pixels)
            compared += 1
    assert index == len(dataset) and compared > 10


def test_pictures_change_nothing_else(tmp_path: Path, demonstrate: Callable[..., Any]) -> None:
    plain, seen = demonstrate(tmp_path / "plain"), demonstrate(tmp_path / "seen", pictures=Pictures(24))
    for kind in ("target", "source"):
        assert {**plain[kind], "root": ""} == {**seen[kind], "root": ""}
        one, two = (pq.read_table(tmp_path / name / kind / DATA) for name in ("plain", "seen"))
        assert one.drop("observation.environment_state").equals(two.drop(CAMERA))


def test_the_same_arguments_give_the_same_files_and_others_are_refused(
    tmp_path: Path, demonstrate: Callable[..., Any]
) -> None:
    for name in ("a", "b"):
        demonstrate(tmp_path / name, pictures=Pictures(24))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)
    stamp = (tmp_path / "a/target" / DATA).stat().st_mtime_ns
    demonstrate(tmp_path / "a", pictures=Pictures(24))
    assert (tmp_path / "a/target" / DATA).stat().st_mtime_ns == stamp
    for pictures in (Pictures(25), Pictures(24, hide_goal=True), None):
        with pytest.raises(ValueError, match="was made with"):
            demonstrate(tmp_path / "a", pictures=pictures)
    with pytest.raises(ValueError, match="size is 8 pixels"):
        Pictures(8)


def test_pictures_are_written_as_lerobot_writes_them(tmp_path: Path) -> None:
    painter = MazePainter(Maze.from_seed(), 24)
    features = {key: value for key, value in FEATURES.items() if key != "observation.environment_state"}
    episodes = [{key: path_to_episode(walk(number))[key] for key in features} for number in range(3)]
    pictures = [
        np.stack([painter.observe(place, (3.5, 3.5)) for place in one["observation.state"]]) for one in episodes
    ]
    write_low_dim_dataset(tmp_path / "fast", "a/b", 10, features, episodes, TASK)
    add_pictures(tmp_path / "fast", pictures)
    camera = {"dtype": "image", "shape": (24, 24, 3), "names": ["height", "width", "channels"]}
    stock = LeRobotDataset.create("a/b", 10, {CAMERA: camera, **features}, root=tmp_path / "stock", use_videos=False)
    for episode, frames in zip(episodes, pictures, strict=True):
        for number, frame in enumerate(frames):
            stock.add_frame({CAMERA: frame, **{key: value[number] for key, value in episode.items()}, "task": TASK})
        stock.save_episode()
    stock.finalize()

    ours, theirs = (json.loads((tmp_path / name / "meta/info.json").read_text()) for name in ("fast", "stock"))
    assert ours == theirs
    ours, theirs = (json.loads((tmp_path / name / "meta/stats.json").read_text()) for name in ("fast", "stock"))
    assert ours.keys() == theirs.keys() and ours[CAMERA].keys() == theirs[CAMERA].keys()
    for name, value in theirs[CAMERA].items():
        assert np.allclose(ours[CAMERA][name], value, rtol=1e-6, atol=1e-9), name
    path = DEFAULT_EPISODES_PATH.format(chunk_index=0, file_index=0)
    ours, theirs = (pq.read_table(tmp_path / name / path) for name in ("fast", "stock"))
    assert sorted(ours.column_names) == sorted(theirs.column_names)
    assert ours.select(theirs.column_names).schema.equals(theirs.schema)
    assert pq.read_schema(tmp_path / "fast" / DATA).equals(pq.read_schema(tmp_path / "stock" / DATA))
    fast, slow = (LeRobotDataset("a/b", root=tmp_path / name) for name in ("fast", "stock"))
    assert len(fast) == len(slow)
    for index in range(len(slow)):
        one, two = fast[index], slow[index]
        assert one.keys() == two.keys()
        assert all((one[key] == two[key]).all() for key in one if key != "task")


def test_pictures_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_low_dim_dataset(tmp_path / "x", "a/b", 10, FEATURES, [path_to_episode(walk(0))], TASK)
    with pytest.raises(ValueError, match="episode 0: pictures are uint8"):
        add_pictures(tmp_path / "x", [np.zeros((1, 24, 24, 3), np.uint8)])


# From data to a rollout.


def test_a_policy_is_trained_from_the_frame_cache_and_evaluated(
    tmp_path: Path, demonstrate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stock lerobot-train decodes every picture once, a second run none; stock lerobot-eval shows it the maze.

    Beside that each run looks at one picture a dataset when it opens them.
    """
    from lerobot.scripts import lerobot_eval, lerobot_train

    frames = sum(one["frames"] for one in demonstrate(tmp_path / "data", pictures=Pictures(OBSERVATION_SIZE)).values())
    decoded: list[int] = []
    read = StoredImageReader.read

    def counted(self: StoredImageReader, rows: torch.Tensor) -> torch.Tensor:
        decoded.append(len(rows))
        return read(self, rows)

    monkeypatch.setattr(StoredImageReader, "read", counted)
    source = {"repo_id": "ambient/maze_source", "root": str(tmp_path / "data/source"), "sigma_min": 0.16}
    train = [
        "lerobot-train",
        "--dataset.repo_id=ambient/maze_target",
        f"--dataset.root={tmp_path / 'data/target'}",
        "--dataset.use_imagenet_stats=false",
        "--policy.type=ambient_diffusion",
        "--policy.push_to_hub=false",
        "--policy.device=cpu",
        f"--policy.sources={json.dumps([source])}",
        f"--policy.frame_cache={tmp_path / 'frames'}",
        "--policy.pretrained_backbone_weights=null",
        "--policy.use_group_norm=true",
        "--policy.denoiser=mlp",
        "--policy.mlp_width=16",
        "--policy.mlp_depth=1",
        "--policy.n_obs_steps=1",
        "--policy.horizon=16",
        "--policy.n_action_steps=8",
        "--policy.drop_n_last_frames=0",
        "--policy.num_train_timesteps=5",
        "--batch_size=2",
        "--steps=2",
        "--num_workers=0",
        "--env_eval_freq=0",
    ]
    looks = 2
    for run, wanted in (("first", frames + looks), ("second", looks)):
        decoded.clear()
        monkeypatch.setattr(sys, "argv", [*train, f"--output_dir={tmp_path / run}"])
        lerobot_train.main()
        assert sum(decoded) == wanted
    evaluate = [
        "lerobot-eval",
        f"--policy.path={tmp_path / 'first/checkpoints/last/pretrained_model'}",
        "--env.type=ambient_maze",
        "--env.obs_type=pixels_agent_pos",
        "--env.episode_length=9",
        "--eval.n_episodes=16",
        "--eval.batch_size=16",
        "--eval.use_async_envs=false",
        f"--output_dir={tmp_path / 'eval'}",
    ]
    monkeypatch.setattr(sys, "argv", evaluate)
    lerobot_eval.main()
    result = json.loads((tmp_path / "eval/eval_info.json").read_text())
    assert len(result["per_task"][0]["metrics"]["successes"]) == 16
