# SPDX-License-Identifier: Apache-2.0
"""The measurement of videos on a Hub: what it puts there, and what it makes of the turns that were told."""

import json
import re
import sys

import pytest

from lerobot_ambient.benchmarks.speed import remote
from lerobot_ambient.benchmarks.speed.remote import RemoteOptions, bench_remote
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.testing.loopback_hub.hub import LoopbackHub

TINY = RemoteOptions(rounds=2, workers=0, batch_size=4, batches=2, episodes=1, frames=20, size=(48, 64), latency_ms=1.0)
CHILD = """
import json, sys, urllib.request, os
told = json.loads(sys.argv[1])
def tell(**values): print(json.dumps(values), flush=True)
for number in range(2):
    for kind, seconds in (("local", 1.0), ("cold", 2.0), ("kept", 1.0)):
        tell(begins=True)
        if kind == "cold":
            url = os.environ["HF_ENDPOINT"] + "/datasets/bench/remote/resolve/main/meta/info.json"
            urllib.request.urlopen(url).read()
        tell(begins=False, kind=kind, round=number, samples=8, seconds=seconds, used=100 * number)
"""


@pytest.fixture
def loaders_that_tell(tmp_path, monkeypatch):
    """In the place of the loaders' process a program that tells of turns, and reads one file in each cold one."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    line = tmp_path / "python"
    line.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {script} "$@"\n')
    line.chmod(0o755)
    monkeypatch.setattr(remote.sys, "executable", str(line))
    monkeypatch.setattr(remote, "_store", lambda folder, bound: None)


def test_ratios_bytes_and_bounds_come_from_the_turns(loaders_that_tell):
    measured = bench_remote(TINY)
    assert measured["cold_vs_local"]["median"] == 0.5
    assert measured["kept_vs_local"]["rounds"] == [1.0, 1.0]
    assert measured["samples_per_s"] == {"local": 8.0, "cold": 4.0, "kept": 8.0}
    assert measured["most_kept"] == 100
    assert measured["bound"] == int(0.6 * measured["videos"])
    # The child read meta/info.json in each cold turn, a few kilobytes of eight samples.
    assert 50 < measured["bytes_per_sample"] < 1000
    assert json.loads(json.dumps(measured)) == measured


def test_the_dataset_on_the_hub_is_the_one_here(tmp_path):
    root = remote._write(tmp_path / "here", TINY)
    with LoopbackHub() as hub:
        size = remote._put(hub, root)
        files = hub.files(remote.REPO, "dataset", "v3.0")
    (video,) = root.rglob("*.mp4")
    assert size == video.stat().st_size
    assert files[str(video.relative_to(root))] == video.read_bytes()


@pytest.mark.parametrize(
    ("word", "message"), [("--rounds=0", "--rounds must be at least 1"), ("--bound=0", "--bound be")]
)
def test_options_out_of_range_are_refused(word, message, capsys):
    assert main(["bench", "remote", word]) != 0
    assert re.search(message, capsys.readouterr().err)
