# SPDX-License-Identifier: Apache-2.0
"""The verb annotate: what it prints, what it writes, what it refuses."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import yaml

from lerobot_ambient.annotate.results.trust import CHUNKS_ALONE, FULL_TRUST
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH, read_windows


@pytest.fixture(scope="module")
def roots(tmp_path_factory, write_dataset):
    """me/target, me/sim of the same law, and me/shaky, whose walks are eight times as wide."""
    folder = tmp_path_factory.mktemp("annotate")
    return {
        "me/target": write_dataset(folder / "target", "me/target", [40] * 12, seed=1),
        "me/sim": write_dataset(folder / "sim", "me/sim", [40] * 12, seed=2),
        "me/shaky": write_dataset(folder / "shaky", "me/shaky", [40] * 11 + [5], seed=3, spread=8.0),
    }


@pytest.fixture
def annotate(roots, tmp_path, capsys):
    copies = {name: shutil.copytree(root, tmp_path / name.split("/")[1]) for name, root in roots.items()}

    def run(*arguments, sources=("me/shaky",), **declared):
        listed = [{"repo_id": name, "root": str(copies[name]), **declared} for name in sources]
        code = main(
            [
                *("annotate", "--method=spectral", "--policy.type=ambient_diffusion", "--policy.device=cpu"),
                *("--policy.horizon=16", "--policy.n_action_steps=8", "--policy.relative_actions=true"),
                *("--dataset.repo_id=me/target", f"--dataset.root={copies['me/target']}"),
                f"--policy.sources={json.dumps(listed)}",
                *arguments,
            ]
        )
        return code, capsys.readouterr()

    run.copies = copies
    return run


def test_json_has_one_entry_a_source(annotate):
    code, printed = annotate("--json", sources=("me/sim", "me/shaky"))
    assert code == 0
    sim, shaky = json.loads(printed.out)
    assert {key: shaky[key] for key in ("source", "granularity", "method", "sigma_max")} == {
        "source": "me/shaky",
        "granularity": "dataset",
        "method": "spectral",
        "sigma_max": 0.0,
    }
    assert sim["sigma_min_estimate"] < 0.1 < 0.5 < shaky["sigma_min_estimate"]
    for entry in (sim, shaky):
        low, high = entry["bury_range"]
        assert low <= entry["sigma_min_estimate"] <= high
        # A perfect classifier adds up what noise leaves of many frequencies.
        assert entry["sigma_min"] == max(high, entry["gaussian"])
        assert entry["takes"] == "safe"
        assert entry["compared"] == CHUNKS_ALONE
    assert sim["gaussian"] < 0.1 < 0.9 < shaky["gaussian"]
    assert shaky["recommended"]


def test_the_estimate_is_written_where_it_is_asked_for(annotate):
    (safe,), (estimate,) = (json.loads(annotate("--json", f"--take={end}")[1].out) for end in ("safe", "estimate"))
    assert estimate["sigma_min"] == estimate["sigma_min_estimate"] == safe["sigma_min_estimate"] < safe["sigma_min"]


def test_that_chunks_do_not_differ_is_no_recommendation(annotate):
    """A source that decides wrongly with the right motions would look like this one."""
    alike = {"sources": ("me/sim",)}
    code, printed = annotate("--take=estimate", "--write", **alike)
    path = annotate.copies["me/sim"] / WINDOWS_PATH
    assert code == 2
    assert not path.exists()
    assert "'me/sim' would admit every noise level" in printed.err
    assert "--accept-full-trust" in printed.err
    assert printed.out.startswith(CHUNKS_ALONE)
    assert FULL_TRUST in printed.out
    assert "sigma_min: 0" not in printed.out
    assert yaml.safe_load(printed.out[printed.out.index("sources:") :]) == {"sources": [{"repo_id": "me/sim"}]}
    (entry,) = json.loads(annotate("--take=estimate", "--json", **alike)[1].out)
    assert (entry["recommended"], entry["full_trust"], entry["sigma_min"]) == (False, True, 0.0)


def test_full_trust_can_be_accepted_and_the_file_keeps_what_was_compared(annotate):
    code, printed = annotate("--take=estimate", "--accept-full-trust", "--write", sources=("me/sim",))
    assert code == 0
    assert yaml.safe_load(printed.out[printed.out.index("sources:") :].split("windows file")[0])["sources"] == [
        {"repo_id": "me/sim", "sigma_min": 0.0}
    ]
    table = read_windows(annotate.copies["me/sim"] / WINDOWS_PATH)
    assert not table.sigma_min.any()
    assert table.evidence["compared"] == CHUNKS_ALONE
    assert table.evidence["takes"] == "estimate"
    assert len(table.evidence["bury_range"]) == 2


def test_the_printed_sources_parse(annotate):
    _, printed = annotate()
    # A bar from the start on: each source takes seconds.
    assert "comparing spectra" in printed.err
    (source,) = yaml.safe_load(printed.out[printed.out.index("sources:") :])["sources"]
    assert source["repo_id"] == "me/shaky"
    assert 0.5 < source["sigma_min"] < 1.0
    assert "Spectra hold second moments only" in printed.out


def test_a_declared_window_does_not_matter(annotate):
    plain, declared = (annotate("--json", **window)[1].out for window in ({}, {"sigma_min": 0.9}))
    assert plain == declared


def test_the_windows_file_is_one_that_training_takes(annotate):
    code, printed = annotate("--write")
    path = annotate.copies["me/shaky"] / WINDOWS_PATH
    assert code == 0
    assert f"windows file: {path}" in printed.out
    table = read_windows(path)
    # Every frame, also those too near an episode's end to start a sample, and the episode that is too short.
    assert len(table) == 40 * 11 + 5
    (level,) = np.unique(table.sigma_min)
    assert level == pytest.approx(max(table.evidence["bury_range"][1], table.evidence["gaussian"]))
    assert level > table.evidence["sigma_min_estimate"] > 0.5
    inspect = [
        *("inspect", "--json", "--policy.type=ambient_diffusion", "--policy.device=cpu", "--policy.horizon=16"),
        *("--policy.n_action_steps=8", "--policy.relative_actions=true"),
        *("--dataset.repo_id=me/target", f"--dataset.root={annotate.copies['me/target']}"),
    ]
    source = {"repo_id": "me/shaky", "root": str(annotate.copies["me/shaky"]), "windows": WINDOWS_PATH}
    assert main([*inspect, f"--policy.sources={json.dumps([source])}"]) == 0


def test_a_windows_file_is_not_overwritten_unasked(annotate):
    annotate("--write")
    path = annotate.copies["me/shaky"] / WINDOWS_PATH
    before = path.read_bytes()
    code, printed = annotate("--write")
    assert code == 2
    assert f"{path} exists; add --overwrite to replace it" in printed.err
    assert path.read_bytes() == before
    assert annotate("--write", "--overwrite")[0] == 0


def test_what_makes_no_sense_is_refused(annotate):
    assert "has no sources to annotate" in annotate(sources=())[1].err
    assert "--overwrite without --write" in annotate("--overwrite")[1].err


def test_the_report_draws_the_motion_and_says_what_was_compared(annotate, tmp_path):
    code, _ = annotate("--take=estimate", f"--report={tmp_path / 'report'}", sources=("me/sim", "me/shaky"))
    assert code == 0
    names = {file.name for file in (tmp_path / "report").glob("*.png")}
    assert {"1_me-sim_trajectories.png", "2_me-shaky_trajectories.png"} <= names
    text = (tmp_path / "report" / "report.html").read_text()
    assert CHUNKS_ALONE in text
    assert "none to recommend" in text
    assert "No window is recommended for" in text
    assert "sigma_min: 0.0" not in text
    assert " Hz, decides: there they part." in text


def test_locality_adds_a_sigma_max_that_is_shown(annotate):
    plain, local = (
        json.loads(annotate("--json", *more, sources=("me/sim", "me/shaky"))[1].out) for more in ([], ["--locality"])
    )
    assert [entry["sigma_min"] for entry in local] == [entry["sigma_min"] for entry in plain]
    sim, shaky = local
    # Walks eight times as wide differ at every scale.
    assert shaky["sigma_max"] == 0.0
    assert 0.0 <= sim["sigma_max"] <= 1.0
    assert len(sim["notes"]) > len(plain[0]["notes"])


def test_spectra_need_none_of_the_packages_of_the_extra(annotate, preloaded_python):
    """Someone without the extra 'annotate' gets the first guess all the same."""
    source = json.dumps([{"repo_id": "me/shaky", "root": str(annotate.copies["me/shaky"])}])
    arguments = [
        *("annotate", "--method=spectral", "--json", "--policy.type=ambient_diffusion", "--policy.device=cpu"),
        *("--policy.horizon=16", "--policy.n_action_steps=8", "--dataset.repo_id=me/target"),
        *(f"--dataset.root={annotate.copies['me/target']}", f"--policy.sources={source}"),
    ]
    script = f"""
