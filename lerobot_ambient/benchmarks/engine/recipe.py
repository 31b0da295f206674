# SPDX-License-Identifier: Apache-2.0
"""The recipe that all experiments share: a training run as a config file for stock `lerobot-train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lerobot_ambient.benchmarks.engine.condition import NOTHING, Condition

CHECKPOINTS = 4
_COMMON_POLICY: Mapping[str, Any] = {
    "relative_actions": True,
    "n_obs_steps": 2,
    "horizon": 16,
    "n_action_steps": 8,
    "drop_n_last_frames": 0,
    "noise_scheduler_type": "DDPM",
    "num_train_timesteps": 100,
    "beta_schedule": "squaredcos_cap_v2",
    "prediction_type": "sample",
    "denoiser": "mlp",
    "ema_decay": 0.999,
    "optimizer_lr": 1.0e-3,
    "scheduler_warmup_steps": 200,
}
FEW_STEPS: Mapping[str, Any] = {"noise_scheduler_type": "DDIM", "num_inference_steps": 20}
"""What tasks add that roll out long episodes: a fifth of the denoising steps, without noise. Training is the same."""


@dataclass(frozen=True, eq=False)
class Task:
    """A benchmark task: its environment, its two datasets, and what its recipe adds to the common one.

    Args:
        name: of the task; the environment is `ambient_<name>`, the data comes from `make-data <name>`.
        policy: settings that differ from `_COMMON_POLICY`.
        env: options of the environment, e.g. {"blocks": 2}.
        recorded: record every final rollout, for metrics that the rewards do not hold.
        picture: height and width in pixels of the pictures that LeRobot takes of the first ten rollouts, looked at or
            not; small ones halve the time of an evaluation.
        frame_cache: observations hold pictures; keep them decoded beside the datasets, in the folder `frames`.
        revision: of the environment and its demonstrations; raise it when the same arguments would give others, so
            that finished stages are not taken for new ones.
    """

    name: str
    policy: Mapping[str, Any] = NOTHING
    env: Mapping[str, Any] = NOTHING
    recorded: bool = False
    picture: int = 32
    frame_cache: bool = False
    revision: int = 0

    @property
    def target(self) -> str:
        return f"ambient/{self.name}_target"

    @property
    def source(self) -> str:
        return f"ambient/{self.name}_source"

    def env_flags(self, condition: Condition | None = None) -> list[str]:
        """The environment as options of lerobot-eval, with those of a condition."""
        options = {**self.env, **(NOTHING if condition is None else condition.env)}
        return [f"--env.type=ambient_{self.name}", *(f"--env.{key}={_word(value)}" for key, value in options.items())]


@dataclass(frozen=True)
class Places:
    """Where a training run finds its inputs.

    Args:
        target, source: the datasets.
        windows: folder of the source's estimated windows.
        base: folder of the pretrained policy that is fine-tuned.
        frames: folder of decoded pictures, for tasks that have some.
    """

    target: str
    source: str
    windows: str = "windows"
    base: str = "base"
    frames: str = "frames"

    @classmethod
    def below(cls, folder: str) -> Places:
        """Where `make-data` leaves both datasets."""
        return cls(f"{folder}/target", f"{folder}/source", frames=f"{folder}/frames")


NOWHERE = Places("TARGET", "SOURCE", "WINDOWS", "BASE", "FRAMES")
"""Stands for all places in the key of a stage, which must not depend on them."""


def windows_path(task: Task, folder: str, method: str) -> Path:
    """The windows file of a method below `folder`."""
    return Path(folder) / method / "run" / f"{task.source.replace('/', '__')}.parquet"


def train_config(
    task: Task, condition: Condition, places: Places, *, seed: int, steps: int, batch_size: int
) -> dict[str, Any]:
    """The `--config_path` file of one training run, as nested dictionaries in the order they are written.

    Args:
        task: what is learnt.
        condition: how the datasets are used.
        places: of the inputs.
        seed: of the training.
        steps: optimiser steps; a checkpoint is kept every quarter, so that a killed run loses little.
        batch_size: frames a step.
    """
    steps = max(1, round(condition.steps * steps))
    sources = []
    if condition.source is not None:
        source = {"repo_id": task.source, "root": places.source, **condition.source}
        if condition.windows is not None:
            source["windows"] = str(windows_path(task, places.windows, condition.windows))
        sources = [source]
    policy: dict[str, Any] = {"type": "ambient_diffusion", "push_to_hub": False}
    policy |= {"sources": sources} if sources else {}
    policy |= {"mixing": dict(condition.mixing), **_COMMON_POLICY, **task.policy, **condition.policy}
    if task.frame_cache:
        policy["frame_cache"] = places.frames
    return {
        "dataset": {
            "repo_id": task.target if condition.trained_on == "target" else task.source,
            "root": places.target if condition.trained_on == "target" else places.source,
            "use_imagenet_stats": False,
        },
        # A base brings everything with it, see `fine_tuning_flags`.
        **({"policy": policy} if condition.base is None else {}),
        "batch_size": batch_size,
        "steps": steps,
        "num_workers": 0,
        "save_freq": max(1, steps // CHECKPOINTS),
        "log_freq": max(1, min(500, steps // 10)),
        "env_eval_freq": 0,
        "seed": seed,
    }


def fine_tuning_flags(condition: Condition, places: Places) -> list[str]:
    """What the command of a condition with a base says beside its config; nothing for other conditions.

    LeRobot reads the policy's path and its lists from the command line only. Without sources the base's mixing gives
    everything to the target.
    """
    if condition.base is None:
        return []
    return [f"--policy.path={places.base}", "--policy.sources=[]", "--policy.push_to_hub=false"]


COMMENTS = {
    "dataset": "The target: trusted demonstrations. It trains the denoiser at every noise level.",
    "policy.sources": "The sources: everything else, and the noise levels at which it may teach (VP sigma in [0, 1]).",
    "policy.relative_actions": "Chunks of 16 actions relative to the current state; 8 of them are executed.",
    "policy.drop_n_last_frames": "Episodes end at the goal: their last frames teach how to arrive.",
    "policy.noise_scheduler_type": "100 noise levels; the network predicts the clean chunk.",
    "policy.denoiser": "mlp: a residual MLP, quick on a CPU; unet: LeRobot's convolutional U-Net.",
    "policy.ema_decay": "The evaluated weights are a running average of the trained ones.",
    "batch_size": "One thread (OMP_NUM_THREADS=1) is fastest for so small a network, and needs no worker processes.",
    "save_freq": "A killed run goes on with --config_path=<run>/checkpoints/last/pretrained_model/train_config.json "
    "--resume=true.",
    "env_eval_freq": "Rollouts come afterwards: lerobot-eval {env}.",
}
"""A comment above the key it explains."""
_MIXING_COMMENTS = {
    "target_only": "Sources would never be drawn.",
    "cotrain": "alpha is the target's share, at every noise level.",
    "ambient": "alpha is the target's share where the source is admitted; elsewhere it is 1.",
    "exclusive": "Where the source is admitted the target is not used at all.",
    "soft": "The target's share at each knot: linear between knots, constant outside.",
}


def render_yaml(task: Task, config: Mapping[str, Any], header: str = "") -> str:
    """A config as the text of a commented YAML file; `yaml.safe_load` gives `config` back."""
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    if lines:
        lines.append("")
    for key, value in config.items():
        # source_only trains on the source as if it were the target.
        if key != "dataset" or value["repo_id"] == task.target:
            lines += _commented(key, "", task)
        if not isinstance(value, Mapping):
            lines.append(f"{key}: {_flow(value)}")
            continue
        lines.append(f"{key}:")
        for inner, leaf in value.items():
            lines += _commented(f"{key}.{inner}", "  ", task)
            if isinstance(leaf, list) and leaf and isinstance(leaf[0], Mapping):
                lines += [f"  {inner}:", *(f"    - {_flow(item)}" for item in leaf)]
            else:
                if inner == "mixing":
                    lines.append(f"  # {_MIXING_COMMENTS[leaf['type']]}")
                lines.append(f"  {inner}: {_flow(leaf)}")
    return "\n".join(lines) + "\n"


def _commented(path: str, indent: str, task: Task) -> list[str]:
    return [f"{indent}# {COMMENTS[path].replace('{env}', ' '.join(task.env_flags()))}"] if path in COMMENTS else []


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
