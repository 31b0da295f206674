# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient reproduce`: its options, and one very small run through the stock commands."""

import importlib.util
import json
from dataclasses import replace

import pytest
import yaml

from lerobot_ambient.benchmarks.engine import study_run
from lerobot_ambient.benchmarks.engine.study import STRETCH, options_for
from lerobot_ambient.benchmarks.studies.catalogue import NAMES, study_named
from lerobot_ambient.benchmarks.studies.maze import STUDY
from lerobot_ambient.cli.__main__ import build_parser, main


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conditions": ("ambient", "magic")}, "name each once, of target_only"),
        ({"conditions": ("ambient", "ambient")}, "name each once"),
        ({"conditions": ()}, "name each once"),
        ({"seeds": (0, 1)}, "seed 0 trains the sweeps"),
        ({"seeds": (1, 1)}, "each once"),
        ({"seeds": ()}, "at least one"),
        ({"conditions": ("cotrain:finetuned",)}, "fine-tuned from cotrain; name that too"),
        ({"trials": 0}, r"--trials 0 must lie in \[1, 10000\]"),
        ({"sweep_trials": 10_001}, "--sweep-trials 10001"),
        ({"steps": 0}, "--steps must be at least 1, got 0"),
        ({"jobs": 0}, "--jobs must be at least 1, got 0"),
    ],
)
def test_bad_sizes_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        options_for(STUDY, tmp_path, **change)


def test_every_final_run_is_rolled_out_on_the_same_layouts_and_no_sweep_is(tmp_path):
    """No layout that helped to choose is counted in the final figures."""
    study = study_named("sorting")
    options = options_for(study, tmp_path, seeds=(1, 2, 3))
    for kind, seeds in (("source", ("source",)), ("target", ("target-0", "target-1", "target-2", "target-3"))):
        for folder in seeds:
            meta = tmp_path / "data" / "default" / folder / "run" / kind / "meta"
            meta.mkdir(parents=True)
            (meta / "info.json").write_text(json.dumps({"made_for": folder}))
    run = study_run._Run(study, options, runner=None)
    target_only = next(one for one in study.conditions(study.defaults, options.sizes) if one.name == "target_only")
    finals = run._finals(target_only)
    tried = [run._trial(sweep, value) for sweep in study.sweeps for value in sweep.values]

    def first_layout(chain):
        return [word for word in chain.evaluate.command if word.startswith("--seed=")]

    assert {tuple(first_layout(chain)) for chain in finals} == {(f"--seed={study_run.FINAL_EVAL_SEED}",)}
    assert {tuple(first_layout(chain)) for chain in tried} == {(f"--seed={study_run.SWEEP_EVAL_SEED}",)}
    assert study_run.FINAL_EVAL_SEED - study_run.SWEEP_EVAL_SEED >= STRETCH
    # Training k learns from draw k of the target, the sweeps' from draw 0, all from one source.
    configs = [yaml.safe_load(chain.train.files["train.yaml"]) for chain in [*finals, *tried]]
    draws = [(config["seed"], config["dataset"]["root"].split("/")[-3]) for config in configs]
    assert draws == [*((seed, f"target-{seed}") for seed in (1, 2, 3)), *[(0, "target-0")] * len(tried)]
    sources = {source["root"] for config in configs for source in config["policy"].get("sources", [])}
    assert sources == {str(tmp_path / "data" / "default" / "source" / "run" / "source")}


def test_pairs_that_differ_in_the_targets_number_share_their_source(tmp_path):
    """Thousands of demonstrations are made once, not once a number."""
    study = study_named("pays-maze")
    data = study_run._Run(study, options_for(study, tmp_path), runner=None)._data
    folders = {pair: (data.folder(pair, "source", 1), data.folder(pair, "target", 1)) for pair in ("x2", "x40")}
    assert folders["x2"][0] == folders["x40"][0]
    assert folders["x2"][1] != folders["x40"][1]
    study = study_named("scaling")
    data = study_run._Run(study, options_for(study, tmp_path), runner=None)._data
    assert data.folder("x1", "target", 1) == data.folder("x8", "target", 1)
    assert data.folder("x1", "source", 1) != data.folder("x8", "source", 1)


def test_a_winner_that_is_a_fixed_arm_too_is_trained_once(tmp_path):
    for kind in ("target", "source"):
        (tmp_path / kind / "meta").mkdir(parents=True)
        (tmp_path / kind / "meta" / "info.json").write_text(json.dumps({"total_frames": 10}))
    options = options_for(STUDY, tmp_path, data_root=tmp_path)
    run = study_run._Run(STUDY, options, runner=None)
    ambient = next(one for one in STUDY.conditions(STUDY.defaults, options.sizes) if one.name == "ambient")
    (one, *_), (twin, *_) = run._finals(ambient), run._finals(replace(ambient, name="ambient:fixed"))
    assert one.stages
    assert twin.stages == []
    assert (twin.train, twin.evaluate, twin.condition.name) == (one.train, one.evaluate, "ambient:fixed")
    (other, *_) = run._finals(replace(ambient, name="ambient:other", mixing={"type": "ambient", "alpha": 0.9}))
    assert other.stages