import lerobot.configs.train, sys  # what LeRobot imports for itself is no business of ours
import lerobot_ambient.integration.training.configured_mixture
for name in ("scipy", "sklearn", "matplotlib", "jinja2"):
    for loaded in [module for module in sys.modules if module.partition(".")[0] == name]:
        del sys.modules[loaded]
    sys.modules[name] = None
from lerobot_ambient.cli.__main__ import main
sys.exit(main({arguments!r}))
"""
    done = subprocess.run([preloaded_python, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-1500:]
    assert json.loads(done.stdout)[0]["sigma_min"] > 0.3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget=5"], "--budget belongs to --method=heldout"),
        (["--shares=0.5"], "--shares belongs to --method=heldout"),
        (
            ["--method=heldout", "--budget=5", "--steps=9"],
            "--budget sets the steps of a training and --steps says them",
        ),
        (["--method=heldout", "--granularity=bucket"], "--granularity belongs to --method=classifier;"),
        (["--method=heldout", "--locality"], "--locality belongs to the other methods"),
        (["--method=heldout", "--tolerance=0"], r"--tolerance = 0.0 must lie in (0, 10]"),
        (["--method=heldout", "--folds=1"], "--folds = 1 must be at least 2"),
    ],
)
def test_options_of_held_out_errors_are_checked(annotate, arguments, said):
    code, printed = annotate(*arguments)
    assert code != 0
    assert said in printed.err
