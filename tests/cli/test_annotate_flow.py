# SPDX-License-Identifier: Apache-2.0
"""annotate on the chunks of LeRobot's vision-language-action policies: 50 steps, their own normalisation, cells."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.windows.windows_file import WINDOWS_PATH

KINDS = ("ambient_smolvla", "ambient_pi0", "ambient_pi05")
JITTER = 0.15
"""Of each joint's own spread: white noise on what was commanded, as a shaking hand makes it."""


@pytest.fixture(scope="module")
def jittery(tmp_path_factory, shared_data):
    """A copy of the SO-101 recording whose actions shake."""
    root = shutil.copytree(shared_data / "so101_teleop", tmp_path_factory.mktemp("annotate") / "jittery")
    (path,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(path)
    place = table.schema.get_field_index("action")
    action = np.stack(table["action"].to_pylist())
    action += JITTER * action.std(0) * np.random.default_rng(0).standard_normal(action.shape)
    column = pa.array(action.tolist(), type=table.schema.field(place).type)
    path.chmod(0o644)
    pq.write_table(table.set_column(place, table.schema.field(place), column), path)
    return root


def options(shared_data, root, kind, **source):
    declared = {"repo_id": "me/jittery", "root": str(root), "episodes": [2, 3], **source}
    return [
        *(f"--policy.type={kind}", "--policy.device=cpu", "--dataset.repo_id=me/so101"),
        *(f"--dataset.root={shared_data / 'so101_teleop'}", "--dataset.episodes=[0, 1]"),
        f"--policy.sources={json.dumps([declared])}",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_spectra_see_a_shaking_hand_in_a_vlas_own_chunks(shared_data, jittery, tmp_path, capsys, kind):
    chosen = options(shared_data, jittery, kind)
    page = f"--report={tmp_path / 'report'}"
    assert main(["annotate", "--method=spectral", "--take=estimate", page, *chosen]) == 0
    text = capsys.readouterr().out
    assert "timestep" not in text
    assert "noise levels that the policy draws" not in text  # The estimate leaves enough.
    # White noise of 0.15 of a joint's spread is buried by sigma = 0.15 / sqrt(1 + 0.15^2); MEAN_STD makes the spread 1.
    level = float(text.split("sigma_min ")[1].split()[0].rstrip(","))
    assert (0.12 if kind != "ambient_pi05" else 0.08) < level < 0.3
    html = (tmp_path / "report" / "report.html").read_text()
    assert 'role="columnheader">Cells</th>' in html
    assert " of 256</td>" in html
    assert "<dt>Cells</dt>" in html
    assert "Timesteps" not in html


def test_windows_hold_for_the_chunks_they_were_found_on(shared_data, jittery, tmp_path, capsys):
    own = shutil.copytree(jittery, tmp_path / "jittery")
    chosen = options(shared_data, own, "ambient_smolvla")
    assert main(["annotate", "--method=spectral", "--take=estimate", "--write", *chosen]) == 0
    capsys.readouterr()

    def inspected(kind, *more):
        code = main(["inspect", "--json", *options(shared_data, own, kind, windows=str(WINDOWS_PATH)), *more])
        return code, capsys.readouterr()

    code, printed = inspected("ambient_smolvla")
    assert code == 0
    assert 0.8 < json.loads(printed.out)["sources"][1]["admitted"][0] < 1.0
    # pi0 has the same chunks and the same law; pi0.5 normalises by quantiles.
    assert inspected("ambient_pi0")[0] == 0
    for kind, more, said in (
        ("ambient_pi05", [], "mode is MEAN_STD there and QUANTILES here"),
        (
            "ambient_smolvla",
            ["--policy.chunk_size=25", "--policy.n_action_steps=25"],
            "horizon is 50 there and 25 here",
        ),
    ):
        code, printed = inspected(kind, *more)
        assert code == 2
        assert "under another normalisation" in printed.err
        assert said in printed.err


def test_a_classifier_is_scored_at_levels_of_the_cells(write_dataset, tmp_path, capsys):
    target = write_dataset(tmp_path / "target", "me/target", [40] * 12, seed=1)
    shaky = write_dataset(tmp_path / "shaky", "me/shaky", [40] * 12, seed=3, spread=8.0)
    source = {"repo_id": "me/shaky", "root": str(shaky)}
    quick = ("--folds=2", "--steps=60", "--levels=8", "--draws=4", f"--work-dir={tmp_path / 'work'}", "--json")
    chosen = (
        *("--policy.type=ambient_smolvla", "--policy.device=cpu", "--policy.chunk_size=16"),
        *("--policy.n_action_steps=8", "--dataset.repo_id=me/target", f"--dataset.root={target}"),
        f"--policy.sources={json.dumps([source])}",
    )
    assert main(["annotate", "--method=classifier", *quick, *chosen]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    sigmas = np.array(found["curve"]["sigmas"])
    # The middles of the first and the last of 256 cells of Beta(1.5, 1), and between them even in the angle.
    tau = 0.001 + 0.999 * (np.array([0.5, 255.5]) / 256) ** (1 / 1.5)
    assert sigmas[[0, -1]] == pytest.approx(tau / np.hypot(tau, 1 - tau), abs=1e-9)
    assert np.diff(np.arcsin(sigmas)) == pytest.approx(np.ptp(np.arcsin(sigmas)) / 7, rel=0.05)
    assert found["sigma_min"] > 0.3


@pytest.mark.parametrize("method", ["spectral", "classifier"])
@pytest.mark.parametrize(
    ("kind", "option"), [("ambient_smolvla", "policy.chunk_size"), ("ambient_multi_task_dit", "policy.horizon")]
)
def test_too_long_a_chunk_names_the_policys_own_option(write_dataset, tmp_path, capsys, kind, option, method):
    target = write_dataset(tmp_path / "target", "me/target", [20] * 4, seed=1)
    sim = write_dataset(tmp_path / "sim", "me/sim", [20] * 4, seed=2)
    length = option.partition(".")[2]
    quick = ["--folds=2", "--steps=2"] if method == "classifier" else []
    # A shorter end that starts no sample is what LeRobot itself would leave out.
    quick += ["--policy.drop_n_last_frames=0"] if length == "horizon" else []
    code = main(
        [
            *("annotate", f"--method={method}", f"--policy.type={kind}", "--policy.device=cpu"),
            *(f"--policy.{length}=64", "--policy.n_action_steps=8", "--dataset.repo_id=me/target"),
            *(f"--dataset.root={target}", *quick),
            f"--policy.sources={json.dumps([{'repo_id': 'me/sim', 'root': str(sim)}])}",
        ]
    )
    assert code == 2
    assert f"use a shorter {option} or longer episodes" in capsys.readouterr().err
