# SPDX-License-Identifier: Apache-2.0
"""`la.check` gives the judgement of `lerobot-ambient check`."""

from __future__ import annotations

import json

import pytest

import lerobot_ambient as la
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.integration.judging.judgement import to_dict

SMALL = {"device": "cpu", "denoiser": "mlp", "mlp_width": 16, "mlp_depth": 1, "horizon": 8, "n_action_steps": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory, write_dataset):
    """A run on episodes 0 to 3 of six, and the dataset's folder."""
    folder = tmp_path_factory.mktemp("check")
    root = write_dataset(folder / "target", "me/target", [20] * 6, seed=1, env_state=False)
    target = la.Source("me/target", root=str(root), episodes=[0, 1, 2, 3])
    return la.train(la.Mixture.open(target, **SMALL), folder / "run", steps=2, batch_size=8, num_workers=0), root


def test_it_is_the_judgement_of_the_command(run, capsys):
    policy, _ = run
    found = la.check(policy, samples=12, batch_size=5, seed=3)
    capsys.readouterr()
    assert main(["check", str(policy), "--samples=12", "--batch-size=5", "--seed=3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads(json.dumps(to_dict(found))) == told
    assert told["dataset"]["episodes"] == [4, 5], "what it was not trained on"


def test_it_prints_what_the_command_prints_and_a_notebook_shows_the_figures(run, capsys):
    policy, _ = run
    found = la.check(policy, samples=6, progress=False)
    assert capsys.readouterr() == ("", "")
    assert main(["check", str(policy), "--samples=6"]) == 0
    assert capsys.readouterr().out == f"{found!r}\n"
    page = found._repr_html_()
    assert "1 checkpoint on 2 episodes that it was not trained on" in page
    assert page.count("data:image/png;base64,") >= 4


def test_another_dataset_is_judged_on_by_its_place_and_episodes(run):
    policy, root = run
    other = la.Source("me/target", root=str(root), episodes=[5])
    assert la.check(policy, dataset=other, samples=4, progress=False).judged.numbers == [5]
    seen = la.Source("me/target", root=str(root), episodes=[0])
    with pytest.raises(ValueError, match="trained on"):
        la.check(policy, dataset=seen, samples=4, progress=False)
    assert la.check(policy, dataset=seen, samples=4, allow_seen=True, progress=False).judged.numbers == [0]


def test_without_a_checkpoint_or_with_no_samples_it_says_so(run):
    with pytest.raises(ValueError, match=r'name a checkpoint to judge, la.check\("outputs/train/mine"\)'):
        la.check()
    with pytest.raises(ValueError, match="samples must be at least 1"):
        la.check(run[0], samples=0)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        la.check("nowhere/at_all", progress=False)
