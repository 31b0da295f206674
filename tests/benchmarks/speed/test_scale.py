# SPDX-License-Identifier: Apache-2.0
import argparse
import json

import pytest

from lerobot_ambient.benchmarks.speed.scale import bench_scale, measure
from lerobot_ambient.cli.laboratory.bench_scale import add_scale


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_scale(parser.add_subparsers())
    args = parser.parse_args(["scale", *arguments])
    return args.run(args)


def test_each_size_is_measured_in_a_process_of_its_own(capsys):
    assert run("--frames=8000", "--sources=4", "--draws=20000", "--json") == 0
    (point,) = json.loads(capsys.readouterr().out)
    assert (point["frames"], point["sources"], point["draws"]) == (8000, 4, 20000)
    # 193 of 200 frames of an episode may start a sample: 2 bytes each in the index, and 1 of the tag for every frame.
    assert point["bytes_per_frame"] == pytest.approx((193 * 2 + 200) / 200)
    assert 4 * 90 < point["groups"] <= 1 + 4 * 101
    parts = sum(point[f"{part}_seconds"] for part in ("windows", "split", "plan", "sampler"))
    assert 0 < parts <= point["seconds"]
    assert point["peak_rss_bytes"] >= point["start_rss_bytes"] > 0
    assert point["draws_per_s"] > 0


def test_windows_with_two_bounds_make_more_groups():
    one = measure(20_000, sources=2, draws=100, two_sided=False)
    two = measure(20_000, sources=2, draws=100, two_sided=True)
    assert two.groups > 5 * one.groups
    assert two.bytes_per_frame == pytest.approx((193 * 2 + 200 * 2) / 200)


def test_the_table_has_one_line_a_size(capsys, monkeypatch):
    monkeypatch.setattr("lerobot_ambient.benchmarks.speed.scale._in_own_process", measure)
    assert run("--frames=2000,4000", "--sources=2", "--draws=500") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[3:5]] == ["2000", "4000"]


def test_bad_input(capsys):
    with pytest.raises(ValueError, match=r"399 frames are too few for 2 sources.*at least 400"):
        bench_scale([1000, 399], sources=2)
    with pytest.raises(ValueError, match="--draws must be at least 1, got 0"):
        run("--draws=0")
    for text, message in [("many", "'many' is no list of numbers"), ("0,5", "holds a size below 1")]:
        with pytest.raises(SystemExit):
            run(f"--frames={text}")
        assert message in capsys.readouterr().err
