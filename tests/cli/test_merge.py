# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient merge` from the command line to a training run, a viewer, and a kill."""

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from lerobot.datasets import LeRobotDataset

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of
from lerobot_ambient.integration.training.merged_training import make_merged_datasets

POLICY = (
    "--policy.type=ambient_diffusion",
    "--policy.device=cpu",
    "--policy.push_to_hub=false",
    "--policy.horizon=8",
    "--policy.n_action_steps=4",
    "--policy.drop_n_last_frames=2",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory, write_dataset):
    """Options of lerobot-train that name the parts: a target of 4 episodes, of which 3 are used, and a source of 9."""
    folder = tmp_path_factory.mktemp("cli-merge")
    target = write_dataset(folder / "target", "me/target", [8, 5, 9, 6], seed=1, keys={"action": "actions"})
    sim = write_dataset(folder / "sim", "me/sim", [5, 4, 6, 5, 7, 4, 5, 6, 5], seed=2, task="wander")
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.3}
    return [
        "--dataset.repo_id=me/target",
        f"--dataset.root={target}",
        "--dataset.episodes=[0, 1, 3]",
        '--policy.target_rename={"actions": "action"}',
        f"--policy.sources={json.dumps([source])}",
    ]


@pytest.fixture(scope="module")
def merged(data, tmp_path_factory):
    """An undisturbed merge."""
    output = tmp_path_factory.mktemp("merged") / "merged"
    assert main(["merge", f"--output={output}", "--repo-id=me/merged", "--json", *POLICY, *data]) == 0
    return output


def content(root):
    table = LeRobotDataset("me/merged", root=root).hf_dataset.with_format("numpy")[:]
    files = {path.name: path.read_text() for path in (root / "meta").glob("*.json")}
    return {key: np.asarray(value).tolist() for key, value in table.items()} | files


def plan_of(words):
    """The plan a `lerobot-train` command leads to."""
    assert words[0] == "lerobot-train"
    config = [word.partition("=")[2] for word in words if word.startswith("--config_path=")]
    options = [word for word in words[1:] if not word.startswith("--config_path=")]
    return mixture_of(load_train_config(config[0] if config else None, options)).plan


def test_the_printed_command_trains_with_the_same_plan(data, tmp_path, capsys):
    output = tmp_path / "merged"
    assert main(["merge", f"--output={output}", "--repo-id", "me/merged", "--json", *POLICY, *data]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["repo_id"], summary["episodes"], summary["frames"]) == ("me/merged", 12, 66)
    assert [(source["name"], source["episodes"], source["frames"]) for source in summary["sources"]] == [
        ("me/target", [0, 3], 19),
        ("me/sim", [3, 12], 47),
    ]
    assert [word for word in summary["train"] if word.startswith("--dataset")] == [
        "--dataset.repo_id=me/merged",
        f"--dataset.root={output}",
    ]
    wanted, got = plan_of(["lerobot-train", *POLICY, *data]), plan_of(summary["train"])
    assert repr(got) == repr(wanted)
    assert torch.equal(got.joint, wanted.joint)


def test_a_configuration_file_is_told_that_its_parts_are_now_one(data, tmp_path, capsys):
    repo_id, root, episodes, rename, sources = (option.partition("=")[2] for option in data)
    config = tmp_path / "train.yaml"
    config.write_text(
        f"dataset: {{repo_id: {repo_id}, root: {root}, episodes: {episodes}}}\n"
        "policy: {type: ambient_diffusion, device: cpu, horizon: 8, n_action_steps: 4, drop_n_last_frames: 2, "
        f"target_rename: {rename}, sources: {sources}}}\n"
    )
    arguments = [f"--config_path={config}", "--policy.mixing.type=ambient", "--policy.mixing.alpha=0.25"]
    assert main(["merge", f"--output={tmp_path / 'merged'}", "--repo-id=me/merged", *arguments]) == 0
    text = capsys.readouterr().out
    assert "me/merged: 12 episodes, 66 frames, in " in text
    assert "ambient.source 1  me/sim     episodes 3 to 11, 47 frames" in text
    words = shlex.split(text.splitlines()[-1])
    wanted = plan_of(["lerobot-train", *arguments])
    assert torch.equal(plan_of(words).joint, wanted.joint)
    assert not torch.equal(plan_of([word for word in words if "mixing" not in word]).joint, wanted.joint)


