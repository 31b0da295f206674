# SPDX-License-Identifier: Apache-2.0
"""Parts of a source by a classifier's scores."""

from dataclasses import replace

import numpy as np
import pytest

from lerobot_ambient.benchmarks.engine.common_conditions import SELECTIONS as WORDS
from lerobot_ambient.benchmarks.engine.common_conditions import selected
from lerobot_ambient.benchmarks.engine.estimated_windows import (
    SCORES,
    SELECTED,
    describe_windows,
    selection_stage,
    window_stage,
    windows_text,
)
from lerobot_ambient.benchmarks.engine.recipe import Places, Task, train_config
from lerobot_ambient.benchmarks.engine.score_selection import SELECTIONS, main, select
from lerobot_ambient.data.normalization.affine import ActionNormalization
from lerobot_ambient.data.windows.windows_file import WindowTable, read_windows, write_windows

TASK = Task("maze")
COUNT = 20_000


@pytest.fixture
def table():
    """Scores that rise with the frame, at the lower of two levels; the upper one tells nothing."""
    index = np.arange(COUNT)
    scores = np.linspace(0.01, 0.99, COUNT, dtype=np.float32)
    return WindowTable(
        repo_id="ambient/maze_source",
        episode_index=index,
        frame_index=index,
        sigma_min=np.full(COUNT, 0.3, np.float32),
        sigma_max=np.full(COUNT, 0.1, np.float32),
        normalization=ActionNormalization("MIN_MAX", True, (0.0,), (1.0,), 16),
        method="classifier",
        granularity="datapoint",
        tau=0.05,
        sigmas=(0.05, 0.9),
        p=np.stack([scores, np.full(COUNT, 0.5, np.float32)], axis=1),
    )


def test_filtering_keeps_the_better_half_at_every_level(table):
    kept = select(table, "filtered")
    assert kept.sigma_min.tolist() == [1.0] * (COUNT // 2) + [0.0] * (COUNT // 2)
    assert not kept.sigma_max.any()
    assert kept.method == "classifier, filtered"


def test_weighting_keeps_chunks_in_proportion_to_their_odds(table):
    kept = select(table, "weighted").sigma_min == 0.0
    scores = table.p[:, 0]
    odds = scores / (1 - scores)
    cap = np.quantile(odds, 0.95)
    for low, high in ((0.2, 0.3), (0.5, 0.6), (0.8, 0.9)):
        part = (scores >= low) & (scores < high)
        expected = odds[part].mean() / cap
        error = np.sqrt(expected * (1 - expected) / part.sum())
        assert kept[part].mean() == pytest.approx(expected, abs=4 * error)
    assert kept[scores > scores[odds <= cap].max()].all()
    assert np.array_equal(kept, select(table, "weighted").sigma_min == 0.0)


def test_certain_scores_are_survived(table):
    table.p[:, 0] = np.where(np.arange(COUNT) < 100, 1.0, 0.0)
    assert (select(table, "weighted").sigma_min[:100] == 0.0).all()


def test_windows_without_curves_are_refused(table):
    with pytest.raises(ValueError, match=r"no curve for each chunk; annotate with .*--granularity=datapoint"):
        select(replace(table, p=None, sigmas=()), "filtered")


def test_the_stage_makes_the_file_that_the_policy_takes(table, tmp_path, capsys):
    assert set(WORDS) == set(SELECTIONS)
    assert set(SELECTED) == {selected(way, 0.5).windows for way in WORDS}
    folder, places = tmp_path / "windows", Places.below(str(tmp_path))
    scores = window_stage(TASK, SCORES, folder, places, {"data": "key"})
    write_windows(table, scores.folder / scores.product)
    for method, way in SELECTED.items():
        stage = selection_stage(TASK, method, folder, scores)
        assert stage.command[1] == "-m"
        assert main(stage.command[3:]) == 0
        config = train_config(TASK, selected(way, 0.8), Places("t", "s", str(folder)), seed=1, steps=9, batch_size=8)
        path = stage.folder / stage.product
        assert config["policy"]["sources"][0]["windows"] == str(path)
        assert config["policy"]["mixing"] == {"type": "ambient", "alpha": 0.8}
        share = (read_windows(path).sigma_min == 0.0).mean()
        assert f"{round(share * COUNT)} of {COUNT} chunks" in capsys.readouterr().out
        described = describe_windows(path)
        assert windows_text([{"source": "s", **described}]) == f"all levels, {share:.0%} of chunks"


def test_the_key_of_a_selection_is_that_of_its_scores_and_its_way(tmp_path):
    folder, places = tmp_path / "windows", Places.below(str(tmp_path))
    keys = {
        selection_stage(TASK, method, folder, window_stage(TASK, SCORES, folder, places, {"data": data})).key
        for method in SELECTED
        for data in ("one", "other")
    }
    assert len(keys) == 4
