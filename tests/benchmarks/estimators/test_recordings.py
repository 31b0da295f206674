# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient reproduce recordings`: the jittered copy, what is known of it, and a small run from end to end."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.annotate.classifier.curves import TAU
from lerobot_ambient.annotate.classifier.options import ClassifierOptions
from lerobot_ambient.benchmarks.estimators.jittered_copy import write_jittered_copy
from lerobot_ambient.benchmarks.estimators.recordings import (
    LATER,
    LATER_JITTERED,
    TARGET,
    TARGET_JITTERED,
    RecordingsOptions,
    run_recordings,
)
from lerobot_ambient.benchmarks.estimators.recordings_report import write_report
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.reading.open_dataset import open_dataset

TINY = ClassifierOptions(folds=2, steps=60, levels=6, draws=4, width=32)
SCALE = (2.0, 5.0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory, write_dataset):
    return write_dataset(tmp_path_factory.mktemp("rec") / "walks", "me/walks", [90, 80, 85, 95], env_state=False)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, recording):
    options = RecordingsOptions(
        recording,
        tmp_path_factory.mktemp("out"),
        jitter=0.3,
        classifier=TINY,
        policy=("--policy.horizon=16", "--policy.n_action_steps=8"),
    )
    return run_recordings(options, progress=False)


def copy(recording, folder, **change):
    opened = open_dataset(Source(repo_id="me/walks", root=str(recording), episodes=[2, 3]), "walks")
    write_jittered_copy(opened, folder, "me/copy", **{"jitter": 0.1, "scale": SCALE, "seed": 0, **change})
    return opened


def actions(folder, repo_id="me/copy"):
    rows = LeRobotDataset(repo_id, root=folder).hf_dataset.with_format("numpy")
    return np.stack(rows["action"]), np.stack(rows["observation.state"]), np.array(rows["episode_index"])


# The copy


def test_the_copy_differs_from_the_recording_by_white_jitter_in_the_actions_alone(tmp_path, recording):
    opened = copy(recording, tmp_path / "copy")
    jittered, state, episode = actions(tmp_path / "copy")
    np.testing.assert_array_equal(state, opened.columns["observation.state"])
    np.testing.assert_array_equal(episode, np.repeat([0, 1], [85, 95]))
    noise = (jittered - opened.columns["action"]) / np.array(SCALE)
    assert noise.std(0) == pytest.approx([0.1, 0.1], rel=0.2)
    assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.3
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.3


def test_the_copy_is_found_again_after_a_kill_and_depends_on_its_seed_alone(tmp_path, recording):
    # What a run that was killed leaves is in nobody's way.
    (tmp_path / ".copy.partial" / "data").mkdir(parents=True)
    copy(recording, tmp_path / "copy")
    assert not (tmp_path / ".copy.partial").exists()
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "copy").rglob("*") if file.is_file()}
    copy(recording, tmp_path / "copy")
    assert {file: file.stat().st_mtime_ns for file in written} == written
    copy(recording, tmp_path / "same")
    copy(recording, tmp_path / "other", seed=1)
    first, same, other = (actions(tmp_path / name)[0] for name in ("copy", "same", "other"))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jitter": 0.2}, "was made with {'jitter': 0.1}, not with {'jitter': 0.2}"),
        ({"seed": 3}, "was made with {'seed': 0}, not with {'seed': 3}"),
        ({"jitter": 0.0}, "jitter = 0.0 must be positive"),
    ],
)
def test_another_copy_is_not_mistaken_for_it(tmp_path, recording, change, message):
    copy(recording, tmp_path / "copy")
    with pytest.raises(ValueError, match=re.escape(message)):
        copy(recording, tmp_path / "copy", **change)


def test_a_folder_of_something_else_is_left_alone(tmp_path, recording):
    (tmp_path / "copy").mkdir()
    with pytest.raises(ValueError, match="not a jittered copy"):
        copy(recording, tmp_path / "copy")


# The experiment


