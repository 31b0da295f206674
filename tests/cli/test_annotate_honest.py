# SPDX-License-Identifier: Apache-2.0
"""What `annotate` says of what it cannot see, of too little evidence, and of episodes that look wrong."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lerobot_ambient as la
from lerobot_ambient.annotate.results.trust import CHUNKS_ALONE, CONDITIONAL_CHECK
from lerobot_ambient.cli.__main__ import main

QUICK = ("--folds=2", "--steps=20", "--levels=6", "--draws=4")
WRONG = (2, 5, 9)
METHODS = {
    "spectral": ["--method=spectral"],
    "dataset": ["--method=classifier", *QUICK],
    "bucket": ["--method=classifier", *QUICK, "--granularity=bucket", "--bucket=episode"],
    "datapoint": ["--method=classifier", *QUICK, "--granularity=datapoint"],
}


def plant(root, episodes):
    """Still arms in some episodes of a dataset."""
    (path,) = (root / "data").rglob("*.parquet")
    table = pq.read_table(path)
    action, episode = np.stack(table["action"].to_numpy()), table["episode_index"].to_numpy()
    for number in episodes:
        action[episode == number] = action[episode == number][0]
    at = table.column_names.index("action")
    values = pa.array(list(action), type=table.schema.field("action").type)
    pq.write_table(table.set_column(at, table.schema.field("action"), values), path)


@pytest.fixture(scope="module")
def roots(tmp_path_factory, write_dataset):
    """me/target; me/twin of the same law; me/planted with episodes that do not move; and pairs of few episodes."""
    folder = tmp_path_factory.mktemp("honest")
    made = {
        name: write_dataset(folder / name.split("/")[1], name, [30] * episodes, seed=seed, env_state=False)
        for name, episodes, seed in (("me/target", 12, 1), ("me/twin", 12, 2), ("me/planted", 12, 3))
    }
    for few in (2, 3):
        made[f"me/target{few}"] = write_dataset(folder / f"t{few}", f"me/target{few}", [40] * few, seed=4)
        made[f"me/twin{few}"] = write_dataset(folder / f"s{few}", f"me/twin{few}", [40] * few, seed=5)
    plant(made["me/planted"], WRONG)
    return made


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture
def annotate(roots, work_dir, capsys):
    def run(*words, target="me/target", sources=("me/planted", "me/twin")):
        listed = [{"repo_id": name, "root": str(roots[name])} for name in sources]
        work = [f"--work-dir={work_dir}"] if "--method=classifier" in words else []
        code = main(
            [
                *("annotate", *words, *work, "--policy.type=ambient_diffusion", "--policy.device=cpu"),
                *("--policy.horizon=8", "--policy.n_action_steps=4", "--policy.relative_actions=true"),
                *(f"--dataset.repo_id={target}", f"--dataset.root={roots[target]}"),
                f"--policy.sources={json.dumps(listed)}",
            ]
        )
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    return run


def require_said(entry):
    """The caveat and the check of one entry of `--json`."""
    assert (entry["compared"], entry["check"]) == (CHUNKS_ALONE, CONDITIONAL_CHECK)


@pytest.mark.parametrize("method", METHODS)
def test_json_lists_episodes_that_look_wrong_and_what_is_not_seen(annotate, method):
    planted, twin = json.loads(annotate(*METHODS[method], "--json"))
    for entry in (planted, twin):
        require_said(entry)
    assert sorted(one["episode"] for one in planted["look_at_first"]) == list(WRONG)
    assert all("moves 1/" in one["why"][0] for one in planted["look_at_first"])
    assert "robust standard deviations" in planted["look_at_first_rule"]
    assert twin["look_at_first"] == []
    if method != "spectral":
        assert planted["episode_scores"]["episode"] == list(range(12))
        assert all(0.0 <= one <= 1.0 for one in planted["episode_scores"]["score"])


def test_a_reader_is_told_the_same_on_every_page(annotate, tmp_path):
    assert "does not see what the motion is conditioned on" in CHUNKS_ALONE
    text = annotate("--method=spectral", "--take=estimate", f"--report={tmp_path}")
    said, _, yaml = text.partition("\nsources:")
    page = (tmp_path / "report.html").read_text()
    # Once for a reader, once more in the lines that are copied without the rest.
    assert said.startswith(CHUNKS_ALONE)
    assert f"# {CHUNKS_ALONE}" in said
    assert CHUNKS_ALONE in page
    # The twin's estimate is full trust, which is no advice.
    assert all(CONDITIONAL_CHECK in one for one in (said, yaml, page))
    assert "sigma_min: 0.0\n" not in yaml
    # Of the twin's episodes nothing is said.
    assert said.count("look at these first: episodes ") == 1
    assert "Look at these first: episodes " in page
    assert any(path.name.endswith("planted_episodes.png") for path in tmp_path.iterdir())


@pytest.mark.parametrize("few", [2, 3])
def test_without_evidence_the_safe_end_is_printed_and_not_full_trust(annotate, few):
    words = ("--method=classifier", *QUICK, "--soft-alone-above=0.5", "--json")
    (entry,) = json.loads(annotate(*words, target=f"me/target{few}", sources=(f"me/twin{few}",)))
    assert entry["sigma_min_estimate"] == 0.0
    assert entry["interval"][1] <= entry["sigma_min"]
    assert entry["sigma_min"] > 0.3
    assert (entry["full_trust"], entry["full_trust_share"]) == (False, 0.0)
    # By size it would be one half.
    assert entry["soft"]["mixing"]["clean_shares"][0] > 0.6


def test_an_object_says_it_too(roots):
    sources = [la.Source(name, root=str(roots[name])) for name in ("me/planted", "me/twin")]
    target = la.Source("me/target", root=str(roots["me/target"]))
    mix = la.Mixture.open(target, sources, horizon=8, n_action_steps=4, device="cpu", relative_actions=True)
    found = la.annotate(mix, method="spectral", progress=False)
    assert repr(found["me/planted"]).startswith(CHUNKS_ALONE)
    assert "look at these first: episodes" in repr(found["me/planted"])
    assert repr(found).count(CHUNKS_ALONE) == 1
    assert found["me/twin"].interval is None
