# SPDX-License-Identifier: Apache-2.0
"""The demonstrations of planar pushing: they succeed, follow their seed, and arrive on disk whole."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

pytest.importorskip("pymunk", reason="needs the extra 'pushing'")

from lerobot_ambient.benchmarks.tasks.pushing import data as pushing_data
from lerobot_ambient.benchmarks.tasks.pushing.data import attempt, demonstration, demonstrations, make_pushing_data
from lerobot_ambient.benchmarks.tasks.pushing.demonstrator import STYLES, Demonstrator, nearest_point, predict
from lerobot_ambient.benchmarks.tasks.pushing.environment import PushingEnv
from lerobot_ambient.benchmarks.tasks.pushing.task import HALF, PHYSICS, TABLE, is_success, looks_right
from lerobot_ambient.benchmarks.tasks.pushing.world import ARM
from lerobot_ambient.cli.laboratory import make_data

DATA = Path("data/chunk-000/file-000.parquet")


def make(root: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    return make_pushing_data(root, **{"target_episodes": 2, "source_episodes": 3, "progress": False, **changes})


def equal(one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> bool:
    return one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


# The demonstrator.


def test_the_model_pushes_straight_through_the_centre_and_turns_elsewhere() -> None:
    """Through the centre every stride is the block's; at offset r it moves by c^2 / (c^2 + r^2) of the first one."""
    contact = np.array([[-HALF, 0.0], [-HALF, 3.0]])
    poses = predict(np.zeros(3), contact, np.array([[1.0, 0.0], [1.0, 0.0]]))
    stride = poses[1, 0, 0]
    assert poses[:, 0] == pytest.approx(np.outer(np.arange(len(poses)) * stride, [1.0, 0.0, 0.0]), abs=1e-12)
    speed = stride * (ARM**2 + HALF**2) / (ARM**2 + HALF**2 + 9.0)
    assert poses[1, 1, 0] == pytest.approx(speed)
    assert poses[1, 1, 2] < 0.0


def test_the_contact_moves_as_the_pusher_does() -> None:
    """The model's contact sticks: the point of the block under the pusher has the pusher's velocity."""
    rng = np.random.default_rng(0)
    pose, contact = np.array([1.0, 2.0, 0.3]), rng.uniform(-6.0, 6.0, (50, 2))
    angle = rng.uniform(-np.pi, np.pi, 50)
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    poses = predict(pose, contact, direction)
    moved = poses[1] - poses[0]
    arm = contact - pose[:2]
    velocity = moved[:, :2] + moved[:, 2:] * np.stack([-arm[:, 1], arm[:, 0]], axis=1)
    stride = np.linalg.norm(velocity, axis=1)
    assert velocity / stride[:, None] == pytest.approx(direction, abs=1e-9)
    assert np.ptp(stride) == pytest.approx(0.0, abs=1e-9)


def test_the_nearest_point_is_on_the_block() -> None:
    pose = np.array([2.0, 1.0, np.pi / 4])
    corner = nearest_point(np.array([20.0, 1.0]), pose)
    assert corner == pytest.approx([2.0 + HALF * np.sqrt(2.0), 1.0])
    assert nearest_point(np.array([2.5, 1.0]), pose) == pytest.approx([2.5, 1.0])


@pytest.mark.parametrize("kind", ["target", "source"])
def test_demonstrators_succeed_in_their_own_physics(kind: Any) -> None:
    env = PushingEnv(physics=kind)
    sequences = [np.random.SeedSequence(7, spawn_key=(number,)) for number in range(40)]
    episodes = [attempt(env, kind, sequence) for sequence in sequences]
    assert sum(episode is not None for episode in episodes) >= 39


def test_a_demonstrator_stops_when_the_pose_looks_right() -> None:
    """Not earlier; and not only when it is a success, which is judged more strictly."""
    ends = []
    for number in range(10):
        env = PushingEnv(physics="target")
        episode = attempt(env, "target", np.random.SeedSequence(7, spawn_key=(number,)))
        assert episode is not None
        assert looks_right(env.pose)
        state = episode["observation.environment_state"]
        angles = np.arctan2(state[:, 3], state[:, 2]) / 4.0
        assert not any(looks_right([x, y, angle]) for (x, y), angle in zip(state[:, :2], angles, strict=True))
        ends.append(is_success(env.pose))
    assert not all(ends)


def test_commands_of_the_simulation_repeat_there_and_fail_in_the_target() -> None:
    """Without feedback: they are right for a stiff and prompt arm."""
    successes = dict.fromkeys(PHYSICS, 0)
    for seed in range(10):
        env = PushingEnv(physics="source")
        env.reset(seed=seed)
        demonstrator, actions, ended = (
            Demonstrator(env.physics, STYLES["source"], np.random.default_rng(seed)),
            [],
            False,
        )
        while not ended:
            actions.append(demonstrator.act(env.pusher, env.pose).astype(np.float32))
            *_, terminated, truncated, _ = env.step(actions[-1])
            ended = terminated or truncated
        for kind in PHYSICS:
            replayed = PushingEnv(physics=kind)
            replayed.reset(seed=seed)
            successes[kind] += any(replayed.step(action)[2] for action in actions)
    assert successes["source"] == 10
    assert successes["target"] <= 3


