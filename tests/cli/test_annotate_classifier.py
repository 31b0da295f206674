# SPDX-License-Identifier: Apache-2.0
"""`annotate --method=classifier` and `--rethreshold`, from datasets to windows files, and what they refuse."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import yaml

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH, read_windows

QUICK = ("--folds=2", "--steps=120", "--levels=10", "--draws=4")


@pytest.fixture(scope="module")
def roots(tmp_path_factory, write_dataset):
    """me/target, me/sim of the same law, me/shaky, whose walks are eight times as wide, and two of no use."""
    folder = tmp_path_factory.mktemp("annotate")
    return {
        "me/target": write_dataset(folder / "target", "me/target", [40] * 12, seed=1),
        "me/sim": write_dataset(folder / "sim", "me/sim", [40] * 12, seed=2),
        "me/shaky": write_dataset(folder / "shaky", "me/shaky", [40] * 11 + [5], seed=3, spread=8.0),
        "me/one": write_dataset(folder / "one", "me/one", [40], seed=4),
        "me/short": write_dataset(folder / "short", "me/short", [12] * 4, seed=5),
    }


def options(roots, target="me/target", sources=("me/shaky",)):
    listed = [{"repo_id": name, "root": str(roots[name])} for name in sources]
    return [
        *("--policy.type=ambient_diffusion", "--policy.device=cpu", "--policy.relative_actions=true"),
        *("--policy.horizon=16", "--policy.n_action_steps=8", f"--dataset.repo_id={target}"),
        *(f"--dataset.root={roots[target]}", f"--policy.sources={json.dumps(listed)}"),
    ]


def untrained(fit, fold, tick):
    """In place of training, but chunks are drawn, which is when they are looked at."""
    assert fit.samples
    raise AssertionError("trained")


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory):
    """Where every test finds what another one has trained."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def annotate(roots, work_dir, capsys):
    def run(*arguments, method="--method=classifier", quick=QUICK, **chosen):
        work = (f"--work-dir={work_dir}",) if method == "--method=classifier" else ()
        code = main(["annotate", method, *quick, *work, *options(roots, **chosen), *arguments])
        return code, capsys.readouterr()

    return run


def test_one_training_tells_a_like_source_from_an_unlike_one(annotate):
    code, printed = annotate("--json", sources=("me/sim", "me/shaky"))
    assert code == 0
    sim, shaky = json.loads(printed.out)
    assert {key: shaky[key] for key in ("source", "granularity", "method", "sigma_max", "tau")} == {
        "source": "me/shaky",
        "granularity": "dataset",
        "method": "classifier",
        "sigma_max": 0.0,
        "tau": 0.05,
    }
    assert sim["sigma_min_estimate"] < 0.3 < shaky["sigma_min"]
    # Beside so wide a source, so short a training gives the like one a single answer, which shows nothing.
    assert "they have learnt nothing" in sim["warnings"][0]
    assert sim["sigma_min"] == sim["bury_range"][1]
    assert shaky["interval"][0] <= shaky["sigma_min"] <= shaky["interval"][1]
    curve = shaky["curve"]
    assert len(curve["sigmas"]) == len(curve["p"]) == 10
    assert all(low <= p <= high for low, p, high in zip(curve["low"], curve["p"], curve["high"], strict=True))
    assert max(curve["total_variation_at_least"]) > 0.3


def test_a_second_run_trains_nothing_and_says_the_same(annotate, monkeypatch):
    first = annotate("--json")[1].out
    monkeypatch.setattr("lerobot_ambient.annotate.classifier.cross_fit.train_fold", None)
    assert annotate("--json")[1].out == first


