# SPDX-License-Identifier: Apache-2.0
"""A policy in end-effector space on a virtual SO-101, with LeRobot's commands: a committed experiment.

    lerobot-ambient reproduce end-effector

    data       few demonstrations in joints, and many of an arm that steps a pose in other axes
    train      lerobot-train on both: poses of the tip
    rollout_N  lerobot-rollout, once for each demonstrated pose: LeRobot's inverse kinematics moves the joints

It succeeds where the arm ends: the tip's pose, by the angles of its servos, against the demonstrated one.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_ambient.benchmarks.walkthroughs.end_effector_data import GOALS, STEPPED, TURNED, start_of
from lerobot_ambient.data.kinematics.chain import parse_chain
from lerobot_ambient.data.kinematics.rotations import angles_between
from lerobot_ambient.integration.commands.stages import Stage, StageRunner, stock_command
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT, training_stage
from lerobot_ambient.testing.virtual_arm.geometry import TIP, urdf
from lerobot_ambient.testing.virtual_arm.joints import JOINTS

ATTEMPTS = 5


@dataclass(frozen=True)
class EndEffectorOptions:
    """Sizes of the story.

    Args:
        output_dir: folder of everything.
        episodes, source_episodes: demonstrations of the target and of the source.
        fps: of the target and of the rollouts.
        learn: what the policy learns: absolute, delta_base or delta_tool.
        steps, batch_size: of the training.
        inference_steps: of DDIM, for each chunk.
        rollout_seconds: of each rollout.
    """

    output_dir: Path
    episodes: int = 12
    source_episodes: int = 60
    fps: int = 20
    learn: str = "absolute"
    steps: int = 4000
    batch_size: int = 64
    inference_steps: int = 8
    rollout_seconds: float = 7.0


def stages_of(options: EndEffectorOptions) -> list[Stage]:
    """Return the story's stages in their order; nothing is run."""
    root = options.output_dir.resolve()
    data = _data(root, options)
    train = _training(root, options, data)
    return [data, train, *(_rollout(root, options, train, number) for number in range(len(GOALS)))]


def run_story(options: EndEffectorOptions, *, progress: bool = True) -> list[Stage]:
    """Run what is not done yet, one stage after the other, and return the stages.

    Raises:
        StageError: a command failed; the message shows the end of its log.
    """
    options.output_dir.mkdir(parents=True, exist_ok=True)
    stages = stages_of(options)
    StageRunner(options.output_dir.resolve(), 1, progress=progress).run([stages], "end-effector")
    return stages


def results_of(stages: list[Stage]) -> list[dict[str, Any]]:
    """For each demonstrated pose, where the arm ended: `metres` and `radians` from it, and percent of the gripper."""
    chain = parse_chain(urdf(), TIP, "the virtual arm")
    results = []
    for (name, goal), stage in zip(GOALS.items(), stages[2:], strict=True):
        state = json.loads((stage.folder / "states.json").read_text(encoding="utf-8"))["follower"]
        ended = np.array([[state["angles"][joint.name] for joint in JOINTS]])
        both = chain.forward(np.radians(np.concatenate([ended, [goal]])[:, :5]))
        results.append(
            {
                "pose": name,
                "metres": round(float(np.linalg.norm(both.position[0] - both.position[1])), 5),
                "radians": round(float(angles_between(both.rotation[:1], both.rotation[1:])[0]), 4),
                "gripper": round(float(abs(ended[0, 5] - goal[5])), 2),
                "commands": state["commands"]["count"],
            }
        )
    return results


def text_of(results: list[dict[str, Any]]) -> str:
    """The results as lines."""
    lines = ["demonstrated pose      tip is off by           gripper   commands"]
    for one in results:
        off = f"{1000 * one['metres']:6.1f} mm {one['radians']:8.3f} rad"
        lines.append(f"{one['pose']:18s} {off} {one['gripper']:8.1f} % {one['commands']:10d}")
    return "\n".join(lines)


