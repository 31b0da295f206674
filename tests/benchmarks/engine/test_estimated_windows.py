# SPDX-License-Identifier: Apache-2.0
"""Estimated windows as stages of an experiment."""

import json
from dataclasses import replace
from pathlib import Path

import draccus
import numpy as np
import pytest
import yaml
from lerobot.configs.train import TrainPipelineConfig

from lerobot_ambient.benchmarks.engine.common_conditions import ESTIMATES, estimated, target_only
from lerobot_ambient.benchmarks.engine.condition import Condition
from lerobot_ambient.benchmarks.engine.estimated_windows import (
    WINDOW_METHODS,
    describe_windows,
    window_stage,
    windows_json,
    windows_text,
    with_numbers,
)
from lerobot_ambient.benchmarks.engine.recipe import Places, Task, train_config, windows_path
from lerobot_ambient.benchmarks.engine.study import options_for
from lerobot_ambient.benchmarks.engine.study_run import run_study
from lerobot_ambient.benchmarks.studies.catalogue import study_named
from lerobot_ambient.cli.__main__ import build_parser
from lerobot_ambient.data.normalization.affine import ActionNormalization
from lerobot_ambient.data.windows.windows_file import WindowTable, write_windows
from tests.benchmarks.engine.pretending import Pretending

TASK = Task("maze")
PUSH = study_named("metaworld-push")


@pytest.fixture
def stages(tmp_path):
    return {
        method: window_stage(TASK, method, tmp_path / "windows", Places.below(str(tmp_path / "data")), {"data": "key"})
        for method in WINDOW_METHODS
    }


def test_every_method_is_a_command_that_annotate_takes(stages):
    for stage in stages.values():
        words = stage.command[stage.command.index("annotate") :]
        args, more = build_parser().parse_known_args(words)
        assert more == []
        assert args.windows_dir == stage.run_folder
        # Of the held-out map the safe end is taken, as users do, elsewhere the estimate; full trust, too.
        safe = "--method=heldout" in words
        assert (args.take, args.accept_full_trust) == ("safe" if safe else "estimate", True)
        assert {word for word in words if word.startswith("--method")} <= set(stage.inputs["annotate"])
        assert "--accept-full-trust" in stage.inputs["annotate"]
        yaml.safe_load(stage.files["train.yaml"])


def test_the_trained_policy_takes_the_file_that_the_stage_makes(stages, tmp_path):
    assert set(ESTIMATES) == set(WINDOW_METHODS)
    places = replace(Places.below(str(tmp_path / "data")), windows=str(tmp_path / "windows"))
    for method, stage in stages.items():
        config = train_config(TASK, estimated(method), places, seed=1, steps=100, batch_size=8)
        (source,) = draccus.decode(TrainPipelineConfig, config).policy.sources
        assert Path(source.windows) == stage.folder / stage.product
        assert source.sigma_min is None


def test_many_windows_share_by_size_so_that_a_small_admitted_part_is_not_repeated():
    fine, whole = estimated("classifier-datapoint"), estimated("classifier-dataset")
    assert whole.mixing["alpha"] == 0.5
    assert whole.weighted(300, 4000) is whole
    assert fine.mixing["alpha"] is None
    weighted = fine.weighted(300, 4000)
    assert weighted.name == fine.name
    # 300 frames of the target weigh as much as 4000 of the source: half and half where all are admitted.
    assert weighted.source["weight"] * 4000 == pytest.approx(300)
    assert replace(fine, share=0.8).weighted(300, 4000).source["weight"] * 4000 == pytest.approx(300 / 4)


@pytest.mark.parametrize("change", [{"share": 1.0}, {"share": 0.0}, {"share": 0.5, "source": {"weight": 2.0}}])
def test_a_share_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match=r"a share lies in \(0, 1\) and needs a source without a weight"):
        replace(estimated("classifier-datapoint"), **change)


def test_granularities_share_what_the_classifiers_learnt(stages):
    work = {
        word
        for method, stage in stages.items()
        for word in stage.command
        if word.startswith("--work-dir") and method != "heldout"
    }
    assert len(work) == 1
    # The held-out map keeps what its own denoisers learnt.
    assert not work & set(stages["heldout"].command)


def test_the_key_knows_the_method_and_the_data_but_no_folder(stages, tmp_path):
    assert len({stage.key for stage in stages.values()}) == len(stages)
    elsewhere = window_stage(TASK, "spectral", tmp_path / "b", Places.below(str(tmp_path / "c")), {"data": "key"})
    other = window_stage(
        TASK, "spectral", tmp_path / "windows", Places.below(str(tmp_path / "data")), {"data": "other"}
    )
    assert elsewhere.key == stages["spectral"].key != other.key