@pytest.mark.parametrize(
    ("granularity", "more"), [("bucket", ["--bucket=stretch:10"]), ("datapoint", [])], ids=["bucket", "datapoint"]
)
def test_windows_of_buckets_and_data_points_come_as_files_that_training_takes(
    annotate, roots, tmp_path, granularity, more
):
    code, printed = annotate(f"--granularity={granularity}", *more, f"--windows-dir={tmp_path / 'w'}")
    assert code == 0
    path = tmp_path / "w" / "me__shaky.parquet"
    (source,) = yaml.safe_load(printed.out[printed.out.index("sources:") : printed.out.index("windows file:")])[
        "sources"
    ]
    assert source == {"repo_id": "me/shaky", "windows": str(path)}
    assert f"sigma_min per {granularity}" in printed.out
    assert "modes: me/target, windows per data point" in printed.out
    table = read_windows(path)
    assert (table.method, table.granularity, table.tau) == ("classifier", granularity, 0.05)
    assert len(table) == 40 * 11 + 5
    assert table.p is not None
    assert len(np.unique(table.p, axis=0)) > 11
    listed = [{"repo_id": "me/shaky", "root": str(roots["me/shaky"]), "windows": str(path)}]
    inspect = [*options(roots), f"--policy.sources={json.dumps(listed)}"]
    assert main(["inspect", "--json", *inspect]) == 0


def test_another_threshold_takes_no_data_and_no_training(annotate, tmp_path):
    there = f"--windows-dir={tmp_path}"
    annotate("--granularity=datapoint", there)
    path = tmp_path / "me__shaky.parquet"
    before = read_windows(path)
    again = {"method": "--rethreshold", "quick": ()}
    assert json.loads(annotate(there, "--overwrite", "--json", **again)[1].out)[0]["tau"] == 0.05
    assert np.array_equal(read_windows(path).sigma_min, before.sigma_min)
    code, printed = annotate(there, "--overwrite", "--tau=0.2", **again)
    after = read_windows(path)
    assert code == 0
    assert "at tau 0.2" in printed.out
    assert after.tau == 0.2
    assert np.array_equal(after.p, before.p)
    # A wider margin is passed sooner.
    assert (after.sigma_min <= before.sigma_min).all()
    assert after.sigma_min.mean() < before.sigma_min.mean()
    assert "at tau 0.1" in annotate(there, "--tau=0.1", **again)[1].out
    assert read_windows(path).tau == 0.2, "replaced unasked"


def test_the_threshold_of_a_data_set_can_be_read_again_too(annotate, tmp_path):
    there = f"--windows-dir={tmp_path}"
    found = json.loads(annotate(there, "--json")[1].out)[0]
    stored = read_windows(tmp_path / "me__shaky.parquet")
    assert stored.granularity == "dataset"
    assert np.unique(stored.sigma_min) == pytest.approx([found["sigma_min"]])
    assert np.unique(stored.p, axis=0) == pytest.approx(np.array([found["curve"]["p"]]))
    again = json.loads(annotate(there, "--json", method="--rethreshold", quick=())[1].out)[0]
    assert again["sigma_min"] == pytest.approx(found["sigma_min"], abs=1e-6)


def test_soft_mixing_is_printed_as_it_can_be_pasted(annotate):
    _, printed = annotate("--soft-alone-above=0.5")
    line = next(line for line in printed.out.splitlines() if line.startswith("# mixing:"))
    mixing = yaml.safe_load(line.removeprefix("# "))["mixing"]
    assert mixing["type"] == "soft"
    assert mixing["clean_shares"] == sorted(mixing["clean_shares"], reverse=True)
    assert mixing["clean_shares"][0] == 1.0
    (entry,) = json.loads(annotate("--soft-alone-above=0.5", "--json")[1].out)
    assert entry["soft"]["mixing"] == mixing


def test_one_data_set_given_twice_has_two_windows_files(annotate, tmp_path):
    there = {"sources": ("me/sim", "me/sim")}
    code, printed = annotate(f"--windows-dir={tmp_path}", "--json", "--accept-full-trust", **there)
    assert code == 0
    assert {path.name for path in tmp_path.glob("*.parquet")} == {"me__sim#0.parquet", "me__sim#1.parquet"}
    again = annotate(f"--windows-dir={tmp_path}", "--json", method="--rethreshold", quick=(), **there)[1].out
    names = [[entry["source"] for entry in json.loads(text)] for text in (printed.out, again)]
    assert names == [["me/sim#0", "me/sim#1"]] * 2


