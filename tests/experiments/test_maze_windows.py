# SPDX-License-Identifier: Apache-2.0
"""Estimated windows as stages of the maze experiment."""

import dataclasses
import json
from pathlib import Path

import draccus
import numpy as np
import pytest
import yaml
from lerobot.configs.train import TrainPipelineConfig

from lerobot_ambient.cli.__main__ import build_parser
from lerobot_ambient.data.normalization import ActionNormalization
from lerobot_ambient.data.windows_file import WindowTable, write_windows
from lerobot_ambient.experiments.maze import WINDOW_METHODS, Choices, make_arm, train_config, windows_path
from lerobot_ambient.experiments.maze_options import MazeOptions
from lerobot_ambient.experiments.maze_windows import describe_windows, window_stages


@pytest.fixture
def stages(tmp_path):
    return window_stages(tuple(WINDOW_METHODS), tmp_path / "windows", tmp_path / "data", {"data": "key"})


def test_every_method_is_a_command_that_annotate_takes(stages):
    for stage in stages.values():
        words = stage.command[stage.command.index("annotate") :]
        args, more = build_parser().parse_known_args(words)
        assert more == []
        assert args.windows_dir == stage.run_folder
        yaml.safe_load(stage.files["train.yaml"])


def test_the_trained_policy_takes_the_file_that_the_stage_makes(stages, tmp_path):
    for method, stage in stages.items():
        arm = make_arm(f"ambient:{method}", Choices())
        config = train_config(arm, str(tmp_path / "data"), seed=1, windows_root=str(tmp_path / "windows"))
        (source,) = draccus.decode(TrainPipelineConfig, config).policy.sources
        assert Path(source.windows) == stage.folder / stage.product
        assert source.sigma_min is None


def test_granularities_share_what_the_classifiers_learnt(stages):
    work = {word for stage in stages.values() for word in stage.command if word.startswith("--work-dir")}
    assert len(work) == 1


def test_the_key_knows_the_method_and_the_data_but_no_folder(stages, tmp_path):
    assert len({stage.key for stage in stages.values()}) == len(stages)
    elsewhere = window_stages(("spectral",), tmp_path / "b", tmp_path / "c", {"data": "key"})
    other = window_stages(("spectral",), tmp_path / "windows", tmp_path / "data", {"data": "other"})
    assert elsewhere["spectral"].key == stages["spectral"].key != other["spectral"].key


def test_windows_are_described_by_median_spread_and_interval(tmp_path):
    path = windows_path(str(tmp_path), "classifier-datapoint")
    levels = np.linspace(0.0, 1.0, 101, dtype=np.float32)
    index = np.arange(101)
    table = WindowTable(
        repo_id="ambient/maze_source",
        episode_index=index,
        frame_index=index,
        sigma_min=levels,
        sigma_max=np.zeros(101, np.float32),
        normalization=ActionNormalization("MIN_MAX", True, (0.0,), (1.0,), 16),
        method="classifier",
        granularity="datapoint",
    )
    write_windows(table, path)
    findings = json.dumps([{"interval": [0.1, 0.2]}], indent=2)
    (tmp_path / "classifier-datapoint" / "log.txt").write_text(f"a warning\n{findings}\n")
    described = describe_windows(path)
    assert described["sigma_min"] == pytest.approx(0.5)
    assert described["sigma_min_quantiles"] == pytest.approx([0.05, 0.95])
    assert described["interval"] == [0.1, 0.2]
    assert (described["method"], described["granularity"]) == ("classifier", "datapoint")


def test_estimated_windows_are_another_experiment(tmp_path):
    assert MazeOptions(tmp_path).name == "maze"
    assert dataclasses.replace(MazeOptions(tmp_path), windows=("spectral",)).name == "maze-windows"
    with pytest.raises(ValueError, match=r"--windows spectra: name each once, of spectral, classifier-dataset"):
        MazeOptions(tmp_path, windows=("spectra",))
    with pytest.raises(ValueError, match=r"--sigma-mins \(0.0, 0.3\): a threshold of the sweep must lie in \(0, 1\)"):
        MazeOptions(tmp_path, sigma_mins=(0.0, 0.3))
