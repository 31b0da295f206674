# SPDX-License-Identifier: Apache-2.0
import argparse
import json

import pytest

from lerobot_ambient.benchmarks.speed.environments import bench_envs, environments
from lerobot_ambient.cli.laboratory.bench_envs import add_envs


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_envs(parser.add_subparsers())
    args = parser.parse_args(["envs", *arguments])
    return args.run(args)


def test_each_environment_is_measured_against_the_same_peer(capsys):
    assert {"maze", "sorting"} <= set(environments())
    assert run("--envs=maze,sorting", "--steps=60", "--rounds=2", "--json") == 0
    maze, sorting = json.loads(capsys.readouterr().out)
    assert (maze["env"], sorting["env"]) == ("maze", "sorting")
    for speed in (maze, sorting):
        assert speed["steps_per_s"] > 0
        assert speed["resets_per_s"] > 0
        assert speed["vs_pendulum"] > 0


def test_the_table_has_one_line_an_environment(capsys):
    assert run("--envs=sorting", "--steps=20", "--rounds=1") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["environment", "sorting"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["chess"]}, "there is no environment 'chess'; known: .*maze"),
        ({"names": ["maze"], "steps": 0}, "--steps must be at least 1, got 0"),
        ({"names": ["maze"], "rounds": 0}, "--rounds must be at least 1, got 0"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        bench_envs(**arguments)
