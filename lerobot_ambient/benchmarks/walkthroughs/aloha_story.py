# SPDX-License-Identifier: Apache-2.0
"""Two arms and a camera through LeRobot's own commands, on gym-aloha: a committed experiment.

    lerobot-ambient reproduce aloha

    data      lerobot-ambient make-data aloha: good and clumsy demonstrations of the cube transfer
    replay    what was recorded, played in the stock environment that LeRobot makes
    windows   lerobot-ambient annotate: at which noise levels the clumsy ones may teach
    train     lerobot-train, from pictures, with the frame cache
    eval      lerobot-eval --env.type=aloha, without a display

The replay is what proves the 14 dimensions: names, order and units of the recorded actions are right if the stock
environment, which knows nothing of the demonstrator, ends each episode with a success. The training is small: it
shows that the path is whole, and its success rate is reported as it comes out.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, fields
from pathlib import Path

from lerobot_ambient.benchmarks.engine.estimated_windows import AS_ESTIMATED, TRUSTED
from lerobot_ambient.benchmarks.tasks.aloha.gl import drawing_environment, require_gl
from lerobot_ambient.benchmarks.tasks.shared.demonstration_record import RECORD
from lerobot_ambient.integration.commands.stages import Stage, StageRunner, stock_command
from lerobot_ambient.integration.commands.training_stage import LAST_CHECKPOINT, training_stage

TARGET, SOURCE = "ambient/aloha_target", "ambient/aloha_source"
WINDOWS = Path("run") / "ambient__aloha_source.parquet"
TASK = "AlohaTransferCube-v0"
EVAL_SEED = 1000


@dataclass(frozen=True)
class AlohaStoryOptions:
    """Sizes of the story.

    Args:
        output_dir: folder of everything.
        target_episodes, source_episodes: demonstrations; at least 2 each.
        height: of their pictures in pixels; see `make_aloha_data`.
        processes: how many demonstrations are made side by side.
        steps, batch_size: of the training.
        inference_steps: of DDIM, for each chunk of actions.
        eval_episodes: rollouts of `lerobot-eval`.
        episode_length: limit of a rollout, in steps; a demonstration takes about 200 to the transfer.
        replays: episodes of each dataset that are played again.
    """

    output_dir: Path
    target_episodes: int = 10
    source_episodes: int = 20
    height: int = 480
    processes: int = 2
    steps: int = 1500
    batch_size: int = 16
    inference_steps: int = 8
    eval_episodes: int = 4
    episode_length: int = 400
    replays: int = 3

    def __post_init__(self) -> None:
        for name in ("target_episodes", "source_episodes"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} is {getattr(self, name)}; the windows need at least 2.")
        for field in fields(self)[3:]:
            if not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}; it must be positive.")
        least = min(self.target_episodes, self.source_episodes)
        if self.replays > least:
            raise ValueError(f"replays is {self.replays}, but a dataset has only {least} episodes.")

    @classmethod
    def quick(cls, output_dir: Path) -> AlohaStoryOptions:
        """Sizes for a look at whether everything runs: under ten minutes on two free cores."""
        return cls(
            output_dir,
            target_episodes=2,
            source_episodes=2,
            steps=10,
            inference_steps=4,
            eval_episodes=1,
            episode_length=50,
            replays=1,
        )


def stages_of(options: AlohaStoryOptions) -> list[Stage]:
    """Return the story's stages in their order; nothing is run."""
    root = options.output_dir.resolve()
    data = _data(root, options)
    windows = _windows(root, options, data)
    train = _training(root, options, data, windows)
    return [data, _replay(root, options, data), windows, train, _evaluation(root, options, train)]


def run_story(options: AlohaStoryOptions, *, progress: bool = True) -> list[Stage]:
    """Run what is not done yet, one stage after the other, and return the stages.

    Raises:
        ModuleNotFoundError: if gym-aloha is not installed.
        OSError: if nothing can be drawn.
        StageError: a command failed; the message shows the end of its log.
    """
    require_gl()
    options.output_dir.mkdir(parents=True, exist_ok=True)
    stages = stages_of(options)
    StageRunner(options.output_dir.resolve(), 1, progress=progress).run([stages], "aloha")
    return stages


