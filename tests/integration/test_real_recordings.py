# SPDX-License-Identifier: Apache-2.0
"""Stock lerobot-train on real recordings: an SO-101 without cameras, a bimanual arm with video and foreign keys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies import make_pre_post_processors

from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

HANDS = {"actions": "action", "state": "observation.state", "image": "observation.images.front"}
COMMON = [
    "--policy.type=ambient_diffusion",
    "--policy.push_to_hub=false",
    "--policy.device=cpu",
    "--policy.horizon=16",
    "--policy.n_action_steps=8",
    "--policy.ema_decay=0.99",
    "--num_workers=0",
    "--env_eval_freq=0",
    "--log_freq=50",
]


def copy_of(root: Path, to: Path) -> Path:
    """A writable copy: LeRobot touches a dataset's folder when it opens it."""
    return Path(shutil.copytree(root, to))


def train_and_resume(lerobot_train, output: Path, arguments: list[str], steps: int) -> Path:
    """Half the steps, then resume to the whole; the final checkpoint."""
    half = steps // 2
    lerobot_train([*COMMON, *arguments, f"--output_dir={output}", f"--steps={half}", f"--save_freq={half}"])
    config = output / "checkpoints/last/pretrained_model/train_config.json"
    lerobot_train([f"--config_path={config}", "--resume=true", f"--steps={steps}"])
    last = output / "checkpoints/last"
    assert json.loads((last / "training_state/training_step.json").read_text())["step"] == steps
    return last / "pretrained_model"


def one_chunk(path: Path, observation: dict[str, torch.Tensor]) -> torch.Tensor:
    policy = AmbientDiffusionPolicy.from_pretrained(path)
    pre, post = make_pre_post_processors(policy.config, pretrained_path=str(path))
    return post(policy.select_action(pre(observation)))


def test_so101_episodes_against_episodes(shared_data, tmp_path, lerobot_train):
    root = copy_of(shared_data / "so101_teleop", tmp_path / "so101")
    source = {"repo_id": "so101_teleop", "root": str(root), "episodes": [2, 3], "sigma_min": 0.3}
    path = train_and_resume(
        lerobot_train,
        tmp_path / "run",
        [
            "--dataset.repo_id=so101_teleop",
            f"--dataset.root={root}",
            "--dataset.episodes=[0, 1]",
            f"--policy.sources={json.dumps([source])}",
            "--policy.denoiser=mlp",
            "--policy.mlp_width=64",
            "--policy.relative_actions=true",
            "--batch_size=32",
        ],
        steps=200,
    )
    frame = LeRobotDataset("so101_teleop", root=root)[10]
    action = one_chunk(path, {"observation.state": frame["observation.state"].unsqueeze(0)})
    assert action.shape == (1, 6)
    # Trained on chunks relative to the state, even a young policy answers near it.
    assert (action[0] - frame["observation.state"]).abs().max() < 60


def test_bimanual_hands_with_video_and_renamed_keys(shared_data, tmp_path, lerobot_train):
    root = copy_of(shared_data / "bimanual_hands", tmp_path / "hands")
    source = {"repo_id": "bimanual_hands", "root": str(root), "episodes": [4, 5], "sigma_min": 0.3, "rename": HANDS}
    path = train_and_resume(
        lerobot_train,
        tmp_path / "run",
        [
            "--dataset.repo_id=bimanual_hands",
            f"--dataset.root={root}",
            "--dataset.episodes=[0, 1, 2]",
            f"--policy.target_rename={json.dumps(HANDS)}",
            f"--policy.sources={json.dumps([source])}",
            "--policy.pretrained_backbone_weights=null",
            "--policy.use_group_norm=true",
            "--policy.resize_shape=[48, 64]",
            "--policy.denoiser=mlp",
            "--policy.mlp_width=64",
            "--batch_size=2",
        ],
        # Every frame is sought and decoded: minutes for as many steps as above.
        steps=20,
    )
    frame = LeRobotDataset("bimanual_hands", root=root, episodes=[0], video_backend="pyav")[5]
    observation = {
        "observation.state": frame["state"].unsqueeze(0),
        "observation.images.front": frame["image"].unsqueeze(0),
    }
    action = one_chunk(path, observation)
    assert action.shape == (1, 34)
    assert torch.isfinite(action).all()


@pytest.mark.parametrize("name", ["so101_teleop", "bimanual_hands"])
def test_the_merge_reads_what_lerobot_reads(shared_data, tmp_path, name):
    from lerobot_ambient.core.mixing import Cotrain
    from lerobot_ambient.data.declared.recipe import MixtureRecipe
    from lerobot_ambient.data.declared.sources import Source
    from lerobot_ambient.data.mixture import make_mixture
    from lerobot_ambient.data.reading.open_dataset import ReadOptions

    from .test_joint_law import SCHEDULE

    root = copy_of(shared_data / name, tmp_path / name)
    rename = HANDS if name == "bimanual_hands" else {}
    options = ReadOptions([-1, 0], list(range(-1, 15)), video_backend="pyav")
    config = Source(name, root=str(root), episodes=[1, 3], rename=rename)
    merged = make_mixture(config, [], options, MixtureRecipe(SCHEDULE, Cotrain(), "MIN_MAX")).dataset
    back = {new: old for old, new in rename.items()}
    deltas = {
        back.get(key, key): [i / 30 for i in offsets]
        for key, offsets in options.deltas(["action", "observation.state", *HANDS.values()]).items()
        if key in merged.keys
    }
    theirs = LeRobotDataset(
        name, root=root, episodes=[1, 3], delta_timestamps=deltas, video_backend="pyav", return_uint8=True
    )
    assert len(theirs) == len(merged)
    for i in (0, 7, len(theirs) // 2, len(theirs) - 1):
        ours, stock = merged[i], theirs[i]
        for key, expected in stock.items():
            base = key.removesuffix("_is_pad")
            value = ours[rename.get(base, base) + key[len(base) :]]
            same = torch.equal(value, expected) if isinstance(value, torch.Tensor) else value == expected
            assert same, key