def test_windows_are_described_by_median_spread_and_interval(tmp_path):
    path = windows_path(TASK, str(tmp_path), "classifier-datapoint")
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
    text = windows_text([{"source": "s", **described}])
    assert text == "σ > 0.500 (median), 0.050 to 0.950 for 90 % of windows (dataset: 0.100 to 0.200)"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (None, "–"),
        ({}, "–"),
        # The schedule has no level 0.16; the first above it is what the source really gets.
        ({"sigma_min": 0.16}, "σ > 0.16 (from 0.167)"),
        ({"sigma_min": 1.0, "sigma_max": 0.46}, "σ < 0.46 (up to 0.448)"),
        ({"sigma_min": 0.7, "sigma_max": 0.16}, "σ < 0.16 (up to 0.152) and σ > 0.7 (from 0.700)"),
    ],
)
def test_declared_windows_show_the_levels_in_force(tmp_path, source, text):
    condition = Condition("ambient", "", {"type": "ambient"}, source)
    assert windows_text(windows_json(TASK, condition, tmp_path)) == text


def one_window(sigma_min, sigma_max):
    index = np.arange(3)
    return WindowTable(
        repo_id="ambient/maze_source",
        episode_index=index,
        frame_index=index,
        sigma_min=np.full(3, sigma_min, np.float32),
        sigma_max=np.full(3, sigma_max, np.float32),
        normalization=ActionNormalization("MIN_MAX", True, (0.0,), (1.0,), 16),
        method="heldout",
        granularity="dataset",
    )


def test_a_window_at_the_low_end_alone_is_told_by_its_one_bound(tmp_path):
    path = windows_path(TASK, str(tmp_path), "heldout")
    write_windows(one_window(1.0, 0.4), path)
    assert windows_text([{"source": "s", **describe_windows(path)}]) == "σ < 0.400"


def test_a_window_that_was_estimated_once_is_trained_with_in_numbers(tmp_path):
    condition = replace(estimated("heldout"), windows_once=True)
    places = Places("t", "s", str(tmp_path))
    assert with_numbers(TASK, condition, places) is condition
    write_windows(one_window(0.24, 0.1), windows_path(TASK, str(tmp_path), "heldout"))
    declared = with_numbers(TASK, condition, places)
    config = train_config(TASK, declared, places, seed=1, steps=10, batch_size=8)
    (source,) = draccus.decode(TrainPipelineConfig, config).policy.sources
    assert (source.windows, source.sigma_min, source.sigma_max) == (None, 0.24, 0.1)
    own = replace(condition, windows_once=False)
    assert with_numbers(TASK, own, places) is own


def test_where_the_estimate_leaves_the_source_out_the_target_is_trained_with_alone(tmp_path):
    condition = replace(estimated("heldout"), windows_once=True)
    path = windows_path(TASK, str(tmp_path), "heldout")
    write_windows(one_window(1.0, 0.0), path)
    declared = with_numbers(TASK, condition, Places("t", "s", str(tmp_path)))
    sizes = {"seed": 1, "steps": 10, "batch_size": 8}
    places = Places("t", "s", "w")
    assert train_config(TASK, declared, places, **sizes) == train_config(TASK, target_only(), places, **sizes)
    assert windows_text([{"source": "s", **describe_windows(path)}]) == "nothing: the target alone"


@pytest.mark.parametrize(("method", "alone"), [("classifier-dataset", True), ("heldout", False)])
def test_everything_is_trained_with_where_it_is_shown_to_help_and_not_where_chunks_are_alike(tmp_path, method, alone):
    condition = replace(estimated(method), windows_once=True)
    path = windows_path(TASK, str(tmp_path), method)
    # Below the lowest level of the schedule, which is everything by another name.
    write_windows(replace(one_window(1e-4, 0.0), method=method.split("-")[0]), path)
    declared = with_numbers(TASK, condition, Places("t", "s", str(tmp_path)))
    assert (declared.source is None) == alone
    assert declared.mixing["type"] == ("target_only" if alone else "ambient")


class Estimating(Pretending):
    """A runner whose estimates all leave the source out."""

    def run(self, chains, title):
        super().run(chains, title)
        for stage in (stage for chain in chains for stage in chain):
            if stage.product is not None and stage.product.endswith(".parquet"):
                (stage.folder / stage.product).parent.mkdir(parents=True, exist_ok=True)
                write_windows(replace(one_window(1.0, 0.0), repo_id=PUSH.task.source), stage.folder / stage.product)


def test_arms_whose_source_is_left_out_are_the_policies_of_the_target_alone(tmp_path):
    arms = ("target_only", "ambient:tremble-heldout", "ambient:wrong_goal-heldout")
    runner = Estimating(tmp_path)
    options = options_for(PUSH, tmp_path, conditions=arms, sweep=False, seeds=(1, 2), trials=2)
    outcome = run_study(PUSH, options, runner)
    assert [name for name in runner.ran if name.startswith("final/")] == [
        f"final/target_only-seed{seed}/{stage}" for seed in (1, 2) for stage in ("train", "eval")
    ]
    returns = {(run.condition.name, run.seed): run.rollouts.returns.tolist() for run in outcome.runs}
    assert len(returns) == 6
    assert all(returns[arm, seed] == returns["target_only", seed] for arm in arms for seed in (1, 2))
    told = {run.condition.name: windows_text(run.kept.windows) for run in outcome.runs}
    assert told == dict.fromkeys(arms[1:], "nothing: the target alone") | {"target_only": "–"}
