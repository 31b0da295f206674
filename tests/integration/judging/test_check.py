# SPDX-License-Identifier: Apache-2.0
"""`lerobot-ambient check` through its command line: what it judges on, what it refuses, and what it prints."""

import json
import shutil

import numpy as np
import pytest
import torch
from lerobot.policies.factory import get_policy_class

from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.integration.judging.checkpoint import load, read_checkpoints
from lerobot_ambient.integration.judging.episodes import JudgedWords, choose_episodes, open_episodes

QUICK = ["--samples=12"]


@pytest.fixture
def check(capsys):
    """check(*words): (exit code, stdout, stderr) of the command."""

    def run(*words):
        capsys.readouterr()
        code = main(["check", *map(str, words), *QUICK])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_by_default_it_judges_on_what_was_held_out(check, checkpoint, tmp_path):
    code, out, _ = check(checkpoint("one"), checkpoint("two", seed=5), "--json", f"--report={tmp_path / 'page'}")
    assert code == 0
    found = json.loads(out)
    assert found["dataset"]["episodes"] == [4, 5]
    assert found["warnings"] == []
    assert found["criterion"] == "denoising"
    assert found["rollouts"] == 0
    first, second = found["ranking"]
    assert {first["checkpoint"], second["checkpoint"]} == {"one", "two"}
    assert first["behind_best"] is None
    assert second["behind_best"]["value"] > 0
    assert second["score"]["value"] == pytest.approx(first["score"]["value"] * (1 + second["behind_best"]["value"]))
    numbers = found["checkpoints"]["one"]
    assert np.array(numbers["denoising"]["rms"]).shape == (8, len(numbers["denoising"]["bands"]))
    assert numbers["denoising"]["bands"][0] == "0 Hz"
    assert numbers["chunks"]["executed"] == 4
    page = (tmp_path / "page" / "check.html").read_text(encoding="utf-8")
    assert "Checkpoints on me/target" in page
    assert "No rollout was made" in page
    assert page.count("data:image/png;base64") == len(list((tmp_path / "page").glob("*.png"))) == 6
    assert "http" not in page.replace("http-equiv", "")
    assert json.loads((tmp_path / "page" / "check.json").read_text(encoding="utf-8")) == found


def test_a_single_checkpoint_is_compared_with_nothing(check, checkpoint):
    _, out, _ = check(checkpoint("one"))
    assert "1 checkpoint on 2 episodes that it was not trained on: 'me/target' 4-5." in out
    assert "best" not in out.split("score:")[0]
    assert "2 episodes are few" in out


def test_one_seed_is_one_judgement(check, checkpoint):
    one = checkpoint("one")
    first = check(one, "--json")[1]
    torch.rand(7)
    assert check(one, "--json")[1] == first
    assert check(one, "--json", "--seed=1")[1] != first


