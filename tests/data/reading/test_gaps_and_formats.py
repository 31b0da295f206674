# SPDX-License-Identifier: Apache-2.0
"""Episodes that were removed, formats of other LeRobots, tasks and rates written another way."""

import json
import logging
import shutil
from dataclasses import replace

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.core.windows import Window
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.mixture import make_mixture
from lerobot_ambient.integration.doctor import data as doctor_data

from ..small_recipe import OPTIONS, RECIPE

EPISODES, DATA = "meta/episodes/chunk-000/file-000.parquet", "data/chunk-000/file-000.parquet"


@pytest.fixture(scope="session")
def written(tmp_path_factory, write_dataset):
    """me/arm: 4 episodes of 8, 9, 7 and 8 frames with a camera."""
    return write_dataset(tmp_path_factory.mktemp("gaps") / "arm", "me/arm", [8, 9, 7, 8], seed=3, image=(6, 8))


@pytest.fixture
def arm(written, tmp_path):
    shutil.copytree(written, tmp_path / "arm")
    return tmp_path / "arm"


@pytest.fixture
def gap(arm):
    """The same without episode 1, the others under their old numbers."""
    for path in (arm / EPISODES, arm / DATA):
        table = pq.read_table(path)
        pq.write_table(table.filter(pc.not_equal(table["episode_index"], 1)), path)
    edit_info(arm, total_episodes=3, total_frames=23)
    return arm


def edit_info(root, **entries):
    path = root / "meta/info.json"
    info = json.loads(path.read_text()) | entries
    path.write_text(json.dumps({key: value for key, value in info.items() if value is not None}))


def config(root, name="me/arm", **options):
    return Source(name, root=str(root), **options)


def arguments(root):
    return [
        *("--policy.type=ambient_diffusion", "--dataset.repo_id=me/arm", f"--dataset.root={root}"),
        *("--policy.horizon=8", "--policy.n_action_steps=4", "--policy.drop_n_last_frames=2"),
    ]


def test_all_episodes_that_are_there_are_used_and_any_can_be_chosen(gap, written):
    assert make_mixture(config(gap), [], OPTIONS, RECIPE).sources[0].episodes == [0, 2, 3]
    chosen = [make_mixture(config(root, episodes=[3]), [], OPTIONS, RECIPE) for root in (gap, written)]
    batches = [mixture.dataset.gather(range(8)) for mixture in chosen]
    assert torch.equal(batches[0]["observation.images.cam"], batches[1]["observation.images.cam"])
    assert torch.equal(batches[0]["action"], batches[1]["action"])
    with pytest.raises(ValueError, match=r"'me/arm' has 3 episodes \(0, 2 to 3\), not \[1\]"):
        make_mixture(config(gap, episodes=[0, 1]), [], OPTIONS, RECIPE)


def test_numbers_of_a_source_do_not_meet_those_behind_the_gap(gap, written):
    mixture = make_mixture(config(gap), [config(written, "me/twin", sigma_min=0.2)], OPTIONS, RECIPE)
    columns = mixture.dataset.columns
    assert len(columns.counter("index").unique()) == len(mixture.dataset) == 23 + 32
    assert len(columns.counter("episode_index").unique()) == 3 + 4


def test_a_frame_cache_of_a_dataset_with_a_gap(gap, tmp_path):
    cached = make_mixture(config(gap), [], replace(OPTIONS, frame_cache=tmp_path / "cache"), RECIPE)
    plain = make_mixture(config(gap), [], OPTIONS, RECIPE)
    key = "observation.images.cam"
    frames = cached.dataset.gather(range(23))[key].float() / 255.0
    assert torch.allclose(frames, plain.dataset.gather(range(23))[key].float(), atol=1e-6)


def test_episodes_that_were_lost_are_not_passed_over(gap):
    edit_info(gap, total_episodes=4)
    with pytest.raises(ValueError, match=r"(?s)episode 1: meta/episodes does not know it.*episodes=\[0, 2, 3\]"):
        make_mixture(config(gap), [], OPTIONS, RECIPE)


def test_doctor_and_inspect_find_nothing_wrong_with_a_gap(gap, capsys):
    checks = doctor_data.check_configuration(None, arguments(gap))
    assert not [check for check in checks if check.status == "problem"]
    assert "3 of 3 episodes, 23 frames" in "".join(check.found for check in checks)
    assert main(["inspect", *arguments(gap), "--json"]) == 0