def test_a_folder_that_is_no_recording_and_one_with_too_few_episodes_are_refused(tmp_path, write_dataset, capsys):
    assert main(["reproduce", "recordings", "--root", str(tmp_path)]) == 2
    assert "is not a LeRobot dataset" in capsys.readouterr().err
    few = write_dataset(tmp_path / "few", "me/few", [20, 20, 20])
    with pytest.raises(ValueError, match="has 3 episodes; 4 are needed"):
        RecordingsOptions(few, tmp_path)
    with pytest.raises(ValueError, match="--jitter=-1 must be positive"):
        RecordingsOptions(few, tmp_path, jitter=-1)


def test_sources_are_those_promised(outcome):
    assert [one.name for one in outcome.chunks] == [TARGET, LATER, LATER_JITTERED, TARGET_JITTERED]
    target, later, later_jittered, target_jittered = (one.all()[0].numpy() for one in outcome.chunks)
    assert outcome.chunks[1].episode.min() == 2
    assert (later_jittered - later).std() == pytest.approx(0.3, rel=0.1)
    assert (target_jittered - target).std() == pytest.approx(0.3, rel=0.1)


def test_what_is_known_of_the_jitter_follows_from_the_targets_spectrum(outcome):
    """Spectra ask of each frequency alone; a perfect classifier adds all up, and finds a higher level."""
    spectral, perfect = outcome.planted.spectral(), outcome.planted.perfect(outcome.sigmas, TAU)
    at_least = 0.3 / np.sqrt(1 + 0.3**2)
    assert at_least < spectral < np.sqrt(2) * at_least
    assert spectral < perfect < 0.9


def test_the_report_holds_what_was_found_and_no_places(outcome, tmp_path):
    report = write_report(outcome, tmp_path)
    found = json.loads(report.numbers.read_text())["found"]
    assert [entry["source"] for entry in found] == 3 * [LATER, LATER_JITTERED, TARGET_JITTERED]
    assert [entry["known"] == 0.0 for entry in found] == 3 * [True, False, False]
    for entry in found:
        assert f"| {entry['sigma_min']:.3f} |" in report.page.read_text()
    page = (tmp_path / "recordings" / "report.html").read_text()
    assert all(name in page for name in (LATER, LATER_JITTERED, TARGET_JITTERED))
    assert all(file.is_file() for file in report.figures) and len(report.figures) >= 4
    places = {str(tmp_path), str(outcome.options.root), str(outcome.options.output_dir), os.getcwd()}
    for text in (page, report.page.read_text(), report.numbers.read_text()):
        assert not any(place in text for place in places)


def test_a_second_run_trains_nothing_and_finds_the_same(outcome):
    work = outcome.options.output_dir / "work"
    before = {file: file.stat().st_mtime_ns for file in work.rglob("*.npy")}
    again = run_recordings(replace(outcome.options), progress=False)
    assert {file: file.stat().st_mtime_ns for file in work.rglob("*.npy")} == before != {}
    for first, second in zip(outcome.datapoint, again.datapoint, strict=True):
        np.testing.assert_array_equal(first.finding.sigma_min, second.finding.sigma_min)


@pytest.mark.slow
def test_on_an_so101_spectra_find_the_jitter_and_nothing_else(shared_data, tmp_path):
    """What the committed page says, with less training: the classifier finds it where nothing else differs."""
    options = RecordingsOptions(
        Path(shared_data) / "so101_teleop",
        tmp_path,
        classifier=ClassifierOptions(folds=2, steps=300, levels=12, draws=4),
    )
    found = run_recordings(options, progress=False)
    later, later_jittered, target_jittered = (float(one.finding.sigma_min[0]) for one in found.spectral)
    assert later == 0.0
    assert later_jittered == pytest.approx(found.planted.spectral(), abs=0.01)
    assert target_jittered == pytest.approx(found.planted.spectral(), abs=0.01)
    by_classifier = {one.finding.source: float(one.finding.sigma_min[0]) for one in found.dataset}
    assert by_classifier[LATER] < 0.025 < by_classifier[TARGET_JITTERED]
