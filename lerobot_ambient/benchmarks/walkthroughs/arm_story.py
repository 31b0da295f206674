# SPDX-License-Identifier: Apache-2.0
"""From recording to rollout on a virtual SO-101, with the commands of a real one: a committed experiment.

    lerobot-ambient reproduce arm-story

    target            lerobot-record: a steady hand leads the arm through pick and place
    source            lerobot-record: the same with a trembling hand
    windows           lerobot-ambient annotate: at which noise levels the source may teach
    train             lerobot-train, with a camera, deterministic sampling in few steps (DDIM)
    hub               lerobot-ambient card --push, hf download: to a Hub on this machine and back
    rollout           lerobot-rollout of what came back, base strategy
    rollout_recorded  lerobot-rollout, episodic strategy: what the policy does becomes a dataset

What stands between training and rollout is given as a function (`Publish`), for another Hub or none. The camera is a
video file: the policy sees a picture, but not the arm in it. So the story shows that every command works and how
fast, not that the policy is good.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lerobot_ambient.benchmarks.engine.estimated_windows import AS_ESTIMATED, TRUSTED
from lerobot_ambient.benchmarks.walkthroughs.arm_story_video import HEIGHT, WIDTH, write_video
from lerobot_ambient.integration.commands.stages import Stage, StageRunner, stock_command
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT, training_stage

WINDOWS = Path("run") / "me__shaky.parquet"
ATTEMPTS = 5


@dataclass(frozen=True)
class ArmStoryOptions:
    """Sizes of the story.

    Args:
        output_dir: folder of everything.
        episodes: recorded, of the target and of the source each; at least 2.
        episode_seconds: of every episode. One pick and place takes 8 s.
        fps: frames and commands a second, of recording and rollout.
        jitter: tremor of the source's hand in degrees.
        steps, batch_size: of the training.
        inference_steps: of DDIM, for each chunk of actions.
        rollout_seconds: of the base rollout, and of each recorded episode.
        rollout_episodes: that the second rollout records.
    """

    output_dir: Path
    episodes: int = 10
    episode_seconds: float = 8.0
    fps: int = 30
    jitter: float = 3.0
    steps: int = 300
    batch_size: int = 16
    inference_steps: int = 4
    rollout_seconds: float = 10.0
    rollout_episodes: int = 2

    def __post_init__(self) -> None:
        if self.episodes < 2:
            raise ValueError(f"episodes is {self.episodes}; the windows need at least 2.")
        for field in fields(self)[2:]:
            if not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}; it must be positive.")

    @classmethod
    def quick(cls, output_dir: Path) -> ArmStoryOptions:
        """Sizes for a look at whether everything runs: two to three minutes on a free core.

        Windows can be found from two episodes; a crowded machine may lose most of the frames of a third.
        """
        return cls(output_dir, episodes=3, episode_seconds=3.0, steps=10, rollout_seconds=3.0, rollout_episodes=1)


Publish = Callable[[Stage], tuple[Sequence[Stage], str]]
"""From the training stage to further stages, and what `--policy.path` then is."""


def _publish_here(train: Stage) -> tuple[Sequence[Stage], str]:
    """The checkpoint goes to a Hub on this machine; the rollouts take what comes back."""
    folder = train.folder.with_name("hub")
    module = [sys.executable, "-m", "lerobot_ambient.benchmarks.walkthroughs.through_hub"]
    command = [*module, str(train.folder / LAST_CHECKPOINT), str(folder / "run"), "me/pick_policy"]
    stage = Stage(folder, {"command": "push and pull", "policy": train.key}, command, product="run/config.json")
    return [stage], str(stage.run_folder)


def stages_of(options: ArmStoryOptions, publish: Publish = _publish_here) -> list[Stage]:
    """Return the story's stages in their order; nothing is run."""
    root = options.output_dir.resolve()
    target = _recording(root, options, "target", "me/pick", seed=0, jitter=0.0)
    source = _recording(root, options, "source", "me/shaky", seed=1, jitter=options.jitter)
    windows = _windows(root, options, target, source)
    train = _training(root, options, target, source, windows)
    published, path = publish(train)
    after = published[-1] if published else train
    return [
        *(target, source, windows, train, *published),
        _rollout(root, options, after, path),
        _recorded_rollout(root, options, after, path),
    ]


