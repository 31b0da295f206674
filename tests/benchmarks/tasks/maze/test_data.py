# SPDX-License-Identifier: Apache-2.0
import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import DEFAULT_EPISODES_PATH

from lerobot_ambient.benchmarks.tasks.maze import data as maze_data
from lerobot_ambient.benchmarks.tasks.maze import demonstrations as maze_demonstrations
from lerobot_ambient.benchmarks.tasks.maze.data import FEATURES, make_maze_data, path_to_episode
from lerobot_ambient.benchmarks.tasks.maze.demonstrations import (
    Block,
    Kind,
    blocks_for,
    load_block,
    plan_block,
    plan_blocks,
)
from lerobot_ambient.benchmarks.tasks.maze.geometry import Maze
from lerobot_ambient.benchmarks.tasks.maze.task import MAX_STEP, MIN_SEPARATION, SPACING, TASK
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import RECORD
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import write_low_dim_dataset
from lerobot_ambient.benchmarks.tasks.shared.motion import mean_squared_acceleration
from lerobot_ambient.cli.laboratory import make_data

DATA = Path("data/chunk-000/file-000.parquet")


def fake_paths(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((int(rng.integers(4, 30)), 2)).astype(np.float32) for _ in range(count)]


def fake_plan(block: Block, folder: Path) -> None:
    paths = fake_paths(block.count)
    with (folder / block.name).open("wb") as file:
        np.savez(file, points=np.concatenate(paths), lengths=[len(path) for path in paths])