def _data(root: Path, options: AlohaStoryOptions) -> Stage:
    folder = root / "data"
    sizes = [options.target_episodes, options.source_episodes, options.height]
    command = [
        *stock_command("lerobot-ambient", "lerobot_ambient.cli"),
        *("make-data", "aloha", "--root", str(folder / "run"), "--seed=0"),
        *(f"--target-episodes={options.target_episodes}", f"--source-episodes={options.source_episodes}"),
        *(f"--height={options.height}", f"--processes={options.processes}"),
    ]
    return Stage(
        folder,
        {"command": "make-data aloha", "sizes": sizes, "seed": 0},
        command,
        resume=command,  # it keeps the dataset that is complete
        checkpoint=folder / "run" / "target" / RECORD,
        product=str(Path("run") / "source" / RECORD),
        environment=drawing_environment(),
    )


def _replay(root: Path, options: AlohaStoryOptions, data: Stage) -> Stage:
    folder = root / "replay"
    module = [sys.executable, "-m", "lerobot_ambient.benchmarks.walkthroughs.aloha_replay"]
    command = [*module, str(data.run_folder), str(options.replays), str(folder / "run" / "replay.json")]
    inputs = {"command": "replay", "data": data.key, "episodes": options.replays}
    return Stage(folder, inputs, command, product="run/replay.json", environment=drawing_environment())


def _windows(root: Path, options: AlohaStoryOptions, data: Stage) -> Stage:
    folder = root / "windows"
    command = [
        *stock_command("lerobot-ambient", "lerobot_ambient.cli"),
        *("annotate", "--method=spectral", f"--windows-dir={folder / 'run'}", "--json", AS_ESTIMATED, TRUSTED),
        *_policy(options),
        *(f"--dataset.repo_id={TARGET}", f"--dataset.root={data.run_folder / 'target'}"),
        f"--policy.sources={json.dumps([{'repo_id': SOURCE, 'root': str(data.run_folder / 'source')}])}",
    ]
    return Stage(folder, {"command": "annotate --method=spectral", "data": data.key}, command, product=str(WINDOWS))


def _training(root: Path, options: AlohaStoryOptions, data: Stage, windows: Stage) -> Stage:
    inputs = {
        "command": "lerobot-train",
        "data": [data.key, windows.key],
        "sizes": [options.steps, options.batch_size],
        "policy": list(_policy(options)),
    }
    source = {"repo_id": SOURCE, "root": str(data.run_folder / "source"), "windows": str(windows.folder / WINDOWS)}
    arguments = [
        *_policy(options),
        *(f"--dataset.repo_id={TARGET}", f"--dataset.root={data.run_folder / 'target'}"),
        *("--dataset.use_imagenet_stats=false", f"--policy.sources={json.dumps([source])}"),
        f"--policy.frame_cache={root / 'frames'}",
        *(f"--steps={options.steps}", f"--batch_size={options.batch_size}", "--num_workers=0"),
        *(f"--save_freq={max(1, options.steps // 4)}", f"--log_freq={max(1, options.steps // 8)}", "--seed=0"),
    ]
    return training_stage(root / "train", inputs, arguments)


def _evaluation(root: Path, options: AlohaStoryOptions, train: Stage) -> Stage:
    folder = root / "eval"
    sizes = [options.eval_episodes, options.episode_length]
    command = [
        *stock_command("lerobot-eval", "lerobot.scripts.lerobot_eval"),
        *(f"--policy.path={train.folder / LAST_CHECKPOINT}", "--policy.device=cpu", f"--output_dir={folder / 'run'}"),
        *("--env.type=aloha", f"--env.task={TASK}", f"--env.episode_length={options.episode_length}"),
        *(f"--eval.n_episodes={options.eval_episodes}", "--eval.batch_size=1", "--eval.use_async_envs=false"),
        f"--seed={EVAL_SEED}",
    ]
    inputs = {"command": "lerobot-eval", "policy": train.key, "sizes": sizes, "seed": EVAL_SEED}
    return Stage(folder, inputs, command, product="run/eval_info.json", environment=drawing_environment())


def _policy(options: AlohaStoryOptions) -> tuple[str, ...]:
    return (
        *("--policy.type=ambient_diffusion", "--policy.device=cpu", "--policy.push_to_hub=false"),
        *("--policy.horizon=32", "--policy.n_action_steps=16", "--policy.drop_n_last_frames=15"),
        # The camera's shape, so that the environment's picture is shrunk as the data's are.
        *("--policy.down_dims=[64, 128]", "--policy.resize_shape=[48, 64]", "--policy.crop_ratio=0.9"),
        *("--policy.pretrained_backbone_weights=null", "--policy.use_group_norm=true", "--policy.optimizer_lr=1e-3"),
        *("--policy.noise_scheduler_type=DDIM", f"--policy.num_inference_steps={options.inference_steps}"),
    )
