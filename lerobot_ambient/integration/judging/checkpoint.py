# SPDX-License-Identifier: Apache-2.0
"""A checkpoint to be judged: where it lies, how it was trained, and the policy with its processors.

A stock policy of a type that has an ambient form is read as that form: the network and its actions are the same, and
the ambient class can be asked for its denoising error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from lerobot.configs import PreTrainedConfig
from lerobot.configs.train import TRAIN_CONFIG_NAME
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

from lerobot_ambient.data.files.hub_errors import NOT_ON_THE_HUB, reason_of
from lerobot_ambient.policy.flow.refused import why_not
from lerobot_ambient.policy.options.mixture_options import MixtureOptions, ambient_types
from lerobot_ambient.policy.shared.safe_loading import refuse_foreign_steps

_MODEL = "pretrained_model"
_LAST = Path("checkpoints", "last", _MODEL)
_USUAL = (*_LAST.parts, "run")


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint before its weights are read.

    Args:
        path: folder, or a model on the Hub.
        name: what it is called in tables.
        config: of the policy, its ambient form where there is one.
        stock_type: the type that its config.json names.
        training: its train_config.json; None where it has none.
    """

    path: str
    name: str
    config: Any
    stock_type: str
    training: Mapping[str, Any] | None

    @property
    def why_no_denoising(self) -> str | None:
        """Why it has no denoising error; None where it has."""
        return None if isinstance(self.config, MixtureOptions) else f"{self.stock_type}: {why_not(self.stock_type)}"

    @property
    def action_steps(self) -> int:
        """How many actions of a chunk are executed before the next one is predicted."""
        return int(getattr(self.config, "n_action_steps", None) or 1)

    @property
    def action_deltas(self) -> list[int]:
        """Frame offsets of the actions of a training chunk."""
        return list(self.config.action_delta_indices or [0])


@dataclass(frozen=True, eq=False)
class Loaded:
    """A policy in evaluation mode with its processors."""

    policy: Any
    preprocess: Callable[[dict[str, Any]], dict[str, Any]]
    postprocess: Callable[[Any], Any]


def read_checkpoints(paths: Sequence[str], device: str | None = None) -> list[Checkpoint]:
    """The checkpoints, with names that distinguish them.

    Args:
        paths: of each the folder `pretrained_model`, its run's folder, or a model on the Hub.
        device: to act on; the checkpoint's own when None.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: the same one twice, or a type that LeRobot does not know.
    """
    found = [_folder_of(path) for path in paths]
    for path, place in zip(paths, found, strict=True):
        if found.count(place) > 1:
            raise ValueError(f"the checkpoint {path} is given more than once.")
    overrides = [] if device is None else [f"--device={device}"]
    return [_read(place, name, overrides) for place, name in zip(found, _names(found), strict=True)]


def load(checkpoint: Checkpoint) -> Loaded:
    """The policy and its processors, on the configuration's device.

    Raises:
        ValueError: an adapter without its base, or processors that name a class to be called.
        OSError: weights that could not be read.
    """
    path, config = checkpoint.path, checkpoint.config
    if Path(path).is_dir() and not (Path(path) / SAFETENSORS_SINGLE_FILE).is_file():
        raise ValueError(
            f"{path} has no {SAFETENSORS_SINGLE_FILE}; of an adapter (PEFT), merge it into its base first."
        )
    refuse_foreign_steps(path, config=config)
    policy = get_policy_class(config.type).from_pretrained(path, config=config)
    overrides = {"device_processor": {"device": config.device}}
    preprocess, postprocess = make_pre_post_processors(config, pretrained_path=path, preprocessor_overrides=overrides)
    return Loaded(policy.to(config.device).eval(), preprocess, postprocess)


def _folder_of(path: str) -> str:
    """The folder that holds the policy of a run or checkpoint; what is no folder is a model on the Hub."""
    for inside in (Path(), Path(_MODEL), _LAST, Path("run", _LAST)):
        if (Path(path) / inside / CONFIG_NAME).is_file():
            return str(Path(path) / inside)
    if Path(path).exists():
        raise FileNotFoundError(
            f"{path} holds no checkpoint: there is no {CONFIG_NAME}, neither in it nor in {_LAST}. Give the folder "
            f"{_MODEL} of a training's output."
        )
    return path


def _read(path: str, name: str, overrides: Sequence[str]) -> Checkpoint:
    try:
        config: Any = PreTrainedConfig.from_pretrained(path, cli_overrides=list(overrides))
        stock_type = str(config.type)
        if f"ambient_{stock_type}" in ambient_types():
            config = PreTrainedConfig.from_pretrained.__func__(  # type: ignore[attr-defined]
                _AsAmbient, path, cli_overrides=list(overrides)
            )
        training = _training(path)
    except NOT_ON_THE_HUB as error:
        raise FileNotFoundError(
            f"the checkpoint '{path}' is neither a folder here nor a model on the Hub{reason_of(error)}."
        ) from error
    config.pretrained_path = Path(path)
    if getattr(config, "compile_model", False):
        # Compiling costs minutes, and hides the loss.
        config.compile_model = False
    return Checkpoint(path, name, config, stock_type, training)


class _AsAmbient:
    """Stands for the configuration class in LeRobot's function: the type's ambient form in place of the type."""

    get_known_choices = PreTrainedConfig.get_known_choices

    @staticmethod
    def get_choice_class(kind: str) -> Any:
        return PreTrainedConfig.get_choice_class(f"ambient_{kind}")


def _training(path: str) -> Mapping[str, Any] | None:
    """What train_config.json says; None where there is none."""
    file = Path(path) / TRAIN_CONFIG_NAME
    if not Path(path).is_dir():
        try:
            file = Path(hf_hub_download(path, TRAIN_CONFIG_NAME))
        except NOT_ON_THE_HUB:
            return None
    if not file.is_file():
        return None
    training: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return training


def _names(places: Sequence[str]) -> list[str]:
    """The parts of the paths in which they differ; of a single one the path without the usual names at its end."""
    parts = [list(Path(place).parts) for place in places]
    if len(places) > 1:
        while len({tuple(part[:1]) for part in parts}) == 1:
            parts = [part[1:] for part in parts]
        while len({tuple(part[-1:]) for part in parts}) == 1:
            parts = [part[:-1] for part in parts]
    else:
        while len(parts[0]) > 1 and parts[0][-1] in _USUAL:
            parts = [parts[0][:-1]]
    return [str(Path(*part)) if part else place for part, place in zip(parts, places, strict=True)]