@pytest.mark.parametrize("file", ["meta/info.json", "meta/tasks.parquet", EPISODES])
def test_the_commands_name_a_damaged_file(arm, file, capsys):
    (arm / file).write_bytes(b"\x00" * 300)
    assert main(["inspect", *arguments(arm)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert "me/arm" in line and file in line
    problems = [check for check in doctor_data.check_configuration(None, arguments(arm)) if check.status == "problem"]
    assert len(problems) == 1 and file in problems[0].found


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("v1.6", "has the format v1.6, LeRobot reads v3.0. Only v2.1 is converted directly"),
        ("v2.0", "convert_dataset_v20_to_v21; then here\n    python -m lerobot.scripts.convert_dataset_v21_to_v30"),
        ("2.3.0", "codebase_version is '2.3.0', which LeRobot never wrote. Its folder is laid out as v3.0"),
        (None, 'codebase_version is missing. Its folder is laid out as v3.0 (meta/episodes/*/*.parquet): write "codeb'),
        ("latest", "codebase_version is 'latest', which LeRobot never wrote"),
        ("v4.0", "has the format v4.0, newer than v3.0, which this LeRobot reads. Install a newer LeRobot"),
    ],
)
def test_a_format_that_lerobot_does_not_read_is_named_with_the_way_out(arm, version, said):
    edit_info(arm, codebase_version=version)
    with pytest.raises(ValueError, match="me/arm") as refused:
        make_mixture(config(arm), [], OPTIONS, RECIPE)
    assert said in str(refused.value)


def test_a_slightly_newer_format_is_warned_of(arm, caplog):
    edit_info(arm, codebase_version="v3.2")
    with caplog.at_level(logging.WARNING):
        make_mixture(config(arm), [], OPTIONS, RECIPE)
    assert "its format v3.2 is newer than v3.0" in caplog.text


@pytest.mark.parametrize("layout", ["column", "nameless column"])
def test_tasks_may_stand_in_a_column(arm, layout):
    path = arm / "meta/tasks.parquet"
    name = "task" if layout == "column" else "__index_level_0__"
    table = pd.read_parquet(path)
    pd.DataFrame({"task_index": table["task_index"].to_numpy(), name: list(table.index)}).to_parquet(path, index=False)
    assert make_mixture(config(arm), [], OPTIONS, RECIPE).dataset[0]["task"] == "go"


def test_frames_of_tasks_that_the_table_does_not_hold(arm):
    pd.DataFrame({"task_index": [5]}, index=["go"]).to_parquet(arm / "meta/tasks.parquet")
    with pytest.raises(ValueError, match=r"'me/arm': frames are of the tasks \[0\], but meta/tasks\.parquet .* \[5\]"):
        make_mixture(config(arm), [], OPTIONS, RECIPE)


@pytest.mark.parametrize(("fps", "warned"), [(10, False), (10.4, False), (30, True)])
def test_a_rate_that_the_timestamps_contradict_is_warned_of(arm, fps, warned, caplog):
    edit_info(arm, fps=fps)
    with caplog.at_level(logging.WARNING):
        make_mixture(config(arm), [], OPTIONS, RECIPE)
    assert ("the timestamps advance at 10 Hz, meta/info.json says fps 30" in caplog.text) == warned


def test_a_source_without_fps_may_declare_it(arm, written):
    edit_info(arm, fps=None)
    with pytest.raises(
        ValueError, match=r'fps is missing\. The timestamps under data/ advance at 10 Hz: write "fps": 10'
    ):
        make_mixture(config(arm), [], OPTIONS, RECIPE)
    source = config(arm, "me/other", sigma_min=0.3, fps=10.0)
    assert make_mixture(config(written), [source], OPTIONS, RECIPE).sources[1].fps == 10.0


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"{}"])
def test_files_of_ours_under_meta_are_named(arm, written, damage):
    path = arm / "meta/ambient_merge.json"
    path.write_bytes(damage(json.dumps({"schema_version": 1, "sources": []}).encode()))
    with pytest.raises(ValueError, match=r"(?s)dataset 'me/arm': .*meta/ambient_merge\.json"):
        make_mixture(config(arm), [], OPTIONS, RECIPE)
    path.unlink()
    windows = arm / "meta/ambient_windows.parquet"
    windows.write_bytes(damage((arm / EPISODES).read_bytes()))
    source = config(arm, "me/other", windows="meta/ambient_windows.parquet")
    with pytest.raises(ValueError, match=r"source 'me/other': .*meta/ambient_windows\.parquet"):
        make_mixture(config(written), [source], OPTIONS, RECIPE)


def test_the_window_of_a_source_survives_what_is_computed_anew(arm, written):
    (arm / "meta/stats.json").unlink()
    mixture = make_mixture(config(written), [config(arm, "me/other", sigma_min=0.3)], OPTIONS, RECIPE)
    assert mixture.plan.groups[1].window == Window(sigma_min=0.3, sigma_max=0.0)
