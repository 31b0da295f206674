# SPDX-License-Identifier: Apache-2.0
"""The arm's demonstrations: they succeed when replayed, follow their seed, and arrive on disk whole."""

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

pytest.importorskip("mujoco", reason="needs the extra 'arm7'")
pytest.importorskip("ompl", reason="needs the extra 'arm7'")

from lerobot_ambient.benchmarks.tasks.arm7 import data as arm7_data
from lerobot_ambient.benchmarks.tasks.arm7 import demonstrations as arm7_demonstrations
from lerobot_ambient.benchmarks.tasks.arm7.data import make_arm7_data
from lerobot_ambient.benchmarks.tasks.arm7.demonstrations import (
    RAMP,
    at_constant_speed,
    demonstration,
    demonstrations,
    smoothed,
    with_ramps,
)
from lerobot_ambient.benchmarks.tasks.arm7.environment import Arm7Env
from lerobot_ambient.benchmarks.tasks.arm7.planner import raw_path, short_path
from lerobot_ambient.benchmarks.tasks.arm7.scene import ArmScene
from lerobot_ambient.benchmarks.tasks.arm7.task import CLEARANCE, MAX_STEP, SPACING, draw_task
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration
from lerobot_ambient.cli.laboratory import make_data

DATA = Path("data/chunk-000/file-000.parquet")
CORNER = np.zeros((3, 7))
CORNER[1:, 0], CORNER[2, 1] = 1.2, 0.8
"""1.2 rad of the first joint, then 0.8 of the second."""


