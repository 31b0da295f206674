# SPDX-License-Identifier: Apache-2.0
"""Stock lerobot-train on a mixture: resume, held-out loss, refusals."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lerobot.configs.types import NormalizationMode
from safetensors.torch import load_file

from lerobot_ambient.data.batches.merged_dataset import GROUP_KEY, MergedDataset
from lerobot_ambient.integration.training.merged_training import _left_as_they_are
from lerobot_ambient.policy.diffusion.fused_adam import FusedAdamConfig
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

from ..conftest import SMALL_POLICY


class KilledError(Exception):
    pass


@pytest.fixture
def watch(monkeypatch):
    """Records (frame indices, loss) of every training step; raises KilledError in step `at` when set."""

    seen = SimpleNamespace(steps=[], held_out=[], kill_in=None)
    original = AmbientDiffusionPolicy.forward

    def forward(self, batch, reduction="mean"):
        if self.training and seen.kill_in == len(seen.steps) + 1:
            raise KilledError
        loss, logs = original(self, batch, reduction)
        if self.training:
            seen.steps.append((batch["index"].tolist(), loss.item()))
        else:
            seen.held_out.append(batch["index"].tolist())
        return loss, logs

    monkeypatch.setattr(AmbientDiffusionPolicy, "forward", forward)
    return seen


def arguments(roots, output, *more, sigma_min=0.4):
    target, sim = roots
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": sigma_min}
    return [
        "--dataset.repo_id=me/target",
        f"--dataset.root={target}",
        f"--policy.sources={json.dumps([source])}",
        f"--output_dir={output}",
        "--batch_size=16",
        "--steps=14",
        "--save_freq=4",
        "--log_freq=2",
        *SMALL_POLICY,
        *more,
    ]


def logged(capsys):
    """What LeRobot logged; it replaces pytest's own log handler."""
    captured = capsys.readouterr()
    return captured.out + captured.err


def resume(output):
    return [f"--config_path={output}/checkpoints/last/pretrained_model/train_config.json", "--resume=true"]


def test_a_killed_run_resumes_to_the_same_frames(roots, tmp_path, lerobot_train, watch):
    more = ["--policy.ema_decay=0.9", "--policy.relative_actions=true"]
    lerobot_train(arguments(roots, tmp_path / "whole", *more))
    whole = list(watch.steps)
    watch.steps.clear()
    watch.kill_in = 11
    with pytest.raises(KilledError):
        lerobot_train(arguments(roots, tmp_path / "cut", *more))
    watch.kill_in = None
    assert watch.steps == whole[:10]
    watch.steps.clear()
    lerobot_train(resume(tmp_path / "cut"))
    # The last checkpoint was written after step 8; the run crosses an epoch's end both before and after it. The
    # noise is another: a fresh DataLoader takes one number from the restored generator (stock LeRobot).
    assert [indices for indices, _ in watch.steps] == [indices for indices, _ in whole[8:]]
    weights = load_file(tmp_path / "cut/checkpoints/000014/pretrained_model/model.safetensors")
    assert int(weights["averaged.n_averaged"]) == 14


def test_a_run_goes_on_with_the_optimiser_it_began_with(roots, tmp_path, lerobot_train, monkeypatch):
    used = []
    original = FusedAdamConfig.build
    monkeypatch.setattr(FusedAdamConfig, "build", lambda self, params: used.append("fused") or original(self, params))
    for more in ([], ["--policy.optimizer_fused=false"]):
        run = tmp_path / str(len(more))
        lerobot_train(arguments(roots, run, "--steps=2", *more))
        lerobot_train([*resume(run), "--steps=4", "--policy.optimizer_fused=null"])
    assert used == ["fused", "fused"]
    # And with LeRobot's own, where that is asked for.
    lerobot_train([*resume(tmp_path / "0"), "--steps=5", "--optimizer.type=adam"])
    own = ["--use_policy_training_preset=false", "--optimizer.type=adam", "--optimizer.lr=1e-3"]
    warm = ["--scheduler.type=diffuser", "--scheduler.num_warmup_steps=2"]
    lerobot_train(arguments(roots, tmp_path / "own", "--steps=2", *own, *warm))
    assert used == ["fused", "fused"]


