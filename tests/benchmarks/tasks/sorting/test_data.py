# SPDX-License-Identifier: Apache-2.0
import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.benchmarks.tasks.configuration import AmbientSortingEnvConfig
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import RECORD
from lerobot_ambient.benchmarks.tasks.shared.motion import minimum_jerk
from lerobot_ambient.benchmarks.tasks.sorting import data as sorting_data
from lerobot_ambient.benchmarks.tasks.sorting.data import (
    KINDS,
    correct_share,
    demonstration,
    features,
    make_sorting_data,
)
from lerobot_ambient.benchmarks.tasks.sorting.demonstrations import AIM, SPEED, carry, grasp, reach
from lerobot_ambient.benchmarks.tasks.sorting.environment import SortingEnv
from lerobot_ambient.benchmarks.tasks.sorting.task import (
    CLOSED,
    DEFAULT_BLOCKS,
    GRASP_RADIUS,
    MAX_STEP,
    STEPS_PER_BLOCK,
    TASKS,
    VIEWS,
    Layout,
    View,
    environment_state_names,
)
from lerobot_ambient.cli.laboratory import make_data

DATA = Path("data/chunk-000/file-000.parquet")


def make(root: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    arguments = {"logic": "opposite", "target_episodes": 2, "source_episodes": 4, "blocks": 2, "progress": False}
    return make_sorting_data(root, **{**arguments, **changes})


def test_a_demonstration_sorts_every_block_when_its_actions_are_played_again() -> None:
    """The actions are all it takes: an environment in the same layout ends in the same way."""
    episodes = [demonstration("target", "right", 0, number, 3) for number in range(20)]
    lengths = [len(episode["action"]) for episode in episodes]
    assert max(lengths) < 3 * STEPS_PER_BLOCK
    assert correct_share(episodes, 3) == 1.0
    for episode in episodes:
        moves = np.linalg.norm(np.diff(episode["action"][:, :2], axis=0), axis=1)
        assert moves.max() < MAX_STEP
        reached = np.linalg.norm(episode["observation.state"][1:, :2] - episode["action"][:-1, :2], axis=1)
        assert reached.max() < 1e-6, "the hand follows its commands"


def test_one_of_the_two_can_be_made_and_the_other_follows_unchanged(tmp_path: Path) -> None:
    """A study makes the source once and a target for every draw."""
    words = ["--logic=opposite", "--target-episodes=2", "--source-episodes=3", "--blocks=2", "--json"]
    for root, more in ((tmp_path / "both", []), (tmp_path / "apart", ["--only=target"])):
        parser = argparse.ArgumentParser()
        make_data.add_parser(parser.add_subparsers())
        args = parser.parse_args(["make-data", "sorting", f"--root={root}", *words, *more])
        assert args.run(args) == 0
    assert not (tmp_path / "apart" / "source").exists()
    make(tmp_path / "apart", kinds=("source",), source_episodes=3)
    for kind in ("target", "source"):
        files = [(tmp_path / root / kind / DATA).read_bytes() for root in ("both", "apart")]
        assert files[0] == files[1]


@pytest.mark.parametrize(("logic", "share"), [("right", 1.0), ("opposite", 0.0), ("arbitrary", 0.5)])
def test_the_logic_decides_the_bin(logic: Any, share: float) -> None:
    episodes = [demonstration("source", logic, 0, number, 4) for number in range(40)]
    assert correct_share(episodes, 4) == pytest.approx(share, abs=0.0 if share != 0.5 else 0.12)


def test_logics_differ_only_from_the_first_carry_on() -> None:
    right, opposite = (demonstration("source", logic, 0, 5, 3) for logic in ("right", "opposite"))
    held = right["observation.environment_state"][:, -1] != 0
    first = int(np.flatnonzero(held)[0])
    assert all(np.array_equal(right[key][:first], opposite[key][:first]) for key in right)
    assert not np.array_equal(right["action"][first + 20], opposite["action"][first + 20])


def test_local_motion_has_the_same_law_under_every_logic() -> None:
    """Speeds of carries, in distance a step, as means over 60 demonstrations: equal within their standard errors."""
    means, errors = [], []
    for logic in ("right", "opposite"):
        speeds = []
        for number in range(60):
            episode = demonstration("source", logic, 1, number, 2)
            moves = np.linalg.norm(np.diff(episode["action"][:, :2], axis=0), axis=1)
            speeds.append(np.quantile(moves, 0.9))
        means.append(np.mean(speeds))
        errors.append(np.std(speeds) / np.sqrt(60))
    assert abs(means[0] - means[1]) < 3 * np.hypot(*errors)


def test_a_reach_is_bell_shaped_and_ends_where_it_should() -> None:
    rng = np.random.default_rng(0)
    start, end = np.array([0.0, 0.4]), np.array([0.8, -0.5])
    path = reach(rng, start, end)
    assert path[-1] == pytest.approx(end)
    moves = np.linalg.norm(np.diff(np.vstack([start, path]), axis=0), axis=1)
    middle = moves[len(moves) // 2 - 2 : len(moves) // 2 + 2].mean()
    assert middle == pytest.approx(1.875 * SPEED, rel=0.3)
    assert moves[:2].mean() < 0.3 * middle > moves[-2:].mean()
    assert minimum_jerk(7)[-1] == 1.0 and (np.diff(minimum_jerk(7)) > 0).all()
    closure = np.concatenate([grasp(rng, start, np.array([-0.3, -0.3])), carry(rng, start, end)])[:, 2]
    assert np.abs(np.diff(closure)).sum() == 2.0, "closed once, opened once"


def test_a_grasp_that_misses_is_tried_again() -> None:
    """As often as the aim says, within three standard errors; then the hand opens and the same block is taken."""
    tries = blocks = 0
    for number in range(100):
        episode = demonstration("source", "opposite", 0, number, 2)
        held = episode["observation.environment_state"][:, -1] != 0
        closed = episode["observation.state"][:, 2] >= CLOSED
        closures = np.flatnonzero(closed[1:] & ~closed[:-1]) + 1
        taken = held[closures]
        assert taken[-1] and taken.sum() == 2
        missed = closures[~taken]
        assert all(not closed[start : start + 10].all() for start in missed), "it opens soon after"
        tries, blocks = tries + len(closures), blocks + 2
    misses = float(np.exp(-((GRASP_RADIUS / AIM) ** 2) / 2))
    share = 1.0 - blocks / tries
    assert share == pytest.approx(misses, abs=3.0 * np.sqrt(misses * (1.0 - misses) / tries))


def test_demonstrations_depend_on_the_seed_and_their_number_only() -> None:
    again, other, further = (
        demonstration("target", "right", seed, number, 2) for seed, number in ((3, 1), (4, 1), (3, 2))
    )
    np.random.seed(0)
    first = demonstration("target", "right", 3, 1, 2)
    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["action"][0], other["action"][0])
    assert not np.array_equal(first["action"][0], further["action"][0])


@pytest.mark.parametrize("view", VIEWS)
def test_the_data_sets_are_lerobots_and_fit_the_environment(tmp_path: Path, view: View) -> None:
    summaries = make(tmp_path / "s", condition=True, view=view)
    assert sorted(item.name for item in (tmp_path / "s").iterdir()) == ["source", "target"]
    assert (summaries["target"]["correct"], summaries["source"]["correct"]) == (1.0, 0.0)
    config = AmbientSortingEnvConfig(blocks=2, condition=True, view=view)
    for kind, flag, logic in (("target", 1.0, "right"), ("source", 0.0, "opposite")):
        found = LeRobotDataset(summaries[kind]["repo_id"], root=tmp_path / "s" / kind)
        assert len(found) == summaries[kind]["frames"]
        assert found[0]["task"] == TASKS[logic]
        assert tuple(found[0]["observation.environment_state"].shape) == config.features["environment_state"].shape
        assert all(found[index]["observation.environment_state"][-1] == flag for index in (0, len(found) - 1))
        names = features(2, True, view)["observation.environment_state"]["names"]
        assert found.meta.features["observation.environment_state"]["names"] == names
        assert names == environment_state_names(2, True, view)
    observation, _ = SortingEnv(blocks=2, condition=True, view=view).reset(seed=0)
    assert observation["environment_state"][-1] == 1.0


@pytest.mark.parametrize("view", VIEWS)
def test_an_environment_shows_what_the_demonstration_recorded(view: View) -> None:
    """Played again in the same layout, number for number; and a view does not change what is done."""
    episode = demonstration("target", "right", 0, 3, 2, view=view)
    state, columns = episode["observation.environment_state"], environment_state_names(2, False, view)
    first = dict(zip(columns, state[0].tolist(), strict=True))
    blocks = np.array([[first[f"block{block}_{axis}"] for axis in "xy"] for block in range(2)])
    colours = np.array([int(first[f"block{block}_colour"] > 0) for block in range(2)])
    env = SortingEnv(blocks=2, view=view)
    seen, _ = env.reset(options={"layout": Layout(blocks, colours, episode["observation.state"][0, :2])})
    for frame, action in enumerate(episode["action"]):
        assert seen["agent_pos"] == pytest.approx(episode["observation.state"][frame], abs=1e-6)
        assert seen["environment_state"] == pytest.approx(state[frame], abs=1e-6)
        seen, *_ = env.step(action)
    assert env.correct == 2
    assert np.array_equal(episode["action"], demonstration("target", "right", 0, 3, 2)["action"])


def test_files_are_the_same_whatever_the_hash_seed(tmp_path: Path) -> None:
    """LeRobot aggregates statistics in the order of a set of names."""
    make_sorting_data(tmp_path, logic="opposite", target_episodes=1, source_episodes=1, progress=False)
    for kind in KINDS:
        text = (tmp_path / kind / "meta" / "stats.json").read_text()
        stats = json.loads(text)
        assert list(stats) == sorted(stats)
        assert all(list(values) == sorted(values) for values in stats.values())


def test_the_same_arguments_return_at_once_and_a_killed_run_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = sorting_data.write_low_dim_dataset

    def killed(root: Path, repo_id: str, *args: Any, **kwargs: Any) -> None:
        if repo_id.endswith("source"):
            root.mkdir()
            raise KeyboardInterrupt
        write(root, repo_id, *args, **kwargs)

    monkeypatch.setattr(sorting_data, "write_low_dim_dataset", killed)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "s")
    assert (tmp_path / "s" / "target").is_dir() and not (tmp_path / "s" / "source").exists()
    monkeypatch.setattr(sorting_data, "write_low_dim_dataset", write)
    first = make(tmp_path / "s")
    make(tmp_path / "whole")
    for kind in KINDS:
        one, two = (pq.read_table(tmp_path / run / kind / DATA) for run in ("s", "whole"))
        assert one.equals(two)
    stamps = [(tmp_path / "s" / kind / RECORD).stat().st_mtime_ns for kind in KINDS]
    assert make(tmp_path / "s") == first
    assert stamps == [(tmp_path / "s" / kind / RECORD).stat().st_mtime_ns for kind in KINDS]


