# SPDX-License-Identifier: Apache-2.0
"""What stock `lerobot-train` tells of held-out losses, and that telling changes nothing of the run."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lerobot_ambient.data.windows.windows_file import WindowTable, write_windows
from lerobot_ambient.integration.monitoring import recorder as recorder_module
from lerobot_ambient.integration.monitoring.bands import BANDS
from lerobot_ambient.integration.monitoring.metrics_file import FIGURE_SWITCH, read_metrics
from lerobot_ambient.integration.seams import recording
from lerobot_ambient.integration.training.configured_mixture import load_train_config, mixture_of
from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

from ..conftest import SMALL_POLICY


@pytest.fixture(scope="session")
def longer(tmp_path_factory, write_dataset):
    """me/target: 4 episodes, me/sim: 10."""
    folder = tmp_path_factory.mktemp("watched")
    target = write_dataset(folder / "target", "me/target", [14, 12, 16, 15], seed=1)
    return target, write_dataset(folder / "sim", "me/sim", [12] * 10, seed=2)


def arguments(roots, output, *more, **source: Any) -> list[str]:
    target, sim = roots
    declared = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.4, **source}
    return [
        "--dataset.repo_id=me/target",
        f"--dataset.root={target}",
        f"--policy.sources={json.dumps([declared])}",
        f"--output_dir={output}",
        "--batch_size=8",
        "--steps=6",
        "--save_freq=4",
        "--log_freq=2",
        "--seed=7",
        "--dataset.eval_split=0.4",
        "--eval_steps=3",
        *SMALL_POLICY,
        *more,
    ]


def lines(output: Path) -> list[dict[str, Any]]:
    return read_metrics(Path(output) / "metrics.jsonl")


def logged(capsys) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def weights(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "checkpoints/last/pretrained_model/model.safetensors")


@pytest.mark.parametrize("objective", ["diffusion", "flow"])
def test_bands_are_means_of_the_very_losses_that_lerobot_averages(
    longer, tmp_path, lerobot_train, monkeypatch, objective
):
    seen: list[tuple[float, torch.Tensor, torch.Tensor]] = []
    original = recorder_module.Recorder.saw

    def saw(self, loss, sigma, per_sample):
        seen.append((loss.item(), sigma.clone(), per_sample.clone()))
        original(self, loss, sigma, per_sample)

    monkeypatch.setattr(recorder_module.Recorder, "saw", saw)
    lerobot_train(arguments(longer, tmp_path / "run", f"--policy.objective={objective}", "--steps=3"))
    (told,) = [line for line in lines(tmp_path / "run") if line["mode"] == "eval"]
    assert told["eval_loss"] == pytest.approx(sum(loss for loss, _, _ in seen) / len(seen), rel=1e-6)
    sigma, losses = torch.cat([one for _, one, _ in seen]), torch.cat([one for _, _, one in seen])
    # 0.4 of four episodes: the last two, every frame of them.
    assert len(losses) == 31
    within = (sigma >= 0.35) & (sigma < 0.6)
    assert told["eval_loss/sigma_0.35_0.60"] == pytest.approx(float(losses[within].mean()), rel=1e-6)
    assert told["eval_samples/sigma_0.35_0.60"] == int(within.sum())
    assert sum(told.get(f"eval_samples/{band}", 0) for band in BANDS) == 31


def test_what_is_told_changes_no_loss_no_draw_and_no_weight(longer, tmp_path, lerobot_train, monkeypatch, capsys):
    lerobot_train(arguments(longer, tmp_path / "told", holdout=0.2))
    told = re.findall(r"eval_loss=(\S+)", logged(capsys))
    monkeypatch.setattr(recording, "_recorder", lambda: None)
    lerobot_train(arguments(longer, tmp_path / "silent", holdout=0.2))
    silent = re.findall(r"eval_loss=(\S+)", logged(capsys))
    assert told == silent and len(told) == 2
    assert not (tmp_path / "silent/metrics.jsonl").exists()
    ours, theirs = weights(tmp_path / "told"), weights(tmp_path / "silent")
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    state = "checkpoints/last/training_state/rng_state.safetensors"
    ours, theirs = (load_file(tmp_path / run / state) for run in ("told", "silent"))
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_the_file_has_what_was_logged_and_the_exposure(longer, tmp_path, lerobot_train, capsys):
    lerobot_train(arguments(longer, tmp_path / "run"))
    told = lines(tmp_path / "run")
    assert [(line["step"], line["mode"]) for line in told] == [
        (2, "train"),
        (3, "eval"),
        (4, "train"),
        (6, "train"),
        (6, "eval"),
    ]
    text = logged(capsys)
    last = told[3]
    for key in ("loss", "share/me/sim", "loss/me/sim", "sigma/me/target"):
        assert f"{key}:{last[key]:.3f}" in text
    # 48 draws so far; each dataset's part of them, over the frames of it that start samples.
    parts = last["exposure/me/target"] * 22 + last["exposure/me/sim"] * 100
    assert parts == pytest.approx(48)
    losses = re.findall(r"step (\d): eval_loss=(\S+)", text)
    assert losses == [(str(line["step"]), f"{line['eval_loss']:.4f}") for line in told if line["mode"] == "eval"]
    assert re.search(r"step 6: held-out loss at sigma .*0\.60-0\.85 \d", text)


def test_a_resumed_run_has_every_step_once(longer, tmp_path, lerobot_train):
    lerobot_train(arguments(longer, tmp_path / "run"))
    first = lines(tmp_path / "run")
    # Back to the checkpoint of step 4, which was followed by steps 6.
    config = tmp_path / "run/checkpoints/000004/pretrained_model/train_config.json"
    lerobot_train([f"--config_path={config}", "--resume=true", "--steps=8"])
    again = lines(tmp_path / "run")
    assert again[:3] == first[:3]
    assert [(line["step"], line["mode"]) for line in again[3:]] == [(6, "train"), (6, "eval"), (8, "train")]


def test_a_source_tells_the_loss_of_what_it_holds_out(longer, tmp_path, lerobot_train, monkeypatch, capsys):
    trained: set[int] = set()
    asked: list[tuple[int, ...]] = []
    original = AmbientDiffusionPolicy.forward

    def forward(self, batch, reduction="mean"):
        if self.training:
            trained.update(batch["index"].tolist())
        elif self.masks_held_out:
            asked.append(tuple(batch["index"].tolist()))
        return original(self, batch, reduction)

    monkeypatch.setattr(AmbientDiffusionPolicy, "forward", forward)
    lerobot_train(arguments(longer, tmp_path / "run", "--steps=60", "--eval_steps=20", holdout=0.2))
    told = [line for line in lines(tmp_path / "run") if line["mode"] == "eval"]
    assert len(told) == 3
    assert told[0]["eval_loss/me/sim"] > 0
    counts = [{key: value for key, value in line.items() if key.startswith("eval_samples/me/sim/")} for line in told]
    # Two of ten episodes, ten frames each; the same frames and levels each time.
    assert sum(counts[0].values()) == 20
    assert counts[0] == counts[1] == counts[2]
    assert asked[:3] == asked[3:6] == asked[6:9]
    held = {index for batch in asked for index in batch}
    assert len(held) == 20 and not held & trained
    assert "me/sim: 10 episodes, 120 frames, (0.4, 1], holdout 0.2, " in logged(capsys)


def test_a_source_with_a_window_a_frame_holds_out_too(longer, tmp_path, lerobot_train):
    words = arguments(longer, tmp_path / "run", holdout=0.2)
    mixture = mixture_of(load_train_config(None, words))
    count = len(mixture.sources[1])
    table = WindowTable(
        repo_id="me/sim",
        episode_index=mixture.sources[1].columns["episode_index"],
        frame_index=mixture.sources[1].columns["frame_index"],
        sigma_min=np.linspace(0.1, 0.9, count, dtype=np.float32),
        sigma_max=np.zeros(count, dtype=np.float32),
        normalization=mixture.normalization,
        method="test",
    )
    write_windows(table, tmp_path / "windows.parquet")
    windows = {"sigma_min": None, "windows": str(tmp_path / "windows.parquet")}
    lerobot_train(arguments(longer, tmp_path / "run", holdout=0.2, **windows))
    told = lines(tmp_path / "run")[-1]
    assert sum(told.get(f"eval_samples/me/sim/{band}", 0) for band in BANDS) == 20


def test_held_out_episodes_that_nobody_looks_at_are_named(longer, tmp_path, lerobot_train, capsys):
    lerobot_train(arguments(longer, tmp_path / "run", "--steps=2", "--eval_steps=0", holdout=0.2))
    assert "'me/sim': held-out episodes are kept from training, and nobody looks at them; set" in logged(capsys)
    with pytest.raises(ValueError, match=r"source 'me/sim': holdout=0\.97 leaves none of its 10 episodes to train on"):
        lerobot_train(arguments(longer, tmp_path / "none", holdout=0.97))


def test_a_figure_is_drawn_or_it_is_said_why_not(longer, tmp_path, lerobot_train, monkeypatch, capsys):
    monkeypatch.setenv(FIGURE_SWITCH, "1")
    lerobot_train(arguments(longer, tmp_path / "run", "--save_checkpoint=false", holdout=0.2))
    assert (tmp_path / "run/metrics.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(recorder_module, "find_spec", lambda name: None)
    logged(capsys)
    lerobot_train(arguments(longer, tmp_path / "plain", "--save_freq=1", "--steps=2"))
    assert not (tmp_path / "plain/metrics.png").exists()
    assert logged(capsys).count("metrics.png is not drawn: matplotlib is not installed") == 1


def test_wandb_gets_the_same_keys(longer, tmp_path, lerobot_train, monkeypatch):
    sent: list[tuple[int, dict[str, Any]]] = []
    run = types.SimpleNamespace(
        id="one", get_url=lambda: "https://example.org", log=lambda data, step: sent.append((step, data))
    )
    wandb = types.ModuleType("wandb")
    wandb.run, wandb.init, wandb.log = run, lambda **kwargs: run, run.log
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    more = ["--wandb.enable=true", "--wandb.disable_artifact=true"]
    lerobot_train(arguments(longer, tmp_path / "run", *more, holdout=0.2))
    for line in lines(tmp_path / "run"):
        told = {f"{line['mode']}/{key}": value for key, value in line.items() if key not in ("step", "mode")}
        tracked = {key: value for step, data in sent if step == line["step"] for key, value in data.items()}
        assert told.items() <= tracked.items()


def test_rollouts_in_an_environment_are_kept_too(longer, tmp_path, lerobot_train, monkeypatch):
    from lerobot.scripts import lerobot_train as script

    from lerobot_ambient.integration.training import merged_training

    overall = {"pc_success": 40.0, "avg_sum_reward": 1.5, "eval_s": 2.0, "video_paths": []}
    monkeypatch.setattr(script, "eval_policy_all", recording.rolling_out(lambda **_: {"overall": dict(overall)}))
    # No environment is made: what its rollouts find is given.
    monkeypatch.setattr(merged_training, "refuse_environment_of_training", lambda cfg, features: None)
    monkeypatch.setattr(script, "make_env", lambda *_, **__: {})
    monkeypatch.setattr(script, "close_envs", lambda _: None)
    monkeypatch.setattr(script, "make_env_pre_post_processors", lambda **_: (None, None))
    lerobot_train(arguments(longer, tmp_path / "run", "--env.type=pusht", "--env_eval_freq=4", "--steps=4"))
    assert lines(tmp_path / "run")[-1] == {
        "step": 4,
        "mode": "eval",
        "pc_success": 40.0,
        "avg_sum_reward": 1.5,
        "eval_s": 2.0,
    }