def test_data_of_an_older_revision_of_the_task_is_not_taken(tmp_path):
    keys = []

    class Noting:
        def run(self, chains, title):
            keys.append([stage.key for chain in chains for stage in chain])

    for revision in (0, 0, 1):
        study = replace(STUDY, task=replace(STUDY.task, revision=revision))
        study_run._Run(study, options_for(study, tmp_path), Noting())._data.make({("", 1)}, Noting())
    assert keys[0] == keys[1] != keys[2]


def test_the_weight_of_a_source_with_many_windows_comes_from_the_frames(tmp_path):
    for kind, frames in (("target", 300), ("source", 4000)):
        (tmp_path / kind / "meta").mkdir(parents=True)
        (tmp_path / kind / "meta" / "info.json").write_text(json.dumps({"total_frames": frames}))
    study = study_named("pushing")
    options = options_for(study, tmp_path, conditions=("ambient:classifier-bucket",), data_root=tmp_path)
    run = study_run._Run(study, options, runner=None)
    (condition,) = (
        condition
        for condition in study.conditions(study.defaults, options.sizes)
        if condition.name in options.conditions
    )
    configs = [yaml.safe_load(chain.train.files["train.yaml"]) for chain in run._finals(condition)]
    assert [config["policy"]["sources"][0]["weight"] for config in configs] == [0.075] * 5


def test_missing_data_names_the_fix(tmp_path, capsys):
    code = main(["reproduce", "maze", "--quick", "--data-root", str(tmp_path), "--output-dir", str(tmp_path / "o")])
    assert code == 2
    assert f"lerobot-ambient make-data maze --root {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_the_quick_form_is_smaller(name, tmp_path):
    study = study_named(name)
    full, quick = options_for(study, tmp_path), options_for(study, tmp_path, quick=True)
    assert full.conditions == study.order
    assert set(quick.conditions) < set(full.conditions)
    assert len(full.sizes.seeds) >= 5
    assert full.sizes.trials >= 200
    assert len(quick.sizes.seeds) == 1
    assert full.sizes.sweep
    assert not quick.sizes.sweep


@pytest.mark.parametrize("name", NAMES)
def test_the_help_is_complete(capsys, name):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["reproduce", name, "--help"])
    text = capsys.readouterr().out
    for flag in ("--quick", "--output-dir", "--data-root", "--results-dir", "--arms", "--seeds", "--jobs", "--json"):
        assert flag in text


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_commands")
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
    assert results["data"]["default"]["source"]["episodes"] == 20
    assert results["command"].startswith("lerobot-ambient reproduce maze --quick --arms=ambient --trials=4")
    assert str(tmp_path) not in json.dumps(results)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert json.loads((tmp_path / "docs" / "maze.json").read_text()) == results
    for figure in ("trajectories", "denoising"):
        assert (tmp_path / "docs" / f"maze-{figure}.png").is_file()
        assert f"maze-{figure}.png" in (tmp_path / "docs" / "maze.md").read_text()
    assert "| **ambient** (alpha 0.5) |" in (tmp_path / "docs" / "maze.md").read_text()

    stages = sorted(tmp_path.glob("**/done.json"), key=lambda file: file.parent.name)
    assert [file.parent.name for file in stages] == ["eval", "source", "target-1", "train"]
    before = [file.read_bytes() for file in stages]
    assert main(["reproduce", "maze", "--quick", *flags]) == 0
    assert [file.read_bytes() for file in stages] == before


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_commands")
@pytest.mark.parametrize(
    ("name", "arm", "packages", "pictures"),
    [
        ("sorting", "omni", [], ["shares"]),
        # Without a success there is nothing to compare.
        ("pushing", "ambient,ambient:finetuned", ["pymunk"], []),
        ("scaling", "soft:x1", ["pymunk"], ["curve"]),
        ("arm7", "ambient", ["mujoco", "ompl"], []),
        ("vision", "ambient:blind", ["pydrake", "ompl"], ["observations"]),
    ],
)
def test_the_tiny_form_of_an_experiment_runs_from_data_to_figures(name, arm, packages, pictures, tmp_path, capsys):
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{name.upper()} IS NOT REPRODUCED IN THIS RUN: {package} is missing; install the extra")
    flags = [
        *[f"--arms={arm}", "--target-episodes=4", "--source-episodes=8", "--steps=12", "--batch-size=8", "--trials=2"],
        *[f"--output-dir={tmp_path}", f"--results-dir={tmp_path / 'docs'}", "--jobs=1", "--json"],
    ]
    assert main(["reproduce", name, "--quick", *flags]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["experiment"] == name
    assert [(found["arm"], found["trials"]) for found in results["arms"]] == [(one, 2) for one in arm.split(",")]
    for trained in tmp_path.glob("final/*/train/run/checkpoints/last/pretrained_model/config.json"):
        sources = json.loads(trained.read_text())["sources"]
        assert len(sources) == (0 if "finetuned" in str(trained.relative_to(tmp_path)) else 1)
    page = (tmp_path / "docs" / f"{name}.md").read_text()
    for picture in pictures:
        assert (tmp_path / "docs" / f"{name}-{picture}.png").is_file()
        assert f"{name}-{picture}.png" in page
    for folder in tmp_path.glob("final/*"):
        assert f"env.type=ambient_{study_named(name).task.name}" in (folder / "eval" / "stage.json").read_text()
