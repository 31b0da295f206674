# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient view`: what is looked at, what is said of it, and what is refused before anything is read."""

import json
import re
import threading
import urllib.request

import numpy as np
import pytest

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.testing.generated.dataset_files import write_dataset as write_files

NAMES = ["shoulder_pan", "elbow_flex"]


def recording(root, lengths, seed, jerky=None):
    rng = np.random.default_rng(seed)
    parts = []
    for episode, length in enumerate(lengths):
        time = np.linspace(0, 1, length)[:, None]
        move = np.sin(2 * np.pi * (time + 0.02 * rng.standard_normal(2)))
        if episode == jerky:
            move[:, 1] += rng.standard_normal(length)
        parts.append(move)
    action = np.concatenate(parts).astype(np.float32)
    vector = {"dtype": "float32", "shape": (2,), "names": NAMES}
    features = {"action": vector, "observation.state": vector}
    return write_files(root, features, {"action": action, "observation.state": action}, lengths, fps=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    recording(folder / "target", [40] * 7, 1)
    recording(folder / "sim", [42] * 8, 2, jerky=5)
    recording(folder / "rollouts", [30, 31], 3)
    return folder


@pytest.fixture
def here(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(folder)
    return tmp_path


SMALL = ["--policy.horizon=8", "--policy.n_action_steps=4", "--policy.drop_n_last_frames=2", "--policy.device=cpu"]
WORDS = ["view", "--target=me/target=data/target", "--source=me/sim=data/sim", "--rollout=data/rollouts", *SMALL]


def test_json_tells_the_datasets_and_the_order(here, capsys):
    assert main([*WORDS, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["role"], one["episodes"], one["odd"]) for one in told["datasets"]] == [
        ("me/target", "target", 7, 0),
        ("me/sim", "source", 8, 1),
        ("rollouts", "rollouts", 2, 0),
    ]
    first = told["episodes"][0]
    assert (first["dataset"], first["episode"], first["frames"], first["odd"]) == (1, 5, 42, True)
    assert "moves elbow_flex" in first["why"][0]
    assert len(told["episodes"]) == 17
    assert told["names"] == {"action": NAMES, "observation.state": NAMES}


def test_a_part_of_a_large_dataset_is_looked_at_and_it_is_said(here, capsys):
    assert main([*WORDS, "--json", "--episodes=6"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["datasets"][1]["looked_at"] == {"episodes": 6, "frames": 252}
    assert "'me/sim': 6 of its 8 episodes are looked at, 252 of 336 frames" in " ".join(told["notes"])


def test_a_configuration_and_its_windows(here, capsys):
    words = ["init", "--target=me/target=data/target", "--source=me/sim=data/sim", "--write=mine.yaml", *SMALL]
    assert main([*words]) == 0
    text = (here / "mine.yaml").read_text().replace("root: data/sim", "root: data/sim\n      sigma_min: 0.25")
    (here / "mine.yaml").write_text(text)
    capsys.readouterr()
    assert main(["view", "--config_path=mine.yaml", "--output-dir=page"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"me/sim +source +8 +8 +336 +1 +teaches at noise levels \(0\.25, 1\]", said)
    assert "look at these first:\n  me/sim, episode 5 moves elbow_flex" in said
    assert "page: page/index.html (15 episodes, 0 pictures of cameras)" in said
    assert (here / "page" / "index.html").is_file()


def test_what_is_written_is_told_with_json(here, capsys):
    assert main([*WORDS, "--json", "--output-dir=page"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["written"] == {"page": {"path": "page/index.html", "episodes": 17, "pictures": 0}}


def test_it_serves_until_it_is_interrupted(here, capsys, monkeypatch):
    from lerobot_ambient.integration.viewing.server import ViewServer

    serve, titles = ViewServer.serve_forever, []

    def until_asked(server):
        thread = threading.Thread(target=serve, args=(server, 0.05))
        thread.start()
        with urllib.request.urlopen(f"{server.url}data/index.json", timeout=20) as answer:
            titles.append((server.url, json.load(answer)["title"]))
        server.shutdown()
        thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(ViewServer, "serve_forever", until_asked)
    assert main([*WORDS, "--no-browser"]) == 0
    ((url, title),) = titles
    assert title == "me/target"
    assert f"page: {url} (only from this machine; Ctrl-C ends it)" in capsys.readouterr().out
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing is given to look at"),
        (["--target=me/a", "--config_path=mine.yaml"], "give it or --target, not both"),
        (["--config_path=mine.yaml", "--source=me/a"], "--source goes with --target"),
        (["--target=me/a", "--images=-1"], "--images must be 0 or more, got -1"),
        (["--target=me/a", "--episodes=0"], "--episodes must be at least 1, got 0"),
        (["--target=me/a", "--port=65536"], "--port must be from 0 to 65535, got 65536"),
        (["--target=me/a", "--images=5"], "--images=5 is of what --output-dir or --rerun write"),
        (["--target=me/a", "--port=8900", "--json"], "--port=8900 is of the page that is served"),
        (["--target=me/a", "--port=8900", "--output-dir=page"], "--port=8900 is of the page that is served"),
        (["--target=me/a", "--rollout=x="], "--rollout=x= names no dataset"),
        (["--target=catalogue:openx/toto"], "the target is a dataset of its own"),
        (["--target=me/a=nowhere"], "no LeRobot dataset in root nowhere"),
    ],
)
def test_what_cannot_be_shown_is_refused(here, capsys, words, told):
    assert main(["view", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused_before_the_work(here, capsys):
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years")
    assert main([*WORDS, "--output-dir=mine"]) == 2
    captured = capsys.readouterr()
    assert "holds other files" in captured.err
    assert "opening the datasets" not in captured.err
