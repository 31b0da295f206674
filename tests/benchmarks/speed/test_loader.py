# SPDX-License-Identifier: Apache-2.0
import json
import math
import time
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.benchmarks.speed import loader_data as generated
from lerobot_ambient.benchmarks.speed.loader import (
    LoaderOptions,
    bench_loader,
    ratio_with_interval,
    samples_per_second,
)
from lerobot_ambient.benchmarks.speed.loader_page import HEADING, render_markdown, replace_section
from lerobot_ambient.benchmarks.speed.loader_peers import Loader, gather
from lerobot_ambient.cli.__main__ import main

PEERS = {"lerobot", "multi", "gather", *(["lance"] if find_spec("lerobot_lancedb") else [])}
TINY = {"pairs": 1, "batch_size": 8, "seconds": 0.02, "batches": 2}


@pytest.fixture(scope="module")
def measured():
    """A run of all low-dimensional loaders in one process."""
    return bench_loader(LoaderOptions(**TINY, workers=(0,), video=False))


def test_a_run_has_the_documented_shape(measured):
    assert set(measured["low_dim"]) == {f"vs_{peer}" for peer in PEERS}
    assert "video" not in measured
    assert all(math.isfinite(ratio) and ratio > 0 for ratio in measured["low_dim"].values())
    assert json.loads(json.dumps(measured)) == measured


def test_a_ratio_is_ours_over_the_other(measured):
    found = measured["detail"]["low_dim"]["workers"]["0"]
    rates = found["samples_per_s"]
    assert set(rates) == {"ours", *PEERS}
    for name, ratio in measured["low_dim"].items():
        # With one round the medians are its values.
        assert ratio == pytest.approx(rates["ours"] / rates[name.removeprefix("vs_")])
        assert found["ratios"][name]["interval95"] == pytest.approx([ratio, ratio])


def test_the_section_has_the_figures(measured):
    section = render_markdown(measured)
    found = measured["detail"]["low_dim"]["workers"]["0"]
    for rate in found["samples_per_s"].values():
        assert f"{rate:,.0f}" in section
    assert measured["machine"] in " ".join(section.split())
    assert measured["date"] in section
    assert measured["command"] in section
    assert "### Video" not in section


def test_a_later_run_replaces_the_section_and_nothing_else():
    old, new = f"{HEADING}\n\nold\n", f"{HEADING}\n\nnew\n"
    page = f"# Performance\n\nMethod.\n\n{old}\n## Scale\n\ntable\n"
    replaced = replace_section(page, new)
    assert replaced == page.replace("old", "new")
    assert replace_section(replaced, new) == replaced
    assert replace_section(f"# Performance\n\n{old}", new) == f"# Performance\n\n{new}"
    assert replace_section("# Performance\n", new) == f"# Performance\n\n{new}"
    assert replace_section("", new) == new
    assert replace_section(old, new) == new


def test_the_interval_of_the_median_lies_inside_the_rounds():
    found = ratio_with_interval([4.0, 1.0, 2.0, 3.0, 10.0])
    low, high = found["interval95"]
    assert found["median"] == 3.0
    assert 1.0 <= low < 3.0 < high <= 10.0
    assert ratio_with_interval([4.0, 1.0, 2.0, 3.0, 10.0]) == found


def test_a_rate_counts_samples_over_the_time_after_the_warm_up():
    closed = []

    def start(workers):
        try:
            time.sleep(0.5)  # counted, it would leave 10 samples a second
            while True:
                time.sleep(0.01)
                yield {"index": torch.zeros(5)}
        finally:
            closed.append(workers)

    rate = samples_per_second(Loader("slow", start), 2, seconds=0.2, batches=1)
    # At most 5 samples in 0.01 s; on a busy machine a sleep may be longer, never shorter.
    assert 25 < rate <= 500
    assert closed == [2]