@pytest.mark.parametrize("change", [{"seed": 1}, {"logic": "arbitrary"}, {"target_episodes": 3}, {"view": "wrist"}])
def test_other_arguments_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    make(tmp_path / "s")
    with pytest.raises(ValueError, match=r"was made with .* not with .* remove it"):
        make(tmp_path / "s", **change)


def test_a_view_is_told_from_the_other_both_ways(tmp_path: Path) -> None:
    """Data from before there were views has no entry; it shows the table."""
    make(tmp_path / "s", view="wrist")
    with pytest.raises(ValueError, match=r"made with \{'view': 'wrist'\}, not with \{'view': None\}"):
        make(tmp_path / "s")
    make(tmp_path / "old", source_episodes=1)
    assert "view" not in json.loads((tmp_path / "old" / "target" / RECORD).read_text())["arguments"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"logic": "left"}, "logic is 'left'"),
        ({"view": "side"}, "view is 'side'"),
        ({"seed": -1}, "seed is -1"),
        ({"source_episodes": 0}, "source demonstrations of sorting: count is 0"),
        ({"blocks": 9}, "blocks is 9"),
    ],
)
def test_arguments_out_of_range_are_refused_before_any_work(tmp_path: Path, change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make(tmp_path / "s", **change)
    assert not (tmp_path / "s").exists()


def test_a_foreign_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "s" / "source").mkdir(parents=True)
    with pytest.raises(ValueError, match="not written by make-data"):
        make(tmp_path / "s")
    assert not (tmp_path / "s" / "target").exists()


def test_the_command_prints_json_and_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    make_data.add_parser(parser.add_subparsers())
    line = ["make-data", "sorting", "--root", str(tmp_path / "s"), "--logic=opposite"]
    args = parser.parse_args([*line, "--target-episodes=2", "--source-episodes=2", "--json"])
    assert args.blocks == DEFAULT_BLOCKS
    assert args.run(args) == 0
    assert json.loads(capsys.readouterr().out)["source"]["correct"] == 0.0
    args.json = False
    assert args.run(args) == 0
    assert "opposite logic, 0.0 % of the blocks in the bin of their colour" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        parser.parse_args(line[:-1])
