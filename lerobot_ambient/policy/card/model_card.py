# SPDX-License-Identifier: Apache-2.0
"""The README.md of a policy on the Hub, written from its configuration alone.

Everything it says of the data comes from `mixture_record`, so it can be written where no dataset is at hand. What is
not known is said to be unknown.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from numpy.typing import NDArray

from lerobot_ambient.core.proportions import wilson_interval
from lerobot_ambient.core.target_share import crowded_out
from lerobot_ambient.data.export.record import decode_shares
from lerobot_ambient.data.provenance.data_record import DataRecord
from lerobot_ambient.policy.card.alignment import alignment, table
from lerobot_ambient.policy.options.mixture_options import MixtureOptions

FIGURE = "ambient_plan.png"
"""The heat map's name in the repository."""

_BANDS = 10
_DEFAULT_LICENSE = "apache-2.0"
_REPO_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_HUB = "https://huggingface.co"
_OLD_NAMES = {"so100": "so100_follower", "so101": "so101_follower", "koch": "koch_follower"}
"""Robots of older recordings, as LeRobot's commands call them today."""
_PAPER = "[arXiv 2606.12365](https://arxiv.org/abs/2606.12365)"


@dataclass(frozen=True)
class Result:
    """Success of one evaluation.

    Args:
        task: what was evaluated, e.g. ambient_maze.
        trials: rollouts, positive.
        successes: how many of them succeeded, in [0, trials].
    """

    task: str
    trials: int
    successes: int

    def __post_init__(self) -> None:
        if not 0 <= self.successes <= self.trials or self.trials == 0:
            raise ValueError(f"result of '{self.task}': {self.successes} successes in {self.trials} trials.")


def model_card(
    config: MixtureOptions,
    train: Mapping[str, Any] | None = None,
    results: Sequence[Result] = (),
    *,
    figure: bool = False,
) -> ModelCard:
    """The card of a policy.

    Args:
        config: of the policy.
        train: LeRobot's training configuration as plain values, or None where it is not known.
        results: of evaluations.
        figure: whether the plan's picture lies beside it, under `FIGURE`.
    """
    ids = _repo_ids(config, train)
    name = config.repo_id or (f"{_kind(config)} for {ids[0]}" if ids else _kind(config))
    parts = [
        f"---\n{_metadata(config, train, results).to_yaml()}\n---",
        f"# {name}",
        f"{_article(config)} for [LeRobot](https://github.com/huggingface/lerobot), trained by *ambient co-training* "
        f"(Wei et al., {_PAPER}) with the plugin `lerobot_policy_ambient_diffusion`. A small trusted dataset, the "
        "target, taught it at every noise level; each other dataset only inside its window of noise levels.",
        "## Training data\n\n" + _data(config, train),
        "## Windows\n\n" + _windows(config, figure=figure),
        "## Alignment\n\nHow each source was fitted to the target as it was read.\n\n"
        + alignment(config.mixture_record, config.sources),
        "## Normalisation\n\n" + _normalisation(config),
        "## Inputs and outputs\n\n" + _features(config),
        "## Training\n\n" + _training(config, train),
        "## Results\n\n" + _results(results),
        "## Use\n\n" + _use(config, train),
    ]
    return ModelCard("\n\n".join(parts) + "\n", ignore_metadata_errors=False)


def _kind(config: MixtureOptions) -> str:
    return f"Ambient {config.type.removeprefix('ambient_')} policy"


def _article(config: MixtureOptions) -> str:
    stock = config.type.removeprefix("ambient_")
    return "A diffusion policy" if stock == "diffusion" else f"A policy of type `{stock}`"