def test_the_bare_gather_reads_the_bytes_of_our_columns():
    like = {
        "action": torch.zeros(4, 16, 3),
        "action_is_pad": torch.zeros(4, 16, dtype=torch.bool),
        "image": torch.zeros(4, 2, 3, 6, 6, dtype=torch.uint8),
        "image_is_pad": torch.zeros(4, 2, dtype=torch.bool),
        "index": torch.zeros(4, dtype=torch.int64),
        "task": ["go"] * 4,
    }
    batch = next(gather(like, 50, 4).start(0))
    assert {key: (value.shape, value.dtype) for key, value in batch.items()} == {
        key: (like[key].shape, like[key].dtype) for key in ("action", "image", "index")
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs=0"], "--pairs must be at least 1, got 0"),
        (["--video-batch-size=0"], "--video-batch-size must be at least 1, got 0"),
        (["--seconds=0"], "--seconds must be positive, got 0.0"),
        (["--workers=1,2"], "0 among them"),
        (["--workers=0,0"], "must be different numbers of processes"),
        (["--video-root=nowhere"], "--video-root nowhere is no LeRobot dataset"),
        (['--rename={"actions": "action"}'], "give --video-root or leave it out"),
        (["--md=no/such/page.md"], "there is no folder no/such"),
    ],
)
def test_wrong_options_are_refused(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "loader", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--workers=0,x", "whole numbers separated by commas"),
        ("--rename=actions", "not JSON"),
        ('--rename=["action"]', "a JSON object from key to key"),
    ],
)
def test_unreadable_options_are_refused(argument, message, capsys):
    with pytest.raises(SystemExit):
        main(["bench", "loader", argument])
    assert message in capsys.readouterr().err


def test_video_of_a_data_set_without_cameras_is_refused(tmp_path, write_dataset, capsys):
    root = write_dataset(tmp_path / "blind", "bench/blind", [5])
    tiny = ["--pairs=1", "--batch-size=2", "--seconds=0.01", "--workers=0"]
    assert main(["bench", "loader", *tiny, f"--video-root={root}"]) == 2
    assert "has no camera" in capsys.readouterr().err
    assert main(["bench", "loader", f"--video-root={root}", "--skip-video"]) == 2
    assert "keep one of them" in capsys.readouterr().err


@pytest.fixture
def filmed(tmp_path):
    """A small dataset with video under another project's keys."""
    axes = {"dtype": "float32", "shape": (3,), "names": ["a", "b", "c"]}
    camera = {"dtype": "video", "shape": (48, 64, 3), "names": ["height", "width", "channels"]}
    features = {"state": axes, "actions": axes, "image": camera}
    dataset = LeRobotDataset.create("me/hands", 30, features, root=tmp_path / "hands", use_videos=True)
    rng = np.random.default_rng(0)
    for _ in range(2):
        for _ in range(30):
            values = {key: rng.normal(size=3).astype(np.float32) for key in ("state", "actions")}
            dataset.add_frame({**values, "image": rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), "task": "fold"})
        dataset.save_episode()
    dataset.finalize()
    return tmp_path / "hands"


@pytest.mark.usefixtures("preloaded_commands")
def test_the_command_writes_and_prints_what_it_measured_with_video_and_workers(tmp_path, filmed, capsys):
    page, out = tmp_path / "performance.md", tmp_path / "loader.json"
    page.write_text("# Performance\n")
    rename = {"actions": "action", "state": "observation.state", "image": "observation.images.image"}
    arguments = ["--pairs=1", "--batch-size=8", "--video-batch-size=2", "--seconds=0.05", "--workers=0,1"]
    video = [f"--video-root={filmed}", f"--rename={json.dumps(rename)}"]
    assert main(["bench", "loader", *arguments, *video, f"--md={page}", f"--out={out}", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured == json.loads(out.read_text())
    assert page.read_text() == f"# Performance\n\n{render_markdown(measured)}"
    peers = ("vs_lerobot", "vs_multi", "cached_vs_lerobot", "cached_vs_multi", "cached_vs_gather")
    assert set(measured["video"]) == set(peers)
    assert all(math.isfinite(ratio) and ratio > 0 for ratio in measured["video"].values())
    assert set(measured["detail"]["video"]["workers"]) == {"0", "1"}


def test_the_generated_video_moves(tmp_path, monkeypatch):
    monkeypatch.setattr(generated, "VIDEO_EPISODES", 1)
    monkeypatch.setattr(generated, "VIDEO_FRAMES", 8)
    root = generated.write_video(tmp_path / "video")
    dataset = LeRobotDataset(root.name, root=root, return_uint8=True)
    first, last = (dataset[row]["observation.images.front"].float() for row in (0, 7))
    assert len(dataset) == 8
    assert tuple(first.shape) == (3, generated.HEIGHT, generated.WIDTH)
    # The ground is the same in both; only the waves travel. Compression alone changes a few levels.
    assert (first - last).abs().mean() > 10


def test_a_machine_that_cannot_encode_video_is_told_what_to_do(tmp_path, monkeypatch):
    def create(*args, **kwargs):
        raise ValueError("no encoder libsvtav1")

    monkeypatch.setattr(LeRobotDataset, "create", create)
    with pytest.raises(ValueError, match=r"no encoder libsvtav1.*--video-root.*--skip-video"):
        generated.write_video(tmp_path / "video")