# The demonstrations.


def test_a_demonstration_is_pure_in_its_arguments_and_replays() -> None:
    episode = demonstration(3, "target", 0)
    assert equal(episode, demonstration(3, "target", 0))
    assert not any(equal(episode, demonstration(number, "target", seed)) for number, seed in ((4, 0), (3, 1)))
    assert not np.array_equal(episode["observation.state"][0], demonstration(3, "source", 0)["observation.state"][0])
    assert np.abs(episode["action"]).max() <= TABLE
    assert {values.dtype for values in episode.values()} == {np.dtype(np.float32)}


@pytest.mark.slow  # starts processes that import LeRobot
@pytest.mark.usefixtures("preloaded_commands")
def test_processes_do_not_change_the_demonstrations() -> None:
    alone = list(demonstrations("source", 3, 0, processes=1))
    shared = list(demonstrations("source", 3, 0, processes=2))
    assert all(equal(one, two) for one, two in zip(alone, shared, strict=True))


def test_failures_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def second_time(env: PushingEnv, kind: Any, sequence: np.random.SeedSequence) -> Any:
        seen.append(sequence.spawn_key[-2:])
        return {"action": np.zeros((1, 2))} if len(seen) == 2 else None

    monkeypatch.setattr(pushing_data, "attempt", second_time)
    demonstration(5, "target", 0)
    assert seen == [(5, 0), (5, 1)]
    monkeypatch.setattr(pushing_data, "attempt", lambda *args: None)
    with pytest.raises(RuntimeError, match="demonstration 5 of seed 0 failed 20 times"):
        demonstration(5, "target", 0)


def test_more_of_them_start_with_the_same_ones_and_lerobot_reads_them(tmp_path: Path) -> None:
    summary = make(tmp_path / "few")
    assert make(tmp_path / "few") == summary
    make(tmp_path / "more", source_episodes=4)
    few, more = (pq.read_table(tmp_path / name / "source" / DATA) for name in ("few", "more"))
    assert few.equals(more.slice(0, len(few))) and len(more) > len(few)
    dataset = LeRobotDataset("ambient/pushing_source", root=tmp_path / "few" / "source")
    assert dataset.num_episodes == 3 and len(dataset) == summary["source"]["frames"]
    assert dataset[0]["observation.environment_state"].shape == (4,) and dataset.fps == 10
    assert summary["source"]["mean_squared_acceleration"] > 2 * summary["target"]["mean_squared_acceleration"]


def test_other_arguments_and_foreign_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "m")
    with pytest.raises(ValueError, match=r"was made with \{'seed': 0\}, not with \{'seed': 1\}"):
        make(tmp_path / "m", seed=1)
    (tmp_path / "other" / "target").mkdir(parents=True)
    with pytest.raises(ValueError, match="not written by make-data"):
        make(tmp_path / "other")


def test_a_killed_run_makes_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make(tmp_path / "whole")
    write = pushing_data.write_low_dim_dataset

    def killed(root: Path, repo_id: str, *args: Any, **kwargs: Any) -> None:
        if repo_id.endswith("source"):
            root.mkdir()
            raise KeyboardInterrupt
        write(root, repo_id, *args, **kwargs)

    monkeypatch.setattr(pushing_data, "write_low_dim_dataset", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "m")
    assert (tmp_path / "m" / "target").is_dir() and not (tmp_path / "m" / "source").exists()
    monkeypatch.setattr(pushing_data, "write_low_dim_dataset", write)
    stamp = (tmp_path / "m" / "target" / DATA).stat().st_mtime_ns
    again = make(tmp_path / "m")
    assert again["source"]["frames"] == whole["source"]["frames"]
    assert (tmp_path / "m" / "target" / DATA).stat().st_mtime_ns == stamp
    one, two = (pq.read_table(tmp_path / run / "source" / DATA) for run in ("m", "whole"))
    assert one.equals(two)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target_episodes": 0}, "target_episodes is 0, must be at least 1"),
        ({"seed": -1}, "seed is -1, must be at least 0"),
        ({"processes": 0}, "processes is 0, must be at least 1"),
    ],
)
def test_bad_counts_are_refused_before_anything_is_written(tmp_path: Path, change: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(tmp_path / "m", **change)
    assert not (tmp_path / "m").exists()


def test_the_command_prints_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    make_data.add_parser(parser.add_subparsers())
    line = ["make-data", "pushing", "--root", str(tmp_path / "m"), "--target-episodes", "1", "--source-episodes", "2"]
    args = parser.parse_args([*line, "--json"])
    assert args.run(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["target"]["episodes"] == 1 and printed["source"]["episodes"] == 2
    args = parser.parse_args(line)
    assert args.run(args) == 0
    assert "source: 2 episodes" in capsys.readouterr().out