def test_the_same_weights_cannot_be_distinguished(check, checkpoint, tmp_path):
    one = checkpoint("one")
    shutil.copytree(tmp_path / "one", tmp_path / "again")
    _, out, _ = check(one, tmp_path / "again" / "checkpoints" / "000010", "--json")
    assert json.loads(out)["ranking"][1]["behind_best"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    _, out, _ = check(one, tmp_path / "again" / "checkpoints" / "000010")
    assert "cannot be distinguished from the best" in out


def test_episodes_that_were_trained_on_are_refused_with_those_that_were_not(check, checkpoint):
    one = checkpoint("one")
    code, _, err = check(one, "--dataset.episodes=[3,4]")
    assert code == 2
    assert "these episodes were trained on" in err
    assert "on 1 of these 2" in err
    assert "--dataset.episodes='[4, 5]'" in err
    code, out, _ = check(one, "--dataset.episodes=[3,4]", "--allow-seen")
    assert code == 0
    assert out.startswith("warning:")
    assert "WAS TRAINED on 1 of these 2 episodes" in out
    assert "not trained on" not in out


def test_where_nothing_was_held_out_it_says_how_to(check, checkpoint, target):
    dataset = {"repo_id": "me/target", "root": str(target), "episodes": None}
    one = checkpoint("one", training={"dataset": dataset})
    code, _, err = check(one)
    assert code == 2
    assert "--dataset.eval_split=0.2" in err
    assert "--dataset.repo_id=me/fresh" in err


def test_two_trainings_are_judged_on_what_neither_saw(check, checkpoint, target):
    some = {"repo_id": "me/target", "root": str(target), "episodes": [0, 1, 5]}
    _, out, _ = check(checkpoint("one"), checkpoint("two", training={"dataset": some}), "--json")
    assert json.loads(out)["dataset"]["episodes"] == [4]


def test_a_fresh_dataset_is_judged_on_as_a_whole(check, checkpoint, write_dataset, tmp_path):
    fresh = write_dataset(tmp_path / "fresh", "me/fresh", [18, 20, 19], seed=9, spread=0.1)
    one = checkpoint("one", training=None)
    words = ["--dataset.repo_id=me/fresh", f"--dataset.root={fresh}"]
    code, out, _ = check(one, *words)
    assert code == 0
    assert "no train_config.json tells what it was trained on" in out
    assert "'me/fresh' 0-2" in out
    code, _, err = check(one)
    assert code == 2
    assert "does not tell its dataset" in err


def test_a_stock_policy_is_judged_as_its_ambient_form(check, checkpoint):
    one = checkpoint("one", "diffusion")
    (read,) = read_checkpoints([str(one)])
    assert (read.stock_type, read.config.type) == ("diffusion", "ambient_diffusion")
    code, out, _ = check(one, "--json")
    assert code == 0
    assert json.loads(out)["checkpoints"][read.name]["denoising"] is not None
    # The actions are the stock policy's.
    stock = get_policy_class("diffusion").from_pretrained(one)
    ours = load(read).policy
    batch = {"observation.state": torch.rand(2, 2, 2), "observation.environment_state": torch.rand(2, 2, 3)}
    noise = torch.randn(2, 8, 2)
    chunks = []
    for policy in (stock, ours):
        torch.manual_seed(0)
        chunks.append(policy.eval().predict_action_chunk(dict(batch), noise=noise))
    assert torch.equal(*chunks)


def test_without_a_denoising_error_chunks_rank(check, checkpoint):
    one, act = checkpoint("one"), checkpoint("act", "act")
    code, out, _ = check(one, act)
    assert code == 0
    assert "geometric mean of the predicted chunks' error" in out
    assert "act: no denoising error." in out
    assert "It has no ambient form: it predicts actions directly" in out
    _, out, _ = check(one, act, "--json")
    found = json.loads(out)
    assert found["criterion"] == "chunks"
    assert found["checkpoints"]["act"]["denoising"] is None
    assert found["checkpoints"]["act"]["chunks"]["steps"] == 6


def test_units_of_the_target_make_normalisations_comparable(check, checkpoint):
    modes = {"ACTION": "MIN_MAX", "STATE": "MIN_MAX", "VISUAL": "MEAN_STD"}
    one = checkpoint("one", normalization_mapping=modes)
    relative = checkpoint("two", relative_actions=True)
    _, out, _ = check(one, relative, "--json")
    found = json.loads(out)
    assert found["criterion"] == "denoising"
    assert all(each["denoising"]["unit"] == "target_std" for each in found["checkpoints"].values())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dataset.repo_id=me/target", "--dataset.episodes=[9]"], "has 6 episodes"),
        (["--dataset.root_of=x"], "root_of"),
        (["--policy.type=act"], "policy"),
        (["--samples=0"], "--samples must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(words, told, checkpoint, capsys):
    try:
        code = main(["check", str(checkpoint("one")), *words])
    except SystemExit as left:
        code = left.code
    assert code == 2
    assert told in capsys.readouterr().err


def test_a_checkpoint_that_is_not_there(check, tmp_path, checkpoint):
    code, _, err = check(tmp_path)
    assert code == 2
    assert "holds no checkpoint" in err
    code, _, err = check(tmp_path / "gone")
    assert code == 2
    assert "neither a folder here nor a model on the Hub" in err
    one = checkpoint("one")
    code, _, err = check(one, one.parent)
    assert code == 2
    assert "is given more than once" in err


def test_other_joints_are_refused(check, checkpoint, write_dataset, tmp_path):
    other = write_dataset(tmp_path / "other", "me/other", [18, 20], dims=3)
    code, _, err = check(checkpoint("one"), "--dataset.repo_id=me/other", f"--dataset.root={other}")
    assert code == 2
    assert "'me/other': observation.state has shape (3,)" in err


def test_a_policy_may_know_a_camera_by_another_name(check, stock_checkpoint, write_dataset, tmp_path):
    """LeRobot's rename_map: the preprocessor renames, so the dataset lacks nothing."""
    options = {"dims": 6, "env_state": False, "image": (32, 32), "spread": 0.1}
    fresh = write_dataset(tmp_path / "fresh", "me/fresh", [14, 12], **options)
    saved = stock_checkpoint("smolvla", cameras=("observation.images.front",))
    words = [saved, "--dataset.repo_id=me/fresh", f"--dataset.root={fresh}"]
    rename = {"observation.images.cam": "observation.images.front"}
    code, _, err = check(*words)
    assert code == 2
    assert "'me/fresh' lacks observation.images.front" in err
    (saved / "train_config.json").write_text(json.dumps({"rename_map": rename}))
    steps = json.loads((saved / "policy_preprocessor.json").read_text())
    for step in steps["steps"]:
        if step["registry_name"] == "rename_observations_processor":
            step["config"]["rename_map"] = rename
    (saved / "policy_preprocessor.json").write_text(json.dumps(steps))
    code, out, _ = check(*words)
    assert code == 0
    assert "1 checkpoint on 2 episodes" in out


def test_chunks_begin_at_the_observed_frame(checkpoint):
    """A chunk laid over the recording from its frame on is what acting from that frame would execute."""
    from lerobot_ambient.integration.judging.measure import Effort, measure_predictions

    (one,) = read_checkpoints([str(checkpoint("one"))])
    judged = choose_episodes([one], JudgedWords())
    episodes, loaded = open_episodes(one, judged), load(one)
    found = measure_predictions(one, loaded, episodes, Effort(samples=4, batch_size=64), lambda done, total: None)
    rows = episodes.spans[found.episode, 0] + found.frame
    batch = episodes.batch(rows)
    # What select_action makes of the two observations, one after the other.
    policy = loaded.policy
    policy.reset()
    with torch.random.fork_rng():
        acted = []
        for step in (0, 1):
            seen = {key: batch[key][:, step] for key in ("observation.state", "observation.environment_state")}
            torch.manual_seed(0)
            policy._queues["action"].clear()
            acted.append(loaded.postprocess(policy.select_action(loaded.preprocess(seen))))
    np.testing.assert_allclose(found.chunks[:, 0], acted[1].numpy(), rtol=1e-4, atol=1e-5)