def test_a_run_with_relative_roots_is_resumed_from_another_folder(roots, tmp_path, monkeypatch, lerobot_train, watch):
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    (project / "data").mkdir(parents=True)
    elsewhere.mkdir()
    for root in roots:
        (project / "data" / root.name).symlink_to(root)
    monkeypatch.chdir(project)
    relative = (Path("data/target"), Path("data/sim"))
    lerobot_train(arguments(relative, "outputs/run", "--save_checkpoint=true", "--steps=4", "--dataset.eval_split=0.4"))
    stored = (project / "outputs/run/checkpoints/last/pretrained_model/config.json").read_text()
    assert json.loads(stored)["sources"][0]["root"] == "data/sim"
    monkeypatch.chdir(elsewhere)
    lerobot_train([*resume(project / "outputs/run"), "--steps=6"])
    assert len(watch.steps) == 6
    (project / "data/sim").unlink()
    with pytest.raises(
        ValueError, match=r"its root data/sim is neither in .*elsewhere, .* nor in .*project, where the"
    ):
        lerobot_train([*resume(project / "outputs/run"), "--steps=8"])


def test_a_changed_mixture_is_not_resumed(roots, tmp_path, lerobot_train):
    lerobot_train(arguments(roots, tmp_path / "run", "--steps=4"))
    changed = [{"repo_id": "me/sim", "root": str(roots[1]), "sigma_min": 0.5}]
    more = [f"--policy.sources={json.dumps(changed)}", "--steps=8"]
    with pytest.raises(ValueError, match=r"(?s)not the one this run was started with.*\(0.4, 1\].*\(0.5, 1\]"):
        lerobot_train([*resume(tmp_path / "run"), *more])
    # Starting anew from its weights is allowed.
    path = tmp_path / "run/checkpoints/last/pretrained_model"
    fine_tune = [a for a in arguments(roots, tmp_path / "tuned", "--steps=2", sigma_min=0.5) if "policy.type" not in a]
    lerobot_train([f"--policy.path={path}", *fine_tune])


def test_held_out_loss_is_on_the_target_alone(roots, tmp_path, lerobot_train, watch, capsys):
    more = ["--dataset.eval_split=0.3", "--eval_steps=7", "--steps=7"]
    lerobot_train(arguments(roots, tmp_path / "run", *more))
    # 0.3 of three episodes: one is held out, the last (frames 26 to 41); training never sees it.
    assert [i for batch in watch.held_out for i in batch] == list(range(26, 42))
    trained = {i for indices, _ in watch.steps for i in indices}
    assert not trained & set(range(26, 42))
    assert any(i >= 42 for i in trained)
    assert re.search(r"step 7: eval_loss=\d", logged(capsys))
    watch.held_out.clear()
    lerobot_train(arguments(roots, tmp_path / "few", *more, "--max_eval_samples=5"))
    assert [i for batch in watch.held_out for i in batch] == list(range(26, 31))


def test_logs_name_every_source(roots, tmp_path, lerobot_train, capsys):
    lerobot_train(arguments(roots, tmp_path / "run", "--steps=4"))
    text = logged(capsys)
    for kind in ("share", "loss", "sigma"):
        for name in ("me/target", "me/sim"):
            assert f"{kind}/{name}:" in text
    assert "me/sim: 2 episodes, 43 frames, (0.4, 1], " in text


def test_a_trained_policy_acts_without_its_data(roots, tmp_path, lerobot_train, monkeypatch):
    import shutil

    from lerobot.policies import make_pre_post_processors

    copies = [tmp_path / "target", tmp_path / "sim"]
    for root, copy in zip(roots, copies, strict=True):
        shutil.copytree(root, copy)
    lerobot_train(arguments(copies, tmp_path / "run", "--steps=2", "--policy.relative_actions=true"))
    for copy in copies:
        shutil.rmtree(copy)
    path = tmp_path / "run/checkpoints/last/pretrained_model"
    policy = AmbientDiffusionPolicy.from_pretrained(path)
    pre, post = make_pre_post_processors(policy.config, pretrained_path=str(path))
    batch = pre({"observation.state": torch.zeros(1, 2), "observation.environment_state": torch.zeros(1, 3)})
    action = post(policy.select_action(batch))
    assert action.shape == (1, 2)
    assert torch.isfinite(action).all()


def test_other_policies_are_left_to_lerobot(roots, tmp_path, lerobot_train, capsys):
    lerobot_train(
        [
            "--dataset.repo_id=me/target",
            f"--dataset.root={roots[0]}",
            "--policy.type=diffusion",
            "--policy.push_to_hub=false",
            "--policy.device=cpu",
            "--policy.horizon=8",
            "--policy.n_action_steps=4",
            "--policy.down_dims=[8, 16]",
            f"--output_dir={tmp_path / 'run'}",
            "--batch_size=4",
            "--steps=2",
            "--num_workers=0",
            "--dataset.use_imagenet_stats=false",
        ]
    )
    assert (tmp_path / "run/checkpoints/last/pretrained_model/model.safetensors").is_file()
    assert "mixture of" not in logged(capsys)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--dataset.streaming=true"], "stream reads from the Hub, and root="),
        (["--dataset.streaming=true", "--dataset.repo_type=bucket"], "repo_type=bucket cannot be mixed"),
        (["--dataset.eval_split=0.9"], "leaves no training episode"),
        (["--policy.target_rename={actions: action}"], r"'me/target': rename names \['actions'\]"),
        (
            ["--policy.sources=[{repo_id: me/sim, root: /nowhere, sigma_min: 0.1}]"],
            "no LeRobot dataset in root /nowhere",
        ),
    ],
)
def test_bad_input_stops_before_training(roots, tmp_path, lerobot_train, more, message):
    with pytest.raises(ValueError, match=message):
        lerobot_train(arguments(roots, tmp_path / "run", *more))


