# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient reproduce maze`: its options, and one very small run through the stock commands."""

import importlib.util
import itertools
import json
from dataclasses import replace

import pytest

from lerobot_ambient.cli.__main__ import build_parser, main
from lerobot_ambient.experiments import maze_run
from lerobot_ambient.experiments.maze_run import MazeOptions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": ("ambient", "magic")}, "name each once, of target_only"),
        ({"arms": ("ambient", "ambient")}, "name each once"),
        ({"arms": ()}, "name each once"),
        ({"seeds": (0, 1)}, "seed 0 trains the sweeps"),
        ({"seeds": (1, 1)}, "each once"),
        ({"seeds": ()}, "at least one"),
        ({"trials": 0}, r"trials = 0 must lie in \[1, 10000\]"),
        ({"trials": 10_001}, "trials = 10001"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
    ],
)
def test_bad_sizes_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        replace(MazeOptions(tmp_path), **change)


def test_evaluation_seeds_never_meet():
    """No roll-out that helped to choose, and none that is drawn, is counted in the final figures."""
    longest = maze_run.STRETCH
    finals = [maze_run.FINAL_EVAL_SEED + index * longest for index in range(10)]
    starts = sorted([maze_run.SWEEP_EVAL_SEED, *finals, maze_run.PICTURE_SEED])
    assert all(later - earlier >= longest for earlier, later in itertools.pairwise(starts))


def test_missing_data_names_the_fix(tmp_path, capsys):
    code = main(["reproduce", "maze", "--quick", "--data-root", str(tmp_path), "--output-dir", str(tmp_path / "o")])
    assert code == 2
    assert f"lerobot-ambient make-data maze --root {tmp_path}" in capsys.readouterr().err


def test_the_help_is_cheap_and_complete(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["reproduce", "maze", "--help"])
    text = capsys.readouterr().out
    for flag in ("--quick", "--output-dir", "--data-root", "--results-dir", "--arms", "--seeds", "--jobs", "--json"):
        assert flag in text


@pytest.mark.slow
@pytest.mark.skipif(
    not (importlib.util.find_spec("pydrake") and importlib.util.find_spec("ompl")),
    reason="THE MAZE IS NOT REPRODUCED IN THIS RUN: drake or ompl is missing (pip install "
    "'lerobot_policy_ambient_diffusion[maze]')",
)
def test_a_tiny_maze_from_data_to_figures(tmp_path, capsys):
    """Four stock commands; then the same command again, which must find everything done."""
    flags = [
        *["--arms=ambient", "--target-episodes=10", "--source-episodes=20", "--steps=20", "--batch-size=8"],
        *["--trials=4", f"--output-dir={tmp_path}", f"--results-dir={tmp_path / 'docs'}", "--jobs=1", "--json"],
    ]
    assert main(["reproduce", "maze", "--quick", *flags]) == 0
    results = json.loads(capsys.readouterr().out)
    (arm,) = results["arms"]
    assert (arm["arm"], arm["train_seeds"], arm["trials"]) == ("ambient", [1], 4)
    assert results["data"]["source"]["episodes"] == 20
    assert str(tmp_path) not in json.dumps(results)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert json.loads((tmp_path / "docs" / "maze.json").read_text()) == results
    assert {path.name for path in (tmp_path / "docs").glob("maze-*.png")} == {
        "maze-comparison.png",
        "maze-trajectories.png",
    }
    assert "| **ambient** (alpha 0.5) |" in (tmp_path / "docs" / "maze.md").read_text()

    stages = sorted(tmp_path.glob("**/done.json"))
    assert [file.parent.name for file in stages] == ["data", "eval", "record", "train"]
    before = [file.read_bytes() for file in stages]
    assert main(["reproduce", "maze", "--quick", *flags]) == 0
    assert [file.read_bytes() for file in stages] == before
