# SPDX-License-Identifier: Apache-2.0
"""ALOHA's demonstrations on disk: as the stock environment shows the task, whole, and repeatable in it."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

pytest.importorskip("gym_aloha", reason="ALOHA'S DATA ARE NOT TRIED: install the extra aloha")

from lerobot_ambient.benchmarks.tasks.aloha import data as aloha_data
from lerobot_ambient.benchmarks.tasks.aloha.data import Film, make_aloha_data
from lerobot_ambient.benchmarks.tasks.aloha.demonstrations import STYLES, Played, demonstration
from lerobot_ambient.benchmarks.tasks.aloha.gl import require_gl
from lerobot_ambient.benchmarks.tasks.aloha.scene import NAMES, SUCCESS, AlohaScene
from lerobot_ambient.cli.laboratory import make_data

PICTURE = "observation.images.top"


@pytest.fixture
def short_films(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beginnings of demonstrations with made-up pictures: drawing takes most of the time."""

    def film(number: int, kind: Any, seed: int, size: tuple[int, int]) -> Film:
        played, attempts = demonstration(number, kind, seed)
        cut = Played(played.seed, *(getattr(played, name)[:6] for name in ("states", "actions", "qpos", "rewards")))
        return Film(cut, attempts, np.full((6, *size, 3), 40 * number + 60, dtype=np.uint8))

    monkeypatch.setattr(aloha_data, "filmed", film)


def make(root: Path, **changes: Any) -> dict[str, dict[str, Any]]:
    sizes = {"target_episodes": 1, "source_episodes": 2, "height": 96, "progress": False}
    return make_aloha_data(root, **{**sizes, **changes})


def test_the_data_sets_hold_the_demonstrations(short_films: None, tmp_path: Path) -> None:
    summaries = make(tmp_path)
    assert {kind: (one["episodes"], one["frames"]) for kind, one in summaries.items()} == {
        "target": (1, 6),
        "source": (2, 12),
    }
    source = LeRobotDataset("ambient/aloha_source", root=tmp_path / "source")
    assert source.fps == 50 and source.meta.features["action"]["names"] == list(NAMES)
    played, attempts = demonstration(1, "source", 0)
    assert summaries["source"]["reset_seeds"][1] == played.seed
    assert summaries["source"]["attempts"] == attempts + demonstration(0, "source", 0)[1]
    frame = source[8]
    assert np.array_equal(frame["action"].numpy(), played.actions[2])
    assert np.array_equal(frame["observation.state"].numpy(), played.states[2])
    assert frame["task"] == aloha_data.TASK and frame[PICTURE].shape == (3, 96, 128)
    assert frame[PICTURE].mean().item() == pytest.approx(100 / 255, abs=0.02)


def test_a_second_call_makes_nothing_and_other_arguments_are_refused(
    short_films: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(tmp_path)
    monkeypatch.setattr(aloha_data, "filmed", None)
    assert make(tmp_path) == first
    with pytest.raises(ValueError, match=r"was made with {'size': \[96, 128\]}, not with {'size': \[48, 64\]}"):
        make(tmp_path, height=48)
    foreign = tmp_path / "foreign" / "target"
    foreign.mkdir(parents=True)
    with pytest.raises(ValueError, match="was not written by make-data"):
        make(foreign.parent)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target_episodes": 0}, "target_episodes is 0, must be at least 1"),
        ({"seed": -1}, "seed is -1, must be at least 0"),
        ({"height": 46}, "height is 46, must be at least 48"),
        ({"height": 97}, "height is 97, must be even"),
        ({"processes": 0}, "processes is 0"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, changed: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **changed)


def test_a_film_shows_the_states(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        require_gl()
    except OSError as error:
        pytest.skip(f"ALOHA'S PICTURES ARE NOT TRIED: {error}")
    played, attempts = demonstration(0, "target", 0)
    cut = Played(played.seed, *(getattr(played, name)[::200] for name in ("states", "actions", "qpos", "rewards")))
    monkeypatch.setattr(aloha_data, "demonstration", lambda *_: (cut, attempts))
    film = aloha_data.filmed(0, "target", 0, (48, 64))
    assert film.pictures.shape == (len(cut.states), 48, 64, 3) and film.attempts == attempts
    assert not np.array_equal(film.pictures[0], film.pictures[1])


def test_recorded_actions_repeat_the_episode() -> None:
    """From the reset seed and the actions alone, in the physics that another test compares with the stock one."""
    played, _ = demonstration(2, "source", 0)
    scene = AlohaScene()
    scene.reset(played.seed)
    rewards = np.array([scene.step(action) for action in played.actions])
    assert np.array_equal(rewards, played.rewards) and SUCCESS in rewards


def test_the_verb_prints_what_it_made(short_films: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    make_data.add_parser(parser.add_subparsers())
    words = ["make-data", "aloha", "--root", str(tmp_path), "--target-episodes=1", "--source-episodes=1", "--height=48"]
    for extra in ([], ["--json"]):
        args = parser.parse_args([*words, *extra])
        try:
            assert args.run(args) == 0
        except OSError as error:
            pytest.skip(f"THE VERB IS NOT TRIED: {error}")
    text, _, numbers = capsys.readouterr().out.partition("{")
    assert "target: 1 episodes, 6 frames, 1 attempts, mean squared acceleration" in text
    assert json.loads("{" + numbers)["source"]["repo_id"] == "ambient/aloha_source"
    record = json.loads((tmp_path / "source" / "meta" / "ambient_make_data.json").read_text())
    assert record["arguments"]["style"]["pace"] == list(STYLES["source"].pace)