def run_story(options: ArmStoryOptions, publish: Publish = _publish_here, *, progress: bool = True) -> list[Stage]:
    """Run what is not done yet, one stage after the other, and return the stages.

    Raises:
        StageError: a command failed; the message shows the end of its log.
    """
    options.output_dir.mkdir(parents=True, exist_ok=True)
    write_video(_video_of(options), fps=options.fps)
    stages = stages_of(options, publish)
    StageRunner(options.output_dir.resolve(), 1, progress=progress).run([stages], "arm-story")
    return stages


def _video_of(options: ArmStoryOptions) -> Path:
    """The file that stands for the camera."""
    return options.output_dir.resolve() / "table.avi"


def _recording(root: Path, options: ArmStoryOptions, name: str, repo_id: str, *, seed: int, jitter: float) -> Stage:
    folder = root / name
    inputs = {
        "command": "lerobot-record",
        "repo_id": repo_id,
        "hand": ["pick", seed, jitter],
        "sizes": [options.episodes, options.episode_seconds, options.fps],
    }
    arms = [_arm(root, "follower"), _arm(root, "leader", motion="pick", seed=seed, jitter=jitter)]
    command = [
        *stock_command("lerobot-record", "lerobot.scripts.lerobot_record"),
        *_robot_of(root, options),
        *("--teleop.type=so101_leader", f"--teleop.port={root / 'arm' / 'leader'}", "--teleop.id=leader"),
        *(f"--teleop.calibration_dir={root / 'arm' / 'calibration'}", "--teleop.num_read_retries=20"),
        *(f"--dataset.repo_id={repo_id}", f"--dataset.root={folder / 'run'}", "--dataset.single_task=pick and place"),
        *(f"--dataset.fps={options.fps}", f"--dataset.num_episodes={options.episodes}"),
        *(f"--dataset.episode_time_s={options.episode_seconds}", "--dataset.reset_time_s=0"),
        *_FAST_ENCODING,
        *("--dataset.push_to_hub=false", "--play_sounds=false"),
    ]
    return _beside_arms(folder, inputs, arms, command, "run/meta/info.json")


def _windows(root: Path, options: ArmStoryOptions, target: Stage, source: Stage) -> Stage:
    folder = root / "windows"
    inputs = {"command": "annotate --method=spectral", "target": target.key, "source": source.key}
    command = [
        *stock_command("lerobot-ambient", "lerobot_ambient.cli"),
        *("annotate", "--method=spectral", f"--windows-dir={folder / 'run'}", "--json", AS_ESTIMATED, TRUSTED),
        *_policy(options),
        *("--dataset.repo_id=me/pick", f"--dataset.root={target.run_folder}"),
        f"--policy.sources={json.dumps([{'repo_id': 'me/shaky', 'root': str(source.run_folder)}])}",
    ]
    return Stage(folder, inputs, command, product=str(WINDOWS))


def _training(root: Path, options: ArmStoryOptions, target: Stage, source: Stage, windows: Stage) -> Stage:
    inputs = {
        "command": "lerobot-train",
        "data": [target.key, source.key, windows.key],
        "sizes": [options.steps, options.batch_size],
        "policy": list(_policy(options)),
    }
    declared = {"repo_id": "me/shaky", "root": str(source.run_folder), "windows": str(windows.folder / WINDOWS)}
    arguments = [
        *_policy(options),
        *("--dataset.repo_id=me/pick", f"--dataset.root={target.run_folder}", "--dataset.use_imagenet_stats=false"),
        f"--policy.sources={json.dumps([declared])}",
        f"--policy.frame_cache={root / 'frames'}",
        *(f"--steps={options.steps}", f"--batch_size={options.batch_size}", "--num_workers=0"),
        *(f"--save_freq={max(1, options.steps // 4)}", f"--log_freq={max(1, options.steps // 8)}", "--seed=0"),
    ]
    return training_stage(root / "train", inputs, arguments)


