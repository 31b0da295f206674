# SPDX-License-Identifier: Apache-2.0
"""The recipe of the maze experiment: every training run as a config for stock `lerobot-train`.

`configs/maze/*.yaml` are this recipe written out, and a test keeps them equal:

    python -m lerobot_ambient.experiments.maze --write-configs configs/maze
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TARGET, SOURCE = "ambient/maze_target", "ambient/maze_source"
EXAMPLE_DATA = "outputs/data/maze"
"""Where the committed configs look for the data, relative to the folder the command is run in."""
EXAMPLE_SEED = 0
STEPS, BATCH_SIZE = 7_000, 128
CHECKPOINTS = 4

COTRAIN_ALPHAS = (0.2, 0.5, 0.8)
SIGMA_MINS = (0.16, 0.3)
AMBIENT_ALPHA = 0.5


@dataclass(frozen=True)
class Choices:
    """What the sweeps decide.

    Args:
        cotrain_alpha: the target's share under co-training, in (0, 1).
        sigma_min: the source's threshold under ambient training, VP level in (0, 1).
    """

    cotrain_alpha: float = 0.5
    sigma_min: float = 0.16


@dataclass(frozen=True)
class Arm:
    """One way to use the two data sets.

    Args:
        name: of the arm, a suffix after `:` tells variants apart.
        summary: one sentence.
        mixing: `policy.mixing`.
        data: the data set that is trained on as `--dataset`: "target" or "source".
        uses_source: whether the source is given as `policy.sources`.
        sigma_min: the source's window; None declares none.
        windows: the method that estimates the source's windows instead, a name in `WINDOW_METHODS`.
        unet: LeRobot's U-Net instead of the residual MLP.
    """

    name: str
    summary: str
    mixing: Mapping[str, Any]
    data: str = "target"
    uses_source: bool = True
    sigma_min: float | None = None
    windows: str | None = None
    unet: bool = False


ARM_NAMES = ("target_only", "source_only", "cotrain", "ambient", "exclusive", "soft", "ambient:unet")
WINDOW_METHODS: dict[str, tuple[str, ...]] = {
    "spectral": ("--method=spectral",),
    "classifier-dataset": ("--method=classifier",),
    "classifier-bucket": ("--method=classifier", "--granularity=bucket", "--bucket=clusters:32"),
    "classifier-datapoint": ("--method=classifier", "--granularity=datapoint"),
}
"""Ways to estimate the source's windows: the options of `lerobot-ambient annotate`. Each makes an arm
`ambient:<name>`."""
CONFIG_FILES = {
    "target_only": "target_only",
    "cotrain": "cotrain",
    "ambient": "ambient",
    "exclusive": "exclusive",
    "soft": "soft",
    "unet": "ambient:unet",
}
"""Committed config files and the arms they show."""


def make_arm(name: str, choices: Choices) -> Arm:
    """The arm called `name`, with the sweeps' choices filled in.

    Raises:
        ValueError: there is no such arm.
    """
    sigma_min = choices.sigma_min
    match name:
        case "target_only":
            return Arm(name, "Filtering: only the 50 trusted trajectories.", {"type": "target_only"}, uses_source=False)
        case "source_only":
            return Arm(
                name,
                "Only the jagged trajectories: finds the way, and moves as they do.",
                {"type": "target_only"},
                data="source",
                uses_source=False,
            )
        case "cotrain":
            mixing = {"type": "cotrain", "alpha": choices.cotrain_alpha}
            return Arm(name, "Co-training: both data sets at every noise level.", mixing)
        case "ambient":
            summary = "Ambient co-training: the source teaches only where noise hides its faults."
            return Arm(name, summary, {"type": "ambient", "alpha": AMBIENT_ALPHA}, sigma_min=sigma_min)
        case "exclusive":
            summary = "Exclusive bands: the source alone above sigma_min, the target alone below (an ablation)."
            return Arm(name, summary, {"type": "exclusive"}, sigma_min=sigma_min)
        case "soft":
            summary = "Soft ambient: the target's share falls with the noise level instead of jumping at a threshold."
            return Arm(name, summary, {"type": "soft", "sigmas": [0.074, 0.3], "clean_shares": [1.0, 0.5]})
        case "ambient:unet":
            summary = "Ambient co-training with LeRobot's U-Net, small, instead of the residual MLP."
            mixing = {"type": "ambient", "alpha": AMBIENT_ALPHA}
            return Arm(name, summary, mixing, sigma_min=sigma_min, unet=True)
    method = name.removeprefix("ambient:")
    if name.startswith("ambient:") and method in WINDOW_METHODS:
        summary = "Ambient co-training with windows that were estimated from the data, without roll-outs."
        return Arm(name, summary, {"type": "ambient", "alpha": AMBIENT_ALPHA}, windows=method)
    raise ValueError(f"the maze has no arm '{name}'; choose from {', '.join(ARM_NAMES)}.")


def windows_path(root: str, method: str) -> Path:
    """The windows file of a method below `root`."""
    return Path(root) / method / "run" / f"{SOURCE.replace('/', '__')}.parquet"


def train_config(
    arm: Arm,
    data_root: str,
    *,
    seed: int,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    windows_root: str = "windows",
) -> dict[str, Any]:
    """The `--config_path` file of one training run, as nested dictionaries in the order they are written.

    Args:
        arm: how to use the data sets.
        data_root: parent folder of `target` and `source`.
        seed: of the training.
        steps: optimiser steps; a checkpoint is kept every quarter, so that a killed run loses little.
        batch_size: frames a step.
        windows_root: folder of the estimated windows.
    """
    policy: dict[str, Any] = {"type": "ambient_diffusion", "push_to_hub": False}
    if arm.uses_source:
        source: dict[str, Any] = {"repo_id": SOURCE, "root": f"{data_root}/source"}
        if arm.sigma_min is not None:
            source["sigma_min"] = arm.sigma_min
        if arm.windows is not None:
            source["windows"] = str(windows_path(windows_root, arm.windows))
        policy["sources"] = [source]
    policy |= {
        "mixing": dict(arm.mixing),
        "relative_actions": True,
        "n_obs_steps": 2,
        "horizon": 16,
        "n_action_steps": 8,
        "drop_n_last_frames": 0,
        "noise_scheduler_type": "DDPM",
        "num_train_timesteps": 100,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "sample",
    }
    policy |= {"denoiser": "unet", "down_dims": [32, 64, 128]} if arm.unet else {"denoiser": "mlp"}
    policy |= {"ema_decay": 0.999, "optimizer_lr": 1.0e-3, "scheduler_warmup_steps": 200}
    return {
        "dataset": {
            "repo_id": TARGET if arm.data == "target" else SOURCE,
            "root": f"{data_root}/{arm.data}",
            "use_imagenet_stats": False,
        },
        "policy": policy,
        "batch_size": batch_size,
        "steps": steps,
        "num_workers": 0,
        "save_freq": max(1, steps // CHECKPOINTS),
        "log_freq": max(1, min(500, steps // 10)),
        "env_eval_freq": 0,
        "seed": seed,
    }


COMMENTS = {
    "dataset": "The target: trusted demonstrations. It trains the denoiser at every noise level.",
    "policy.sources": "The sources: everything else, and the noise levels at which it may teach (VP sigma in [0, 1]).",
    "policy.relative_actions": "Chunks of 16 positions relative to the current one; 8 of them are executed.",
    "policy.drop_n_last_frames": "Episodes end at the goal: their last frames teach how to arrive.",
    "policy.noise_scheduler_type": "100 noise levels; the network predicts the clean chunk.",
    "policy.denoiser": "mlp: a residual MLP, quick on a CPU; unet: LeRobot's convolutional U-Net.",
    "policy.ema_decay": "The evaluated weights are a running average of the trained ones.",
    "batch_size": "One thread (OMP_NUM_THREADS=1) is fastest for so small a network, and needs no worker processes.",
    "save_freq": "A killed run goes on with --config_path=<run>/checkpoints/last/pretrained_model/train_config.json "
    "--resume=true.",
    "env_eval_freq": "Roll-outs come afterwards: lerobot-eval --env.type=ambient_maze.",
}
"""A comment above the key it explains."""
MIXING_COMMENTS = {
    "target_only": "Sources would never be drawn.",
    "cotrain": "alpha is the target's share, at every noise level.",
    "ambient": "alpha is the target's share where the source is admitted; up to sigma_min it is 1.",
    "exclusive": "Where the source is admitted the target is not used at all.",
    "soft": "The target's share at each knot: linear between knots, constant outside.",
}


def render_yaml(config: Mapping[str, Any], header: str = "") -> str:
    """A config as the text of a commented YAML file; `yaml.safe_load` gives `config` back."""
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    if lines:
        lines.append("")
    for key, value in config.items():
        # source_only trains on the source as if it were the target.
        if key != "dataset" or value["repo_id"] == TARGET:
            lines += _commented(key, "")
        if not isinstance(value, Mapping):
            lines.append(f"{key}: {_flow(value)}")
            continue
        lines.append(f"{key}:")
        for inner, leaf in value.items():
            lines += _commented(f"{key}.{inner}", "  ")
            if isinstance(leaf, list) and leaf and isinstance(leaf[0], Mapping):
                lines += [f"  {inner}:", *(f"    - {_flow(item)}" for item in leaf)]
            else:
                if inner == "mixing":
                    lines.append(f"  # {MIXING_COMMENTS[leaf['type']]}")
                lines.append(f"  {inner}: {_flow(leaf)}")
    return "\n".join(lines) + "\n"


def example_configs() -> dict[str, str]:
    """The committed files: name without suffix to text."""
    texts = {}
    for file, name in CONFIG_FILES.items():
        arm = make_arm(name, Choices())
        header = (
            f"{arm.summary}\n\n"
            f"    lerobot-ambient make-data maze --root {EXAMPLE_DATA}\n"
            f"    lerobot-train --config_path=configs/maze/{file}.yaml\n\n"
            "Written by `python -m lerobot_ambient.experiments.maze --write-configs configs/maze`."
        )
        texts[file] = render_yaml(train_config(arm, EXAMPLE_DATA, seed=EXAMPLE_SEED), header)
    return texts


def _commented(path: str, indent: str) -> list[str]:
    return [f"{indent}# {COMMENTS[path]}"] if path in COMMENTS else []


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def main() -> None:
    """Write the committed configs."""
    parser = argparse.ArgumentParser(description="The maze experiment's training configs.")
    parser.add_argument("--write-configs", type=Path, required=True, metavar="FOLDER", help="e.g. configs/maze")
    folder = parser.parse_args().write_configs
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in example_configs().items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        print(folder / f"{name}.yaml")


if __name__ == "__main__":
    main()
