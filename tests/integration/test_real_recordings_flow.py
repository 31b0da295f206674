# SPDX-License-Identifier: Apache-2.0
"""Stock lerobot-train with flow policies on a real arm's joints, resumed, with a card; the pictures are made up."""

import json
import shutil

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from lerobot_ambient.cli.__main__ import main

from ..policy.flow.tiny import as_arguments

CAMERA = "observation.images.front"
FRAMES = 24


@pytest.fixture(scope="module")
def pictured(shared_data, tmp_path_factory):
    """(target, source): the first frames of two episodes each of the SO-101, the source's actions jittery."""
    folder = tmp_path_factory.mktemp("so101")
    recorded = LeRobotDataset("so101_teleop", root=shutil.copytree(shared_data / "so101_teleop", folder / "raw"))
    rng = np.random.default_rng(0)

    def write(name, episodes, jitter, task):
        features = {key: recorded.meta.features[key] for key in ("action", "observation.state")}
        features[CAMERA] = {"dtype": "image", "shape": (32, 32, 3), "names": ["height", "width", "channels"]}
        made = LeRobotDataset.create(f"me/{name}", fps=30, features=features, root=folder / name, use_videos=False)
        for episode in episodes:
            start = int(recorded.meta.episodes["dataset_from_index"][episode])
            for index in range(start, start + FRAMES):
                row = recorded[index]
                action = row["action"].numpy() + jitter * rng.standard_normal(6)
                picture = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                frame = {"action": action.astype(np.float32), "observation.state": row["observation.state"].numpy()}
                made.add_frame({**frame, CAMERA: picture, "task": task})
            made.save_episode()
        made.finalize()
        return folder / name

    return write("target", [0, 1], 0.0, "pick up the cube"), write("sim", [2, 3], 0.1, "put the cube down")


@pytest.mark.parametrize("family", ["smolvla", "multi_task_dit"])
def test_train_resume_and_card(family, pictured, tiny_config, tmp_path, lerobot_train, capsys):
    target, sim = pictured
    source = {"repo_id": "me/sim", "root": str(sim), "sigma_min": 0.3}
    output = tmp_path / "run"
    lerobot_train(
        [
            *as_arguments(tiny_config(family, cameras=[CAMERA]), f"ambient_{family}"),
            *("--dataset.repo_id=me/target", f"--dataset.root={target}", f"--policy.sources={json.dumps([source])}"),
            *("--num_workers=0", "--env_eval_freq=0", "--batch_size=4", "--log_freq=1", "--steps=2", "--save_freq=2"),
            f"--output_dir={output}",
        ]
    )
    last = output / "checkpoints/last"
    lerobot_train([f"--config_path={last / 'pretrained_model/train_config.json'}", "--resume=true", "--steps=3"])
    assert json.loads((last / "training_state/training_step.json").read_text())["step"] == 3
    assert main(["card", str(last / "pretrained_model")]) == 0
    card = (last / "pretrained_model/README.md").read_text()
    assert f"ambient_{family}" in card
    assert "256 cells of Beta(1.5, 1)" in card
    assert "shoulder_pan.pos" in card
