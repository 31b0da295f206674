# SPDX-License-Identifier: Apache-2.0
"""One stock lerobot-train run over datasets of three shapes, and one where a source lacks a camera."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from lerobot_ambient.policy.diffusion.modeling_ambient_diffusion import AmbientDiffusionPolicy

JOINTS = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos"]
HANDS = {"actions": "action", "state": "observation.state"}
COMMON = [
    "--policy.type=ambient_diffusion",
    "--policy.push_to_hub=false",
    "--policy.device=cpu",
    "--policy.horizon=16",
    "--policy.n_action_steps=8",
    "--num_workers=0",
    "--env_eval_freq=0",
    "--log_freq=20",
]


def hands(root: Path, **kwargs) -> dict:
    """bimanual_hands reduced to the SO-101's joints: the right arm's by order, a finger for the gripper."""
    takes = [*(f"right.joint_{i}.pos" for i in range(1, 6)), "right_hand.joint_1.pos"]
    rules = {name: {"take": take} for name, take in zip(JOINTS, takes, strict=True)}
    rules["gripper.pos"] |= {"interpolation": "linear"}
    return {
        "repo_id": "x/hands",
        "root": str(root),
        "sigma_min": 0.4,
        "normalization": "own",
        "dimensions": {"action": rules, "observation.state": rules},
        **kwargs,
    }


def test_a_real_arm_another_robot_and_a_simulation_at_another_rate(
    shared_data, tmp_path, lerobot_train, write_dataset, caplog
):
    target = Path(shutil.copytree(shared_data / "so101_teleop", tmp_path / "so101"))
    other = Path(shutil.copytree(shared_data / "bimanual_hands", tmp_path / "hands"))
    simulated = write_dataset(tmp_path / "sim", "me/sim", [50, 40], dims=6, names=JOINTS, fps=20, env_state=False)
    sources = [
        hands(other, rename=HANDS),
        {"repo_id": "me/sim", "root": str(simulated), "sigma_min": 0.2},
    ]
    lerobot_train(
        [
            *COMMON,
            "--dataset.repo_id=x/so101",
            f"--dataset.root={target}",
            f"--policy.sources={json.dumps(sources)}",
            "--policy.denoiser=mlp",
            "--policy.mlp_width=64",
            "--batch_size=64",
            "--steps=60",
            f"--output_dir={tmp_path / 'run'}",
        ]
    )
    path = tmp_path / "run/checkpoints/last/pretrained_model"
    config = json.loads((path / "config.json").read_text())
    assert config["sources"][0]["dimensions"]["action"]["gripper.pos"]["take"] == "right_hand.joint_1.pos"
    assert [line.split(":")[0] for line in config["mixture_fingerprint"][:3]] == ["x/so101", "x/hands", "me/sim"]
    policy = AmbientDiffusionPolicy.from_pretrained(path)
    assert policy.select_action({"observation.state": torch.zeros(1, 6)}).shape == (1, 6)
    # Going on trains on the same mixture, or says that it does not.
    lerobot_train([f"--config_path={path / 'train_config.json'}", "--resume=true", "--steps=70"])


def test_a_source_without_the_targets_camera(shared_data, tmp_path, lerobot_train):
    """The target sees, a source does not; the checkpoint acts with the camera."""
    seeing = Path(shutil.copytree(shared_data / "bimanual_hands", tmp_path / "hands"))
    blind = Path(shutil.copytree(shared_data / "so101_teleop", tmp_path / "so101"))
    rename = HANDS | {"image": "observation.images.front"}
    info = json.loads((seeing / "meta/info.json").read_text())
    names = info["features"]["actions"]["names"]
    arm = dict(zip((f"right.joint_{i}.pos" for i in range(1, 7)), JOINTS, strict=True))
    action = {name: {"take": arm[name], "scale": 0.0174533} if name in arm else {"mask": True} for name in names}
    state = {name: rule if "take" in rule else {"fill": 0.0} for name, rule in action.items()}
    source = {
        "repo_id": "x/so101",
        "root": str(blind),
        "sigma_min": 0.5,
        "dimensions": {"action": action, "observation.state": state},
        "cameras": {"observation.images.front": {"fill": 0.0}},
    }
    lerobot_train(
        [
            *COMMON,
            "--dataset.repo_id=x/hands",
            f"--dataset.root={seeing}",
            "--dataset.episodes=[0, 1]",
            f"--policy.target_rename={json.dumps(rename)}",
            f"--policy.sources={json.dumps([source])}",
            "--policy.mixing={type: cotrain, alpha: 0.5}",
            "--policy.down_dims=[16, 32]",
            "--policy.pretrained_backbone_weights=null",
            "--policy.resize_shape=[48, 64]",
            f"--policy.frame_cache={tmp_path / 'frames'}",
            "--batch_size=8",
            "--steps=6",
            f"--output_dir={tmp_path / 'run'}",
        ]
    )
    policy = AmbientDiffusionPolicy.from_pretrained(tmp_path / "run/checkpoints/last/pretrained_model")
    assert policy.diffusion.absent_camera.shape[0] == 1
    assert (policy.diffusion.absent_camera != 0).any()
    observation = {"observation.state": torch.zeros(1, 34), "observation.images.front": torch.rand(1, 3, 480, 640)}
    assert policy.select_action(observation).shape == (1, 34)


@pytest.mark.parametrize("broken", [{"dimensions": {}}, {"rename": {}}])
def test_undeclared_differences_stop_the_run_before_it_starts(shared_data, tmp_path, lerobot_train, broken):
    target = Path(shutil.copytree(shared_data / "so101_teleop", tmp_path / "so101"))
    other = Path(shutil.copytree(shared_data / "bimanual_hands", tmp_path / "hands"))
    source = hands(other, rename=HANDS) | broken
    with pytest.raises(
        ValueError, match=r"(?s)source 'x/hands' does not fit the target 'x/so101'.*inspect --suggest|missing"
    ):
        lerobot_train(
            [
                *COMMON,
                "--dataset.repo_id=x/so101",
                f"--dataset.root={target}",
                f"--policy.sources={json.dumps([source])}",
                "--steps=1",
                f"--output_dir={tmp_path / 'run'}",
            ]
        )
    assert not (tmp_path / "run/checkpoints").exists()