def _rollout(root: Path, options: ArmStoryOptions, after: Stage, path: str) -> Stage:
    inputs = {"command": "lerobot-rollout base", "policy": after.key, "sizes": [options.rollout_seconds, options.fps]}
    command = [
        *_rollout_command(root, options, path),
        *("--strategy.type=base", f"--duration={options.rollout_seconds}", "--return_to_initial_position=false"),
        "--task=pick and place",
    ]
    return _beside_arms(root / "rollout", inputs, [_arm(root, "follower")], command, None)


def _recorded_rollout(root: Path, options: ArmStoryOptions, after: Stage, path: str) -> Stage:
    folder = root / "rollout_recorded"
    sizes = [options.rollout_seconds, options.rollout_episodes, options.fps]
    inputs = {"command": "lerobot-rollout episodic", "policy": after.key, "sizes": sizes}
    command = [
        *_rollout_command(root, options, path),
        *("--strategy.type=episodic", "--dataset.repo_id=me/rollout_pick", "--dataset.no_stamp=true"),
        *(f"--dataset.root={folder / 'run'}", "--dataset.single_task=pick and place", f"--dataset.fps={options.fps}"),
        *(f"--dataset.num_episodes={options.rollout_episodes}", "--dataset.reset_time_s=0"),
        *(f"--dataset.episode_time_s={options.rollout_seconds}", "--dataset.push_to_hub=false"),
        *_FAST_ENCODING,
    ]
    return _beside_arms(folder, inputs, [_arm(root, "follower")], command, "run/meta/info.json")


def _rollout_command(root: Path, options: ArmStoryOptions, path: str) -> list[str]:
    rollout = stock_command("lerobot-rollout", "lerobot.scripts.lerobot_rollout")
    return [
        *(*rollout, f"--policy.path={path}", *_robot_of(root, options)),
        *(f"--fps={options.fps}", "--device=cpu", "--play_sounds=false"),
    ]


def _robot_of(root: Path, options: ArmStoryOptions) -> tuple[str, ...]:
    """The follower and its camera as options of LeRobot's commands."""
    camera = {"type": "video_file", "index_or_path": str(root / "table.avi"), "fps": options.fps}
    camera |= {"width": WIDTH, "height": HEIGHT}
    return (
        *("--robot.type=so101_follower", f"--robot.port={root / 'arm' / 'follower'}", "--robot.id=follower"),
        f"--robot.calibration_dir={root / 'arm' / 'calibration'}",
        *("--robot.max_relative_target=20", "--robot.num_read_retries=20"),
        f"--robot.cameras={json.dumps({'table': camera})}",
    )


def _policy(options: ArmStoryOptions) -> tuple[str, ...]:
    return (
        *("--policy.type=ambient_diffusion", "--policy.device=cpu", "--policy.push_to_hub=false"),
        *("--policy.horizon=16", "--policy.n_action_steps=8", "--policy.drop_n_last_frames=7"),
        *("--policy.down_dims=[64, 128]", "--policy.resize_shape=[64, 64]", "--policy.crop_ratio=0.9"),
        *("--policy.pretrained_backbone_weights=null", "--policy.use_group_norm=true", "--policy.optimizer_lr=1e-3"),
        *("--policy.noise_scheduler_type=DDIM", f"--policy.num_inference_steps={options.inference_steps}"),
    )


_FAST_ENCODING = ("--dataset.rgb_encoder.vcodec=h264", "--dataset.rgb_encoder.preset=ultrafast")
"""LeRobot's default encoder (AV1) takes longer than the recording on two cores."""


def _arm(root: Path, name: str, **hand: Any) -> dict[str, Any]:
    return {"port": str(root / "arm" / name), "calibration_dir": str(root / "arm" / "calibration"), **hand}


def _beside_arms(
    folder: Path, inputs: dict[str, Any], arms: list[dict[str, Any]], command: list[str], product: str | None
) -> Stage:
    """A command of LeRobot with the arms that it talks to; `arms.json` says which, and keeps how they ended."""
    plan = {"arms": arms, "attempts": ATTEMPTS, "clear": [str(folder / "run")], "states": str(folder / "states.json")}
    wrapped = [
        sys.executable,
        "-m",
        "lerobot_ambient.benchmarks.walkthroughs.beside_arms",
        str(folder / "arms.json"),
        *command,
    ]
    return Stage(folder, inputs, wrapped, files={"arms.json": json.dumps(plan, indent=2)}, product=product)