def test_sigma_max_is_what_crops_and_second_moments_both_show(annotate):
    few = ("--folds=2", "--steps=20", "--levels=4", "--draws=4")
    code, printed = annotate("--locality", "--json", quick=few, sources=("me/sim", "me/shaky"))
    assert code == 0
    for entry in json.loads(printed.out):
        # Nothing is shown to be alike by twelve episodes.
        assert entry["sigma_max"] == 0.0
        said = [note for note in entry["notes"] if note.startswith("Locality: ")]
        assert len(said) == len(set(said)) >= 1
        assert sum("Weak evidence" in note for note in said) <= 1


def test_a_report_shows_the_curve_and_the_spectra(annotate, work_dir, tmp_path):
    code, printed = annotate(f"--report={tmp_path / 'report'}")
    assert code == 0
    page = tmp_path / "report" / "report.html"
    assert f"report: {page}" in printed.out
    names = {file.name for file in page.parent.glob("*.png")}
    assert {f"1_me-shaky_{kind}.png" for kind in ("classifier", "episodes", "spectra")} | {"plan.png"} <= names
    text = page.read_text()
    assert "lerobot-ambient annotate --method=classifier --folds=2" in text
    assert str(work_dir) not in text


def test_machines_that_were_launched_together_share_the_work(roots, tmp_path, capsys, preloaded_python):
    command = [
        *("annotate", "--method=classifier", *QUICK, "--granularity=datapoint", "--device=cpu"),
        *(f"--work-dir={tmp_path / 'work'}", *options(roots), "--json"),
    ]
    # Two machines, each with its own launcher and address; the work folder is on a disk that both see.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    running = []
    for machine, address in enumerate(("127.0.0.1", "127.0.0.2")):
        launch = [
            *(preloaded_python, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"),
            *("--num_machines=2", f"--machine_rank={machine}", "--main_process_ip=127.0.0.1"),
            *(
                f"--main_process_port={port}",
                "--mixed_precision=no",
                "--dynamo_backend=no",
                "-m",
                "lerobot_ambient.cli",
            ),
        ]
        own = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PET_LOCAL_ADDR": address}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running.append(subprocess.Popen([*launch, *command], env=os.environ | own, **pipes))
    said = [process.communicate(timeout=300) for process in running]
    for process, (_, errors) in zip(running, said, strict=True):
        assert process.returncode == 0, errors[-2000:]
    together = json.loads(said[0][0][said[0][0].index("[\n") :])
    assert "[\n" not in said[1][0]
    assert main([*command, f"--work-dir={tmp_path / 'alone'}"]) == 0
    assert together == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "chosen", "message"),
    [
        (
            ["--folds=13"],
            {},
            r"fewer episodes than the 13 folds.*: 'me/target' \(12\), 'me/shaky' \(11\). Use --folds=11",
        ),
        (["--folds=12"], {}, "'me/shaky' has 11 episodes, too few for 12 folds"),
        ([], {"sources": ("me/one",)}, "'me/one' has 1 episodes, too few for 2 folds"),
        (["--policy.horizon=64", "--policy.n_action_steps=8"], {"sources": ("me/short",)}, "runs beyond its episode"),
        (
            ["--granularity=bucket", "--bucket=column:operator"],
            {},
            "'me/shaky': column 'operator' is not there; buckets need one number or one string per frame",
        ),
        (["--soft-alone-above=2"], {}, r"--soft-alone-above=2.0 is a distance of two laws, in \(0, 1\]"),
        (["--overwrite"], {}, "--overwrite without --write, --windows-dir or --write-config does nothing"),
        (["--soft-alone-above=0.5", "--folds=1"], {}, "--soft-alone-above needs a distance, which --folds=1"),
        (["--device=gpu"], {}, "device 'gpu' cannot be used here: .* Use cpu"),
        (["--write"], {"sources": ("me/sim", "me/sim")}, "'me/sim#0' and 'me/sim#1' would share the windows file"),
    ],
)
def test_bad_input_is_named_with_its_fix_before_anything_is_trained(annotate, arguments, chosen, message, monkeypatch):
    monkeypatch.setattr("lerobot_ambient.annotate.classifier.cross_fit.CrossFit._fit", untrained)
    code, printed = annotate(*arguments, **chosen)
    assert code == 2
    assert re.search(message, printed.err), printed.err


