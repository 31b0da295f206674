# SPDX-License-Identifier: Apache-2.0
"""Rollouts that are kept beside the page, and an experiment that goes on from them in another folder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lerobot_ambient.benchmarks.engine.common_conditions import fine_tuned
from lerobot_ambient.benchmarks.engine.condition import Choices, Condition
from lerobot_ambient.benchmarks.engine.kept_rollouts import Kept, kept_file, read_kept, write_kept
from lerobot_ambient.benchmarks.engine.outcome import Outcome
from lerobot_ambient.benchmarks.engine.study import Options, Sizes, Study, options_for
from lerobot_ambient.benchmarks.engine.study_run import run_study
from lerobot_ambient.benchmarks.pages.study_report import write_report
from lerobot_ambient.benchmarks.studies import maze
from lerobot_ambient.benchmarks.studies.pushing import STUDY
from lerobot_ambient.integration.commands.results import Rollouts
from tests.benchmarks.engine.pretending import Pretending


def one(name: str, key: str, returns: Sequence[float], *, jerks: bool = False) -> Kept:
    values = np.array(returns)
    rollouts = Rollouts(values > -1.0, values, values**2 if jerks else None)
    return Kept(name, key, rollouts, 61.5, 7.25, ("a", "b"), [{"source": "me/sim", "sigma_min": 0.3}])


class TestTheFile:
    def test_gives_back_to_the_last_digit_what_was_written(self, tmp_path):
        path = kept_file(tmp_path, "pushing")
        written = [one("final/a", "1", [-1 / 3, -np.pi * 1e3]), one("final/b", "2", [0.1], jerks=True)]
        write_kept(path, "pushing", written)
        read = read_kept(path, "pushing")
        assert [one.key for one in read] == ["1", "2"]
        for before, after in zip(written, read, strict=True):
            assert after.rollouts.returns.tobytes() == before.rollouts.returns.tobytes()
            assert after.rollouts.successes.tobytes() == before.rollouts.successes.tobytes()
            for name in ("name", "train_seconds", "eval_seconds", "machines", "windows"):
                assert getattr(after, name) == getattr(before, name)
            assert (before.reused, after.reused) == (False, True)
        assert read[0].rollouts.jerks is None
        np.testing.assert_array_equal(read[1].rollouts.jerks, [0.1**2])

    def test_keeps_other_runs_and_replaces_the_same(self, tmp_path):
        path = kept_file(tmp_path, "pushing")
        write_kept(path, "pushing", [one("final/a", "1", [0.0]), one("final/b", "2", [0.0])])
        write_kept(path, "pushing", [one("final/b", "3", [-2.0])])
        assert {kept.name: kept.key for kept in read_kept(path, "pushing")} == {"final/a": "1", "final/b": "3"}

    def test_keeps_two_arms_that_are_one_policy(self, tmp_path):
        path = kept_file(tmp_path, "pushing")
        for _ in range(2):
            write_kept(path, "pushing", [one("final/cotrain", "1", [0.0]), one("final/cotrain-0.5", "1", [0.0])])
            write_kept(path, "pushing", [one("final/b", "2", [0.0])])
        assert [kept.name for kept in read_kept(path, "pushing")] == ["final/b", "final/cotrain", "final/cotrain-0.5"]

    def test_says_what_is_wrong_with_it(self, tmp_path):
        with pytest.raises(ValueError, match=r"no such file\. A finished `reproduce pushing` writes pushing-rollouts"):
            read_kept(tmp_path / "none.json", "pushing")
        path = kept_file(tmp_path, "maze")
        write_kept(path, "maze", [one("final/a", "1", [0.0])])
        with pytest.raises(ValueError, match="holds rollouts of 'maze' in format 1; `reproduce pushing` reads those"):
            read_kept(path, "pushing")

    @pytest.mark.parametrize("text", ["", "[]", '{"experiment": "maze"}', '{"experiment": "maze", "format": 1, "r'])
    def test_is_not_overwritten_if_it_cannot_be_read(self, tmp_path, text):
        path = kept_file(tmp_path, "maze")
        path.write_text(text)
        with pytest.raises(ValueError, match="not a file of rollouts"):
            write_kept(path, "maze", [one("final/a", "1", [0.0])])
        assert path.read_text() == text


@pytest.fixture
def data(tmp_path) -> Path:
    for kind in ("target", "source"):
        (tmp_path / "data" / kind / "meta").mkdir(parents=True)
        (tmp_path / "data" / kind / "meta" / "info.json").write_text('{"total_episodes": 4, "total_frames": 9}')
    return tmp_path / "data"


SWEPT = len(next(sweep for sweep in STUDY.sweeps if sweep.parameter == "alpha").values)


def ran(options: Options, study: Study = STUDY) -> tuple[Outcome, list[str]]:
    runner = Pretending(options.output_dir)
    return run_study(study, options, runner), runner.ran


def test_an_experiment_goes_on_in_another_folder(tmp_path, data):
    """A sweep and its condition in one call, everything else in a second: the page is that of a single call."""
    sizes = {"trials": 2, "sweep_trials": 2, "data_root": data, "seeds": (1, 2)}
    whole, _ = ran(options_for(STUDY, tmp_path / "whole", conditions=("soft", "cotrain", "cotrain:finetuned"), **sizes))
    first, _ = ran(options_for(STUDY, tmp_path / "first", conditions=("cotrain",), **sizes))
    write_report(first, "c", tmp_path / "docs")
    file = kept_file(tmp_path / "docs", "pushing")

    more = options_for(
        STUDY, tmp_path / "more", conditions=("soft", "cotrain", "cotrain:finetuned"), reuse=file, **sizes
    )
    second, stages = ran(more)
    # What is fine-tuned has to be trained again, but not rolled out, and nothing is swept.
    fresh = [f"final/soft-seed{seed}/{stage}" for seed in (1, 2) for stage in ("train", "eval")]
    for seed in (1, 2):
        tuned = f"final/cotrain-finetuned-seed{seed}"
        fresh += [f"final/cotrain-seed{seed}/train", f"{tuned}/train", f"{tuned}/eval"]
    assert sorted(stages) == sorted(fresh)

    report, at_once = write_report(second, "c", tmp_path / "docs"), write_report(whole, "c", tmp_path / "at-once")
    for name in ("arms", "sweeps", "claims", "data"):
        assert report.results[name] == at_once.results[name]
    assert (report.results["reused"], at_once.results["reused"]) == (2 + SWEPT, 0)
    assert f"{2 + SWEPT} of {6 + SWEPT} policies were rolled out by earlier calls" in report.page.read_text()
    assert report.results["machine"] == "here"
    assert sorted(one.key for one in read_kept(file, "pushing")) == sorted(one.key for one in whole.kept)

    third, stages = ran(options_for(STUDY, tmp_path / "last", conditions=more.conditions, reuse=file, **sizes))
    assert stages == []
    assert [run.policy for run in third.runs] == [None] * 6


def test_only_equal_settings_are_taken(tmp_path, data):
    sizes = {"trials": 2, "sweep": False, "data_root": data, "conditions": ("soft",), "seeds": (1, 2)}
    first, _ = ran(options_for(STUDY, tmp_path / "first", **sizes))
    write_report(first, "c", tmp_path / "docs")
    file = kept_file(tmp_path / "docs", "pushing")
    for number, change in enumerate([{"steps": 7}, {"trials": 3}, {"batch_size": 1}, {"seeds": (3, 4)}]):
        _, stages = ran(options_for(STUDY, tmp_path / f"other{number}", reuse=file, **(sizes | change)))
        assert len(stages) == 4, change
    (data / "source" / "meta" / "info.json").write_text('{"total_episodes": 5, "total_frames": 9}')
    _, stages = ran(options_for(STUDY, tmp_path / "other", reuse=file, **sizes))
    assert len(stages) == 4


class TestAPolicyThatAnEarlierCallMadeAsAnotherArms:
    """The default of the sweep, alpha 0.5, is also a fixed arm of the front: one policy, two names."""

    study = replace(maze.STUDY, task=replace(maze.TASK, recorded=False))

    def run(
        self, tmp_path: Path, data: Path, *arms: str, sweep: bool = False, study: Study = study
    ) -> tuple[Outcome, list[str]]:
        sizes = {"trials": 2, "sweep_trials": 2, "data_root": data, "seeds": (1, 2), "sweep": sweep}
        return ran(options_for(study, tmp_path / "out", conditions=arms, **sizes), study)

    def test_is_not_trained_again(self, tmp_path, data):
        first, stages = self.run(tmp_path, data, "cotrain:0.5")
        assert len(stages) == 4
        second, stages = self.run(tmp_path, data, "cotrain", "cotrain:0.5")
        assert stages == []
        assert [run.rollouts.returns.tolist() for run in second.runs] == 2 * [
            run.rollouts.returns.tolist() for run in first.runs
        ]
        assert [(run.kept.name, run.policy) for run in second.runs] == [
            (f"final/{arm}-seed{seed}", run.policy)
            for arm in ("cotrain", "cotrain-0.5")
            for seed, run in zip((1, 2), first.runs, strict=True)
        ]
        assert all(run.policy is not None and not run.kept.reused for run in second.runs)

    def test_is_told_even_when_the_other_arm_is_made_anew(self, tmp_path, data):
        first, _ = self.run(tmp_path, data, "cotrain")
        second, stages = self.run(tmp_path, data, "cotrain", "cotrain:0.5", sweep=True)
        assert second.choices["cotrain_alpha"] != 0.5
        assert not any("cotrain-0.5" in stage and stage.startswith("final") for stage in stages)
        found = [run.rollouts.returns.tolist() for run in second.runs if run.condition.name == "cotrain:0.5"]
        assert found == [run.rollouts.returns.tolist() for run in first.runs]

    def test_is_trained_in_its_own_folder_where_a_fine_tuning_needs_it_and_the_other_arm_is_made_anew(
        self, tmp_path, data
    ):
        def with_tuned(choices: Choices, sizes: Sizes) -> list[Condition]:
            declared = self.study.conditions(choices, sizes)
            fixed = next(one for one in declared if one.name == "cotrain:0.5")
            return [*declared, fine_tuned(fixed)]

        study = replace(self.study, conditions=with_tuned)
        self.run(tmp_path, data, "cotrain", study=study)
        outcome, stages = self.run(
            tmp_path, data, "cotrain", "cotrain:0.5:finetuned", "cotrain:0.5", sweep=True, study=study
        )
        assert outcome.choices["cotrain_alpha"] != 0.5
        assert stages[-6:] == [
            f"final/{folder}"
            for seed in (1, 2)
            for folder in (
                f"cotrain-0.5-seed{seed}/train",
                f"cotrain-0.5-finetuned-seed{seed}/train",
                f"cotrain-0.5-finetuned-seed{seed}/eval",
            )
        ]
        policies = {run.kept.name: run.policy for run in outcome.runs}
        out = tmp_path / "out" / "final"
        assert policies["final/cotrain-0.5-seed1"].is_relative_to(out / "cotrain-0.5-seed1" / "train")
        assert policies["final/cotrain-seed1"].is_relative_to(out / "cotrain-seed1" / "train")

    def test_is_trained_again_where_its_training_is_gone(self, tmp_path, data):
        self.run(tmp_path, data, "cotrain:0.5")
        (tmp_path / "out" / "final" / "cotrain-0.5-seed1" / "train" / "done.json").unlink()
        _, stages = self.run(tmp_path, data, "cotrain")
        assert stages == ["final/cotrain-seed1/train", "final/cotrain-seed1/eval"]
