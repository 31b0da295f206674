# SPDX-License-Identifier: Apache-2.0
"""Dozens of datasets with the schemas of catalogue entries: aligned by suggestion, opened as one mixture."""

import argparse
import json
import logging
import re
import sys

import pytest

from lerobot_ambient.benchmarks.speed import many_sources
from lerobot_ambient.benchmarks.speed.many_sources import Cost, ManySources
from lerobot_ambient.cli.laboratory.bench_sources import add_sources
from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of

COUNT = 13


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    work = tmp_path_factory.mktemp("sources")
    target = many_sources._target(work)
    suggestions = many_sources._suggestions(work, target, COUNT, progress=False)
    return many_sources._config(work / "many.yaml", target, suggestions)


def test_the_entries_have_other_rates_robots_and_actions_and_make_one_mixture(config, caplog):
    with caplog.at_level(logging.INFO):
        mixture = mixture_of(load_train_config(str(config), []))
    assert len(mixture.sources) == 1 + COUNT
    rates = {source.fps for source in mixture.sources[1:]}
    assert min(rates) <= 3 and max(rates) == 50 and len(rates) > 4
    assert len({source.group for source in mixture.sources[1:]}) > 5
    assert float(mixture.plan.by_source().sum(1).min()) > 0
    # What is true of many is told of some.
    own = re.compile(r"'[^']*'|\S*[/\d]\S*")
    about = [record for record in caplog.records if record.name.startswith("lerobot_ambient.data")]
    told = [" ".join(own.sub("", record.getMessage()).split()[:8]) for record in about if record.msg[:4] != "... "]
    assert max(map(told.count, told)) <= 3 and len(told) < len(about)
    lines = str(mixture).splitlines()[1:]
    # A head, the target, twelve sources, a line for the one that is folded, and the groups.
    assert len(lines) == 1 + 1 + 12 + 1 + 1


def test_more_than_there_are_is_refused(tmp_path, monkeypatch):
    target = many_sources._target(tmp_path)
    entry = next(one for one in many_sources.entries().values() if many_sources._steps_an_end_effector(one))
    monkeypatch.setattr(many_sources, "entries", lambda: {entry.name: entry})
    with pytest.raises(ValueError, match=r"1 of 1 catalogue entries fit .* ask for at most 1"):
        many_sources._suggestions(tmp_path, target, 2, progress=False)


def test_time_is_that_of_the_line_and_memory_that_of_the_child():
    program = "import time; a = 'x' * {}; print('INFO step:10 x'); print('INFO step:1 x', flush=True); time.sleep(0.4)"
    small, large = (
        many_sources._cost([sys.executable, "-ES", "-c", program.format(size)], many_sources._FIRST_STEP)
        for size in (1, 200_000_000)
    )
    whole = many_sources._cost([sys.executable, "-ES", "-c", program.format(1)])
    assert whole.seconds > 0.4 and small.seconds < whole.seconds - 0.2
    assert large.peak_rss_bytes - small.peak_rss_bytes > 150_000_000
    assert 0 < small.processor_seconds < 5


def test_a_command_that_fails_says_why():
    with pytest.raises(ValueError, match=r"(?s)failed with 3:.*no such thing"):
        many_sources._cost([sys.executable, "-c", "import sys; print('no such thing'); sys.exit(3)"])
    with pytest.raises(ValueError, match="failed with 0"):
        many_sources._cost([sys.executable, "-c", "print('no step')"], many_sources._FIRST_STEP)


def test_the_table_and_the_json_have_the_ratios(capsys, monkeypatch, tmp_path):
    costs = [Cost(30.0, 20.0, 3 << 30), Cost(15.0, 10.0, 2 << 30), Cost(40.0, 40.0, 1 << 30), Cost(20.0, 8.0, 1 << 30)]
    found = ManySources(24, 5000, (2.0, 50.0), 14, 7.5, *costs)
    monkeypatch.setattr(many_sources, "bench_many_sources", lambda work, count, progress: found)
    parser = argparse.ArgumentParser()
    add_sources(parser.add_subparsers())

    def run(*words):
        args = parser.parse_args(["sources", f"--work={tmp_path}", *words])
        assert args.run(args) == 0
        return capsys.readouterr().out

    told = json.loads(run("--json"))
    assert (told["first_step_ratio"], told["processor_ratio"], told["memory_ratio"]) == (2.0, 2.0, 1.5)
    lines = run().splitlines()
    assert lines[0].startswith("24 sources, 14 robots, 5,000 frames, 2 to 50 fps")
    assert lines[-1].split()[-9:] == ["40.0", "20.0", "2.00", "40.0", "8.0", "5.00", "1.00", "1.00", "1.00"]
    with pytest.raises(ValueError, match="--count=1 must be at least 2"):
        run("--count=1")