def make(root: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    return make_arm7_data(root, **{"target_episodes": 2, "source_episodes": 3, "progress": False, **changes})


# Paths in time.


def test_constant_speed_spaces_evenly() -> None:
    path = at_constant_speed(CORNER)
    assert len(path) == round(2.0 / SPACING) + 1
    assert np.linalg.norm(np.diff(path, axis=0), axis=1) == pytest.approx(2.0 / (len(path) - 1))
    assert np.array_equal(path[[0, -1]], CORNER[[0, -1]])


def test_ramps_gather_and_lose_speed_alike() -> None:
    path = with_ramps(CORNER[:2])
    speed = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert len(path) == round(1.2 / SPACING) + RAMP + 1
    assert speed == pytest.approx(speed[::-1])
    assert (np.diff(speed[: RAMP + 1]) > 0).all() and speed.max() == pytest.approx(SPACING, rel=0.02)
    assert path[[0, -1]] == pytest.approx(CORNER[:2])


def test_smoothing_minimises_what_it_says_and_keeps_the_ends() -> None:
    path = with_ramps(CORNER)

    def cost(candidate: np.ndarray) -> float:
        rest = np.vstack([candidate[:1], candidate, candidate[-1:]])
        return float(np.square(candidate - path).sum() + 30.0 * np.square(np.diff(rest, 2, axis=0)).sum())

    found, rng = smoothed(path, 30.0), np.random.default_rng(0)
    assert np.array_equal(found[[0, -1]], path[[0, -1]])
    for _ in range(20):
        nearby = found.copy()
        nearby[1:-1] += rng.normal(0.0, 0.01, nearby[1:-1].shape)
        assert cost(found) < cost(nearby)
    assert np.array_equal(smoothed(path, 0.0), path)
    accelerations = [mean_squared_acceleration(smoothed(path, one), 10) for one in (0.0, 10.0, 1000.0)]
    assert accelerations == sorted(accelerations, reverse=True)


# The planners.


def test_a_plan_follows_its_seed_whatever_was_planned_before() -> None:
    scene = ArmScene(CLEARANCE)
    start, goal = draw_task(np.random.default_rng(1), scene)
    first = raw_path(scene, start, goal, 5), short_path(scene, start, goal, 5, 2)
    raw_path(scene, goal, start, 6)
    second = raw_path(scene, start, goal, 5), short_path(scene, start, goal, 5, 2)
    for one, two in zip(first, second, strict=True):
        assert one is not None and two is not None and np.array_equal(one, two)
        assert np.allclose(one[[0, -1]], [start, goal])
        assert all(scene.motion_free(a, b) for a, b in pairwise(one))
    other = raw_path(scene, start, goal, 7)
    assert other is not None and not np.array_equal(first[0], other)


# The demonstrations.


@pytest.mark.parametrize("kind", ["target", "source"])
def test_demonstrations_succeed_when_replayed(kind: Any) -> None:
    env = Arm7Env()
    for path in demonstrations(kind, 6, 0, processes=1):
        assert path.dtype == np.float32 and np.abs(np.diff(path, axis=0)).max() <= MAX_STEP
        env.reset(options={"start": path[0], "goal": path[-1]})
        for action in path[1:]:
            *_, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                break
        assert info["is_success"] and not info["collision"]


def test_a_demonstration_is_pure_in_its_arguments() -> None:
    path = demonstration(3, "target", 0)
    assert np.array_equal(path, demonstration(3, "target", 0))
    for number, kind, seed in ((4, "target", 0), (3, "target", 1), (3, "source", 0)):
        assert not np.array_equal(path[0], demonstration(number, kind, seed)[0])


@pytest.mark.slow  # starts processes
@pytest.mark.usefixtures("preloaded_commands")
def test_processes_do_not_change_the_demonstrations() -> None:
    alone = list(demonstrations("source", 3, 0, processes=1))
    shared = list(demonstrations("source", 3, 0, processes=2))
    assert all(np.array_equal(one, two) for one, two in zip(alone, shared, strict=True))


def test_failures_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def second_time(kind: Any, sequence: np.random.SeedSequence) -> Any:
        seen.append(sequence.spawn_key[-2:])
        return np.zeros((2, 7), np.float32) if len(seen) == 2 else None

    monkeypatch.setattr(arm7_demonstrations, "attempt", second_time)
    demonstration(5, "target", 0)
    assert seen == [(5, 0), (5, 1)]
    monkeypatch.setattr(arm7_demonstrations, "attempt", lambda kind, sequence: None)
    with pytest.raises(RuntimeError, match="demonstration 5 of seed 0 failed 20 times"):
        demonstration(5, "target", 0)


# The datasets.


def test_the_data_sets_hold_the_paths_and_do_not_depend_on_their_number(tmp_path: Path) -> None:
    summary = make(tmp_path / "few")
    make(tmp_path / "many", source_episodes=4)
    few, more = (pq.read_table(tmp_path / run / "source" / DATA) for run in ("few", "many"))
    assert few.equals(more.slice(0, len(few))) and len(more) > len(few)
    dataset = LeRobotDataset("ambient/arm7_source", root=tmp_path / "few" / "source")
    assert dataset.num_episodes == 3 and len(dataset) == summary["source"]["frames"] and dataset.fps == 10
    path, frame = demonstration(0, "source", 0), dataset[0]
    for key, wanted in (
        ("observation.state", path[0]),
        ("observation.environment_state", path[-1]),
        ("action", path[1]),
    ):
        assert np.array_equal(frame[key].numpy(), wanted)
    assert summary["source"]["mean_squared_acceleration"] > 5 * summary["target"]["mean_squared_acceleration"]
    assert make(tmp_path / "few") == summary


def test_other_arguments_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "m", source_episodes=1)
    with pytest.raises(ValueError, match=r"was made with \{'seed': 0\}, not with \{'seed': 1\}"):
        make(tmp_path / "m", seed=1)
    (tmp_path / "other" / "target").mkdir(parents=True)
    with pytest.raises(ValueError, match="not written by make-data"):
        make(tmp_path / "other")


def test_a_killed_run_makes_only_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = arm7_data.write_low_dim_dataset

    def killed(root: Path, repo_id: str, *args: Any, **kwargs: Any) -> None:
        if repo_id.endswith("source"):
            root.mkdir()
            raise KeyboardInterrupt
        write(root, repo_id, *args, **kwargs)

    monkeypatch.setattr(arm7_data, "write_low_dim_dataset", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "m")
    assert (tmp_path / "m" / "target").is_dir() and not (tmp_path / "m" / "source").exists()
    monkeypatch.setattr(arm7_data, "write_low_dim_dataset", write)
    stamp = (tmp_path / "m" / "target" / DATA).stat().st_mtime_ns
    assert make(tmp_path / "m")["source"]["episodes"] == 3
    assert (tmp_path / "m" / "target" / DATA).stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target_episodes": 0}, "target_episodes is 0, must be at least 1"),
        ({"source_episodes": -2}, "source_episodes is -2, must be at least 1"),
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
    line = ["make-data", "arm7", "--root", str(tmp_path / "m"), "--target-episodes", "1", "--source-episodes", "2"]
    args = parser.parse_args([*line, "--json"])
    assert args.run(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["target"]["episodes"] == 1 and printed["source"]["episodes"] == 2
    args = parser.parse_args(line)
    assert args.run(args) == 0
    assert "source: 2 episodes" in capsys.readouterr().out
