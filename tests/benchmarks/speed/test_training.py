# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from lerobot_ambient.cli.__main__ import main


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_commands")
def test_both_commands_run_and_every_pair_has_its_ratio(tmp_path, write_dataset, capsys):
    root = write_dataset(tmp_path / "target", "ambient/maze_target", [30, 30])
    sizes = ["--pairs=1", "--steps=2", "--batch-size=4"]
    assert main(["bench", "train", f"--root={root}", *sizes, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    (pair,) = measured["pairs"]
    assert pair["ratio"] == pytest.approx(pair["ours"] / pair["stock"])
    assert measured["ratio"]["median"] == pair["ratio"]
    assert min(pair["ours"], pair["stock"]) > 0


def test_bad_input(tmp_path, write_dataset, capsys):
    assert main(["bench", "train", f"--root={tmp_path / 'nowhere'}"]) == 2
    assert "is no LeRobot dataset" in capsys.readouterr().err
    root = write_dataset(tmp_path / "target", "ambient/maze_target", [5])
    assert main(["bench", "train", f"--root={root}", "--pairs=0"]) == 2
    assert "--pairs must be at least 1, got 0" in capsys.readouterr().err