def record_shares(config: MixtureOptions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(S, T) shares and (T,) noise levels of the plan a policy was trained with."""
    shares = np.array([decode_shares(record.shares) for record in config.mixture_record])
    return shares, config.noise_schedule().sigmas.numpy()


def _metadata(config: MixtureOptions, train: Mapping[str, Any] | None, results: Sequence[Result]) -> ModelCardData:
    base = None if config.pretrained_path is None else str(config.pretrained_path)
    return ModelCardData(
        license=config.license or _DEFAULT_LICENSE,
        library_name="lerobot",
        pipeline_tag="robotics",
        tags=sorted({*(config.tags or []), "robotics", "lerobot", config.type, "ambient-co-training"}),
        # A path is no model on the Hub.
        base_model=base if base is not None and _REPO_ID.fullmatch(base) else None,
        datasets=[repo_id for repo_id in _repo_ids(config, train) if _REPO_ID.fullmatch(repo_id)],
        model_name=(config.repo_id or config.type).rpartition("/")[2],
        eval_results=[
            EvalResult(
                task_type="robotics",
                dataset_type=result.task,
                dataset_name=result.task,
                metric_type="success_rate",
                metric_value=round(result.successes / result.trials, 4),
            )
            for result in results
        ]
        or None,
    )


def _repo_ids(config: MixtureOptions, train: Mapping[str, Any] | None) -> list[str]:
    if config.mixture_record:
        return list(dict.fromkeys(record.repo_id for record in config.mixture_record))
    # An older checkpoint, or one that never trained: what was declared.
    target = [] if train is None else [train["dataset"]["repo_id"]]
    return [*target, *(source.repo_id for source in config.sources)]


def _data(config: MixtureOptions, train: Mapping[str, Any] | None) -> str:
    if not config.mixture_record:
        listed = ", ".join(f"`{repo_id}`" for repo_id in _repo_ids(config, train))
        return f"The checkpoint has no record of its data. Declared: {listed or 'nothing'}."
    head = ("dataset", "role", "robot", "licence", "episodes", "frames", "frames a second", "weight")
    rows = [
        (
            _linked(record) + (f" at `{record.revision}`" if record.revision else ""),
            "source" if index else "target",
            record.robot_type or "not stated",
            record.license or "not stated",
            str(record.episodes),
            str(record.frames),
            f"{record.fps:g}",
            f"{record.weight:g}",
        )
        for index, record in enumerate(config.mixture_record)
    ]
    own = (
        f"This policy is published under `{config.license}`."
        if config.license
        else f"`{_DEFAULT_LICENSE}` above is LeRobot's default, nobody chose it (`--policy.license`)."
    )
    return table(head, rows) + f"\n\n{own} The licences of the datasets may ask for more."


def _linked(record: DataRecord) -> str:
    """A dataset's name, with its page where it was read from the Hub."""
    is_there = record.on_the_hub and _REPO_ID.fullmatch(record.repo_id)
    return f"[`{record.name}`]({_HUB}/datasets/{record.repo_id})" if is_there else f"`{record.name}`"


def _windows(config: MixtureOptions, *, figure: bool) -> str:
    parts = [
        "A window [0, a) U (b, 1] means: below the noise level a and above b the dataset taught, in between not. "
        "Levels are variance-preserving and refer to normalised actions."
    ]
    if config.mixture_record:
        rows = [
            (f"`{record.name}`", ", ".join(record.windows), record.found, f"{100 * record.share:.1f} %")
            for record in config.mixture_record
        ]
        parts.append(table(("dataset", "window", "how it was found", "share of all draws"), rows))
        law = config.noise_schedule().law
        of_law = "" if law is None else f"The policy's time follows its own law, {law}; the last line is of that. "
        parts.append(f"{of_law}Share of each dataset at each noise level:\n\n{_bands(config)}")
        if figure:
            parts.append(f"![Share of each dataset at each noise level]({FIGURE})")
        shares, sigmas = (torch.from_numpy(values) for values in record_shares(config))
        crowded = crowded_out(shares, sigmas, [record.name for record in config.mixture_record], config.mixing)
        if crowded is not None:
            parts.append(f"**Note:** {crowded}")
    loss = ""
    if config.ambient_loss:
        loss = f" With the ambient loss, amplified at most {config.ambient_loss_max_amplification:g} times."
    parts.append(f"Mixing: {config.mixing}.{loss}")
    if config.mixture_fingerprint:
        # Its last line is of the rule, which the card tells in words.
        lines = "\n".join(f"    {line}" for line in config.mixture_fingerprint[:-1])
        parts.append(
            f"What identifies the data, a line a dataset; the last word is a hash of what was read:\n\n{lines}"
        )
    return "\n\n".join(parts)


def _bands(config: MixtureOptions) -> str:
    """Mean share in tenths of the noise levels, and the policy's draws there; tenths without a level are left out."""
    shares, sigmas = record_shares(config)
    edges = np.arange(_BANDS + 1) / _BANDS
    bands = []
    for low, high in itertools.pairwise(edges):
        inside = (sigmas >= low) & ((sigmas < high) | (high == 1.0))
        if inside.any():
            bands.append((f"{low:.1f}-{high:.1f}", shares[:, inside].mean(1), inside.mean()))
    rows = [
        (f"`{record.name}`", *(f"{100 * band[index]:.0f} %" for _, band, _ in bands))
        for index, record in enumerate(config.mixture_record)
    ]
    rows.append(("all draws", *(f"{100 * part:.0f} %" for _, _, part in bands)))
    return table(("noise level", *(name for name, _, _ in bands)), rows)


def _normalisation(config: MixtureOptions) -> str:
    modes = ", ".join(f"{kind.lower()} {mode.value}" for kind, mode in sorted(config.normalization_mapping.items()))
    own = [f"`{record.name}`" for record in config.mixture_record if record.normalization == "own"]
    tail = f" By their own: {', '.join(own)}." if own else ""
    relative = " Chunks of actions are relative to the current state." if config.encodes_relative_actions else ""
    return f"{modes}; by the target's statistics.{tail}{relative}"


def _features(config: MixtureOptions) -> str:
    rows = [
        (way, f"`{key}`", feature.type.value.lower(), str(tuple(feature.shape)))
        for way, features in (("input", config.input_features), ("output", config.output_features))
        for key, feature in (features or {}).items()
    ]
    names = "".join(
        f"\n\nDimensions of `{key}`, in this order: {', '.join(f'`{name}`' for name in dimensions)}."
        for key, dimensions in (config.feature_names or {}).items()
    )
    return table(("", "key", "kind", "shape"), rows) + (
        f"{names}\n\nIt sees {config.n_obs_steps} observations, predicts "
        f"{len(config.action_delta_indices)} actions and executes {config.n_action_steps} of them."
    )


def _training(config: MixtureOptions, train: Mapping[str, Any] | None) -> str:
    network = getattr(config, "denoiser", config.type.removeprefix("ambient_"))
    rows = [("network", network), ("noise schedule", str(config.noise_schedule()))]
    rows += [("frames at an episode's end that start no sample", str(config.dropped_frames))]
    if train is not None:
        optimizer = train.get("optimizer") or {}
        rows += [(key.replace("_", " "), str(train[key])) for key in ("steps", "batch_size", "seed") if key in train]
        rows += [(f"optimizer {key}", str(optimizer[key])) for key in ("type", "lr") if key in optimizer]
    rows += [
        (f"`{name}`", _version(name)) for name in ("lerobot", "lerobot_policy_ambient_diffusion", "torch", "diffusers")
    ]
    note = "" if train is not None else "\n\nThe training configuration was not at hand."
    return table(("setting", "value"), rows) + note + "\n\nVersions are those the card was written with."


def _results(results: Sequence[Result]) -> str:
    if not results:
        return "None were given."
    rows = []
    for result in results:
        low, high = wilson_interval(result.successes, result.trials)
        rate = f"{100 * result.successes / result.trials:.1f} %"
        rows.append(
            (result.task, str(result.trials), str(result.successes), rate, f"{100 * low:.1f} to {100 * high:.1f} %")
        )
    head = ("task", "trials", "successes", "success rate", "95 % interval")
    return table(head, rows) + "\n\nIntervals are Wilson's; they know of the trials, not of other training seeds."


def _use(config: MixtureOptions, train: Mapping[str, Any] | None) -> str:
    path = config.repo_id or "PATH"
    ids = _repo_ids(config, train)
    env = (train or {}).get("env") or {}
    robot, said = _robot(config)
    return "\n\n".join(
        [
            "The checkpoint acts without any of the datasets. It needs LeRobot 0.6 and the plugin, from a checkout:",
            "```bash\npip install -e .\n```",
            "Evaluate in an environment:",
            f"```bash\nlerobot-eval --policy.path={path} --env.type={env.get('type', 'ENVIRONMENT')} "
            "--eval.n_episodes=50\n```",
            f"Roll out on a robot, {said}; joints, units and cameras must be those of the target:",
            f"```bash\nlerobot-rollout --strategy.type=base --policy.path={path} --robot.type={robot} "
            f"--robot.port=PORT{_cameras(config)} --duration=60\n```",
            "Fine-tune; without `--policy.sources` its own sources are used again, `'[]'` means the target alone:",
            f"```bash\nlerobot-train --policy.path={path} --policy.repo_id=YOU/tuned "
            f"--dataset.repo_id={ids[0] if ids else 'YOU/target'} --policy.sources='[]'\n```",
        ]
    )


def _robot(config: MixtureOptions) -> tuple[str, str]:
    """LeRobot's `--robot.type` for the robot the target was recorded with, and what to say of it."""
    recorded = config.mixture_record[0].robot_type if config.mixture_record else None
    if recorded is None:
        return "ROBOT", "of which the target says nothing (for an SO-101: `so101_follower`)"
    if recorded == "so_follower":
        # What LeRobot's driver of both calls itself; as an option each has its own name.
        return "so101_follower", "recorded as `so_follower`: `so101_follower`, or `so100_follower` for an SO-100"
    return _OLD_NAMES.get(recorded, recorded), f"the target's is `{recorded}`"


def _cameras(config: MixtureOptions) -> str:
    """LeRobot's option for the cameras the policy was trained with; nothing without any."""
    if not config.image_features:
        return ""
    fps = f"{config.mixture_record[0].fps:g}" if config.mixture_record else "FPS"
    cameras = [
        f"{key.removeprefix('observation.images.')}: {{type: opencv, index_or_path: INDEX, "
        f"width: {feature.shape[2]}, height: {feature.shape[1]}, fps: {fps}}}"
        for key, feature in config.image_features.items()
    ]
    return f" --robot.cameras='{{{', '.join(cameras)}}}'"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"