@pytest.fixture
def no_planners(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace planning by cheap random paths; the names of the planned blocks."""
    planned: list[str] = []

    def plan(blocks: list[Block], folder: Path, processes: int = 1) -> Any:
        folder.mkdir(parents=True, exist_ok=True)
        for block in blocks:
            if not (folder / block.name).exists():
                fake_plan(block, folder)
                planned.append(block.name)
            yield block

    monkeypatch.setattr(maze_data, "plan_blocks", plan)
    monkeypatch.setattr(maze_data, "require_planner", lambda kind: None)
    return planned


def make(root: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    return make_maze_data(root, **{"target_episodes": 3, "source_episodes": 6, "seed": 0, "progress": False, **changes})


# The fast writer against LeRobot's own.


def test_the_fast_writer_writes_what_lerobot_writes(tmp_path: Path) -> None:
    episodes = [path_to_episode(path) for path in fake_paths(12)]
    write_low_dim_dataset(tmp_path / "fast", "a/b", 10, FEATURES, episodes, TASK)
    stock = LeRobotDataset.create("a/b", 10, FEATURES, root=tmp_path / "stock", use_videos=False)
    for episode in episodes:
        for frame in range(len(episode["action"])):
            stock.add_frame({**{key: values[frame] for key, values in episode.items()}, "task": TASK})
        stock.save_episode()
    stock.finalize()

    ours, theirs = (pq.read_table(tmp_path / name / DATA) for name in ("fast", "stock"))
    hints = [json.loads(table.schema.metadata[b"huggingface"]) for table in (ours, theirs)]
    # LeRobot's mapping over the frames leaves a random fingerprint of its cache behind.
    assert hints[0] == {key: value for key, value in hints[1].items() if key != "fingerprint"}
    assert ours.equals(theirs)

    path = DEFAULT_EPISODES_PATH.format(chunk_index=0, file_index=0)
    ours, theirs = (pq.read_table(tmp_path / name / path) for name in ("fast", "stock"))
    assert ours.schema.equals(theirs.schema)
    assert ours.equals(theirs)

    info, wanted = (json.loads((tmp_path / name / "meta/info.json").read_text()) for name in ("fast", "stock"))
    assert info == wanted
    assert pq.read_table(tmp_path / "fast/meta/tasks.parquet").equals(
        pq.read_table(tmp_path / "stock/meta/tasks.parquet")
    )
    stats, wanted = (json.loads((tmp_path / name / "meta/stats.json").read_text()) for name in ("fast", "stock"))
    assert {key: set(values) for key, values in stats.items()} == {key: set(values) for key, values in wanted.items()}
    for key, values in wanted.items():
        for name, value in values.items():
            assert stats[key][name] == pytest.approx(value, rel=1e-5, abs=1e-6), (key, name)

    fast, slow = (LeRobotDataset("a/b", root=tmp_path / name) for name in ("fast", "stock"))
    assert len(fast) == len(slow) == sum(len(episode["action"]) for episode in episodes)
    for index in (0, 5, len(fast) - 1):
        one, two = fast[index], slow[index]
        assert one.keys() == two.keys() and one["task"] == two["task"] == TASK
        assert all((one[key] == two[key]).all() for key in one if key != "task")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"action": np.zeros((3, 2), np.float32)}, "same number of frames"),
        ({"action": np.zeros((4, 3), np.float32)}, "action has shape"),
        ({"surplus": np.zeros((4, 3), np.float32)}, "surplus"),
    ],
)
def test_the_fast_writer_refuses_episodes_that_do_not_fit(tmp_path: Path, change: dict, words: str) -> None:
    episode = {**path_to_episode(np.zeros((5, 2), np.float32)), **change}
    with pytest.raises(ValueError, match=words):
        write_low_dim_dataset(tmp_path / "x", "a/b", 10, FEATURES, [episode], TASK)


def test_the_fast_writer_refuses_nothing_and_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no episodes"):
        write_low_dim_dataset(tmp_path / "x", "a/b", 10, FEATURES, [], TASK)
    image = {"observation.image": {"dtype": "video", "shape": (4, 4, 3), "names": None}}
    with pytest.raises(ValueError, match="not numeric"):
        write_low_dim_dataset(tmp_path / "x", "a/b", 10, image, [{}], TASK)


# Making data, without planners.


def test_frames_are_observations_with_the_next_position_as_action() -> None:
    path = fake_paths(1)[0]
    episode = path_to_episode(path)
    assert np.array_equal(episode["observation.state"], path[:-1])
    assert np.array_equal(episode["action"], path[1:])
    assert (episode["observation.environment_state"] == path[-1]).all()


def test_the_summary_counts_and_measures(tmp_path: Path, no_planners: list[str]) -> None:
    summary = make(tmp_path / "m")["source"]
    paths = fake_paths(6)
    assert summary == {
        "root": str(tmp_path / "m" / "source"),
        "repo_id": "ambient/maze_source",
        "episodes": 6,
        "frames": sum(len(path) - 1 for path in paths),
        "mean_squared_acceleration": pytest.approx(np.mean([mean_squared_acceleration(path, 10) for path in paths])),
    }
    assert sorted(item.name for item in (tmp_path / "m").iterdir()) == ["source", "target"]


def test_the_same_arguments_return_at_once(tmp_path: Path, no_planners: list[str]) -> None:
    first = make(tmp_path / "m")
    stamps = [(tmp_path / "m" / kind / RECORD).stat().st_mtime_ns for kind in ("target", "source")]
    no_planners.clear()
    assert make(tmp_path / "m") == first
    assert no_planners == []
    assert stamps == [(tmp_path / "m" / kind / RECORD).stat().st_mtime_ns for kind in ("target", "source")]


@pytest.mark.parametrize("change", [{"seed": 1}, {"fps": 20}, {"target_episodes": 4}, {"maze_seed": 1}])
def test_other_arguments_are_refused(tmp_path: Path, no_planners: list[str], change: dict[str, int]) -> None:
    make(tmp_path / "m")
    with pytest.raises(ValueError, match=r"was made with .* not with .* remove it"):
        make(tmp_path / "m", **change)


def test_a_foreign_folder_is_refused_before_any_work(tmp_path: Path, no_planners: list[str]) -> None:
    (tmp_path / "m" / "source").mkdir(parents=True)
    with pytest.raises(ValueError, match="not written by make-data"):
        make(tmp_path / "m")
    assert no_planners == []


def test_a_killed_run_continues(tmp_path: Path, no_planners: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while writing the source: the target and the planned paths stay, and the result is the same."""
    write = maze_data.write_low_dim_dataset

    def killed(root: Path, repo_id: str, *args: Any, **kwargs: Any) -> None:
        if repo_id.endswith("source"):
            root.mkdir()
            raise KeyboardInterrupt
        write(root, repo_id, *args, **kwargs)

    monkeypatch.setattr(maze_data, "write_low_dim_dataset", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "m")
    assert (tmp_path / "m" / "target").is_dir() and not (tmp_path / "m" / "source").exists()
    monkeypatch.setattr(maze_data, "write_low_dim_dataset", write)
    no_planners.clear()
    make(tmp_path / "m")
    assert no_planners == []
    make(tmp_path / "whole")
    for kind in ("target", "source"):
        one, two = (pq.read_table(tmp_path / run / kind / DATA) for run in ("m", "whole"))
        assert one.equals(two)


def test_a_missing_planner_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maze_demonstrations.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"lerobot_policy_ambient_diffusion\[maze\]"):
        make(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_the_command_prints_json_and_errors(
    tmp_path: Path, no_planners: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    make_data.add_parser(parser.add_subparsers())
    line = ["make-data", "maze", "--root", str(tmp_path / "m"), "--target-episodes", "2", "--source-episodes", "4"]
    args = parser.parse_args([*line, "--json"])
    assert args.run(args) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["target"]["episodes"] == 2 and printed["source"]["episodes"] == 4
    assert printed["seconds"] >= 0
    args = parser.parse_args([*line, "--seed", "3"])
    # The command line's frame makes one line and exit code 2 of it.
    with pytest.raises(ValueError, match=r"was made with \{'seed': 0\}"):
        args.run(args)
    args = parser.parse_args(line)
    assert args.run(args) == 0
    assert "source: 4 episodes" in capsys.readouterr().out


def test_blocks_cover_the_paths_once() -> None:
    maze = Maze.from_seed()
    assert [block.count for block in blocks_for("source", maze, 0, 600)] == [250, 250, 100]
    assert [block.index for block in blocks_for("source", maze, 0, 600)] == [0, 1, 2]
    with pytest.raises(ValueError, match="count is 0"):
        blocks_for("source", maze, 0, 0)
    with pytest.raises(ValueError, match="seed is -1"):
        blocks_for("source", maze, -1, 1)


# The real planners.


def check_planned(
    kind: Kind, maze: Maze, long: list[np.ndarray], short: list[np.ndarray], other: list[np.ndarray]
) -> None:
    """Free of walls, evenly spaced within reach of a step, far apart, pure in (seed, kind, number)."""
    assert all(np.array_equal(a, b) for a, b in zip(long[: len(short)], short, strict=True))
    assert not any(np.array_equal(a[0], b[0]) for a, b in zip(short, other, strict=True))
    for path in long:
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        assert path.dtype == np.float32 and maze.path_free(path)
        assert steps.max() <= 1.05 * SPACING < MAX_STEP
        assert np.linalg.norm(path[-1] - path[0]) >= MIN_SEPARATION - 1e-5
    roughness = np.mean([mean_squared_acceleration(path, 10) for path in long])
    assert roughness < 2.0 if kind == "target" else roughness > 10.0


def test_target_paths_keep_the_contract() -> None:
    pytest.importorskip("pydrake", reason="needs the extra 'maze'")
    maze = Maze.from_seed()
    blocks = [Block("target", maze, seed, 0, count) for seed, count in ((0, 8), (0, 4), (1, 4))]
    check_planned("target", maze, *map(plan_block, blocks))


@pytest.mark.slow  # OMPL needs a fresh process for each block
def test_source_paths_keep_the_contract(tmp_path: Path) -> None:
    pytest.importorskip("ompl", reason="needs the extra 'maze'")
    maze = Maze.from_seed()
    runs = []
    for name, seed, count in (("long", 0, 8), ("short", 0, 4), ("other", 1, 4)):
        blocks = blocks_for("source", maze, seed, count)
        assert list(plan_blocks(blocks, tmp_path / name)) == blocks
        assert list(plan_blocks(blocks, tmp_path / name)) == blocks, "planned before"
        runs.append(load_block(blocks[0], tmp_path / name))
    check_planned("source", maze, *runs)
