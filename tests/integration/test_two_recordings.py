# SPDX-License-Identifier: Apache-2.0
"""docs/how-to/from-two-recordings.md: two recordings of an SO-101 to a policy judged offline, by the real commands.

One configuration file, which every command reads and two of them write.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from lerobot_ambient.benchmarks.estimators.jittered_copy import write_jittered_copy
from lerobot_ambient.benchmarks.tasks.shared.lowdim_writer import write_low_dim_dataset
from lerobot_ambient.cli.__main__ import main
from lerobot_ambient.data.declared.sources import Source
from lerobot_ambient.data.reading.open_dataset import open_dataset

JOINTS = [
    f"{name}.pos" for name in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
]
FEATURES = {
    key: {"dtype": "float32", "shape": (len(JOINTS),), "names": JOINTS} for key in ("observation.state", "action")
}
FRAMES = 30
TINY = (
    *("--policy.denoiser=mlp", "--policy.mlp_width=32", "--policy.mlp_depth=1", "--policy.horizon=8"),
    *("--policy.n_action_steps=4", "--policy.drop_n_last_frames=0", "--policy.prediction_type=sample"),
    *("--policy.optimizer_lr=5e-3", "--policy.scheduler_warmup_steps=10", "--policy.ema_decay=0.97"),
    *("--policy.device=cpu", "--batch_size=32", "--num_workers=0", "--env_eval_freq=0"),
)
"""What a person would leave out; it goes into the file with the rest."""


def record(root: Path, repo_id: str, episodes: int, seed: int, *, tremor: float = 0.0) -> Path:
    """Reaches from somewhere, each to the place that belongs to where it began; the commands tremble, in degrees."""
    rng = np.random.default_rng(seed)
    to = 60.0 * np.eye(len(JOINTS))[::-1]
    along = (1.0 - np.cos(np.pi * np.linspace(0.0, 1.0, FRAMES + 1)))[:, None] / 2.0
    made = []
    for _ in range(episodes):
        start = rng.uniform(-1.0, 1.0, len(JOINTS))
        path = 20.0 * start + along * (to @ start)
        commanded = path[1:] + tremor * rng.standard_normal((FRAMES, len(JOINTS)))
        made.append({"observation.state": path[:-1].astype(np.float32), "action": commanded.astype(np.float32)})
    write_low_dim_dataset(root, repo_id, 30, FEATURES, made, "reach")
    return root


@dataclass(frozen=True)
class Story:
    """What the story's commands leave in a folder.

    Args:
        written: mine.yaml as `init` wrote it.
        annotated: the same after `annotate`.
        finding: of the source, as `annotate --json` tells it.
        metrics: lines of metrics.jsonl.
        judgement: as `check --json` tells it.
    """

    written: str
    annotated: str
    finding: dict
    metrics: list[dict]
    judgement: dict


@pytest.fixture
def tell(tmp_path, monkeypatch, capsys, lerobot_train):
    """tell(target, source, init, annotate): the whole story, as typed in a folder of its own; see `Story`."""

    def printed(*words: str) -> dict:
        capsys.readouterr()
        assert main([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    def run(target: Path, source: Path, init: Sequence[str], annotate: Sequence[str]) -> Story:
        monkeypatch.chdir(tmp_path)
        file = Path("mine.yaml")
        printed("init", "--target", f"me/careful={target}", "--source", f"me/clumsy={source}", *TINY, *init)
        written = file.read_text()
        words = ["--method=heldout", f"--config_path={file}", f"--write-config={file}", "--report=outputs/report"]
        (finding,) = printed("annotate", *words, *annotate)
        annotated = file.read_text()
        alone = () if "sigma_m" in _without_comments(annotated) else ("--policy.mixing.type=target_only",)
        lerobot_train([f"--config_path={file}", "--output_dir=outputs/train/mine", *alone])
        metrics = [json.loads(line) for line in Path("outputs/train/mine/metrics.jsonl").read_text().splitlines()]
        judgement = printed("check", "outputs/train/mine", "--samples=8")
        assert file.read_text() == annotated, "training and judging leave the file alone"
        return Story(written, annotated, finding, metrics, judgement)

    return run


def _without_comments(text: str) -> str:
    return json.dumps(yaml.safe_load(text))


def the_page(folder: str) -> str:
    (page,) = Path(folder).glob("*.html")
    return page.read_text(encoding="utf-8")


def test_a_trembling_recording_is_used_where_its_tremor_is_hidden(tell, tmp_path):
    target = record(tmp_path / "careful", "me/careful", 24, seed=1, tremor=2.0)
    source = record(tmp_path / "clumsy", "me/clumsy", 30, seed=2, tremor=10.0)
    training = ["--dataset.eval_split=0.125", "--steps=40", "--eval_steps=20", "--save_freq=40", "--log_freq=20"]
    told = tell(target, source, training, ["--folds=3", "--steps=150", "--shares=0.5", "--tolerance=1.0"])

    # Where to go is what it knows, how is what it does not: so few steps may leave open whether and where that helps,
    # and trainings of another machine end a little elsewhere. What the command found is what stands in the file.
    window = yaml.safe_load(told.annotated)["policy"]["sources"][0]
    taught = told.finding["recommended"]
    assert taught == ("sigma_min" in window)
    assert taught or told.finding["heldout"]["verdict"] != "helps"
    if taught:
        assert 0.0 < window["sigma_min"] <= 1.0
        assert window["sigma_min"] == pytest.approx(told.finding["sigma_min"], abs=0.01)
    # Nothing else of the file has changed.
    assert yaml.safe_load(told.written)["policy"]["sources"][0] == {"repo_id": "me/clumsy", "root": str(source)}
    before, after = (yaml.safe_load(text) for text in (told.written, told.annotated))
    before["policy"]["sources"] = after["policy"]["sources"]
    assert after == before
    assert set(window) <= {"repo_id", "root", "sigma_min", "sigma_max"}
    # Joints are called by their names.
    page = the_page("outputs/report")
    assert "Where the source helps and where it hurts" in page
    assert any(joint in page for joint in JOINTS)

    held_out = [line for line in told.metrics if line["mode"] == "eval"]
    assert [line["step"] for line in held_out] == [20, 40]
    assert held_out[1]["eval_loss"] < held_out[0]["eval_loss"]
    assert any(key.startswith("eval_loss/sigma_") for key in held_out[0])
    shares = [line.get("share/me/clumsy", 0.0) for line in told.metrics if line["mode"] == "train"]
    assert all((0.0 < share < 1.0) == taught for share in shares), "the source taught where it was given a window"

    assert told.judgement["dataset"]["episodes"] == [21, 22, 23], "what eval_split held out"
    assert told.judgement["warnings"] == []
    assert told.judgement["criterion"] == "denoising"
    (only,) = told.judgement["ranking"]
    assert 0.0 < only["score"]["low"] < only["score"]["value"] < only["score"]["high"]
    assert told.judgement["rollouts"] == 0


def test_real_recordings_of_an_so101(shared_data, tell, tmp_path):
    target = Path(shutil.copytree(shared_data / "so101_teleop", tmp_path / "careful"))
    opened = open_dataset(Source(repo_id="me/careful", root=str(target)), "me/careful")
    actions = opened.columns["action"]
    scale = (actions.max(0) - actions.min(0)) / 2.0
    source = tmp_path / "clumsy"
    write_jittered_copy(opened, source, "me/clumsy", jitter=0.1, scale=scale.tolist(), seed=0)
    training = ["--dataset.eval_split=0.5", "--steps=40", "--eval_steps=20", "--save_freq=40", "--log_freq=20"]
    told = tell(target, source, training, ["--folds=2", "--steps=30", "--shares=0.5"])

    assert told.finding["heldout"]["episodes"] == 4
    assert told.finding["heldout"]["bands"][0] == "0 Hz"
    # Four episodes and thirty steps show nothing, and what is not shown is not claimed.
    assert told.finding["heldout"]["verdict"] != "helps"
    assert any(joint in the_page("outputs/report") for joint in JOINTS)
    assert told.judgement["dataset"]["episodes"] == [2, 3]
    assert [line["step"] for line in told.metrics if line["mode"] == "eval"] == [20, 40]