def test_held_out_episodes_are_the_targets(merged):
    options = [*POLICY, "--dataset.repo_id=me/merged", f"--dataset.root={merged}", "--dataset.eval_split=0.3"]
    train, held_out = make_merged_datasets(load_train_config(None, options))
    assert [len(source.episode_ids) for source in train.mixture.sources] == [2, 9]
    assert (len(held_out.mixture.sources), len(held_out)) == (1, 6)
    assert held_out.mixture.normalization == train.mixture.normalization


def test_options_whose_value_is_a_word_of_its_own(data):
    from lerobot_ambient.cli.merge import training_command
    from lerobot_ambient.data.export.physical_merge import MergeSummary

    spaced = [word for option in data for word in option.split("=", 1)]
    command = training_command(None, [*spaced, "--policy.device", "cpu"], MergeSummary(Path("x"), "me/x", 1, 1))
    assert command == ["lerobot-train", "--dataset.repo_id=me/x", "--dataset.root=x", "--policy.device", "cpu"]


KILLED = """
import os, signal, sys
from lerobot.datasets import LeRobotDataset
from lerobot_ambient.cli.__main__ import main
save, left = LeRobotDataset.save_episode, [5]
def save_or_die(*args, **kwargs):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return save(*args, **kwargs)
LeRobotDataset.save_episode = save_or_die
sys.exit(main(sys.argv[1:]))
"""
"""A merge that is killed at its fifth episode: in the middle of the third part of two."""


def test_killed_in_the_middle_it_goes_on_to_the_same_result(data, merged, tmp_path, preloaded_python):
    output, work = tmp_path / "merged", tmp_path / "merged.partial"
    arguments = ["merge", f"--output={output}", "--repo-id=me/merged", "--part-episodes=2", *POLICY, *data]
    done = subprocess.run([preloaded_python, "-c", KILLED, *arguments], capture_output=True, text=True, check=False)
    # By the signal itself, or by a stand-in of the interpreter that tells of it.
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
    assert sorted(path.name for path in work.glob("episodes-*")) == ["episodes-000004"]
    assert not output.exists()
    finished = {path: path.stat().st_ino for path in work.glob("episodes-*/data/*/*.parquet")}
    assert main(arguments) == 0
    assert content(output) == content(merged)
    # Not written again: the finished files are the ones in the result.
    kept = {path.stat().st_ino for path in output.glob("data/*/*.parquet")}
    assert set(finished.values()) <= kept
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_refusals_are_one_line(data, merged, capsys):
    assert main(["merge", f"--output={merged}", "--repo-id=me/merged", *POLICY, *data]) == 2
    assert capsys.readouterr().err.count("exists, and a merge never writes over anything") == 1


def test_lerobots_viewer_shows_an_episode(merged, monkeypatch):
    """rerun, the program that draws, is replaced; everything that touches the dataset is LeRobot's."""
    from lerobot.scripts import lerobot_dataset_viz

    rerun = MagicMock()
    monkeypatch.setitem(sys.modules, "rerun", rerun)
    monkeypatch.setitem(sys.modules, "rerun.blueprint", rerun.blueprint)
    monkeypatch.setattr("lerobot.utils.import_utils.require_package", lambda *_, **__: None)
    arguments = ["--repo-id=me/merged", f"--root={merged}", "--episode-index=5", "--num-workers=0"]
    monkeypatch.setattr(sys, "argv", ["lerobot-dataset-viz", *arguments])
    lerobot_dataset_viz.main()
    drawn = [call.args[0] for call in rerun.log.call_args_list]
    assert [drawn.count(key) for key in ("action", "state")] == [6, 6]
    assert rerun.SeriesLines.call_args_list[0].kwargs["names"] == ["joint_0", "joint_1"]