def test_options_out_of_range_are_named_as_typed_before_lerobot_is_loaded():
    wrong = {
        "--tau=0.5": "--tau=0.5 must lie in (0, 0.5)",
        "--tau=0": "--tau=0.0 must lie in (0, 0.5)",
        "--draws=2": "--draws=2 must be at least 4",
        "--draws=5": "--draws=5 must be even: noise is drawn in pairs",
        "--folds=0": "--folds=0 must be at least 1",
        "--steps=0": "--steps=0 must be at least 1",
        "--levels=1": "--levels=1 must be at least 2",
        "--seed=-1": "--seed=-1 must be at least 0",
        "--granularity=bucket": "--granularity=bucket needs --bucket=RULE",
        "--bucket=episode": "--granularity=bucket needs --bucket=RULE",
        "--granularity=bucket --bucket=size": "--bucket: 'size' names no buckets; write one of episode, task",
        "--granularity=bucket --bucket=clusters:0": "--bucket: 'clusters:0' needs a whole number of at least 1",
    }
    code = (
        "import sys; sys.modules |= {'lerobot': None, 'torch': None}\n"
        "from lerobot_ambient.cli.__main__ import main\n"
        "for line in sys.argv[1:]: assert main(['annotate', '--method=classifier', *line.split()]) == 2\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *wrong], capture_output=True, text=True, check=True)
    for (typed, message), told in zip(wrong.items(), done.stderr.splitlines(), strict=True):
        assert told.startswith(f"lerobot-ambient: error: {message}"), typed


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("--method=spectral", ["--folds=2"], "--folds belongs to --method=classifier"),
        ("--method=spectral", ["--soft-alone-above=0.5"], "--soft-alone-above belongs to --method=classifier"),
        ("--method=spectral", ["--tau=0.1"], "--tau belongs to --method=classifier or --rethreshold"),
        ("--rethreshold", ["--granularity=datapoint"], "--granularity belongs to --method=classifier"),
        ("--rethreshold", ["--locality"], "--locality reads data, --rethreshold only curves"),
        ("--rethreshold", ["--write"], "say --overwrite instead of --write"),
        ("--rethreshold", ["--seed=3"], "--seed=3: nothing of --rethreshold is random"),
        ("--rethreshold", [], "has no windows file"),
    ],
)
def test_options_that_would_do_nothing_are_refused(annotate, method, arguments, message):
    code, printed = annotate(*arguments, method=method, quick=())
    assert code == 2
    assert message in printed.err


def test_windows_without_curves_cannot_be_thresholded_again(annotate, roots, tmp_path):
    copies = {name: shutil.copytree(root, tmp_path / name) for name, root in roots.items()}
    command = options(copies)
    assert main(["annotate", "--method=spectral", "--write", *command]) == 0
    assert (copies["me/shaky"] / WINDOWS_PATH).is_file()
    code, printed = annotate(*command, "--tau=0.1", method="--rethreshold", quick=())
    assert code == 2
    assert "windows of 'me/shaky' (spectral) hold no curves" in printed.err


@pytest.mark.parametrize(
    ("missing", "more"),
    [("scipy", []), ("sklearn", ["--granularity=datapoint"]), ("jinja2", ["--report=out"])],
)
def test_a_missing_package_is_named_before_the_work(annotate, monkeypatch, missing, more):
    for loaded in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr("lerobot_ambient.annotate.classifier.cross_fit.train_fold", None)
    code, printed = annotate(*more)
    assert code == 2
    assert f"this needs {missing}, which is not installed" in printed.err
    assert "[annotate]" in printed.err