def _data(root: Path, options: EndEffectorOptions) -> Stage:
    folder = root / "data"
    sizes = [options.episodes, options.source_episodes, options.fps]
    module = "lerobot_ambient.benchmarks.walkthroughs.end_effector_data"
    command = [sys.executable, "-m", module, str(folder / "run"), *map(str, sizes)]
    return Stage(folder, {"command": "demonstrations", "sizes": sizes}, command, product="run/source/meta/info.json")


def _training(root: Path, options: EndEffectorOptions, data: Stage) -> Stage:
    folder = data.run_folder
    space = {"urdf": str(folder / "arm.urdf"), "tip": TIP, "learn": options.learn}
    pose = {"position": STEPPED[:3], "rotation": STEPPED[3:6], "gripper": STEPPED[6]}
    percent = {"ee.gripper_pos": {"scale": 100.0}}
    source = {
        "repo_id": "me/steps",
        "root": str(folder / "source"),
        "sigma_min": 0.1,
        "end_effector": {
            "action": pose | {"kind": "delta_base"},
            "state": pose,
            "base": {"rotation": TURNED.rotation, "translation": TURNED.translation},
        },
        "dimensions": {"action": percent, "observation.state": percent},
    }
    arguments = [
        *("--policy.type=ambient_diffusion", "--policy.device=cpu", "--policy.push_to_hub=false"),
        *("--policy.denoiser=mlp", "--policy.horizon=16", "--policy.n_action_steps=8", "--policy.drop_n_last_frames=7"),
        *("--policy.noise_scheduler_type=DDIM", f"--policy.num_inference_steps={options.inference_steps}"),
        *("--policy.ema_decay=0.999", "--policy.optimizer_lr=1e-3"),
        *("--dataset.repo_id=me/reach", f"--dataset.root={folder / 'target'}", "--dataset.use_imagenet_stats=false"),
        f"--policy.target_end_effector={json.dumps(space)}",
        f"--policy.sources={json.dumps([source])}",
        *(f"--steps={options.steps}", f"--batch_size={options.batch_size}", "--num_workers=0"),
        *(f"--save_freq={max(1, options.steps // 4)}", f"--log_freq={max(1, options.steps // 10)}", "--seed=0"),
    ]
    inputs = {
        "command": "lerobot-train",
        "data": data.key,
        "sizes": [options.steps, options.batch_size, options.inference_steps],
        "learn": options.learn,
    }
    return training_stage(root / "train", inputs, arguments)


def _rollout(root: Path, options: EndEffectorOptions, train: Stage, number: int) -> Stage:
    folder, goal = root / f"rollout_{number}", list(GOALS.values())[number]
    start = start_of(goal, np.random.default_rng(np.random.SeedSequence([2, number])))
    arm = {"port": str(folder / "arm" / "follower"), "calibration_dir": str(folder / "arm" / "calibration")}
    plan = {
        "arms": [arm | {"start": start.tolist()}],
        "attempts": ATTEMPTS,
        "clear": [],
        "states": str(folder / "states.json"),
    }
    command = [
        *(sys.executable, "-m", "lerobot_ambient.benchmarks.walkthroughs.beside_arms", str(folder / "arms.json")),
        *stock_command("lerobot-rollout", "lerobot.scripts.lerobot_rollout"),
        f"--policy.path={train.folder / LAST_CHECKPOINT}",
        *("--robot.type=so101_follower", f"--robot.port={arm['port']}", "--robot.id=follower"),
        *(f"--robot.calibration_dir={arm['calibration_dir']}", "--robot.max_relative_target=20"),
        *("--robot.num_read_retries=20", f"--fps={options.fps}", "--device=cpu", "--play_sounds=false"),
        *("--strategy.type=base", f"--duration={options.rollout_seconds}", "--return_to_initial_position=false"),
        "--task=reach",
    ]
    inputs = {"command": "lerobot-rollout", "policy": train.key, "sizes": [options.rollout_seconds, options.fps]}
    return Stage(folder, inputs | {"start": number}, command, files={"arms.json": json.dumps(plan, indent=2)})