def test_sources_for_another_policy_type_are_refused(roots, tmp_path, lerobot_train):
    args = [
        a for a in arguments(roots, tmp_path / "run") if a.startswith(("--dataset.re", "--dataset.ro", "--policy.so"))
    ]
    with pytest.raises(ValueError, match=r"--policy\.sources: .* write --policy\.type=ambient_diffusion"):
        lerobot_train(["--policy.type=diffusion", "--policy.push_to_hub=false", *args])


def test_group_key_travels_through_lerobots_preprocessor(roots, tmp_path, lerobot_train, monkeypatch):
    seen = []
    original = AmbientDiffusionPolicy.forward

    def forward(self, batch, reduction="mean"):
        seen.append((batch["info"][GROUP_KEY] == 1).tolist() == (batch["index"] >= 42).tolist())
        return original(self, batch, reduction)

    monkeypatch.setattr(AmbientDiffusionPolicy, "forward", forward)
    lerobot_train(arguments(roots, tmp_path / "run", "--steps=3"))
    assert seen == [True] * 3


@pytest.mark.parametrize("poisoned", ["training", "held-out"])
def test_a_loss_that_is_not_finite_stops_with_its_source(roots, tmp_path, lerobot_train, watch, monkeypatch, poisoned):
    gather = MergedDataset.gather

    def poison(self, positions):
        batch = gather(self, positions)
        # Frame 3 of the source's second episode, or of the target's held-out one.
        batch["action"][batch["index"] == (42 + 20 + 3 if poisoned == "training" else 26 + 3)] = float("nan")
        return batch

    monkeypatch.setattr(MergedDataset, "gather", poison)
    place = "'me/sim' episode 1, frame 3" if poisoned == "training" else "held-out frame with index 29"
    message = rf"^the loss is nan.*, in 1 of 16 samples of a batch:\n  {place}\nNot finite once normalised: action \("
    more = ["--dataset.eval_split=0.3", "--eval_steps=2", "--policy.ema_decay=0.9"]
    more.append('--policy.mixing={"type": "ambient", "alpha": null}')
    with pytest.raises(ValueError, match=message):
        lerobot_train(arguments(roots, tmp_path / "run", *more))
    assert all(math.isfinite(loss) for _, loss in watch.steps)


def test_a_learning_rate_that_blows_up_is_called_that(roots, tmp_path, lerobot_train):
    with pytest.raises(ValueError, match=r"the loss is (nan|inf).*(?s:.)*--policy\.optimizer_lr"):
        lerobot_train(arguments(roots, tmp_path / "run", "--policy.optimizer_lr=1e30"))


@pytest.mark.parametrize(("steps", "told"), [(7, True), (8, True), (9, False)])
def test_resuming_what_is_finished_says_that_nothing_is_left(tmp_path, caplog, steps, told):
    from lerobot_ambient.integration.training.merged_training import _warn_if_finished

    (tmp_path / "training_state").mkdir()
    (tmp_path / "training_state" / "training_step.json").write_text('{"step": 8}')
    _warn_if_finished(SimpleNamespace(resume=True, checkpoint_path=tmp_path, steps=steps))
    assert ("give a larger --steps, e.g. --steps=9" in caplog.text) is told


def test_large_numbers_that_no_policy_scales_are_told():
    def told(values, **mapping):
        target = SimpleNamespace(name="me/target", columns={"observation.environment_state": np.array(values)})
        policy = SimpleNamespace(normalization_mapping={"STATE": NormalizationMode.MIN_MAX, **mapping})
        return _left_as_they_are(policy, SimpleNamespace(sources=[target]))

    (line,) = told([[0.5, -480.0]])
    assert "runs up to 480 in 'me/target'" in line
    assert """--policy.normalization_mapping='{"STATE": "MIN_MAX", "ENV": "MEAN_STD"}'""" in line
    assert told([[0.5, -4.0]]) == []
    assert told([[0.5, -480.0]], ENV=NormalizationMode.MEAN_STD) == []
    assert told([[0.5, -480.0]], ENV=NormalizationMode.IDENTITY) != []
